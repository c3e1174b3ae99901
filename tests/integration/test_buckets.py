"""Stores in a bucket: nothing that is not the store's own is removed, and nothing is mixed."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import GroupBuilder
from hdmf.common import get_manager
from zarr.storage import FsspecStore, MemoryStore, ObjectStore

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.errors import (
    ForbiddenError,
    HDMFZarrError,
    LockedError,
    MetadataError,
    NotAStoreError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.hierarchy import root_watch
from hdmf_zarr.transactions import claims
from hdmf_zarr.transactions.journal import JOURNAL
from tests.integration.test_transactions import _dataset
from tests.s3 import KEYS, Bucket, running_bucket

pytest.importorskip("s3fs")
ROOT = Path(__file__).parents[2]

KILLS = int(os.environ.get("HDMF_ZARR_KILLS", "3"))
"""Of each kind of writer, at other requests each."""


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/no/such/file")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with running_bucket() as bucket:
            yield bucket


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    """The bucket, with nothing in it."""
    server.rules()
    server.control(delay=0.0)
    server.clear()
    server.control()
    return server


def tree(value: float, *names: str) -> GroupBuilder:
    root = GroupBuilder("root", attributes={"value": value})
    group = GroupBuilder("group")
    for name in names or ("a", "b"):
        group.set_dataset(_dataset(name, np.full(50, value)))
    group.set_dataset(_dataset("table", np.full((6, 4), value)))
    root.set_group(group)
    return root


def write(
    target: Any, value: float, mode: str = "w", options: Any = None, names: Any = (), **more: Any
) -> None:
    consolidated = more.pop("consolidate_metadata", True)
    with ZarrIO(target, mode, get_manager(), options, **more) as io:
        io.write_builder(tree(value, *names), consolidate_metadata=consolidated)


def values(target: Any, options: Any = None, mode: str = "r") -> dict[str, Any]:
    """Return every value of a store."""
    with ZarrIO(target, mode, get_manager(), options) as io:
        root = io.read_builder()
        found = {
            f"{group}/{name}": dataset.data[:].tolist()
            for group, builder in root.groups.items()
            for name, dataset in builder.datasets.items()
        }
        return {**found, "": float(root.attributes["value"])}


def expected(value: float, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {f"group/{name}": [value] * 50 for name in names or ("a", "b")}
    return {**found, "group/table": [[value] * 4] * 6, "": value}


# -- what is not a store of ours -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w-", "x", "a"])
@pytest.mark.parametrize("place", ["/lab", ""])
def test_objects_beside_no_store_are_refused_and_kept(
    bucket: Bucket, mode: str, place: str
) -> None:
    bucket.put("lab/sub-01/video.mp4")
    bucket.put("lab/0/1")
    before = bucket.objects()
    with pytest.raises((StoreExistsError, NotAStoreError)):
        write(bucket.url + place, 1.0, mode, bucket.options)
    assert bucket.objects() == before


def test_what_would_be_removed_of_a_bucket_is_counted(bucket: Bucket) -> None:
    write(bucket.url + "/a.zarr", 1.0, options=bucket.options)
    count = len(bucket.objects())
    with pytest.raises(StoreExistsError, match=f"whole bucket, and all {count} objects"):
        write(bucket.url, 2.0, options=bucket.options)


@pytest.mark.parametrize("name", ["a.zarr", "[ab].zarr", "?.zarr", "*.zarr", "a?b[0]*.zarr"])
def test_a_store_never_touches_what_is_beside_it(bucket: Bucket, name: str) -> None:
    beside = (
        "b.zarr/zarr.json",
        "a.zarr2/0",
        "a.zarr.bak/x/0",
        "axb0.zarr/zarr.json",
        "a/zarr.json",
    )
    for key in (*beside, "/lead/x"):
        bucket.put(key)
    url = f"{bucket.url}/{name}"
    write(url, 1.0, options=bucket.options)
    write(url, 2.0, options=bucket.options)
    bucket.put(f"{name}/notes.txt")
    write(url, 3.0, options=bucket.options, force_overwrite=True)
    assert values(url, bucket.options) == expected(3.0)
    found = bucket.objects()
    assert {key for key in found if not key.startswith(f"{name}/")} == {*beside, "/lead/x"}
    assert f"{name}/notes.txt" not in found


def test_force_overwrite_replaces_what_is_below_the_prefix_and_nothing_else(bucket: Bucket) -> None:
    for key in ("lab/video.mp4", "lab/0/1", "lab2/video.mp4", "lab.bak/x"):
        bucket.put(key)
    url = bucket.url + "/lab"
    bucket.rules({"kind": "PUT", "path": "group", "status": 403})
    with pytest.raises(PermissionError):
        write(url, 1.0, options=bucket.options, force_overwrite=True)
    bucket.rules()
    assert set(bucket.objects()) == {"lab/video.mp4", "lab/0/1", "lab2/video.mp4", "lab.bak/x"}
    write(url, 1.0, options=bucket.options, force_overwrite=True)
    found = bucket.objects()
    assert not any("video" in key for key in found if key.startswith("lab/"))
    assert {key for key in found if not key.startswith("lab/")} == {"lab2/video.mp4", "lab.bak/x"}
    assert values(url, bucket.options) == expected(1.0)


@pytest.mark.parametrize("kind", ["memory", "object"])
def test_other_stores_that_are_no_folder_have_the_same_rules(kind: str) -> None:
    import fsspec

    if kind == "object":
        store = MemoryStore()
        target: Any = store
        from hdmf_zarr.stores import event_loop

        event_loop.run(store.set("video.mp4", event_loop.to_buffer(b"precious")))
    else:
        target = "memory://lab-of-memory"
        fsspec.filesystem("memory").pipe("/lab-of-memory/video.mp4", b"precious")
    for mode in ("w", "w-", "x", "a"):
        with pytest.raises((StoreExistsError, NotAStoreError)):
            write(target, 1.0, mode)
    write(target, 1.0, force_overwrite=True)
    assert values(target) == expected(1.0)


def test_names_that_look_like_patterns_are_undone_by_themselves(bucket: Bucket) -> None:
    url, names = bucket.url + "/a.zarr", ("raw0", "raw1", "raw2")
    write(url, 1.0, options=bucket.options, names=names)
    before = bucket.objects()
    bucket.rules({"kind": "PUT", "path": "raw%5B012%5D/zarr.json", "status": 403})
    with ZarrIO(url, "r+", get_manager(), bucket.options) as io, pytest.raises(PermissionError):
        new = GroupBuilder("new")
        new.set_dataset(_dataset("x", np.zeros(3)))
        io.write_dataset("group", _dataset("raw[012]", np.zeros(5)))
    bucket.rules()
    assert bucket.objects() == before


# -- a store that replaces another one -------------------------------------------------------------

FORMATS = [(3, 3), (2, 3), (3, 2), (2, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("formats", FORMATS)
def test_a_write_that_fails_anywhere_leaves_the_old_store(
    bucket: Bucket, formats: tuple[int, int], *, consolidated: bool
) -> None:
    """Whichever request is refused: nothing, or everything, is replaced, and an error means nothing."""
    url, options = bucket.url + "/a.zarr", bucket.options
    old, new = formats
    how = {"consolidate_metadata": consolidated}
    write(url, 1.0, options=options, zarr_format=old, **how)
    before = bucket.objects()
    for skip in (*range(0, 8), *range(8, 90, 5)):
        bucket.rules({"kind": "PUT", "status": 403, "skip": skip})
        try:
            write(url, 2.0, options=options, zarr_format=new, **how)
        except (OSError, HDMFZarrError):
            bucket.rules()
            if new == old == 2:
                # Names of one dimension are the same in both: old chunks wait for the next writer.
                ZarrIO(url, "r+", get_manager(), options).close()
            assert values(url, options) == expected(1.0)
            assert {k: v for k, v in bucket.objects().items() if JOURNAL not in k} == before, skip
        except UserWarning:  # committed, and not tidied up
            bucket.rules()
            assert values(url, options) == expected(2.0)
            bucket.clear()
            write(url, 1.0, options=options, zarr_format=old, **how)
            before = bucket.objects()
        else:
            break
    bucket.rules()
    assert skip > 7
    assert values(url, options) == expected(2.0)
    assert values(url, options, "r-") == expected(2.0)
    assert not any(JOURNAL in key for key in bucket.objects())


@pytest.mark.parametrize("consolidated", [True, False])
def test_names_alternate_and_what_is_obsolete_goes(bucket: Bucket, *, consolidated: bool) -> None:
    url, options = bucket.url + "/a.zarr", bucket.options
    how = {"consolidate_metadata": consolidated}
    write(url, 1.0, options=options, names=("a", "old"), **how)
    bucket.put("a.zarr/notes.txt")
    first = set(bucket.objects())
    write(url, 2.0, options=options, names=("a", "new"), **how)
    second = set(bucket.objects())
    assert values(url, options) == values(url, options, "r-") == expected(2.0, "a", "new")
    assert first & second == {
        f"a.zarr/{key}zarr.json" for key in ("", "group/", "group/a/", "group/table/")
    }
    write(url, 3.0, options=options, **how)
    assert values(url, options) == values(url, options, "r-") == expected(3.0)
    assert len(bucket.objects()) == 8


def test_credentials_that_may_not_delete(bucket: Bucket) -> None:
    """An error means the state before; what is committed and cannot be tidied up is no error."""
    url, options = bucket.url + "/a.zarr", bucket.options
    no_deletes = [{"kind": kind, "status": 403} for kind in ("DELETE", "DELETE-MANY")]
    write(url, 1.0, options=options)
    bucket.rules(*no_deletes)
    with (
        pytest.warns(UserWarning, match="is committed"),
        ZarrIO(url, "r+", get_manager(), options) as io,
    ):
        io.read_builder()["group"]["a"].data.append(np.full(3, 2.0))
    with (
        pytest.warns(UserWarning, match="is committed"),
        ZarrIO(url, "r+", get_manager(), options) as io,
    ):
        io.read_builder()["group"]["a"].data.append(np.full(3, 3.0))
    changed = {**expected(1.0), "group/a": [1.0] * 50 + [2.0] * 3 + [3.0] * 3}
    assert values(url, options) == changed
    with pytest.warns(UserWarning, match="is committed"):
        write(url, 4.0, options=options)
    assert values(url, options) == expected(4.0)
    bucket.rules()
    ZarrIO(url, "r+", get_manager(), options).close()
    assert values(url, options) == values(url, options, "r-") == expected(4.0)
    assert len(bucket.objects()) == 8


def test_requests_that_replace_a_store_are_few(bucket: Bucket) -> None:
    url = bucket.url + "/a.zarr"
    names = [f"array{number}" for number in range(100)]
    write(url, 1.0, options=bucket.options, names=names)
    bucket.control()
    write(url, 2.0, options=bucket.options, names=names)
    kinds = [kind for kind, _ in bucket.control()]
    assert kinds.count("DELETE") + kinds.count("DELETE-MANY") <= 3
    assert kinds.count("LIST") <= 6
    assert values(url, bucket.options) == expected(2.0, *names)


# -- two writers -----------------------------------------------------------------------------------


def run_python(code: str, *arguments: Any) -> subprocess.Popen[str]:
    head = """
    import sys
    import numpy as np
    from hdmf.common import get_manager
    from hdmf_zarr import ZarrDataIO, ZarrIO, check
    from tests.integration.test_buckets import tree, write
    url, endpoint = sys.argv[1:3]
    options = {"key": "user", "secret": "only-of-the-tests", "client_kwargs": {"endpoint_url": endpoint}}
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


