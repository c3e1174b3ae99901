"""What is compared where nothing proves whether two places are one store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore, WrapperStore

from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.identity_evidence import Root, root_at
from hdmf_zarr.stores.identity_proofs import place_of
from hdmf_zarr.stores.location import locate

DOCUMENTS = {"zarr.json": b"{}"}


def root(**version: Any) -> Root:
    return Root(documents=DOCUMENTS, **version)


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        (root(), root(), True),
        (root(), Root(documents={"zarr.json": b"{ }"}), False),
        (root(time=10.0, tag="a"), root(time=10.7), True),
        (root(time=10.0, tag="a"), root(time=12.0, tag="a"), False),
        (root(tag="a"), root(tag="a"), True),
        (root(tag="a"), root(tag="b"), False),
        (root(tag="a"), root(time=10.0), True),
    ],
)
def test_the_same_document_of_the_same_version_is_the_same(
    first: Root,
    second: Root,
    is_one: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert first.is_same(second) is second.is_same(first) is is_one
    assert not first.is_same(None)


def test_memory_that_is_handed_out_is_the_same_or_another() -> None:
    one = np.zeros(2, "u1")
    assert root(memory=one).is_same(root(memory=one[:]))
    assert not root(memory=one).is_same(root(memory=one.copy()))


def opened(store: Any, **values: bytes) -> ByteStore:
    bytestore = open_bytestore(locate(store), read_only=False)
    for key, value in values.items():
        bytestore.set(
            key.replace("__", "/") + "/zarr.json" if key != "root" else "zarr.json", value
        )
    return bytestore


def test_a_root_is_found_below_a_prefix(tmp_path: Any) -> None:
    for store in (MemoryStore(), WrapperStore(MemoryStore()), tmp_path / "a.zarr"):
        bytestore = opened(store, root=b"{}", a__b=b"{ }")
        found, below = root_at(bytestore), root_at(bytestore, "a/b")
        assert found is not None
        assert below is not None
        assert (found.documents, below.documents) == ({"zarr.json": b"{}"}, {"zarr.json": b"{ }"})
        assert found.is_same(root_at(bytestore))
        assert root_at(bytestore, "a") is None


def test_a_file_system_that_is_not_known_proves_something_by_its_own_settings() -> None:
    pytest.importorskip("aiohttp")
    first, second = place_of(locate("https://host/a/b")), place_of(locate("https://host/a"))
    assert first is not None
    assert second is not None
    assert first.kind == second.kind
    assert second.keys[-1] in first.keys
    assert first.service == second.service
