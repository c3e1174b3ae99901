"""Chunks as HDF5 stores them, kept byte for byte: a fresh process reads them by zarr alone, and HDF5
reads what zarr encodes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from hdmf_zarr.codecs import chain_from_codecs, chain_of_pipeline, to_zarr_codec
from hdmf_zarr.codecs.hdf5.filters import FilterChain
from hdmf_zarr.hdf5 import filter_pipeline
from hdmf_zarr.metadata.format2 import array_document as document_of_format2
from hdmf_zarr.metadata.format2 import array_metadata

hdf5plugin = pytest.importorskip("hdf5plugin")
pytest.importorskip("imagecodecs")
pytest.importorskip("blosc2")

SHAPE, CHUNKS = (60, 40), (32, 24)
CORNERS = [tuple(corner) for corner in itertools.product(range(0, 60, 32), range(0, 40, 24))]


@dataclass(frozen=True)
class Case:
    """One dataset: how HDF5 compresses it, and the ids of the codecs that do the same.

    ``exact``: our encoders give the bytes that HDF5 gives.
    """

    name: str
    ids: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    pipeline: tuple[tuple[int, tuple[int, ...]], ...] = ()
    dtype: str = "<i4"
    exact: bool = False

    def create(self, file: h5py.File) -> h5py.Dataset:
        """Make the dataset, empty."""
        options = {"shape": SHAPE, "chunks": CHUNKS, "dtype": self.dtype}
        if not self.pipeline:
            return file.create_dataset(self.name, **options, **self.options)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(CHUNKS)
        for number, values in self.pipeline:
            properties.set_filter(number, h5py.h5z.FLAG_MANDATORY, values)
        space = h5py.h5s.create_simple(SHAPE)
        kind = h5py.h5t.py_create(np.dtype(self.dtype), logical=True)
        return h5py.Dataset(h5py.h5d.create(file.id, self.name.encode(), kind, space, properties))

    @property
    def data(self) -> np.ndarray:
        """Values that compress, in every dtype."""
        values = np.random.default_rng(7).integers(0, 2, SHAPE).cumsum(axis=1) // 4
        if np.dtype(self.dtype).kind == "V":
            wide = np.zeros(SHAPE, dtype=self.dtype)
            for position, name in enumerate(wide.dtype.names):
                wide[name] = values + position
            return wide
        return values.astype(self.dtype)


def plugin(name: str, **options: Any) -> dict[str, Any]:
    return dict(getattr(hdf5plugin, name)(**options))


BITSHUFFLE, LZ4, LZF, SZIP, BLOSC2, ZFP = (
    f"hdmf_zarr.{name}" for name in ("bitshuffle", "lz4", "lzf", "szip", "blosc2", "zfp")
)

COMPRESSORS: list[tuple[str, str, dict[str, Any], bool]] = [
    ("gzip", "zlib", {"compression": "gzip", "compression_opts": 4}, False),
    ("gzip 9", "zlib", {"compression": "gzip", "compression_opts": 9}, False),
    ("lzf", LZF, {"compression": "lzf"}, False),
    ("szip nn", SZIP, {"compression": "szip", "compression_opts": ("nn", 16)}, True),
    ("szip ec", SZIP, {"compression": "szip", "compression_opts": ("ec", 10)}, True),
    *(
        (f"blosc {cname} {shuffle}", "blosc", plugin("Blosc", cname=cname, shuffle=shuffle), False)
        for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
        for shuffle in (0, 1, 2)
    ),
    ("zstd", "zstd", plugin("Zstd", clevel=5), False),
    ("lz4", LZ4, plugin("LZ4"), True),
    ("lz4 in blocks", LZ4, plugin("LZ4", nbytes=100), True),
    ("bitshuffle", BITSHUFFLE, plugin("Bitshuffle", cname="none"), True),
    ("bitshuffle in blocks", BITSHUFFLE, plugin("Bitshuffle", nelems=24, cname="none"), True),
    ("bitshuffle lz4", BITSHUFFLE, plugin("Bitshuffle", cname="lz4"), True),
    ("bitshuffle lz4 blocks", BITSHUFFLE, plugin("Bitshuffle", nelems=24, cname="lz4"), True),
    ("bitshuffle zstd", BITSHUFFLE, plugin("Bitshuffle", cname="zstd", clevel=5), False),
    ("bitshuffle zstd blocks", BITSHUFFLE, plugin("Bitshuffle", nelems=64, cname="zstd"), False),
    *(
        (f"blosc2 {cname} {shuffle}", BLOSC2, plugin("Blosc2", cname=cname, filters=shuffle), False)
        for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
        for shuffle in (0, 1, 2, 3)
    ),
    ("bzip2", "bz2", plugin("BZip2", blocksize=5), False),
]


ZFP_OPTIONS = {
    "as it is": plugin("Zfp"),
    "rate": plugin("Zfp", rate=7.3),
    "precision": plugin("Zfp", precision=11),
    "accuracy": plugin("Zfp", accuracy=0.25),
    "reversible": plugin("Zfp", reversible=True),
}


def all_cases() -> Iterator[Case]:
    yield Case("nothing", (), exact=True)
    yield Case("shuffle", ("shuffle",), {"shuffle": True}, exact=True)
    yield Case("fletcher32", ("fletcher32",), {"fletcher32": True}, exact=True)
    both = {"shuffle": True, "fletcher32": True}
    yield Case("shuffle, fletcher32", ("shuffle", "fletcher32"), both, exact=True)
    for name, codec, options, exact in COMPRESSORS:
        yield Case(name, (codec,), options, exact=exact)
        summed = {**options, "fletcher32": True}
        yield Case(f"{name}, fletcher32", (codec, "fletcher32"), summed, exact=exact)
        if codec not in (BITSHUFFLE, SZIP, BLOSC2):
            shuffled = {**options, "shuffle": True}
            yield Case(f"shuffle, {name}", ("shuffle", codec), shuffled, exact=exact)
            yield Case(
                f"shuffle, {name}, fletcher32",
                ("shuffle", codec, "fletcher32"),
                {**shuffled, "fletcher32": True},
                exact=exact,
            )
        for dtype in ("u1", ">i2", ">f4", "<f8", ">f8", "<u8"):
            yield Case(f"{name} {dtype}", (codec,), options, dtype=dtype, exact=exact)
    for name, options in ZFP_OPTIONS.items():
        for dtype in ("<f4", "<f8", "<i4", "<i8", ">f8"):
            yield Case(f"zfp {name} {dtype}", (ZFP,), options, dtype=dtype)
        summed = {**options, "fletcher32": True}
        yield Case(f"zfp {name}, fletcher32", (ZFP, "fletcher32"), summed, dtype="<f8")
    # Orders that only HDF5's own interface makes.
    yield Case("checksum first", ("fletcher32", "zlib"), pipeline=((3, ()), (1, (6,))))
    yield Case("checksum twice", ("fletcher32", "fletcher32"), pipeline=((3, ()), (3, ())))
    yield Case("gzip twice", ("zlib", "zlib"), pipeline=((1, (6,)), (1, (1,))))
    yield Case("gzip, lz4", ("zlib", LZ4), pipeline=((1, (6,)), (32004, (64,))))
    yield Case("lz4, lzf", (LZ4, LZF), pipeline=((32004, (64,)), (32000, ())))
    yield Case(
        "lz4, gzip, zstd", (LZ4, "zlib", "zstd"), pipeline=((32004, ()), (1, (3,)), (32015, ()))
    )
    wide = "i4,f8,u1,i2"
    yield Case("record", ("shuffle", "zlib"), {"shuffle": True, "compression": 4}, dtype=wide)
    yield Case(
        "record lzf", ("shuffle", LZF), {"shuffle": True, "compression": "lzf"}, dtype="i4,f8"
    )
    yield Case("record bits", (BITSHUFFLE,), plugin("Bitshuffle", cname="lz4"), dtype="i4,u1,u1")


CASES = list(all_cases())
NAMES = [case.name for case in CASES]


def chain_document(case: Case, chain: FilterChain, zarr_format: int) -> dict[str, Any]:
    """The metadata of an array of the case's chunks, without opening a store."""
    dtype = np.dtype(case.dtype)
    endian = "big" if dtype.byteorder == ">" else "little"
    codecs = chain_from_codecs(
        [
            to_zarr_codec({"name": "bytes", "configuration": {"endian": endian}}, dtype.itemsize),
            *(to_zarr_codec(codec, dtype.itemsize) for codec in chain.codecs),
        ]
    )
    separator = {"name": "v2", "separator": "."} if zarr_format == 2 else None
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store,
        shape=SHAPE,
        chunks=CHUNKS,
        dtype=dtype,
        filters=codecs.filters,
        serializer=codecs.serializer,
        compressors=codecs.compressors,
        chunk_key_encoding=separator,
    )
    document: dict[str, Any] = json.loads(json.dumps(array.metadata.to_dict(), default=str))
    return array_metadata(document) if zarr_format == 2 else document


