"""Hostile and broken stores of Zarr format 2: an error of the dataset, and nothing of it was run."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import pickle
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from hdmf.backends.warnings import BrokenLinkWarning

from hdmf_zarr import ZarrIO
from hdmf_zarr.core import limits
from hdmf_zarr.errors import HDMFZarrError
from tests.format2 import BLOSC, JSON2, PICKLE, VLEN_UTF8, Format2Store, objects, reference

Save = Callable[[], Path]


@pytest.fixture
def made() -> Format2Store:
    """A store with sound objects beside those that a test breaks."""
    made = Format2Store()
    made.array("sound", np.arange(3), "int64")
    made.scalar("sound_scalar", "text")
    made.references("sound_references", [reference("/sound")])
    made.group("group")
    return made


@pytest.fixture(params=["consolidated", "not consolidated"])
def save(request: pytest.FixtureRequest, made: Format2Store, tmp_path: Path) -> Save:
    return lambda: made.save(tmp_path / "made.zarr", consolidated=request.param == "consolidated")


def check_only_bad_is_unreadable(path: Path, *, match: str | None = None, name: str = "bad") -> str:
    """The file opens, all else reads, and reading the dataset is an error that names it."""
    with ZarrIO(path, "r") as io:
        builder = io.read_builder()
        assert builder["sound"].data[:].tolist() == [0, 1, 2]
        assert builder["sound_scalar"].data == "text"
        assert builder["sound_references"].data[0] is builder["sound"]
        bad = builder[name]
        with pytest.raises(HDMFZarrError, match=match) as info:
            bad.data[:]
        with pytest.raises(HDMFZarrError):
            bad.data[0]
    said = str(info.value)
    assert f"made.zarr:/{name}" in said
    assert len(said) < 2000
    return said


class Runs:
    """Its pickle leaves a file where it is loaded."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self.sentinel}",)


class Imports:
    """Its pickle imports a module where it is loaded."""

    def __reduce__(self) -> Any:
        return __import__, ("this",)


def compressed(content: bytes) -> bytes:
    return bytes(numcodecs.get_codec(dict(BLOSC)).encode(content))


def hostile_pickles(sentinel: Path) -> dict[str, bytes]:
    bomb: Any = ()
    for _ in range(200):
        bomb = (bomb, bomb)
    shared = objects(("x" * 60_000,) * 900)
    return {
        "system": pickle.dumps(objects(Runs(sentinel)), 5),
        "import": pickle.dumps(objects(Imports()), 5),
        "bare": pickle.dumps(Runs(sentinel), 4),
        "bare of Python 2": pickle.dumps(Runs(sentinel), 0),
        "inst": b"(S'touch %s'\nios\nsystem\n." % str(sentinel).encode(),
        "global": b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85R.",
        "obj": b"\x80\x02(cos\nsystem\nX\x01\x00\x00\x00ao.",
        "extension": b"\x80\x02\x82\x01)R.",
        "persistent": b"Pid\n.",
        "build": b"\x80\x02chdmf_zarr.utils\nZarrReference\n)\x81}X\x01\x00\x00\x00aNsb.",
        "truncated": pickle.dumps(objects(reference("/sound")), 5)[:-9],
        "noise": bytes(range(256)),
        "two elements": pickle.dumps(objects(reference("/sound"), reference("/sound")), 5),
        "no elements": pickle.dumps(objects(), 5),
        "no array": pickle.dumps({"source": ".", "path": "/sound"}, 5),
        "numbers": pickle.dumps(np.zeros(1), 5),
        "no reference": pickle.dumps(objects({"source": "."}), 5),
        "not text": pickle.dumps(objects({"path": "/\udc80"}), 5),
        "shared": pickle.dumps(objects(bomb), 5),
        "shared text": pickle.dumps(objects(*shared.tolist() * 200), 5),
    }


