"""Any value in any place: what HDF5IO stores is read as from HDF5, and what is written can be read.

The outcome of each is compared with that of HDF5IO. This package may keep more than HDF5 does (a member of
an enumeration, a date); what it does not keep it refuses by name, before anything is written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO, H5DataIO
from hdmf.build import BuildManager, GroupBuilder, TypeMap
from hdmf.spec import NamespaceCatalog
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, check
from hdmf_zarr.errors import HDMFZarrError
from tests.compare import Value, attribute_value, dataset_value, same_values
from tests.rich import START
from tests.values import PLACES, VALUES, Letter, OddText, Word

IN_BOTH_FORMATS = frozenset(
    {"attribute of a group", "dataset", "dataset of text", "field of text", "field of floats"}
)

NOT_KEPT = frozenset(
    {
        *("longdouble", "records", "a record", "masked", "datetime64 array", "vlen, empty"),
        # One integer type of 64 bits, or one float, does not hold all of them.
        "2**63 and -1",
    }
)
"""What HDF5IO stores, or what of it is beneath a mask, and this package refuses by name."""

CHANGED_BY_HDF5IO = {
    ("[1.5, v] of floats", "NaN as text"): "text becomes a number",
    ("[1.5, v] of floats", "datetime64"): "a date becomes a number",
    ("[1.5, v] of floats", "complex64"): "the imaginary part goes",
    ("[1.5, v] of floats", "0-d None"): "an array in a list",
    ("field of floats", "NaN as text"): "text becomes a number",
    ("field of floats", "complex64"): "the imaginary part goes",
    ("attribute [v]", "0-d S"): "an array in a list",
    **{
        ("attribute [v]", f"vlen {kind}"): "arrays of arrays in a list"
        for kind in ("int", "float", "of one length", "bool")
    },
    ("attribute [v]", "vlen, 2-d"): "arrays of arrays in a list",
    ("[v]", "no rows"): "the last dimension goes, with h5py 3.12",
    ("[v]", "bytearray"): "the width of the numbers becomes another",
    ("[v]", "array of Python"): "the width of the numbers becomes another",
}
"""What is a value of another type then, or a wrong one: refused, or kept as it is."""


@dataclass(frozen=True)
class Outcome:
    """What became of a value: what is read, or why it was refused, or why it cannot be read."""

    read: Value | None = None
    refused: Exception | None = None
    unreadable: Exception | None = None


def manager() -> BuildManager:
    return BuildManager(TypeMap(NamespaceCatalog()))


def value_of(root: GroupBuilder) -> Value:
    holder = root.datasets.get("data", root)
    if "v" in holder.attributes:
        return attribute_value(holder.attributes["v"], holder.source)
    return dataset_value(holder)


def outcome(write: Callable[[], None], read: Callable[[], GroupBuilder]) -> Outcome:
    try:
        write()
    except Exception as error:
        return Outcome(refused=error)
    try:
        return Outcome(read=value_of(read()))
    except Exception as error:
        return Outcome(unreadable=error)


def in_hdf5(make: Callable[[Any], GroupBuilder]) -> Outcome:
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        return outcome(
            lambda: HDF5IO(mode="w", file=file, manager=manager()).write_builder(make(H5DataIO)),
            lambda: HDF5IO(mode="r+", file=file, manager=manager()).read_builder(),
        )


def in_zarr(make: Callable[[Any], GroupBuilder], zarr_format: int) -> Outcome:
    store = MemoryStore()

    def write() -> None:
        with ZarrIO(store, "w", manager=manager(), zarr_format=zarr_format) as io:
            io.write_builder(make(ZarrDataIO))

    found = outcome(write, lambda: ZarrIO(store, "r", manager=manager()).read_builder())
    if found.refused is not None:
        assert not store._store_dict, "something was written"
    return found


def problem(place: str, name: str, zarr_format: int) -> str | None:
    """Return what is wrong with the outcome of a value in a place; None where it is right."""

    def make(wrapper: Any) -> GroupBuilder:
        return PLACES[place](VALUES[name], wrapper)

    there, here = in_hdf5(make), in_zarr(make, zarr_format)
    if here.unreadable is not None:
        return f"is written and cannot be read: {here.unreadable}"
    if (place, name) in CHANGED_BY_HDF5IO:
        return None
    if here.refused is not None:
        if there.read is None:
            return None
        is_named = isinstance(here.refused, HDMFZarrError) and (
            "/data" in str(here.refused) or "'v'" in str(here.refused)
        )
        return (
            None if name in NOT_KEPT and is_named else f"is refused: {here.refused}, not by HDF5IO"
        )
    if there.read is None or same_values(there.read, here.read):
        return None
    return f"is {here.read}, in HDF5 {there.read}"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("place", PLACES)
def test_every_value_is_what_it_is_in_hdf5(place: str, zarr_format: int) -> None:
    if zarr_format == 2 and place not in IN_BOTH_FORMATS:
        pytest.skip("as in format 3")
    found = {name: problem(place, name, zarr_format) for name in VALUES}
    assert {name: said for name, said in found.items() if said is not None} == {}


# -- where users put them ----------------------------------------------------------------------------

TEXTS = {
    "str enum": Letter.B,
    "StrEnum": Word.B,
    "subclass": OddText("x"),
    "numpy.str_": np.str_("a"),
    "str": "a",
}


def file_with(text: Any) -> NWBFile:
    file = NWBFile("a session", "id", START, experimenter=["x", text])
    file.add_trial_column(name="plain", description="d")
    file.add_trial_column(name="ragged", description="d", index=True)
    for row in (["y"], ["z", text]):
        file.add_trial(start_time=1.0, stop_time=2.0, plain=row[-1], ragged=row)
    file.add_acquisition(TimeSeries(name="raw", data=["x", text], unit="n/a", rate=1.0))
    file.add_acquisition(
        TimeSeries(name="array", data=np.array(["x", text], object), unit="n/a", rate=1.0)
    )
    return file


def read_texts(file: NWBFile) -> list[Any]:
    return [
        list(file.experimenter),
        list(file.trials["plain"][:]),
        [list(row) for row in file.trials["ragged"][:]],
        list(file.acquisition["raw"].data[:]),
        list(file.acquisition["array"].data[:]),
    ]


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_of_any_class_is_its_characters(kind: str, zarr_format: int, tmp_path: Path) -> None:
    text, path = TEXTS[kind], tmp_path / "f.nwb.zarr"
    with NWBHDF5IO(tmp_path / "f.nwb", "w") as io:
        io.write(file_with(text))
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(file_with(text))
    with NWBHDF5IO(tmp_path / "f.nwb", "r") as there, NWBZarrIO(path, "r") as here:
        texts = read_texts(here.read())
        assert texts == read_texts(there.read())
    assert texts[1] == ["y", str.__str__(text)]
    assert check(path).is_clean


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("kind", TEXTS)
def test_appended_rows_are_their_characters(kind: str, zarr_format: int, tmp_path: Path) -> None:
    text, path = TEXTS[kind], tmp_path / "f.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(file_with("first"))
    with NWBZarrIO(path, "r+") as io:
        file = io.read()
        file.trials.add_row(start_time=3.0, stop_time=4.0, plain=text, ragged=[text, "w"])
        file.acquisition["raw"].data.append(text)
        io.write(file)
    with NWBZarrIO(path, "r") as io:
        file, plain = io.read(), str.__str__(text)
        assert file.trials["plain"][-1] == plain
        assert list(file.trials["ragged"][2]) == [plain, "w"]
        assert file.acquisition["raw"].data[-1] == plain


def test_none_among_floats_is_nan_as_in_hdf5(tmp_path: Path) -> None:
    for io_class, name in ((NWBHDF5IO, "f.nwb"), (NWBZarrIO, "f.nwb.zarr")):
        file = NWBFile("a session", "id", START)
        file.add_acquisition(TimeSeries(name="raw", data=[1.5, None, 2.5], unit="V", rate=1.0))
        with io_class(str(tmp_path / name), "w") as io:
            io.write(file)
        with io_class(str(tmp_path / name), "r") as io:
            data = io.read().acquisition["raw"].data
            assert data.dtype == np.float64
            np.testing.assert_array_equal(data[:], [1.5, np.nan, 2.5])
