"""Only regular files are read, and nothing is changed behind a symbolic link."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.codecs import BytesCodec, TransposeCodec
from zarr.storage import MemoryStore

from hdmf_zarr.core.limits import MOST_ENCODED_TEXT_BYTES, most_encoded_bytes
from hdmf_zarr.core.zarr_private import default_buffer_prototype
from hdmf_zarr.errors import ChunkError, EscapeError, SpecialFileError
from hdmf_zarr.metadata.array_document import without_specification_warnings
from hdmf_zarr.stores.contained import (
    FILTER_GROWTH,
    ContainedStore,
    OwnFolders,
    check_regular,
    most_bytes_of,
    open_regular,
)

BUFFER = default_buffer_prototype()
linked = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and symbolic links")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store, and beside it what it must not lead to."""
    store = tmp_path / "store"
    (store / "a" / "b").mkdir(parents=True)
    (store / "a" / "c.0").write_bytes(b"chunk")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "c.0").write_bytes(b"of the user")
    return store


def link(folder: Path, key: str = "a/link") -> Path:
    (folder / key).symlink_to(folder.parent / "outside", target_is_directory=True)
    return folder.parent / "outside"


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# -- regular files ---------------------------------------------------------------------------------


def test_a_regular_file_is_opened_with_what_is_known_of_it(folder: Path) -> None:
    descriptor, found = open_regular(str(folder / "a" / "c.0"))
    try:
        assert os.read(descriptor, 99) == b"chunk"
        assert found.st_size == 5
    finally:
        os.close(descriptor)


@linked
def test_a_pipe_is_refused_without_a_wait(folder: Path) -> None:
    path = str(folder / "a" / "pipe")
    os.mkfifo(path)
    with pytest.raises(SpecialFileError, match=f"^{path} is a pipe, and no regular file"):
        open_regular(path)


@linked
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
def test_what_is_refused_is_closed(folder: Path) -> None:
    path = str(folder / "a" / "pipe")
    os.mkfifo(path)
    before = open_descriptors()
    with pytest.raises(SpecialFileError):
        open_regular(path)
    assert open_descriptors() == before


@linked
def test_a_device_and_a_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecialFileError, match="^/dev/null is a device, and no regular file"):
        open_regular("/dev/null")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        with pytest.raises(SpecialFileError, match="is a socket, and no regular file"):
            check_regular(path, os.stat(path))