def chunk_file(folder: Path, zarr_format: int, corner: tuple[int, ...]) -> Path:
    """Where zarr has the chunk that begins at a corner."""
    index = [str(start // size) for start, size in zip(corner, CHUNKS, strict=True)]
    return folder / ".".join(index) if zarr_format == 2 else folder.joinpath("c", *index)


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


READ = """
import json, sys, warnings
import numpy as np, zarr
warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
zarr.config.set({"array.write_empty_chunks": True})
root, out = sys.argv[1:]
for number in json.loads(sys.stdin.read()):
    for zarr_format in (2, 3):
        array = zarr.open_array(f"{root}/{zarr_format}/{number}", mode="r")
        assert array.metadata.zarr_format == zarr_format
        np.save(f"{out}/{zarr_format}-{number}.npy", array[...])
        written = zarr.open_array(f"{root}/written-{zarr_format}/{number}", mode="r+")
        written[...] = array[...]
"""


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every case written by HDF5, its chunks moved as they are, and read and written by one fresh
    process that imports zarr and nothing of this package."""
    root = tmp_path_factory.mktemp("moved")
    chunks: dict[str, dict[tuple[int, ...], bytes]] = {}
    chains: dict[str, FilterChain] = {}
    values: dict[str, np.ndarray] = {}
    with h5py.File(root / "source.h5", "w") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
        for number, case in enumerate(CASES):
            dataset = case.create(file)
            dataset[...] = case.data
            chains[case.name] = chain_of_pipeline(filter_pipeline(dataset))
            raw = {corner: dataset.id.read_direct_chunk(corner) for corner in CORNERS}
            assert {mask for mask, _ in raw.values()} == {0}, case.name
            # Some filters lose precision, which HDF5 sees now that the chunks have left its cache.
            values[case.name] = dataset[...]
            chunks[case.name] = {corner: chunk for corner, (_, chunk) in raw.items()}
            for zarr_format, name in ((2, ".zarray"), (3, "zarr.json")):
                document = chain_document(case, chains[case.name], zarr_format)
                folder = root / str(zarr_format) / str(number)
                write_json(folder / name, document)
                write_json(root / f"written-{zarr_format}" / str(number) / name, document)
                for corner, chunk in chunks[case.name].items():
                    path = chunk_file(folder, zarr_format, corner)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(chunk)
    (root / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(root), str(root / "out")],
        input=json.dumps(list(range(len(CASES)))),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"root": root, "chunks": chunks, "chains": chains, "values": values}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_chain_is_the_one_expected(moved: dict[str, Any], case: Case) -> None:
    chain = moved["chains"][case.name]
    assert chain.missing is None
    assert tuple(codec.codec_id for codec in chain.codecs) == case.ids
    own = {name for name in case.ids if name.startswith("hdmf_zarr.")}
    extra = "hdmf-zarr[hdf5-filters]" if own - {LZ4} else "hdmf-zarr" if own else None
    assert chain.plugin == extra


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_zarr_alone_reads_the_bytes_of_hdf5(
    moved: dict[str, Any], case: Case, zarr_format: int
) -> None:
    read = np.load(moved["root"] / "out" / f"{zarr_format}-{NAMES.index(case.name)}.npy")
    np.testing.assert_array_equal(read, moved["values"][case.name])
    if case.ids[:1] != (ZFP,):
        np.testing.assert_array_equal(read, case.data)
    assert read.dtype.newbyteorder("=") == np.dtype(case.dtype).newbyteorder("=")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_hdf5_reads_what_zarr_encodes(
    moved: dict[str, Any], case: Case, zarr_format: int, tmp_path: Path
) -> None:
    folder = moved["root"] / f"written-{zarr_format}" / str(NAMES.index(case.name))
    with h5py.File(tmp_path / "file.h5", "w") as file:
        dataset = case.create(file)
        for corner in CORNERS:
            encoded = chunk_file(folder, zarr_format, corner).read_bytes()
            dataset.id.write_direct_chunk(corner, encoded)
            is_whole = all(c + n <= s for c, n, s in zip(corner, CHUNKS, SHAPE, strict=True))
            if case.exact and is_whole:  # at the edge, HDF5 and zarr fill up in their own way
                assert encoded == moved["chunks"][case.name][corner]
        if case.ids[:1] != (ZFP,):
            np.testing.assert_array_equal(dataset[...], case.data)
            return
        # Precision is lost once more, as it is by HDF5; and at the edge beside what fills up.
        twice = dataset[: CHUNKS[0], : CHUNKS[1]]
        del file[case.name]
        dataset = case.create(file)
        dataset[...] = moved["values"][case.name]
        dataset.id.read_direct_chunk(CORNERS[0])  # out of the cache
        np.testing.assert_array_equal(twice, dataset[: CHUNKS[0], : CHUNKS[1]])


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_chain_of_format_2_is_that_of_format_3(moved: dict[str, Any], case: Case) -> None:
    number = str(NAMES.index(case.name))
    metadata = json.loads((moved["root"] / "2" / number / ".zarray").read_text())
    document = json.loads((moved["root"] / "3" / number / "zarr.json").read_text())
    found = document_of_format2(metadata)
    assert "_native" not in found

    def names(codecs: list[dict[str, Any]]) -> list[str]:
        return [codec["name"] for codec in codecs]

    assert names(found["codecs"]) == names(document["codecs"])
    written = [*(metadata["filters"] or []), *filter(None, [metadata["compressor"]])]
    assert tuple(codec["id"] for codec in written) == case.ids


def test_a_chunk_that_does_not_shrink_is_kept_by_every_filter(tmp_path: Path) -> None:
    """Noise: LZ4 keeps the block, LZF and the others grow."""
    noise = np.frombuffer(np.random.default_rng(0).bytes(1000), "u1")
    filters = {
        "lz4": plugin("LZ4", nbytes=64),
        "bits": plugin("Bitshuffle", cname="lz4"),
        "zstd": plugin("Bitshuffle", cname="zstd"),
    }
    with h5py.File(tmp_path / "file.h5", "w") as file:
        for name, options in filters.items():
            dataset = file.create_dataset(name, data=noise, chunks=(1000,), **options)
            mask, raw = dataset.id.read_direct_chunk((0,))
            (codec,) = chain_of_pipeline(filter_pipeline(dataset)).codecs
            assert mask == 0
            assert len(raw) > 1000
            assert bytes(codec.decode(raw)) == noise.tobytes()
            encoded = bytes(codec.encode(noise))
            assert encoded == raw or name == "zstd"
            dataset.id.write_direct_chunk((0,), encoded)
        dataset = file.create_dataset("lzf", (1000,), "u1", chunks=(1000,), compression="lzf")
        (codec,) = chain_of_pipeline(filter_pipeline(dataset)).codecs
        dataset.id.write_direct_chunk((0,), bytes(codec.encode(noise)))
        file.flush()
        for dataset in file.values():
            np.testing.assert_array_equal(dataset[...], noise)


def test_elements_that_are_no_multiple_of_eight(tmp_path: Path) -> None:
    for count, cname in itertools.product((1, 7, 8, 9, 2051), ("none", "lz4", "zstd")):
        values = np.arange(count, dtype="<i2")
        with h5py.File(uuid.uuid4().hex, "w", driver="core", backing_store=False) as file:
            options = plugin("Bitshuffle", cname=cname, nelems=128)
            dataset = file.create_dataset("d", data=values, chunks=(count,), **options)
            (codec,) = chain_of_pipeline(filter_pipeline(dataset)).codecs
            _, raw = dataset.id.read_direct_chunk((0,))
            assert bytes(codec.decode(raw)) == values.tobytes()
            dataset.id.write_direct_chunk((0,), bytes(codec.encode(values)))
            np.testing.assert_array_equal(dataset[...], values)