HOSTILE = sorted(hostile_pickles(Path("sentinel")))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_chunk_costs_its_dataset_alone(
    made: Format2Store, save: Save, tmp_path: Path, name: str
) -> None:
    sentinel = tmp_path / "ran"
    made.references("bad", [reference("/sound")])
    made.chunks["bad/0"] = compressed(hostile_pickles(sentinel)[name])
    check_only_bad_is_unreadable(save())
    assert not sentinel.exists()


@pytest.mark.parametrize("name", ["system", "truncated", "no array", "shared"])
def test_a_hostile_chunk_of_a_compound_costs_its_dataset_alone(
    made: Format2Store, save: Save, tmp_path: Path, name: str
) -> None:
    sentinel = tmp_path / "ran"
    recorded = [{"name": "n", "dtype": "int32"}, {"name": "r", "dtype": "object"}]
    rows = np.array([(1, reference("/sound"))], dtype=[("n", "<i4"), ("r", "O")])
    made.array("bad", rows, recorded, filters=[PICKLE], fill_value="gAVLAC4=")
    made.chunks["bad/0"] = compressed(hostile_pickles(sentinel)[name])
    check_only_bad_is_unreadable(save())
    assert not sentinel.exists()


@pytest.mark.parametrize("name", ["system", "import", "bare", "inst", "truncated", "shared"])
def test_a_hostile_fill_value_costs_its_dataset_alone(
    made: Format2Store, save: Save, tmp_path: Path, name: str
) -> None:
    sentinel = tmp_path / "ran"
    hostile = base64.b64encode(hostile_pickles(sentinel)[name]).decode()
    made.references("bad", [reference("/sound")], fill_value=hostile)
    check_only_bad_is_unreadable(save(), match="fill value")
    assert not sentinel.exists()


def test_a_hostile_scalar_costs_itself_alone(
    made: Format2Store, save: Save, tmp_path: Path
) -> None:
    sentinel = tmp_path / "ran"
    made.array("bad", objects(reference("/sound")), "scalar", filters=[PICKLE])
    made.chunks["bad/0"] = compressed(hostile_pickles(sentinel)["system"])
    check_only_bad_is_unreadable(save(), match="system")
    assert not sentinel.exists()


COMPRESSED_BY_PICKLE: dict[str, tuple[Any, Any, list[dict[str, Any]] | None]] = {
    "numbers": (np.arange(3), "int64", None),
    "numbers in big-endian": (np.arange(3, dtype=">i8"), "int64", None),
    "numbers behind a filter": (np.arange(3), "int64", [{"id": "delta", "dtype": "<i8"}]),
    "records": (np.zeros(3, dtype=[("a", "<i4"), ("b", ">f8")]), None, None),
    "a scalar": (np.arange(1), "scalar", None),
    "text": (objects("a", "b"), "str", [VLEN_UTF8]),
    "references": (objects(reference("/sound")), "object", [PICKLE]),
}


