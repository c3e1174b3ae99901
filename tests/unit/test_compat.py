"""The private names that the package uses, or that clients use of it; each fails here when it moves."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager
from hdmf.common import DynamicTable, VectorData, VectorIndex, get_manager
from hdmf.container import Data
from zarr.storage import MemoryStore, WrapperStore

from hdmf_zarr import ZarrIO
from hdmf_zarr.arrays import readable
from hdmf_zarr.core import zarr_private
from hdmf_zarr.errors import ModeError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.read.appendable import make_appendable
from hdmf_zarr.read.constructed import Known
from hdmf_zarr.stores import event_loop, wrappers

STRUCT = {
    "name": "struct",
    "configuration": {
        "fields": [
            {"name": "start", "data_type": "int32"},
            {
                "name": "label",
                "data_type": {
                    "name": "fixed_length_utf32",
                    "configuration": {"length_bytes": 12},
                },
            },
        ]
    },
}


# -- zarr-python -----------------------------------------------------------------------------------


def test_a_coroutine_runs_on_the_event_loop_of_zarr() -> None:
    async def answer() -> int:
        return 42

    assert event_loop.run(answer()) == 42


def test_zarr_is_told_from_its_clients() -> None:
    class Told(zarr.Array):  # type: ignore[type-arg]
        answers: ClassVar[list[bool]] = []

        @property
        def filters(self) -> Any:
            self.answers.append(readable.is_asked_by_zarr())
            return super().filters

    array = Told(zarr.create_array(MemoryStore(), data=np.arange(3))._async_array)
    assert array.filters == ()
    zarr.from_array(MemoryStore(), data=array)
    assert Told.answers == [False, True]


def test_a_wrapper_and_a_mapping_lead_to_what_is_behind_them() -> None:
    store = MemoryStore()
    assert wrappers.wrapped_store(WrapperStore(store)) is store
    assert wrappers.wrapped_store(store) is None
    assert wrappers.innermost_store(WrapperStore(WrapperStore(store))) is store
    mapping: dict[str, Any] = {}
    assert wrappers.mapping_of(MemoryStore(mapping)) is mapping
    assert wrappers.mapping_of(MemoryStore(mapping).with_read_only(True)) is mapping


def test_bytes_go_into_a_store_and_come_back() -> None:
    store = MemoryStore()
    event_loop.run(store.set("key", event_loop.to_buffer(b"value")))
    buffer = event_loop.run(store.get("key", prototype=event_loop.prototype()))
    assert buffer is not None
    assert buffer.to_bytes() == b"value"


def test_the_document_of_an_array_is_one_that_zarr_opens() -> None:
    document = array_document.array_document(
        shape=(3, 2),
        data_type=zarr.dtype.parse_dtype(np.dtype("int16"), zarr_format=3),
        chunk_grid_shape=(3, 2),
        fill_value=np.int16(7),
        codecs=(zarr.codecs.BytesCodec(),),
        dimension_names=("time", None),
        chunk_key_encoding={"name": "default", "configuration": {"separator": "."}},
    )
    assert document["shape"] == [3, 2]
    assert document["data_type"] == "int16"
    assert document["fill_value"] == 7
    assert document["dimension_names"] == ["time", None]
    assert document["chunk_key_encoding"]["configuration"]["separator"] == "."
    store = MemoryStore()
    event_loop.run(store.set("zarr.json", event_loop.to_buffer(json.dumps(document).encode())))
    array = zarr.open_array(store, mode="r")
    assert array.shape == (3, 2)
    assert np.all(array[...] == 7)


@pytest.mark.parametrize(
    "fill_value", ["AAAAAAAAAAAAAAAAAAAAAA==", {"start": 0, "label": ""}], ids=["base64", "object"]
)
def test_a_struct_of_a_newer_zarr_is_read_by_every_zarr(fill_value: object) -> None:
    document = {
        **array_document.array_document(
            shape=(1,),
            data_type=zarr.dtype.parse_dtype(np.dtype("int16"), zarr_format=3),
            chunk_grid_shape=(1,),
            fill_value=np.int16(0),
            codecs=(zarr.codecs.BytesCodec(),),
            dimension_names=None,
            chunk_key_encoding={"name": "default", "configuration": {"separator": "."}},
        ),
        "data_type": STRUCT,
        "fill_value": fill_value,
    }
    readable = array_document.readable_document(document)
    array = zarr.AsyncArray(readable, zarr.storage.StorePath(MemoryStore(), ""))
    assert array.dtype == np.dtype([("start", "<i4"), ("label", "<U3")])
    assert document["data_type"] is STRUCT, "the document itself is not changed"


def test_zarr_array_takes_its_async_array_from_the_attribute_that_the_lazy_array_replaces() -> None:
    array = zarr.create_array(MemoryStore(), shape=(2,), dtype="int8")
    assert isinstance(array._async_array, zarr.AsyncArray)
    assert "_async_array" in zarr.Array.__dataclass_fields__


# -- hdmf ------------------------------------------------------------------------------------------


def test_vector_index_keeps_its_bounds_under_the_names_that_are_set() -> None:
    column = VectorData(name="column", description="d", data=[1, 2, 3])
    index = VectorIndex(name="column_index", data=[1], target=column)
    assert index._VectorIndex__maxval == 255
    assert index._VectorIndex__uint is np.uint8
    index._VectorIndex__maxval = np.iinfo(np.uint64).max
    index._VectorIndex__uint = np.uint64
    index.add_vector(list(range(300)))
    assert index.data[-1] == 303


def test_data_can_be_extended_through_the_method_that_is_replaced() -> None:
    column = Data(name="data", data=[1])
    column.extend([2, 3])
    assert list(column.data) == [1, 2, 3]
    assert callable(column._validate_new_data)


def test_columns_in_memory_are_left_alone() -> None:
    column = VectorData(name="column", description="d", data=[1, 2, 3])
    index = VectorIndex(name="column_index", data=[1], target=column)
    make_appendable(index)
    assert index._VectorIndex__maxval == 255
    assert "extend" not in vars(index)


# -- names that clients use ------------------------------------------------------------------------


def test_the_mode_is_where_clients_look() -> None:
    with ZarrIO(MemoryStore(), "w") as io:
        assert io._ZarrIO__mode == "w"
        assert io.mode == "w"


def test_the_file_is_where_clients_look() -> None:
    store = MemoryStore()
    zarr.create_group(store, attributes={"data_type": "X"})
    with ZarrIO(store, "r") as io:
        assert isinstance(io._ZarrIO__file, zarr.Group)
        assert isinstance(io._file, zarr.Group)
        assert io._ZarrIO__file.attrs["data_type"] == "X"


def test_one_file_alone_names_private_modules_of_zarr() -> None:
    own = Path(inspect.getfile(zarr_private))
    documentation = zarr_private.__doc__
    assert documentation is not None
    for path in own.parents[1].rglob("*.py"):
        imported = re.findall(r"(?:from|import) (zarr\.core[\w.]*)", path.read_text("utf-8"))
        assert not imported or path == own, path
        assert all(name in documentation for name in imported)


def test_a_store_given_read_only_is_not_written() -> None:
    store = MemoryStore(read_only=True)
    with pytest.raises(ModeError, match="read-only"), ZarrIO(store, "r+"):
        pass


def test_a_table_calls_its_columns_in_the_order_that_guards_rely_on() -> None:
    calls: list[str] = []

    def noting(name: str, add: object) -> object:
        def noted(*args: object, **options: object) -> object:
            calls.append(name)
            return add(*args, **options)  # type: ignore[operator]

        return noted

    ragged = VectorData(name="ragged", description="d", data=[1, 2])
    columns = [
        VectorIndex(name="ragged_index", data=[2], target=ragged),
        ragged,
        VectorData(name="plain", description="d", data=[1]),
    ]
    table = DynamicTable(name="t", description="d", columns=columns)
    table._validate_new_row = noting("validate", table._validate_new_row)
    table.id.append = noting("id", table.id.append)
    table["ragged"].add_vector = noting("ragged", table["ragged"].add_vector)
    table["plain"].add_row = noting("plain", table["plain"].add_row)
    DynamicTable.add_row(table, ragged=[3], plain=2)
    assert calls == ["validate", "id", "ragged", "plain"]
    assert len(table) == 2
    table["plain"]._Data__data = [5]
    assert table["plain"].data == [5]


def test_a_manager_knows_the_containers_of_builders_and_the_builders_of_containers() -> None:
    manager: BuildManager = get_manager()
    column = VectorData(name="column", description="", data=[1])
    builder = manager.build(column, source="here", root=True)
    known = Known.of(manager)
    assert known.containers[id(builder)] is column
    assert known.builders[id(column)] is builder
    assert list(known.pairs()) == [(column, builder)]
    manager.clear_cache()
    assert list(known.pairs()) == []


def test_hdmf_reads_hdf5_by_functions_that_are_given_the_object() -> None:
    """`hdmf_zarr.hdf5.errors` finds the object that cannot be read among their variables."""
    for name in ("read_dataset", "read_group", "read_attrs"):
        function = getattr(HDF5IO, f"_HDF5IO__{name}")
        assert list(inspect.signature(function).parameters)[:2] == ["self", "h5obj"]
    assert HDF5IO.__module__.startswith("hdmf.backends.hdf5")


# -- clients of remote stores ----------------------------------------------------------------------

NAMES_OF_FSSPEC = {"_cat_file", "_find", "_info", "_pipe_file", "_rm_file", "invalidate_cache"}


def _parameters(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def test_fsspec_has_the_names_by_which_single_objects_are_reached() -> None:
    from fsspec.asyn import AsyncFileSystem

    assert set(dir(AsyncFileSystem)) >= NAMES_OF_FSSPEC
    assert {"withdirs"} <= _parameters(AsyncFileSystem._find)


def test_the_file_system_of_http_has_the_names_by_which_values_are_read_in_pieces() -> None:
    http = pytest.importorskip("fsspec.implementations.http")
    system = http.HTTPFileSystem(skip_instance_cache=True)
    assert {"set_session", "encode_url"} <= set(dir(system))
    assert inspect.iscoroutinefunction(system.set_session)
    assert system.kwargs == {}
    assert http.HTTPFileSystem._cat_file.__module__ == http.__name__


def test_s3fs_has_the_names_by_which_it_is_asked_itself() -> None:
    s3fs = pytest.importorskip("s3fs")
    from s3fs.core import S3_RETRYABLE_ERRORS

    system = s3fs.S3FileSystem
    assert {"method", "kwargs"} <= _parameters(system._call_s3)
    assert inspect.iscoroutinefunction(system._call_s3)
    assert inspect.iscoroutinefunction(system.set_session)
    assert "path" in _parameters(system.split_path)
    assert isinstance(system.retries, int)
    assert all(issubclass(error, BaseException) for error in S3_RETRYABLE_ERRORS)
    assert system._cat_file.__module__ == "s3fs.core"


def test_groups_of_zarr_go_through_the_private_name_of_their_asynchronous_one() -> None:
    """`LiveGroup` makes it anew each time that it is asked for."""
    assert [field.name for field in dataclasses.fields(zarr.Group)] == ["_async_group"]

    class Counting(zarr.Group):
        asked = 0

        @property
        def _async_group(self) -> Any:
            type(self).asked += 1
            return zarr.open_group(store, mode="r+")._async_group

    store = zarr.storage.MemoryStore()
    zarr.create_group(store)
    group = Counting.__new__(Counting)
    for use in (
        lambda: group.create_group("a"),
        lambda: group.require_group("a"),
        lambda: group.create_array("x", shape=(1,), dtype="i4"),
        lambda: group.metadata,
        lambda: group.store_path,
        lambda: group.nmembers(),
    ):
        before = Counting.asked
        use()
        assert Counting.asked > before
    assert sorted(zarr.open_group(store, mode="r")) == ["a", "x"]
