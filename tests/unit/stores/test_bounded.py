"""Values are read in pieces up to a limit, and again while a server is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.storage import MemoryStore

from hdmf_zarr.core.zarr_private import default_buffer_prototype
from hdmf_zarr.errors import ChunkError, MetadataError, RemoteStoreError
from hdmf_zarr.stores import bounded
from hdmf_zarr.stores.bounded import BoundedStore, Wanted, first_failure_ends, read_value, tried

BUFFER = default_buffer_prototype()


def in_memory(**values: bytes) -> MemoryStore:
    store = MemoryStore()
    for key, value in values.items():
        asyncio.run(store.set(key, BUFFER.buffer.from_bytes(value)))
    return store


class BusyError(Exception):
    """What a client raises for an answer with a status."""

    def __init__(self, status: int, headers: Any = None) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers = status, headers


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(bounded.asyncio, "sleep", sleep)
    return found


# -- what is wanted --------------------------------------------------------------------------------


def test_a_value_has_at_most_so_many_bytes() -> None:
    wanted = Wanted("a/c.0", "s", 4)
    assert wanted.where == "s:/a/c.0"
    wanted.check_size(4)
    with pytest.raises(ChunkError, match="^s:/a/c.0 has 5 bytes or more, .* at most 4"):
        wanted.check_size(5)
    with pytest.raises(MetadataError, match="of metadata"):
        Wanted("zarr.json", "s", 4).check_size(2**40)


@pytest.mark.parametrize("part", [RangeByteRequest(10, 13), SuffixByteRequest(3)], ids=str)
def test_a_part_has_no_more_bytes_than_were_asked_for(part: Any) -> None:
    wanted = Wanted("a/c.0", "s", 1, part)
    wanted.check_size(3)
    with pytest.raises(RemoteStoreError, match="sends at least 4 bytes where 3 were asked for"):
        wanted.check_size(4)


def test_a_part_up_to_the_end_is_bounded_as_the_whole() -> None:
    with pytest.raises(ChunkError, match="at most 4"):
        Wanted("a/c.0", "s", 4, OffsetByteRequest(2)).check_size(5)


@pytest.mark.parametrize(
    ("part", "header", "options"),
    [
        (RangeByteRequest(10, 13), "bytes=10-12", {"range": (10, 13)}),
        (OffsetByteRequest(5), "bytes=5-", {"range": {"offset": 5}}),
        (SuffixByteRequest(3), "bytes=-3", {"range": {"suffix": 3}}),
    ],
    ids=str,
)
def test_a_part_is_asked_for_as_clients_want_it(part: Any, header: str, options: Any) -> None:
    assert bounded._header(part) == header
    assert bounded._options_of_obstore(part) == options


def test_all_of_a_value_is_asked_for_without_options() -> None:
    assert bounded._options_of_obstore(None) == {}


@pytest.mark.parametrize(
    ("root", "path"),
    [("bucket/a/", "bucket/a/c.0"), ("bucket", "bucket/c.0"), ("/", "c.0"), ("", "c.0")],
)
def test_a_key_lies_below_the_path_of_its_store(root: str, path: str) -> None:
    store: Any = SimpleNamespace(path=root)
    assert bounded._path(store, "c.0") == path


# -- pieces ----------------------------------------------------------------------------------------


async def pieces(given: list[bytes], taken: list[bytes]) -> AsyncIterator[bytes]:
    for piece in given:
        taken.append(piece)
        yield piece


def joined(given: list[bytes], length: int | None, most: int) -> tuple[Any, list[bytes]]:
    taken: list[bytes] = []
    wanted = Wanted("c.0", "s", most)
    try:
        return asyncio.run(bounded._joined(pieces(given, taken), length, wanted)), taken
    except ChunkError as error:
        return error, taken


def test_pieces_are_joined_up_to_the_limit() -> None:
    assert joined([b"ab", b"", b"cd"], None, 4) == (b"abcd", [b"ab", b"", b"cd"])
    assert joined([], 0, 4) == (b"", [])


def test_no_piece_is_taken_beyond_the_limit() -> None:
    error, taken = joined([b"ab", b"cd", b"ef", b"gh"], None, 4)
    assert isinstance(error, ChunkError)
    assert taken == [b"ab", b"cd", b"ef"]
    error, taken = joined([b"ab"], 5, 4)  # which the server says itself
    assert isinstance(error, ChunkError)
    assert taken == []


# -- tries -----------------------------------------------------------------------------------------


def ask(answers: list[Any], store: Any = None) -> Any:
    async def one() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return asyncio.run(tried(store or MemoryStore(), Wanted("c.0", "s"), one))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(status: int, waits: list[float]) -> None:
    answers = [BusyError(status), BusyError(status), b"value", b"not asked for"]
    assert ask(answers) == b"value"
    assert answers == [b"not asked for"]
    assert waits == [0.1, 0.2]


def test_a_server_that_stays_busy_is_told_of(waits: list[float]) -> None:
    last = BusyError(503)
    with pytest.raises(RemoteStoreError, match="answered 503 to each of 3 tries") as caught:
        ask([BusyError(429), BusyError(429), last])
    assert caught.value.__cause__ is last
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("told", "wait"),
    [("3", 3.0), ("0", 0.0), ("99", 5.0), ("tomorrow", 0.1), ("-1", 0.1), ("", 0.1)],
)
def test_a_server_tells_how_long_to_wait(told: str, wait: float, waits: list[float]) -> None:
    ask([BusyError(503, {"Retry-After": told}), 1])
    assert waits == [wait]


@pytest.mark.parametrize("error", [BusyError(500), BusyError(404), ValueError("no status")])
def test_any_other_error_is_not_tried_again(error: Exception, waits: list[float]) -> None:
    with pytest.raises(type(error), match=str(error)):
        ask([error, 1])
    assert waits == []


def test_a_client_with_tries_of_its_own_is_asked_once(waits: list[float]) -> None:
    def own_client() -> None:
        """A client that somebody has given, with its tries."""

    store = SimpleNamespace(fs=SimpleNamespace(get_client=own_client))
    with pytest.raises(RemoteStoreError, match="each of 1 tries"):
        ask([BusyError(503), 1], store)
    assert waits == []


# -- stores ----------------------------------------------------------------------------------------


def test_a_store_of_another_client_is_measured_afterwards() -> None:
    store = in_memory(a=b"12345")

    def read(most: int, part: Any = None) -> Any:
        return asyncio.run(read_value(store, Wanted("a", "s", most, part), BUFFER))

    assert read(5).to_bytes() == b"12345"
    with pytest.raises(ChunkError, match="s:/a has 5 bytes or more"):
        read(4)
    assert read(1, RangeByteRequest(1, 3)).to_bytes() == b"23"
    assert asyncio.run(read_value(store, Wanted("b", "s", 1), BUFFER)) is None


def test_a_store_in_memory_is_not_wrapped() -> None:
    store = MemoryStore()
    assert bounded.bounded(store, "s") is store


def test_a_bounded_store_reads_values_and_parts() -> None:
    store = BoundedStore(in_memory(a=b"12345", b=b"67"), "s", 5)
    assert asyncio.run(store.get("a", BUFFER)).to_bytes() == b"12345"
    ranges = [("b", None), ("a", RangeByteRequest(1, 3)), ("none", None)]
    found = asyncio.run(store.get_partial_values(BUFFER, ranges))
    assert [one and one.to_bytes() for one in found] == [b"67", b"23", None]
    store.most = 4
    with pytest.raises(ChunkError, match="s:/a has 5 bytes"):
        asyncio.run(store.get_partial_values(BUFFER, [("b", None), ("a", None)]))


def test_a_view_of_a_bounded_store_has_the_same_bound() -> None:
    view: Any = BoundedStore(MemoryStore(), "s", 4)._with_store(in_memory(a=b"12345"))
    assert isinstance(view, BoundedStore)
    assert (view.uri, view.most) == ("s", 4)
    with pytest.raises(ChunkError, match="s:/a has 5 bytes"):
        asyncio.run(view.get("a", BUFFER))


def test_where_one_fails_the_others_are_stopped() -> None:
    stopped: list[str] = []

    async def long() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("long")
            raise
        return 1

    async def failing() -> int:
        raise OSError("one")

    with pytest.raises(OSError, match="one"):
        asyncio.run(first_failure_ends([long(), failing(), long()]))
    assert stopped == ["long", "long"]


def test_results_are_in_the_order_of_what_was_asked() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(first_failure_ends(map(after, [3, 0, 2]))) == [3, 0, 2]
    assert asyncio.run(first_failure_ends([])) == []