@pytest.mark.parametrize("kind", COMPRESSED_BY_PICKLE)
def test_a_pickle_in_the_place_of_a_compressor_is_not_run(
    made: Format2Store, save: Save, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who reads old stores by earlier releases lets numcodecs run pickles; older numcodecs always does.
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    sentinel = tmp_path / "ran"
    data, zarr_dtype, filters = COMPRESSED_BY_PICKLE[kind]
    made.array("bad", data, zarr_dtype, filters=filters)
    made.documents["bad/.zarray"]["compressor"] = PICKLE
    made.chunks["bad/0"] = pickle.dumps(Runs(sentinel))
    check_only_bad_is_unreadable(save(), match="pickle")
    assert not sentinel.exists()


def test_an_error_names_the_global_and_says_that_nothing_ran(
    made: Format2Store, save: Save, tmp_path: Path
) -> None:
    made.references("bad", [reference("/sound")])
    made.chunks["bad/0"] = compressed(hostile_pickles(tmp_path / "ran")["system"])
    said = check_only_bad_is_unreadable(save())
    assert "system" in said
    assert "neither imported nor run" in said


def test_bombs_are_refused_quickly_and_in_little_memory(made: Format2Store, save: Save) -> None:
    pickles = hostile_pickles(Path("sentinel"))
    for name in ("shared", "shared text"):
        made.references(name, [reference("/sound")])
        made.chunks[f"{name}/0"] = compressed(pickles[name])
    with ZarrIO(save(), "r") as io:
        builder = io.read_builder()
        tracemalloc.start()
        started = time.perf_counter()
        for name in ("shared", "shared text"):
            with pytest.raises(HDMFZarrError):
                builder[name].data[:]
        taken = time.perf_counter() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**28
    assert taken < 20


# -- json2 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoded",
    [
        b"{",
        b"null",
        b"[]",
        b'{"source": ".", "path": "/sound"}',
        b'[{"source": ".", "path": "/sound"}]',
        b'[{"source": ".", "path": "/sound"},"|O",[2]]',
        b'[{"source": ".", "path": "/sound"},"|O",[Infinity]]',
        b'[{"source": "."},"|O",[1]]',
        b'[{"source": 5, "path": "/sound"},"|O",[1]]',
        b'[{"source": ".", "path": ["/sound"]},"|O",[1]]',
        b'[[{"source": ".", "path": "/sound"}],"|O",[1,1,1]]',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_json2_document_of_the_wrong_shape_costs_its_dataset_alone(
    made: Format2Store, save: Save, encoded: bytes
) -> None:
    made.references("bad", [reference("/sound")], codec=JSON2)
    made.chunks["bad/0"] = compressed(encoded)
    check_only_bad_is_unreadable(save())


@pytest.mark.parametrize(
    "row", ["[1]", "[1,2,3]", '"text"', '{"path":"/a"}', '["x",null]', "[[1],2]"]
)
def test_a_row_of_the_wrong_shape_costs_its_dataset_alone(
    made: Format2Store, save: Save, row: str
) -> None:
    recorded = [{"name": "n", "dtype": "int32"}, {"name": "r", "dtype": "object"}]
    made.array("bad", objects([1, None]), recorded, filters=[JSON2])
    made.chunks["bad/0"] = compressed(f'[{row},"|O",[1]]'.encode())
    check_only_bad_is_unreadable(save())


@pytest.mark.parametrize("number", ["1e400", "99999999999999999999", "Infinity", '"1x"', "[1]"])
def test_a_number_that_a_field_cannot_hold_costs_its_dataset_alone(
    made: Format2Store, save: Save, number: str
) -> None:
    recorded = [{"name": "n", "dtype": "int32"}, {"name": "r", "dtype": "object"}]
    made.array("bad", objects([1, None]), recorded, filters=[JSON2])
    made.chunks["bad/0"] = compressed(f'[[{number},null],"|O",[1]]'.encode())
    check_only_bad_is_unreadable(save())


def test_a_row_of_the_wrong_shape_in_a_scalar_costs_itself_alone(
    made: Format2Store, save: Save
) -> None:
    made.array("bad", objects([1, None]), "scalar", filters=[JSON2])
    made.chunks["bad/0"] = compressed(b'[[[1]],"|O",[1]]')
    check_only_bad_is_unreadable(save())


# -- metadata --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zarr_dtype",
    [
        "object",
        [{"name": "a", "dtype": "int32"}],
        [{"name": "a"}],
        ["int32"],
        [5],
        5,
        {"a": 1},
        [[]],
    ],
)
def test_a_zarr_dtype_that_does_not_match_numbers_costs_its_dataset_alone(
    made: Format2Store, save: Save, zarr_dtype: Any
) -> None:
    made.array("bad", np.arange(3), zarr_dtype)
    check_only_bad_is_unreadable(save())


@pytest.mark.parametrize(
    "zarr_dtype",
    [
        [{"name": "a", "dtype": "nonsense"}],
        [{"name": "a", "dtype": None}],
        [{"name": "a", "dtype": [1]}],
        [{"name": 5, "dtype": "int32"}],
        [{"name": "a", "dtype": "int32"}, {"name": "a", "dtype": "int32"}],
        [{"name": "a", "dtype": "object"}],
        [],
    ],
)
def test_a_zarr_dtype_that_does_not_match_objects_costs_its_dataset_alone(
    made: Format2Store, save: Save, zarr_dtype: Any
) -> None:
    made.references("bad", [reference("/sound")], codec=JSON2)
    made.documents["bad/.zattrs"]["zarr_dtype"] = zarr_dtype
    check_only_bad_is_unreadable(save())


def test_fields_that_do_not_match_the_array_cost_their_dataset_alone(
    made: Format2Store, save: Save
) -> None:
    data = np.zeros(3, dtype=[("x", "<u4"), ("y", "<f4")])
    recorded = [{"name": "x", "dtype": "uint32"}, {"name": "z", "dtype": "object"}]
    made.array("bad", data, recorded, fill_value=None)
    check_only_bad_is_unreadable(save())


def test_numbers_that_are_recorded_as_text_are_numbers(made: Format2Store, save: Save) -> None:
    made.array("odd", np.arange(3), "str")
    with ZarrIO(save(), "r") as io:
        assert io.read_builder()["odd"].data[:].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"shape": None},
        {"shape": 3},
        {"shape": [-1]},
        {"shape": ["3"]},
        {"shape": [1.5]},
        {"shape": [True]},
        {"shape": [2**70]},
        {"chunks": [0.5]},
        {"chunks": [-1]},
        {"chunks": [1, 1]},
        {"chunks": None},
        {"dtype": None},
        {"dtype": "nonsense"},
        {"dtype": 5},
        {"dtype": {"a": 1}},
        {"dtype": "|O"},
        {"dtype": [["a"]]},
        {"dtype": [["a", "<i4"], ["a", "<i4"]]},
        {"dtype": [5]},
        {"dtype": []},
        {"dtype": [["a", [["b", "<i4"]]]]},
        {"dtype": "V0"},
        {"fill_value": "text"},
        {"fill_value": [1]},
        {"fill_value": {"a": 1}},
        {"filters": 5},
        {"filters": ["delta"]},
        {"filters": [None]},
        {"filters": [{"id": "unheard of"}]},
        {"filters": [{"id": 5}]},
        {"filters": [{"id": []}]},
        {"filters": [{}]},
        {"filters": [{"id": "delta"}]},
        {"filters": [{"id": "vlen-utf8"}]},
        {"filters": [{"id": "pickle"}]},
        {"compressor": 5},
        {"compressor": "blosc"},
        {"compressor": {"id": "unheard of"}},
        {"compressor": {"id": "blosc", "cname": "unheard of"}},
        {"dimension_separator": 5},
        {"dimension_separator": "x"},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_metadata_of_an_array_that_make_no_sense_cost_it_alone(
    made: Format2Store, save: Save, change: dict[str, Any]
) -> None:
    made.array("bad", np.arange(3), "int64")
    made.documents["bad/.zarray"].update(change)
    check_only_bad_is_unreadable(save())


