"""Where stores are, and the paths between them, in both directions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from hdmf_zarr.errors import BrokenLinkError, OptionError
from hdmf_zarr.stores.location import (
    Location,
    is_url,
    locate,
    location_of_uri,
    normalized_path,
    options_of_each,
    relative_source,
    resolve_source,
)

no_windows = pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")


def url(uri: str, **options: Any) -> Location:
    return locate(uri, options or None)


# -- locate ----------------------------------------------------------------------------------------


def test_every_spelling_of_a_local_path_is_one_location(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "real" / "store.zarr"
    store.mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    expected = locate(store)
    spellings: list[Any] = [
        str(store),
        f"{store}/",
        f"{tmp_path}/./real//store.zarr",
        f"{tmp_path}/real/../real/store.zarr",
        "real/store.zarr",
        "./real/store.zarr/",
        Path("real") / "store.zarr",
        tmp_path / "linked" / "store.zarr",
        f"file://{store}",
        LocalStore(store),
        LocalStore(tmp_path / "linked" / "store.zarr"),
    ]
    for spelling in spellings:
        location = locate(spelling)
        assert location == expected
        assert hash(location) == hash(expected)
        assert location.is_local
        assert location.is_linkable
        assert str(location) == os.path.realpath(store)


@no_windows
@pytest.mark.parametrize(
    "spelled", ["file:///a/b", "file://localhost/a/b", "FILE:///a/b/", "file:/a/b", "file:///a/./b"]
)
def test_every_url_of_a_local_path_is_the_path(spelled: str) -> None:
    assert locate(spelled) == locate("/a/b")


def test_a_folder_that_is_named_like_a_scheme_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("file:a").uri == normalized_path(tmp_path / "file:a")


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("s3a://b/a.zarr/", "s3://b/a.zarr"),
        ("gcs://b/a.zarr", "gs://b/a.zarr"),
        ("memory:///a.zarr", "memory://a.zarr"),
    ],
)
def test_two_names_of_a_scheme_are_one_location(spelled: str, plain: str) -> None:
    location = locate(spelled)
    assert location == locate(plain)
    assert location.uri == plain
    assert location.spelling == spelled


def test_a_path_that_does_not_exist_has_a_location() -> None:
    assert locate("/no/such/../store.zarr").uri == normalized_path("/no/store.zarr")


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert locate("~/store.zarr").uri == normalized_path(tmp_path / "store.zarr")


@pytest.mark.parametrize(
    "path", ["s3://bucket/a.zarr", "https://host/a.zarr", "memory://a.zarr", "gs://b/a"]
)
def test_a_url_is_a_location_without_its_last_slash(path: str) -> None:
    assert locate(path + "/") == locate(path)
    assert locate(path).uri == path
    assert not locate(path).is_local
    assert locate(path).is_linkable


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("s3://bucket", True),
        ("https://host/x", True),
        ("file:///x", False),
        ("/x/y", False),
        ("relative/path", False),
        ("C:/x", False),
        ("C:\\x", False),
        ("c://x", False),
        ("", False),
        ("://x", False),
    ],
)
def test_what_is_a_url(path: str, is_one: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_url(path) is is_one


def test_a_store_of_this_process_is_a_location_of_its_own() -> None:
    first, second = MemoryStore(), MemoryStore()
    assert locate(first) == locate(first)
    assert locate(first) != locate(second)
    assert locate(first).store is first
    assert not locate(first).is_local
    assert not locate(first).is_linkable


def test_an_fsspec_store_is_where_its_url_is() -> None:
    pytest.importorskip("aiohttp")
    store = FsspecStore.from_url("https://host/folder/a.zarr", read_only=True)
    assert locate(store) == locate("https://host/folder/a.zarr")
    assert locate(store).is_linkable


def test_storage_options_are_kept_with_a_url_and_do_not_tell_locations_apart() -> None:
    location = url("s3://bucket/a.zarr", anon=True)
    assert location.storage_options == {"anon": True}
    assert location == locate("s3://bucket/a.zarr")


@pytest.mark.parametrize("path", ["/local/path", Path("/local/path"), MemoryStore()])
def test_storage_options_without_a_url_are_refused(path: Any) -> None:
    with pytest.raises(OptionError, match="storage_options are for URLs"):
        locate(path, {"anon": True})


@pytest.mark.parametrize("options", [None, {}])
def test_no_storage_options_are_fine_anywhere(options: Any) -> None:
    assert locate("/local/path", options).is_local
    assert locate(MemoryStore(), options).storage_options is None


@pytest.mark.parametrize("path", [5, None, b"/path", ["/path"], object()])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(OptionError, match="path must be"):
        locate(path)


def test_the_source_of_a_builder_gives_its_location_back() -> None:
    for given in ("/local/path", "s3://bucket/a.zarr", MemoryStore()):
        location = locate(given)
        assert location_of_uri(location.uri) == location
        assert location_of_uri(location.uri).is_linkable == location.is_linkable


# -- relative sources, both directions -------------------------------------------------------------


@no_windows
@pytest.mark.parametrize(
    ("target", "base", "source"),
    [
        ("/data/a.zarr", "/data/a.zarr", "."),
        ("/data/b.zarr", "/data/a.zarr", "../b.zarr"),
        ("/data/sub/b.zarr", "/data/a.zarr", "../sub/b.zarr"),
        ("/other/b.zarr", "/data/a.zarr", "../../other/b.zarr"),
        ("/data/a.zarr/inner.zarr", "/data/a.zarr", "inner.zarr"),
        ("/data", "/data/a.zarr", ".."),
        ("s3://bucket/d/b.zarr", "s3://bucket/d/a.zarr", "../b.zarr"),
        ("s3://bucket/b.zarr", "s3://bucket/d/e/a.zarr", "../../../b.zarr"),
        ("s3://other/d/b.zarr", "s3://bucket/d/a.zarr", "s3://other/d/b.zarr"),
        ("gs://bucket/d/b.zarr", "s3://bucket/d/a.zarr", "gs://bucket/d/b.zarr"),
        ("https://host/d/b.zarr", "https://host/d/a.zarr", "../b.zarr"),
        ("https://other/d/b.zarr", "https://host/d/a.zarr", "https://other/d/b.zarr"),
        ("https://host:81/b.zarr", "https://host/a.zarr", "https://host:81/b.zarr"),
        ("http://host/d/b.zarr", "https://host/d/a.zarr", "http://host/d/b.zarr"),
        ("s3://bucket/b.zarr", "/data/a.zarr", "s3://bucket/b.zarr"),
        ("memory://d/b.zarr", "memory://d/a.zarr", "../b.zarr"),
    ],
)
def test_a_source_is_spelled_and_found_again(target: str, base: str, source: str) -> None:
    assert relative_source(locate(target), locate(base)) == source
    assert resolve_source(source, locate(base)) == locate(target)


@no_windows
@pytest.mark.parametrize(
    ("source", "base", "target"),
    [
        ("", "/data/a.zarr", "/data/a.zarr"),
        ("../b.zarr/", "/data/a.zarr", "/data/b.zarr"),
        ("..\\b.zarr", "/data/a.zarr", "/data/b.zarr"),
        ("./../b.zarr", "/data/a.zarr", "/data/b.zarr"),
        ("/abs/b.zarr", "/data/a.zarr", "/abs/b.zarr"),
        ("file:///abs/b.zarr", "/data/a.zarr", "/abs/b.zarr"),
        ("s3://bucket/b.zarr/", "/data/a.zarr", "s3://bucket/b.zarr"),
        ("../b.zarr/", "s3://bucket/a.zarr", "s3://bucket/b.zarr"),
        ("../../../../b.zarr", "s3://bucket/d/a.zarr", "s3://bucket/b.zarr"),
        ("../../../../b.zarr", "https://host/d/a.zarr", "https://host/b.zarr"),
        ("../b.zarr", "https://host/d/a.zarr", "https://host/d/b.zarr"),
        ("..\\b.zarr", "https://host/d/a.zarr", "https://host/d/b.zarr"),
    ],
)
def test_a_source_is_read_in_other_spellings(source: str, base: str, target: str) -> None:
    assert resolve_source(source, locate(base)) == locate(target)


def test_a_source_never_has_backslashes() -> None:
    assert "\\" not in relative_source(locate("/data/x/b.zarr"), locate("/data/y/a.zarr"))


def test_a_store_on_another_drive_is_spelled_absolutely(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_another_drive(*_: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", on_another_drive)
    target, base = Location("D:/data/b.zarr", is_local=True), Location("C:/a.zarr", is_local=True)
    assert relative_source(target, base) == "D:/data/b.zarr"


def test_a_store_that_moved_with_its_neighbour_still_finds_it(tmp_path: Path) -> None:
    source = relative_source(locate(tmp_path / "old/b.zarr"), locate(tmp_path / "old/a.zarr"))
    assert resolve_source(source, locate(tmp_path / "new/a.zarr")) == locate(
        tmp_path / "new/b.zarr"
    )


def test_a_store_of_this_process_can_link_to_itself_only() -> None:
    memory, other = locate(MemoryStore()), locate(MemoryStore())
    assert relative_source(memory, memory) == "."
    assert resolve_source(".", memory) == memory
    with pytest.raises(OptionError, match="only this process has"):
        relative_source(other, memory)
    with pytest.raises(BrokenLinkError, match="only this process has"):
        resolve_source("../b.zarr", memory)


# -- links out of a remote store -------------------------------------------------------------------

REMOTE = ["s3://bucket/a.zarr", "https://host/a.zarr", "memory://a.zarr", MemoryStore()]


@pytest.mark.parametrize("base", REMOTE)
@pytest.mark.parametrize(
    "source",
    [
        "/etc/b.zarr",
        "file:///etc/b.zarr",
        "FILE:///etc/b.zarr",
        "local:///etc/b.zarr",
        "simplecache::file:///etc/b.zarr",
        "simplecache::https://host/b.zarr",
        "zip://inner::/etc/b.zip",
        "zip://inner::file:///etc/b.zip",
        "dir://inner::file:///etc",
        "reference:///etc/b.json",
        "s3://bucket/b.zarr::file:///etc/b.zarr",
        "\\etc\\b.zarr",
    ],
)
def test_a_link_from_a_remote_store_to_this_machine_is_refused(base: Any, source: str) -> None:
    with pytest.raises(BrokenLinkError):
        resolve_source(source, locate(base))


@pytest.mark.parametrize(
    "source", ["https://host/b.zarr", "s3://bucket/b.zarr", "gs://bucket/b.zarr"]
)
@pytest.mark.parametrize("base", ["s3://bucket/a.zarr", "https://host/a.zarr", "/data/a.zarr"])
def test_a_link_to_a_remote_store_is_followed_from_anywhere(base: str, source: str) -> None:
    assert resolve_source(source, locate(base)) == locate(source)


@pytest.mark.parametrize(
    ("base", "source", "is_kept"),
    [
        ("s3://bucket/a.zarr", "../b.zarr", True),
        ("s3://bucket/a.zarr", "s3://other/b.zarr", True),
        ("https://host/a.zarr", "../b.zarr", True),
        ("https://host/a.zarr", "https://host/b.zarr", True),
        ("https://host/a.zarr", "https://other/b.zarr", False),
        ("https://host/a.zarr", "//other/b.zarr", False),
        ("https://host/a.zarr", "s3://bucket/b.zarr", False),
        ("s3://bucket/a.zarr", "https://host/b.zarr", False),
    ],
)
def test_options_are_given_to_the_same_service_only(
    base: str,
    source: str,
    is_kept: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """What may hold a password is not sent to whom a link names."""
    options = {"headers": {"Authorization": "secret"}}
    try:
        location = resolve_source(source, locate(base, options))
    except BrokenLinkError:
        assert not is_kept
        return
    assert location.storage_options == (options if is_kept else None)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["s3://a/b"], [True]),
        (["s3://a/b", "/c"], [True, False]),
        (["/c", "s3://a/b"], [False, True]),
        (["s3://a/b", "s3://a/c"], [True, True]),
        ([Path("/c"), MemoryStore()], [False, True]),
        (["/c"], [True]),
    ],
)
def test_options_are_for_every_url_of_several_paths(paths: list[Any], expected: list[bool]) -> None:
    options = {"anon": True}
    found = options_of_each(paths, options)
    assert [given is options for given in found] == expected
    assert [given is None for given in found] == [not is_given for is_given in expected]