OPEN_AND_WAIT = """
with ZarrIO(url, "r+", get_manager(), options) as io:
    data = io.read_builder()["group"]["a"].data
    if "change" in sys.argv:
        data.append(np.full(5, 7.0))
    print("open", flush=True)
    sys.stdin.readline()
    data.append(np.full(5, 7.0))
"""


def test_a_second_writer_gets_an_error_that_names_the_first(bucket: Bucket) -> None:
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options)
    other = run_python(OPEN_AND_WAIT, url, bucket.endpoint, "change")
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "open"
    for mode in ("r+", "a", "w"):
        with pytest.raises(LockedError, match=f"process {other.pid}"):
            write(url, 2.0, mode, bucket.options)
    assert values(url, bucket.options) == expected(1.0)
    other.communicate("\n")
    assert other.returncode == 0
    changed = {**expected(1.0), "group/a": [1.0] * 50 + [7.0] * 10}
    assert values(url, bucket.options) == changed


@pytest.mark.parametrize("second", ["r+", "w"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_second_writer_of_the_process_takes_over(
    bucket: Bucket, zarr_format: int, second: str
) -> None:
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options, zarr_format=zarr_format)
    first = ZarrIO(url, "r+", get_manager(), bucket.options)
    data = first.read_builder()["group"]["a"].data
    data.append(np.full(10, 7.0))
    with pytest.warns(UserWarning, match=r"is undone \(/group/a\)"):
        with ZarrIO(url, second, get_manager(), bucket.options, zarr_format=zarr_format) as io:
            if second == "w":
                io.write_builder(tree(2.0))
    after = values(url, bucket.options)
    objects = bucket.objects()
    with pytest.raises(LockedError, match="changed by this process since it was read; open it"):
        data.append(np.full(10, 8.0))
    first.close()
    assert bucket.objects() == objects
    assert after["group/a"] == ([2.0] if second == "w" else [1.0]) * 50


def test_a_writer_is_refused_after_its_own_commit_where_others_have_followed(
    bucket: Bucket,
) -> None:
    url = bucket.url + "/a.zarr"
    with ZarrIO(url, "w", get_manager(), bucket.options) as first:
        first.write_builder(tree(1.0))
        with ZarrIO(url, "r+", get_manager(), bucket.options) as io:
            io.read_builder()["group"]["a"].data.append(np.full(3, 2.0))
        after = bucket.objects()
        with pytest.raises(LockedError, match="changed by another writer since it was read"):
            first.write_group("", GroupBuilder("late"))
    assert bucket.objects() == after
    with ZarrIO(url, "r+", get_manager(), bucket.options) as io:
        for name in ("one", "two"):
            io.write_group("", GroupBuilder(name))
            io._session.commit(consolidate=True, durable=False)
    assert values(url, bucket.options) == {**expected(1.0), "group/a": [1.0] * 50 + [2.0] * 3}


def test_who_has_read_what_another_writer_has_changed_commits_nothing(bucket: Bucket) -> None:
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options)
    other = run_python(OPEN_AND_WAIT, url, bucket.endpoint)
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "open"
    with ZarrIO(url, "r+", get_manager(), bucket.options) as io:
        io.read_builder()["group"]["a"].data.append(np.full(3, 2.0))
    after = bucket.objects()
    _, said = other.communicate("\n")
    assert other.returncode == 1
    assert "LockedError" in said
    assert "changed by another writer" in said
    assert bucket.objects() == after