@pytest.mark.parametrize("document", [5, None, [], "text", {}])
def test_metadata_that_are_no_metadata_cost_their_array_alone(
    made: Format2Store, save: Save, document: Any
) -> None:
    made.array("bad", np.arange(3), "int64")
    made.documents["bad/.zarray"] = document
    check_only_bad_is_unreadable(save())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"5"])
def test_metadata_that_are_no_json_cost_their_array_alone(
    made: Format2Store, tmp_path: Path, content: bytes
) -> None:
    made.array("bad", np.arange(3), "int64")
    path = made.save(tmp_path / "made.zarr", consolidated=False)
    (path / "bad/.zarray").write_bytes(content)
    check_only_bad_is_unreadable(path)


@pytest.mark.parametrize("attributes", [5, [], "text", None])
def test_attributes_that_are_no_object_are_none(
    made: Format2Store, save: Save, attributes: Any
) -> None:
    made.array("odd", np.arange(3))
    made.documents["odd/.zattrs"] = attributes
    with ZarrIO(save(), "r") as io:
        builder = io.read_builder()
        assert dict(builder["odd"].attributes) == {}
        assert builder["odd"].data[:].tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", [[10**12], [10**6, 10**6, 10**6], [2**62]])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_claimed_shape_costs_its_dataset_alone(
    made: Format2Store, save: Save, shape: list[int], *, chunked: bool
) -> None:
    made.references("bad", [reference("/sound")])
    made.documents["bad/.zarray"]["shape"] = shape
    made.documents["bad/.zarray"]["chunks"] = shape if chunked else [1] * len(shape)
    with ZarrIO(save(), "r") as io:
        builder = io.read_builder()
        assert builder["sound"].data[:].tolist() == [0, 1, 2]
        if chunked and len(shape) == 1:
            with pytest.raises(HDMFZarrError, match=r"made\.zarr:/bad"):
                builder["bad"].data[(0,) * len(shape)]