def test_what_is_no_file_is_not_opened(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(str(folder / "nothing"))
    with pytest.raises((IsADirectoryError, PermissionError)):
        open_regular(str(folder / "a"))


def test_a_kind_that_is_not_known_is_no_file(folder: Path) -> None:
    found = list(os.stat(folder))
    found[0] = 0
    with pytest.raises(SpecialFileError, match="is no file, and no regular file"):
        check_regular("x", os.stat_result(found))


# -- symbolic links --------------------------------------------------------------------------------


@linked
def test_nothing_lies_behind_a_symbolic_link(folder: Path) -> None:
    link(folder)
    own = OwnFolders(str(folder))
    for key in ("a/link/c.0", "a/link/deeper/c.0"):
        with pytest.raises(EscapeError, match=re.escape(f"{folder}:/a/link is a symbolic link")):
            own.check(key)
    with pytest.raises(EscapeError, match="a/link is a symbolic link"):
        own.check_folder("a/link")


@linked
def test_a_link_itself_may_be_changed(folder: Path) -> None:
    link(folder)
    own = OwnFolders(str(folder))
    own.check("a/link")  # at its end
    own.check("a/b/c.0")
    own.check("c.0")
    own.check("new/folder/c.0")
    own.check_folder("a/b")


@linked
def test_a_folder_that_was_not_there_is_looked_at_again(folder: Path) -> None:
    own = OwnFolders(str(folder))
    own.check("a/link/c.0")
    link(folder)
    with pytest.raises(EscapeError):
        own.check("a/link/c.0")


# -- how many bytes a chunk may have ---------------------------------------------------------------


def asynchronous(shape: Any = (6, 4), dtype: Any = "int16", **options: Any) -> Any:
    made = zarr.create_array(MemoryStore(), shape=shape, chunks=(3, 2), dtype=dtype, **options)
    return made._async_array


def test_a_chunk_has_the_bytes_of_its_elements() -> None:
    assert most_bytes_of(asynchronous()) == most_encoded_bytes(3 * 2 * 2)
    assert most_bytes_of(asynchronous(shards=(6, 4))) == most_encoded_bytes(6 * 4 * 2, 4)


def test_text_has_the_bytes_of_text() -> None:
    assert most_bytes_of(asynchronous(dtype=str)) == MOST_ENCODED_TEXT_BYTES
    sharded = asynchronous(dtype=str, shards=(6, 4))
    assert most_bytes_of(sharded) == most_encoded_bytes(None, 4)


def test_a_filter_of_elements_may_make_more_of_them() -> None:
    turned = asynchronous(filters=[TransposeCodec(order=(1, 0))], serializer=BytesCodec())
    assert most_bytes_of(turned) == most_encoded_bytes(12)
    from zarr.codecs.numcodecs import Delta

    with without_specification_warnings():
        changed = asynchronous(filters=[Delta(dtype="int16")])
    assert most_bytes_of(changed) == most_encoded_bytes(12 * FILTER_GROWTH)


# -- the store of one array ------------------------------------------------------------------------

READ: dict[str, Callable[[ContainedStore, str], Any]] = {
    "get": lambda store, key: asyncio.run(store.get(key, BUFFER)),
    "part": lambda store, key: asyncio.run(
        store.get_partial_values(BUFFER, [(key, RangeByteRequest(0, 5))])
    )[0],
}
if hasattr(zarr.storage.LocalStore, "get_sync"):
    READ["sync"] = lambda store, key: store.get_sync(key, prototype=BUFFER)


@pytest.fixture(params=list(READ))
def read(request: pytest.FixtureRequest) -> Callable[[ContainedStore, str], Any]:
    return READ[request.param]


@pytest.fixture
def store(folder: Path) -> ContainedStore:
    return asyncio.run(ContainedStore.open(folder))


def test_a_value_is_read_up_to_the_limit(store: ContainedStore, read: Any) -> None:
    store.most = 5
    assert read(store, "a/c.0").to_bytes() == b"chunk"
    store.most = 4
    with pytest.raises(ChunkError, match="a/c.0 has 5 bytes or more, .* at most 4"):
        read(store, "a/c.0")


@pytest.mark.parametrize("way", [way for way in READ if way != "part"])
def test_a_key_without_a_file_has_no_value(store: ContainedStore, way: str) -> None:
    for key in ("a/nothing", "a/c.0/below", "a/b"):
        assert READ[way](store, key) is None
        assert not store.check_file(key)
    assert store.check_file("a/c.0")


@linked
def test_a_pipe_is_no_chunk(store: ContainedStore, folder: Path, read: Any) -> None:
    os.mkfifo(folder / "a" / "c.1")
    with pytest.raises(SpecialFileError, match="is a pipe"):
        read(store, "a/c.1")


@linked
@pytest.mark.parametrize(
    "change",
    [
        lambda store, value: store.set("a/link/c.0", value),
        lambda store, value: store.set_if_not_exists("a/link/new", value),
        lambda store, _: store.delete("a/link/c.0"),
        lambda store, _: store.delete_dir("a/link"),
        lambda store, _: store.delete_dir("a/link/"),
        lambda store, value: _synchronous(store, "set_sync", value),
        lambda store, _: _synchronous(store, "delete_sync"),
    ],
    ids=["set", "if not exists", "delete", "folder", "folder/", "set_sync", "delete_sync"],
)
def test_a_change_behind_a_link_is_refused(
    store: ContainedStore, folder: Path, change: Any
) -> None:
    outside = link(folder)
    value = BUFFER.buffer.from_bytes(b"other")
    with pytest.raises(EscapeError, match="a/link is a symbolic link"):
        asyncio.run(change(store, value))
    assert sorted(path.name for path in outside.iterdir()) == ["c.0"]
    assert (outside / "c.0").read_bytes() == b"of the user"


async def _synchronous(store: Any, name: str, *value: Any) -> None:
    if not hasattr(zarr.storage.LocalStore, name):
        pytest.skip("of later versions of zarr-python")
    getattr(store, name)("a/link/c.0", *value)


def test_a_change_inside_is_made(store: ContainedStore, folder: Path) -> None:
    async def change() -> None:
        value = BUFFER.buffer.from_bytes(b"other")
        await store.set("a/c.1", value)
        await store.set_if_not_exists("a/c.0", value)
        await store.set_if_not_exists("n/c.0", value)
        await store.delete("a/c.0")
        await store.delete_dir("a/b/")

    asyncio.run(change())
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert found == {"a", "a/c.1", "n", "n/c.0"}
    assert (folder / "a" / "c.1").read_bytes() == b"other"