APPEND_AND_WAIT = """
io = ZarrIO(url, "r+", get_manager(), options)
io.read_builder()["group"]["a"].data.append(np.full(10, 7.0))
print("open", flush=True)
sys.stdin.readline()
"""


def test_a_writer_on_another_machine_is_believed_for_a_while(bucket: Bucket) -> None:
    url, journal = bucket.url + "/a.zarr", "a.zarr/" + JOURNAL
    write(url, 1.0, options=bucket.options)
    before = bucket.objects()
    other = run_python(APPEND_AND_WAIT, url, bucket.endpoint)
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "open"
    other.kill()
    other.communicate()
    content = json.loads(bucket.objects()[journal])

    def tell(seconds: float) -> None:
        content["writer"] |= {"host": "elsewhere", "renewed": time.time() - seconds}
        body = json.dumps(content).encode()
        bucket.client.put_object(Bucket=bucket.name, Key=journal, Body=body)

    tell(claims.BELIEVED_SECONDS - 60)
    for mode in ("r+", "a", "w"):
        with pytest.raises(LockedError, match="elsewhere"):
            write(url, 2.0, mode, bucket.options)
    assert values(url, bucket.options) == expected(1.0)
    tell(claims.BELIEVED_SECONDS + 1)
    ZarrIO(url, "r+", get_manager(), bucket.options).close()
    assert bucket.objects() == before