def test_a_huge_claimed_shape_of_a_scalar_is_no_scalar(made: Format2Store, save: Save) -> None:
    made.array("bad", np.arange(1), "scalar")
    made.documents["bad/.zarray"].update(shape=[10**12], chunks=[10**12])
    with ZarrIO(save(), "r") as io:
        assert io.read_builder()["bad"].data.shape == (10**12,)


@pytest.mark.parametrize("filters", [None, [VLEN_UTF8]])
def test_a_chunk_that_is_no_chunk_costs_its_dataset_alone(
    made: Format2Store, save: Save, filters: Any
) -> None:
    data = np.arange(3) if filters is None else objects("a", "b", "c")
    made.array("bad", data, filters=filters)
    made.chunks["bad/0"] = b"not compressed"
    with ZarrIO(save(), "r") as io:
        builder = io.read_builder()
        assert builder["sound"].data[:].tolist() == [0, 1, 2]
        with pytest.raises(RuntimeError, match="made.zarr:/bad/0: the chunk is truncated"):
            builder["bad"].data[:]


@pytest.mark.parametrize("content", [b"", b"{", b"5", b'{"metadata": 5}', b"\xff", b"[" * 10**5])
@pytest.mark.parametrize("mode", ["r", "r-", "r+"])
def test_consolidated_metadata_that_make_no_sense_are_ignored(
    made: Format2Store, tmp_path: Path, mode: str, content: bytes
) -> None:
    path = made.save(tmp_path / "made.zarr")
    (path / ".zmetadata").write_bytes(content)
    with ZarrIO(path, mode) as io:
        assert io.read_builder()["sound"].data[:].tolist() == [0, 1, 2]


def test_consolidated_metadata_without_a_root_are_an_error_that_names_the_store(
    made: Format2Store, tmp_path: Path
) -> None:
    path = made.save(tmp_path / "made.zarr")
    (path / ".zmetadata").write_bytes(b'{"metadata": {}}')
    with pytest.raises(HDMFZarrError, match="made.zarr is a store of Zarr format 2 whose root"):
        ZarrIO(path, "r")
    with ZarrIO(path, "r-") as io:
        assert io.read_builder()["sound"].data[:].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "links",
    [
        5,
        "text",
        [5],
        [{}],
        [{"name": "x"}],
        [{"name": 5, "path": "/a"}],
        [{"name": "x", "path": 5}],
    ],
)
def test_links_that_make_no_sense_cost_themselves_alone(
    made: Format2Store, save: Save, links: Any
) -> None:
    made.documents["group/.zattrs"]["zarr_link"] = links
    with ZarrIO(save(), "r") as io:
        with pytest.warns(BrokenLinkWarning, match="/group links to .*zarr_link"):
            root = io.read_builder()
        assert dict(root["group"].links) == {}
        assert len(root["sound"].data[:])


