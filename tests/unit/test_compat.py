"""The private names that the package uses, or that clients use of it; each fails here when it moves."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import importlib
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager
from hdmf.common import DynamicTable, VectorData, VectorIndex, get_manager
from hdmf.container import Data
from hdmf.data_utils import GenericDataChunkIterator
from packaging.version import Version
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.storage import MemoryStore, WrapperStore

from hdmf_zarr import ZarrIO
from hdmf_zarr.arrays import readable
from hdmf_zarr.core import hdmf_private, other_private, zarr_private
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


def test_a_store_is_opened_once() -> None:
    store = MemoryStore()
    assert not zarr_private.is_open(store)
    event_loop.run(zarr_private.open_store(store))
    assert zarr_private.is_open(store)


@pytest.mark.skipif(Version(zarr.__version__) < Version("3.1.6"), reason="it cannot be made again")
def test_a_wrapper_makes_one_of_its_own_class_for_another_store() -> None:
    class Marked(WrapperStore[Any]):
        made: ClassVar[list[Any]] = []

        def _with_store(self, store: Any) -> Marked:
            self.made.append(store)
            return type(self)(store)

    again = Marked(MemoryStore()).with_read_only(True)
    assert isinstance(again, Marked)
    assert Marked.made == [zarr_private.wrapped_store(again)]


def test_codecs_have_the_methods_that_are_replaced() -> None:
    names = {zarr_private.ENCODE_SINGLE, zarr_private.DECODE_SINGLE}
    abstract = (ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec)
    assert all(names <= set(dir(codec)) for codec in abstract)
    if Version(zarr.__version__) >= Version("3.1.6"):
        names |= {zarr_private.ENCODE_SYNC, zarr_private.DECODE_SYNC}
    with_sync = (zarr.codecs.TransposeCodec, zarr.codecs.VLenUTF8Codec, zarr.codecs.GzipCodec)
    assert all(names <= set(dir(codec)) for codec in with_sync)


def test_zarr_parses_the_document_of_an_array_of_format_2() -> None:
    array = zarr.create_array(MemoryStore(), shape=(3,), dtype="int16", zarr_format=2)
    document = array.metadata.to_dict()
    assert zarr_private.ArrayV2Metadata.from_dict(document).shape == (3,)


def test_an_array_takes_the_pipeline_that_is_its_attribute() -> None:
    array = zarr.create_array(MemoryStore(), data=np.arange(6), chunks=(3,))._async_array
    fused = zarr_private.fused_pipeline_class()
    assert (fused is not None) == (Version(zarr.__version__) >= Version("3.4"))
    assert "codec_pipeline" in vars(array)


# -- hdmf ------------------------------------------------------------------------------------------


def test_vector_index_keeps_its_bounds_under_the_names_that_are_set() -> None:
    column = VectorData(name="column", description="d", data=[1, 2, 3])
    index = VectorIndex(name="column_index", data=[1], target=column)
    assert index._VectorIndex__maxval == 255
    assert index._VectorIndex__uint is np.uint8
    hdmf_private.set_largest_index(index, np.iinfo(np.uint64).max)
    hdmf_private.set_index_type(index, np.uint64)
    assert index._VectorIndex__maxval == np.iinfo(np.uint64).max
    index.add_vector(list(range(300)))
    assert index.data[-1] == 303


def test_data_can_be_extended_through_the_method_that_is_replaced() -> None:
    column = Data(name="data", data=[1])
    column.extend([2, 3])
    assert list(column.data) == [1, 2, 3]
    hdmf_private.validate_new_data(column, [4])


def test_data_validate_what_they_are_extended_by() -> None:
    class Strict(Data):
        def _validate_new_data(self, data: object) -> None:
            if data != [1]:
                raise ValueError(f"refused {data}")

    column = Strict(name="data", data=[1])
    with pytest.raises(ValueError, match=r"refused \[2\]"):
        column.extend([2])
    with pytest.raises(ValueError, match=r"refused \[3\]"):
        hdmf_private.validate_new_data(column, [3])


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


def test_one_file_alone_names_private_modules_of_a_library() -> None:
    own = Path(inspect.getfile(zarr_private))
    documentation = zarr_private.__doc__
    assert documentation is not None
    private = re.compile(
        r"^\s*(?:from|import) (zarr\.core[\w.]*|[\w.]+\._(?!_)[\w.]*)", re.MULTILINE
    )
    for path in own.parents[1].rglob("*.py"):
        imported = private.findall(path.read_text("utf-8"))
        assert not imported or path == own, path
        assert all(name in documentation for name in imported)


@pytest.mark.parametrize(
    "file", [zarr_private, hdmf_private, other_private], ids=lambda f: f.__name__
)
def test_every_private_name_is_listed_with_its_reason(file: ModuleType) -> None:
    source = inspect.getsource(file)
    tree = ast.parse(source)
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    private = {
        name for name in names if isinstance(name, str) and re.fullmatch(r"_[a-zA-Z]\w*", name)
    }
    # "_Class__name" is listed as "Class.__name".
    spelled = {re.sub(r"^_([A-Z]\w*?)__", r"\1.__", name) for name in private}
    assert file.__doc__ is not None
    assert spelled
    assert [name for name in spelled if name not in file.__doc__] == []


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
    hdmf_private.replace_row_check(table, noting("validate", table._validate_new_row))
    table.id.append = noting("id", table.id.append)
    table["ragged"].add_vector = noting("ragged", table["ragged"].add_vector)
    table["plain"].add_row = noting("plain", table["plain"].add_row)
    DynamicTable.add_row(table, ragged=[3], plain=2)
    assert calls == ["validate", "id", "ragged", "plain"]
    assert len(table) == 2
    hdmf_private.set_data(table["plain"], [5])
    assert table["plain"].data == [5]
    with pytest.raises(ValueError, match="column .* missing|row data keys"):
        hdmf_private.validate_new_row(table, {"unknown": 1})
    assert calls[0] == "validate"
    assert len(calls) == 4, "the check of the class was called, and not the one of the table"


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


def test_an_hdf5_io_says_which_file_it_has_opened(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with HDF5IO(str(path), mode="w", manager=get_manager()) as io:
        io.write(DynamicTable(name="root", description="d"))
        assert hdmf_private.hdf5_file(io).filename == str(path)
    assert not hdmf_private.hdf5_file(io)


def test_an_iterator_is_asked_for_regions_and_for_what_pickles_it() -> None:
    class Squares(GenericDataChunkIterator):
        def _get_data(self, selection: tuple[slice, ...]) -> Any:
            return np.arange(10)[selection] ** 2

        def _get_maxshape(self) -> tuple[int, ...]:
            return (10,)

        def _get_dtype(self) -> Any:
            return np.dtype("int64")

        def _to_dict(self) -> dict[str, Any]:
            return {"squares": True}

        @staticmethod
        def _from_dict(_state: object) -> Squares:
            return Squares(buffer_shape=(5,), chunk_shape=(5,))

    iterator = Squares(buffer_shape=(5,), chunk_shape=(5,))
    region = (slice(2, 5),)
    assert hdmf_private.read_region(iterator, region).tolist() == [4, 9, 16]
    assert np.concatenate([chunk.data for chunk in iterator]).tolist() == [n**2 for n in range(10)]
    assert hdmf_private.pickled_state(iterator) == {"squares": True}
    assert GenericDataChunkIterator.__reduce__(iterator)[1] == ({"squares": True},)


def test_hdmf_reads_hdf5_by_functions_that_are_given_the_object() -> None:
    """`hdmf_zarr.hdf5.errors` finds the object that cannot be read among their variables."""
    for name in ("read_dataset", "read_group", "read_attrs"):
        function = getattr(HDF5IO, f"_HDF5IO__{name}")
        assert list(inspect.signature(function).parameters)[:2] == ["self", "h5obj"]
    assert HDF5IO.__module__.startswith("hdmf.backends.hdf5")


# -- clients of remote stores ----------------------------------------------------------------------

NAMES_OF_FSSPEC = {"_cat_file", "_find", "_info", "_pipe_file", "_rm_file", "invalidate_cache"}


def test_single_objects_of_a_file_system_are_reached(tmp_path: Path) -> None:
    asyn_wrapper = pytest.importorskip("fsspec.implementations.asyn_wrapper")
    from fsspec.implementations.local import LocalFileSystem

    system = asyn_wrapper.AsyncFileSystemWrapper(LocalFileSystem(skip_instance_cache=True))
    folder, path = str(tmp_path), str(tmp_path / "[a]*")
    asyncio.run(other_private.pipe_file(system, path, b"value"))
    other = tmp_path / "[a]b"
    other.write_bytes(b"other")
    assert asyncio.run(other_private.info(system, path))["size"] == 5
    assert sorted(asyncio.run(other_private.find(system, folder, detail=False))) == [
        path,
        str(other),
    ]
    sizes = asyncio.run(other_private.find(system, folder, detail=True))
    assert sizes[path]["size"] == 5
    asyncio.run(other_private.remove_file(system, path))
    assert list(tmp_path.iterdir()) == [other]
    assert not other_private.has_call_s3(system)


def test_a_file_system_says_whether_it_can_create_and_who_reads_its_values() -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    http = pytest.importorskip("fsspec.implementations.http")
    s3fs = pytest.importorskip("s3fs")
    of_http = http.HTTPFileSystem(skip_instance_cache=True)
    of_s3 = s3fs.S3FileSystem(anon=True, skip_instance_cache=True)
    assert other_private.module_that_reads(of_http) == "fsspec.implementations.http"
    assert other_private.module_that_reads(of_s3) == "s3fs.core"
    assert other_private.module_that_reads(MemoryFileSystem()) == ""
    assert other_private.has_call_s3(of_s3)
    assert other_private.can_create(of_s3)


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


# -- Python ----------------------------------------------------------------------------------------


def test_a_function_knows_the_module_that_calls_it() -> None:
    def module() -> str:
        return other_private.module_of_caller(1)

    assert module() == __name__
    assert eval("module()", {"module": module, "__name__": "another"}) == "another"


def test_a_fork_server_says_what_it_imports() -> None:
    """The rest is in `tests/integration/test_parallel.py`."""
    server = importlib.import_module("multiprocessing.forkserver")._forkserver
    assert other_private.forkserver_preload() is server._preload_modules