def test_a_writer_tells_other_machines_that_it_lives(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED_SECONDS", 0.05)
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options)

    def renewed() -> float:
        return float(json.loads(bucket.objects()["a.zarr/" + JOURNAL])["writer"]["renewed"])

    with ZarrIO(url, "r+", get_manager(), bucket.options) as io:
        io.read_builder()["group"]["a"].data.append(np.full(10, 7.0))
        first = renewed()
        until = time.monotonic() + 30
        while renewed() == first:
            assert time.monotonic() < until
            time.sleep(0.02)
    changed = {**expected(1.0), "group/a": [1.0] * 50 + [7.0] * 10}
    assert values(url, bucket.options) == changed


def test_a_service_without_conditional_puts_is_written_to_with_a_warning(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_warned", set())
    bucket.rules({"kind": "PUT", "conditional": True, "status": 501})
    url = bucket.url + "/a.zarr"
    with pytest.warns(UserWarning, match="nothing keeps a second writer out"):
        write(url, 1.0, options=bucket.options)
    write(url, 2.0, options=bucket.options)
    with ZarrIO(url, "r+", get_manager(), bucket.options) as io:
        io.read_builder()["group"]["a"].data.append(np.full(3, 2.0))
        other = run_python(OPEN_AND_WAIT, url, bucket.endpoint)
        assert "is being written to by process" in other.communicate()[1]
    assert values(url, bucket.options) == {**expected(2.0), "group/a": [2.0] * 53}
    assert len(bucket.objects()) == 8


def test_two_writes_at_once_leave_one_store(bucket: Bucket) -> None:
    url = bucket.url + "/a.zarr"
    code = """
    sys.stdin.readline()
    write(url, float(sys.argv[3]), options=options)
    """
    for old in (None, 9.0):
        if old is not None:
            write(url, old, options=bucket.options)
        writers = [run_python(code, url, bucket.endpoint, value) for value in (1.0, 2.0)]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        said = [writer.communicate()[1] for writer in writers]
        won = [
            value
            for value, writer in zip((1.0, 2.0), writers, strict=True)
            if not writer.returncode
        ]
        assert won, said
        assert all("LockedError" in text for text in said if text)
        assert values(url, bucket.options) in [expected(value) for value in won]
        assert len(bucket.objects()) == 8


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("action", ["write", "replace", "append"])
def test_a_writer_that_is_killed_leaves_the_old_store_or_the_new_one(
    bucket: Bucket, action: str, zarr_format: int
) -> None:
    url = bucket.url + "/a.zarr"
    code = {
        "write": "write(url, 2.0, options=options, zarr_format=int(sys.argv[3]))",
        "append": """
        with ZarrIO(url, "r+", get_manager(), options) as io:
            io.read_builder()["group"]["a"].data.append(np.full(5, 2.0))
        """,
    }
    bucket.control(delay=0.02)
    appended = {**expected(1.0), "group/a": [1.0] * 50 + [2.0] * 5}
    for n_requests in np.linspace(1, 30, KILLS).astype(int).tolist():
        bucket.clear()
        if action != "write":
            write(url, 1.0, options=bucket.options, zarr_format=zarr_format)
        bucket.control()
        writer = run_python(
            code["append" if action == "append" else "write"], url, bucket.endpoint, zarr_format
        )
        seen = 0
        while seen < n_requests and writer.poll() is None:
            seen += len(bucket.control())
            time.sleep(0.002)
        writer.kill()
        writer.communicate()
        bucket.wait_until_quiet()
        if zarr_format == 2 and action == "replace":
            ZarrIO(url, "r+", get_manager(), bucket.options).close()
        allowed = [expected(1.0), appended if action == "append" else expected(2.0)]
        if action == "write":
            try:
                found = values(url, bucket.options)
            except (NotAStoreError, StoreNotFoundError):
                found = expected(1.0)
        else:
            found = values(url, bucket.options)
        assert found in allowed, n_requests
        write(url, 3.0, options=bucket.options, zarr_format=zarr_format)
        assert values(url, bucket.options) == values(url, bucket.options, "r-") == expected(3.0)
        assert len(bucket.objects()) == (8 if zarr_format == 3 else 14), set(bucket.objects())


# -- readers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_a_reader_of_a_store_that_was_replaced_gets_an_error(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Also where it was replaced twice, so that the chunks have the names of before."""
    monkeypatch.setattr(root_watch, "SECONDS_BETWEEN_LOOKS", 0.0)
    url, options = bucket.url + "/a.zarr", bucket.options
    write(url, 1.0, options=options)
    with ZarrIO(url, "r", get_manager(), options) as io:
        root = io.read_builder()
        assert root["group"]["a"].data[:].tolist() == [1.0] * 50
        time.sleep(1.1)  # times of the service are in seconds
        for _ in range(times):
            write(url, 2.0, options=options)
        with pytest.raises(MetadataError, match="replaced"):
            root["group"]["b"].data[:]


def test_a_reader_keeps_its_view_while_rows_are_added(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_watch, "SECONDS_BETWEEN_LOOKS", 0.0)
    url, options = bucket.url + "/a.zarr", bucket.options
    root = tree(1.0)
    # In chunks that are large enough for it not to be written anew when rows come.
    root.set_dataset(_dataset("a", ZarrDataIO(np.full(200_000, 1.0), chunks=(100_000,))))
    with ZarrIO(url, "w", get_manager(), options) as io:
        io.write_builder(root)
    with ZarrIO(url, "r", get_manager(), options) as io:
        data = io.read_builder()["a"].data
        with ZarrIO(url, "r+", get_manager(), options) as writer:
            writer.read_builder()["a"].data.append(np.full(5, 2.0))
        assert data[:].tolist() == [1.0] * 200_000


def test_many_reads_cost_one_look(bucket: Bucket) -> None:
    url, options = bucket.url + "/a.zarr", bucket.options
    write(url, 1.0, options=options)
    with ZarrIO(url, "r", get_manager(), options) as io:
        root = io.read_builder()
        bucket.control()
        time.sleep(1.1)
        for name in ("a", "b", "table"):
            root["group"][name].data[:]
    heads = [path for kind, path in bucket.control() if (kind, path[-9:]) == ("HEAD", "zarr.json")]
    assert len(heads) <= 1


# -- what is said ----------------------------------------------------------------------------------


def test_a_place_inside_of_a_store_is_refused(bucket: Bucket) -> None:
    url = bucket.url + "/day/a.zarr"
    write(url, 1.0, options=bucket.options)
    before = bucket.objects()
    with pytest.raises(StoreExistsError, match="lies in"):
        write(url + "/group/b.zarr", 2.0, options=bucket.options)
    assert bucket.objects() == before


def test_what_may_not_be_read_is_not_unfinished(bucket: Bucket) -> None:
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options)
    bucket.rules({"path": "zarr.json", "status": 403})
    with pytest.raises(ForbiddenError, match="may not be read"):
        ZarrIO(url, "r", get_manager(), bucket.options)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("S3://bucket/a", "small letters: s3://bucket/a"),
        ("s3://", "no bucket"),
        ("s3:///a", "no bucket"),
        ("s3://bucket//a", "empty part"),
        ("s3:/bucket/a", "two slashes, s3://bucket/a"),
    ],
)
def test_a_misspelled_url_is_named(url: str, said: str) -> None:
    for mode in ("r", "w"):
        with pytest.raises(OptionError, match=said):
            ZarrIO(url, mode, get_manager())