@pytest.mark.parametrize(
    "value", [None, 5, {}, {"path": 5}, {"path": "/sound", "source": 5}, "/sound"]
)
def test_a_reference_in_an_attribute_that_makes_no_sense_costs_itself_alone(
    made: Format2Store, save: Save, value: Any
) -> None:
    made.group("group", bad={"zarr_dtype": "object", "value": value}, kept="yes")
    with ZarrIO(save(), "r") as io:
        with pytest.warns(BrokenLinkWarning, match="attribute 'bad' of .*source"):
            root = io.read_builder()
        assert dict(root["group"].attributes) == {"kept": "yes"}
        assert len(root["sound"].data[:])


def test_a_reference_to_nothing_is_an_error_when_it_is_used(made: Format2Store, save: Save) -> None:
    made.references("bad", [reference("/nowhere"), reference("/sound", "../away.zarr")])
    check_only_bad_is_unreadable(save())


def test_reading_hostile_stores_changes_nothing_of_numcodecs(
    made: Format2Store, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(numcodecs.registry.codec_registry)
    made.references("bad", [reference("/sound")])
    made.chunks["bad/0"] = compressed(hostile_pickles(tmp_path / "ran")["system"])
    check_only_bad_is_unreadable(save())
    assert numcodecs.registry.codec_registry == before


# -- compressors -----------------------------------------------------------------------------------

BOMB_PIECES = 40
"""Of 64 MB: gigabytes, in some megabytes or less."""


def zlib_bomb() -> bytes:
    compressor = zlib.compressobj(9)
    first, other = (
        compressor.compress(bytes(2**26)) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + other * BOMB_PIECES


BOMBS = {
    "zlib": zlib_bomb,
    "gzip": lambda: gzip.compress(bytes(2**26)) * BOMB_PIECES,
    "bz2": lambda: bz2.compress(bytes(2**26)) * BOMB_PIECES,
    "lzma": lambda: lzma.compress(bytes(2**26)) * BOMB_PIECES,
    "blosc": lambda: bytes(numcodecs.Blosc("zstd", 9).encode(bytes(2**31 - 2**20))),
    "lz4": lambda: (2**31 - 1).to_bytes(4, "little") + bytes(100),
    "zstd": lambda: bytes(numcodecs.Zstd(1).encode(bytes(2**31))),
}


WITH_THE_LIMITS_THEMSELVES = {("zlib", "text"), ("lz4", "text"), ("zstd", "references")}
"""The others take a lower one for text: a gigabyte takes seconds each time that it is decompressed."""


@pytest.fixture(scope="module", params=BOMBS)
def bomb(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.param, BOMBS[request.param]()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["references", "text", "numbers", "native"])
def test_a_compressor_that_becomes_gigabytes_costs_its_dataset_alone(
    made: Format2Store,
    tmp_path: Path,
    bomb: tuple[str, bytes],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever decodes the chunk: this package, zarr-python, or numcodecs for what only format 2 has."""
    name, encoded = bomb
    if (name, kind) not in WITH_THE_LIMITS_THEMSELVES:
        monkeypatch.setattr(limits, "LONGEST_TEXT_BYTES", 2**27)
        monkeypatch.setattr(limits, "MOST_TEXT_CHUNK_BYTES", 2**28)
    made.array("bad", np.arange(3, dtype="i4"), compressor=BLOSC)
    metadata = made.documents["bad/.zarray"]
    metadata["compressor"] = {"id": name}
    if kind in ("references", "text"):
        metadata |= {"dtype": "|O", "filters": [PICKLE if kind == "references" else VLEN_UTF8]}
    elif kind == "native":
        metadata["dtype"] = [["a", ">i4"]]
    path = made.save(tmp_path / "made.zarr")
    (path / "bad" / "0").write_bytes(encoded)
    tracemalloc.start()
    check_only_bad_is_unreadable(path, match="becomes")
    with ZarrIO(path, "r") as io:
        data = io.read_builder()["bad"].data
        with pytest.raises(HDMFZarrError, match="becomes"):
            data[0:3:2]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * limits.most_text_bytes(len(encoded), 3)
