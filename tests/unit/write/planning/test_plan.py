"""What carrying out a plan means: files, bytes, and which chunks are moved as they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.core.dtypes import TEXT, ElementType
from hdmf_zarr.core.elements import TEXT_BYTES
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.node import made_document
from hdmf_zarr.write.chunks.sources import ChunkCopySource, EmptySource, MemorySource, RawSource
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout
from hdmf_zarr.write.planning.plan import (
    ArrayPlan,
    AttributesPlan,
    GroupPlan,
    Plan,
    Planned,
    TreePlan,
    summarize,
)

INT16 = ElementType("number", np.dtype("<i2"))


def array(source: Any = None, *, path: str = "data", **changes: Any) -> ArrayPlan:
    source = source or MemorySource(np.zeros((10, 4), "<i2"), INT16)
    request = changes.pop("request", LayoutRequest(chunks=(3, 4)))
    layout = decide_layout(
        request,
        element=source.element,
        stored_dtype=source.element.numpy,
        shape=source.shape,
        itemsize=2,
        fill_value=0,
    )
    said: dict[str, Any] = {
        "path": path,
        "element": source.element,
        "data_type": None,
        "shape": source.shape,
        "layout": layout,
        "attributes": {},
        "dimension_names": None,
        "source": source,
    }
    return ArrayPlan(**{**said, **changes})


def raw(n_chunks: int = 2, *, is_checked: bool = False) -> RawSource:
    chunks: Any = SimpleNamespace(
        shape=(10, 4), n_bytes=77, n_chunks=n_chunks, is_checked=is_checked
    )
    return RawSource(chunks, INT16)


def copied() -> ArrayPlan:
    held: Any = SimpleNamespace(shape=(10, 4))
    document = made_document(
        shape=(10, 4),
        chunk=(5, 4),
        data_type="int16",
        fill_value=0,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        chunk_keys=CHUNK_KEYS,
    )
    source = ChunkCopySource(held, INT16)
    return array(source, layout=None, document=document, request=LayoutRequest())


def summary(*nodes: Plan, zarr_format: int = 3, verify: bool = False, **namespaces: Any) -> Planned:
    plan = TreePlan(nodes=nodes, builders=())
    return summarize(plan, zarr_format, namespaces, verify=verify)


def test_a_group_has_a_document_and_in_format_2_two() -> None:
    nodes = (GroupPlan(path="", attributes={}), AttributesPlan(path="a", attributes={}))
    assert summary(*nodes).n_files == 2
    assert summary(*nodes, zarr_format=2).n_files == 4
    assert summary(*nodes) == Planned(n_files=2, n_bytes=0, raw=(), decoded={}, plugins={})


def test_an_array_has_a_file_for_each_chunk() -> None:
    found = summary(array())
    assert (found.n_files, found.n_bytes, found.n_unverified) == (1 + 4, 80, 0)


def test_an_array_has_a_file_for_each_shard() -> None:
    assert summary(array(request=LayoutRequest(chunks=(3, 2), shards=(9, 4)))).n_files == 1 + 2


def test_a_scalar_has_one_chunk() -> None:
    scalar = array(MemorySource(np.array(3, "<i2"), INT16), request=LayoutRequest())
    assert summary(scalar).n_files == 2
    assert summary(scalar).n_bytes == 2


def test_an_empty_array_has_no_chunk() -> None:
    empty = array(EmptySource((0, 4), INT16), request=LayoutRequest())
    assert (summary(empty).n_files, summary(empty).n_bytes) == (1, 0)


def test_text_counts_for_a_guess() -> None:
    text = array(MemorySource(np.array(["a", "bb"], object), TEXT), request=LayoutRequest())
    assert summary(text).n_bytes == 2 * TEXT_BYTES


@pytest.mark.parametrize(("n_chunks", "n_files"), [(0, 1), (2, 3), (4, 5), (100, 5)])
def test_chunks_that_were_never_written_are_no_files(n_chunks: int, n_files: int) -> None:
    assert summary(array(raw(n_chunks))).n_files == n_files


def test_chunks_that_move_are_told_by_path_and_counted_as_encoded() -> None:
    found = summary(array(raw(), path="a/raw"), array(path="a/new"), copied())
    assert found.raw == ("/a/raw", "/data")
    assert found.n_bytes == 77 + 80 + 80


def test_a_copied_array_has_the_chunks_of_its_document() -> None:
    assert summary(copied()).n_files == 1 + 2


def test_chunks_that_nobody_looks_at_are_counted() -> None:
    assert summary(array(raw(3)), copied()).n_unverified == 3 + 2
    assert summary(array(raw(3, is_checked=True)), copied()).n_unverified == 2
    assert summary(array(raw(3)), copied(), verify=True).n_unverified == 0


def test_the_reason_is_told_for_datasets_that_are_decoded() -> None:
    scalar = MemorySource(np.array(3, "<i2"), INT16)
    found = summary(
        array(path="a", decoded="contiguous (no chunks)"),
        array(path="b"),
        array(scalar, path="c", decoded="a scalar", request=LayoutRequest()),
        array(raw(), path="d", decoded="never told of what is moved"),
    )
    assert found.decoded == {"/a": "contiguous (no chunks)"}


def test_what_readers_need_is_told() -> None:
    assert summary(array(path="a", plugin="hdf5plugin"), array(path="b")).plugins == {
        "/a": "hdf5plugin"
    }


def test_specifications_are_counted_with_their_groups() -> None:
    root = GroupPlan(path="", attributes={})
    cached = {"core": {"2.8": {"nwb.base": "{}", "nwb.file": "{}"}}, "x": {"1": {"x": "{}"}}}
    # The root; "specifications", two namespaces and two versions; three texts, each with its chunk.
    assert summary(root, **cached).n_files == 1 + 1 + 2 + 2 + 3 + 3
    assert summary(root, zarr_format=2, **cached).n_files == 2 * (1 + 1 + 2 + 2 + 3) + 3