@pytest.mark.parametrize("mode", ["r", "r+", "a", "w"])
def test_a_bucket_that_is_not_there_is_named(bucket: Bucket, mode: str) -> None:
    with (
        pytest.raises(StoreNotFoundError, match="no bucket 'missing'|bucket does not exist"),
        ZarrIO("s3://missing/a.zarr", mode, get_manager(), bucket.options) as io,
    ):
        io.write_builder(tree(1.0))
    with pytest.raises(StoreNotFoundError, match="no bucket 'missing'"):
        check("s3://missing/a.zarr", storage_options=bucket.options)


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_prefix_without_objects_is_named(bucket: Bucket, mode: str) -> None:
    with pytest.raises(StoreNotFoundError, match="nothing is there"):
        ZarrIO(bucket.url + "/none.zarr", mode, get_manager(), bucket.options)


@pytest.mark.parametrize("mode", ["r", "r+", "a", "w"])
@pytest.mark.parametrize("where", ["top", "client_kwargs", "config_kwargs"])
def test_a_mistyped_storage_option_is_named(bucket: Bucket, mode: str, where: str) -> None:
    options = copy.deepcopy(bucket.options)
    (options if where == "top" else options.setdefault(where, {}))["unknown_name"] = "x"
    given = copy.deepcopy(options)
    with (
        pytest.raises(OptionError, match="unknown_name"),
        ZarrIO(bucket.url + "/b.zarr", mode, get_manager(), options) as io,
    ):
        io.write_builder(tree(1.0))
    assert options == given


