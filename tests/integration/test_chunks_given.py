"""Chunks whose shape was asked for stay as they are when rows are appended; those by default grow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, check
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.cli import main
from hdmf_zarr.convention.common import CHUNKS_GIVEN
from hdmf_zarr.conversion import convert
from hdmf_zarr.transfer.upgrading import upgrade
from tests.integration.test_raw_zarr_export import export

DATA = np.arange(40, dtype="i4").reshape(10, 4)
RECORDS = [(row, f"r{row}") for row in range(10)]
RECORD = [{"name": "number", "dtype": "int32"}, {"name": "text", "dtype": "utf"}]


class Named(GenericDataChunkIterator):  # type: ignore[misc]
    """An iterator that was given a shape of chunks."""

    def _get_data(self, selection: tuple[slice, ...]) -> Any:
        return DATA[selection]

    def _get_maxshape(self) -> tuple[int, ...]:
        return DATA.shape

    def _get_dtype(self) -> np.dtype[Any]:
        return DATA.dtype


def write(store: Any, dataset: DatasetBuilder | Any, *, zarr_format: int = 3) -> Any:
    if not isinstance(dataset, DatasetBuilder):
        dataset = DatasetBuilder("data", dataset)
    root = GroupBuilder("root", datasets=[dataset], attributes={"data_type": "Root"})
    with ZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    return store


def append(store: Any, *rows: Any, name: str = "data") -> None:
    """Append rows, each in a session of its own."""
    for row in rows:
        with ZarrIO(store, "r+") as io:
            io.read_builder()[name].data.append(row)


def opened(store: Any) -> HDMFZarrArray:
    io = ZarrIO(store, "r")
    io.open()
    array: HDMFZarrArray = io.read_builder()["data"].data
    return array


def is_noted(store: Any) -> bool:
    node = zarr.open_group(store, mode="r")["data"]
    return node.attrs.get(CHUNKS_GIVEN) is True


GIVEN: dict[str, Any] = {
    "several": (3, 4),
    "all": (10, 4),
    "all rows": (10, 2),
    "larger": (12, 4),
    "one row": (1, 4),
}


@pytest.mark.parametrize("chunks", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("store", ["local", "memory"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_was_asked_for_stays(
    tmp_path: Path, chunks: tuple[int, ...], store: str, zarr_format: int
) -> None:
    place = tmp_path / "a.zarr" if store == "local" else MemoryStore()
    write(place, ZarrDataIO(DATA, chunks=chunks), zarr_format=zarr_format)
    append(place, DATA, DATA[:1], DATA[:5])
    array = opened(place)
    assert array.chunks == chunks
    np.testing.assert_array_equal(array[...], np.concatenate([DATA, DATA, DATA[:1], DATA[:5]]))
    assert is_noted(place)


def test_what_was_not_asked_for_grows_and_is_not_noted(tmp_path: Path) -> None:
    for number, data in enumerate((DATA, DATA.tolist(), ZarrDataIO(DATA, chunks=True))):
        store = write(tmp_path / f"{number}.zarr", data)
        append(store, DATA, DATA)
        array = opened(store)
        assert array.chunks[0] >= 20
        np.testing.assert_array_equal(array[...], np.concatenate([DATA] * 3))
        assert not is_noted(store)


def test_text_records_and_references(tmp_path: Path) -> None:
    target = GroupBuilder("target", attributes={"data_type": "Target"})
    references = [ReferenceBuilder(target)] * 10
    datasets = [
        DatasetBuilder("text", ZarrDataIO([f"t{row}" for row in range(10)], chunks=(10,))),
        DatasetBuilder("ascii", ZarrDataIO(np.array([b"a"] * 10), chunks=(10,))),
        DatasetBuilder("records", ZarrDataIO(RECORDS, chunks=(10,)), dtype=RECORD),
        DatasetBuilder("references", ZarrDataIO(references, chunks=(10,)), dtype="object"),
    ]
    root = GroupBuilder(
        "root", groups=[target], datasets=datasets, attributes={"data_type": "Root"}
    )
    store = tmp_path / "a.zarr"
    with ZarrIO(store, "w") as io:
        io.write_builder(root)
    rows: dict[str, Any] = {"text": ["longer"], "ascii": [b"longer"]}
    rows["records"] = (7, "a longer text")
    for name, row in rows.items():
        for _ in range(3):
            with ZarrIO(store, "r+") as io:
                io.read_builder()[name].data.append(row)
    with ZarrIO(store, "r+") as io:
        data = io.read_builder()["references"].data
        data.append(data[0])
    group = zarr.open_group(store, mode="r")
    for name in (*rows, "references"):
        node = group[name]
        assert isinstance(node, zarr.Array)
        assert node.chunks == (10,), name
    with ZarrIO(store, "r") as io:
        root = io.read_builder()
        assert root["text"].data[...].tolist() == [f"t{n}" for n in range(10)] + ["longer"] * 3
        assert root["records"].data[12][1] == "a longer text"
        assert len(root["references"].data) == 11


@pytest.mark.parametrize("chunk_shape", [(10, 4), (5, 4)])
def test_the_chunks_that_an_iterator_names(tmp_path: Path, chunk_shape: tuple[int, ...]) -> None:
    store = write(tmp_path / "a.zarr", Named(chunk_shape=chunk_shape, buffer_shape=(10, 4)))
    append(store, DATA)
    assert opened(store).chunks == chunk_shape


def test_an_iterator_with_chunks_asked_for(tmp_path: Path) -> None:
    iterator = DataChunkIterator(iter(DATA), maxshape=(None, 4), dtype=DATA.dtype, buffer_size=5)
    store = write(tmp_path / "a.zarr", ZarrDataIO(iterator, chunks=(10, 4)))
    append(store, DATA)
    array = opened(store)
    assert array.chunks == (10, 4)
    np.testing.assert_array_equal(array[...], np.concatenate([DATA, DATA]))


def test_a_dataset_that_is_added_later(tmp_path: Path) -> None:
    store = write(tmp_path / "a.zarr", DATA)
    with ZarrIO(store, "r+") as io:
        root = io.read_builder()
        root.set_dataset(DatasetBuilder("more", ZarrDataIO(DATA, chunks=(10, 4))))
        io.write_builder(root)
    append(store, DATA, name="more")
    with ZarrIO(store, "r") as io:
        assert io.read_builder()["more"].data.chunks == (10, 4)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_export_keeps_the_record(tmp_path: Path, zarr_format: int) -> None:
    source = write(tmp_path / "a.zarr", ZarrDataIO(DATA, chunks=(10, 4)), zarr_format=zarr_format)
    export(source, tmp_path / "kept.zarr")
    export(source, tmp_path / "checksum.zarr", checksum=True)
    export(source, tmp_path / "codecs.zarr", codecs="default")
    for name in ("kept", "checksum", "codecs"):
        append(tmp_path / f"{name}.zarr", DATA)
        assert opened(tmp_path / f"{name}.zarr").chunks == (10, 4), name
    export(source, tmp_path / "other.zarr", chunks={"/data": (20, 4)})
    append(tmp_path / "other.zarr", DATA, DATA)
    assert opened(tmp_path / "other.zarr").chunks == (20, 4)


def test_an_export_of_text_keeps_the_record(tmp_path: Path) -> None:
    text = [f"t{row}" for row in range(10)]
    for name, zarr_format in (("new", 3), ("old", 2)):
        store = write(
            tmp_path / f"{name}.zarr", ZarrDataIO(text, chunks=(10,)), zarr_format=zarr_format
        )
        export(store, tmp_path / f"{name}-3.zarr")
        append(tmp_path / f"{name}-3.zarr", ["x"])
        assert opened(tmp_path / f"{name}-3.zarr").chunks == (10,)


def test_an_export_of_what_was_not_asked_for_grows(tmp_path: Path) -> None:
    source = write(tmp_path / "a.zarr", DATA)
    export(source, tmp_path / "b.zarr")
    append(tmp_path / "b.zarr", DATA)
    assert opened(tmp_path / "b.zarr").chunks[0] >= 20


def test_an_upgrade_keeps_the_record(tmp_path: Path) -> None:
    store = write(tmp_path / "a.zarr", ZarrDataIO(DATA, chunks=(10, 4)), zarr_format=2)
    upgrade(store, tmp_path / "b.zarr")
    upgrade(store)
    for path in (store, tmp_path / "b.zarr"):
        append(path, DATA)
        assert opened(path).chunks == (10, 4)


def test_the_command_line(tmp_path: Path) -> None:
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="raw", data=DATA, unit="V", rate=1.0))
    source, path = tmp_path / "a.nwb", "/acquisition/raw/data"
    with NWBHDF5IO(source, "w") as io:
        io.write(nwbfile)
    by_command, by_call = tmp_path / "b.nwb.zarr", tmp_path / "c.nwb.zarr"
    assert main(["convert", str(source), str(by_command), "--chunks", f"{path}=10,4"]) == 0
    convert(source, by_call, chunks={path: (10, 4)})
    for store in (by_command, by_call):
        with NWBZarrIO(store, "r+") as io:
            io.read().acquisition["raw"].data.append(DATA)
        with NWBZarrIO(store, "r") as io:
            data = io.read().acquisition["raw"].data
            assert data.chunks == (10, 4)
            np.testing.assert_array_equal(data[...], np.concatenate([DATA, DATA]))


def test_several_chunks_of_a_store_without_a_record_stay(tmp_path: Path) -> None:
    """Earlier versions recorded nothing: an array that is not one chunk was cut on purpose."""
    store = write(tmp_path / "a.zarr", ZarrDataIO(DATA, chunks=(3, 4)))
    for document in (store / "data" / "zarr.json", store / "zarr.json"):
        text = document.read_text()
        assert CHUNKS_GIVEN in text
        document.write_text(json.dumps(without_record(json.loads(text))))
    append(store, DATA, DATA[:1])
    array = opened(store)
    assert array.chunks == (3, 4)
    np.testing.assert_array_equal(array[...], np.concatenate([DATA, DATA, DATA[:1]]))


def without_record(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            key: without_record(value) for key, value in document.items() if key != CHUNKS_GIVEN
        }
    return [without_record(entry) for entry in document] if isinstance(document, list) else document


def test_the_record_is_not_shown_and_is_no_finding(tmp_path: Path) -> None:
    store = write(tmp_path / "a.zarr", ZarrDataIO(DATA, chunks=(10, 4)))
    with ZarrIO(store, "r") as io:
        assert io.read_builder()["data"].attributes == {}
    assert [finding.kind for finding in check(store).findings if finding.kind != "note"] == []


def test_large_chunks_and_shards_have_no_record(tmp_path: Path) -> None:
    large = np.zeros((50_000, 4), "f8")
    assert not is_noted(write(tmp_path / "a.zarr", ZarrDataIO(large, chunks=(10_000, 4))))
    sharded = ZarrDataIO(DATA, chunks=(5, 4), shards=(10, 4))
    store = write(tmp_path / "b.zarr", sharded)
    assert not is_noted(store)
    append(store, DATA)
    assert (opened(store).chunks, opened(store).shards) == ((5, 4), (10, 4))


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    voltage = np.zeros((30_000, 4), "i2")
    store = write(tmp_path / "a.zarr", ZarrDataIO(voltage, chunks=(10_000, 4)))
    append(store, voltage[:100])
    array = opened(store)
    assert array.shape == (30_100, 4)
    assert array.chunks == (10_000, 4)
