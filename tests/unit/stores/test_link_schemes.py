"""Links lead to services by an allow-list of schemes, whatever store they are in."""

from __future__ import annotations

import os
from typing import Any

import pytest

from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.stores.location import (
    REMOTE_SCHEMES,
    can_link,
    locate,
    relative_source,
    resolve_source,
)

BASES = ["/data/a.zarr", "s3://bucket/a.zarr", "https://host/a.zarr", "memory://m/a.zarr"]

FOREIGN = [
    "reference::file:///refs.json",
    "REFERENCE::file:///refs.json",
    "reference://",
    "reference:///refs.json",
    "simplecache::file:///etc",
    "filecache::https://host/x",
    "local:///etc",
    "dir::file:///etc",
    "zip://*.zarr::file:///a.zip",
    "ssh://host/a.zarr",
    "git:///repository",
    "s3://bucket/a::file:///etc",
    "https://host/a::reference",
    "python://x",
    "data://x",
]


@pytest.mark.skipif(os.name == "nt", reason="paths of Unix")
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("source", FOREIGN)
def test_a_link_of_any_store_to_a_foreign_file_system_is_refused(source: str, base: str) -> None:
    with pytest.raises(BrokenLinkError, match="is not followed"):
        resolve_source(source, locate(base))


@pytest.mark.parametrize("base", BASES[1:])
@pytest.mark.parametrize("source", ["../x::file", "b::reference", "../simplecache::b"])
def test_a_relative_link_of_a_remote_store_makes_no_chain(source: str, base: str) -> None:
    with pytest.raises(BrokenLinkError, match="is not followed"):
        resolve_source(source, locate(base))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("scheme", sorted(REMOTE_SCHEMES))
def test_a_link_to_a_service_is_followed(scheme: str, base: str) -> None:
    url = f"{scheme}://host/other.zarr"
    assert resolve_source(url, locate(base)) == locate(url)
    assert can_link(locate(url), locate(base))


@pytest.mark.skipif(os.name == "nt", reason="paths of Unix")
@pytest.mark.parametrize("base", [*BASES, "simplecache::s3://bucket/a.zarr", "ssh://host/a.zarr"])
@pytest.mark.parametrize(
    "target",
    [
        *BASES,
        "/data/b.zarr",
        "simplecache::s3://bucket/b.zarr",
        "ssh://host/b.zarr",
        "local:///data/b.zarr",
    ],
)
def test_whatever_can_be_linked_is_followed(target: str, base: str) -> None:
    """And what cannot is no link in the first place: its target is copied."""
    there, here = locate(target), locate(base)
    if can_link(there, here):
        assert resolve_source(relative_source(there, here), here) == there


def test_a_store_opens_nothing_by_a_chain_while_it_is_read(tmp_path: Any) -> None:
    import json
    import warnings
    from datetime import UTC, datetime

    import fsspec
    from pynwb import NWBFile

    from hdmf_zarr import NWBZarrIO, check

    opened: list[str] = []

    class Trap(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol = "trap"

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            opened.append("trap")
            super().__init__(*args, **kwargs)

    fsspec.register_implementation("trap", Trap, clobber=True)
    path = tmp_path / "a.zarr"
    with NWBZarrIO(path, "w") as io:
        io.write(NWBFile("session", "an identifier", datetime(2020, 1, 1, tzinfo=UTC)))
    root = json.loads((path / "zarr.json").read_text())
    for number, source in enumerate(["trap://x", "trap::file:///x", "simplecache::trap://x"]):
        link = {"name": f"evil{number}", "source": source, "path": "/x/y"}
        group = root["consolidated_metadata"]["metadata"]["acquisition"]
        group["attributes"].setdefault("_LINKS", []).append(link)
    (path / "zarr.json").write_text(json.dumps(root))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBZarrIO(path, "r") as io:
            assert io.read().identifier == "an identifier"
        assert not check(path).is_clean
    assert not opened