def test_no_server_is_an_error_of_ours() -> None:
    options = {**KEYS, "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}}
    options["config_kwargs"] = {"retries": {"max_attempts": 0}}
    with pytest.raises(HDMFZarrError) as caught:
        ZarrIO("s3://bucket/a.zarr", "r", get_manager(), options)
    assert isinstance(caught.value, OSError)


def test_a_pickled_array_has_no_secret_that_the_environment_has(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket.url + "/a.zarr"
    write(url, 1.0, options=bucket.options)
    with ZarrIO(url, "r", get_manager(), bucket.options) as io:
        data = io.read_builder()["group"]["a"].data
        assert KEYS["secret"].encode() in pickle.dumps(data)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret"])
        sent = pickle.dumps(data)
        assert KEYS["secret"].encode() not in sent
        assert pickle.loads(sent)[:].tolist() == [1.0] * 50


@pytest.mark.parametrize("kind", ["obstore", "fsspec"])
def test_store_objects_have_the_same_rules(bucket: Bucket, kind: str) -> None:
    obstore = pytest.importorskip("obstore.store")
    if kind == "obstore":
        inner = obstore.S3Store(
            bucket.name,
            prefix="a.zarr",
            endpoint=bucket.endpoint,
            access_key_id=KEYS["key"],
            secret_access_key=KEYS["secret"],
            region="us-east-1",
            client_options={"allow_http": True},
        )
        store: Any = ObjectStore(inner)
    else:
        store = FsspecStore.from_url(bucket.url + "/a.zarr", storage_options=bucket.options)
    bucket.put("a.zarr/notes.txt")
    bucket.put("a.zarr2/notes.txt")
    with pytest.raises(StoreExistsError):
        write(store, 1.0)
    write(store, 1.0, force_overwrite=True)
    write(store, 2.0)
    assert values(store) == expected(2.0)
    first = ZarrIO(store, "r+", get_manager())
    first.read_builder()["group"]["a"].data.append(np.full(5, 7.0))
    with pytest.warns(UserWarning, match=r"is undone \(/group/a\)"):
        write(store, 3.0)
    first.close()
    assert values(store) == expected(3.0)
    assert len(bucket.objects()) == 9
