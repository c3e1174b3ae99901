"""A store that a released version has written reads as the HDF5 file made from the same content."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hdmf.container import AbstractContainer
from hdmf.utils import StrDataset
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, validate

from hdmf_zarr import NWBZarrIO, ZarrIO
from tests.compare import differences

DATA = Path(__file__).parents[1] / "data"
RELEASES = ["v0.14.0"]

# 0.14 records "str" for all text, so what the specification calls a date comes back as plain text,
# which is how HDMF holds the dates of a file that was not read from HDF5.
DATES = {"/session_start_time", "/timestamps_reference_time", "/file_create_date"}


class Released(NamedTuple):
    """A store of a released version and its twin, which has object ids of its own."""

    store: Path
    twin: Path


@pytest.fixture(scope="session", params=RELEASES)
def pristine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(DATA / f"{request.param}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Released(next(folder.glob("*.nwb.zarr")), next(folder.glob("*.nwb")))


@pytest.fixture
def copy(pristine: Released, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(pristine.store, tmp_path / "copy.nwb.zarr"))


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change one ``zarr.json``."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_nodes(store: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the ``zarr.json`` of every node, and drop the consolidated metadata."""
    edit(store / "zarr.json", lambda root: root.pop("consolidated_metadata", None))
    for path in store.rglob("zarr.json"):
        edit(path, change)


def unequal(store: Path, twin: Path, mode: str = "r") -> list[str]:
    with NWBZarrIO(store, mode) as zarr_io, NWBHDF5IO(twin, "r") as hdf5_io:
        found = differences(
            zarr_io.read_builder(),
            hdf5_io.read_builder(),
            ignore=lambda path: path.endswith("@object_id") or path in DATES,
        )
        return list(found)


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
def test_builders_equal_those_of_the_twin(copy: Path, pristine: Released, mode: str) -> None:
    assert unequal(copy, pristine.twin, mode) == []


def test_builders_equal_those_of_the_twin_without_consolidated_metadata(
    copy: Path, pristine: Released
) -> None:
    edit(copy / "zarr.json", lambda root: root.pop("consolidated_metadata"))
    assert unequal(copy, pristine.twin) == []


def test_dates_hold_the_same_text(pristine: Released) -> None:
    with NWBZarrIO(pristine.store, "r") as zarr_io, NWBHDF5IO(pristine.twin, "r") as hdf5_io:
        a, b = zarr_io.read_builder(), hdf5_io.read_builder()
        for path in DATES:
            name = path.strip("/")
            assert _plain(a[name].data) == _plain(b[name].data)


def test_reserved_attributes_are_not_shown(pristine: Released) -> None:
    def names(builder: Any) -> Iterator[str]:
        yield from builder.attributes
        for child in (
            *getattr(builder, "groups", {}).values(),
            *getattr(builder, "datasets", {}).values(),
        ):
            yield from names(child)

    with NWBZarrIO(pristine.store, "r") as io:
        shown = set(names(io.read_builder()))
    assert not [name for name in shown if name.startswith(("_", "."))]


def _plain(value: Any) -> Any:
    """Return data in a form that does not depend on the backend."""
    if isinstance(value, AbstractContainer):
        return ("container", type(value).__name__, value.name)
    if isinstance(value, StrDataset) or (
        hasattr(value, "shape") and not isinstance(value, np.generic)
    ):
        value = value[()] if value.shape == () else value[:]
    if hasattr(value, "iloc"):
        value = value.to_numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value.decode() if isinstance(value, bytes) else value


def assert_containers_equal(a: Any, b: Any, where: str = "") -> None:
    assert type(a).__name__ == type(b).__name__, where
    assert set(a.fields) == set(b.fields), where
    for name, x in a.fields.items():
        y, place = b.fields[name], f"{where}/{a.name}.{name}"
        if name in ("data_link", "timestamp_link"):
            assert {entry.name for entry in x} == {entry.name for entry in y}, place
        elif isinstance(x, dict):
            assert x.keys() == y.keys(), place
            for key, entry in x.items():
                assert_containers_equal(entry, y[key], place)
        elif isinstance(x, AbstractContainer) and x.parent is a:
            assert_containers_equal(x, y, place)
        else:
            assert str(_plain(x)) == str(_plain(y)), place


def test_containers_equal_those_of_the_twin(pristine: Released) -> None:
    with NWBZarrIO(pristine.store, "r") as zarr_io, NWBHDF5IO(pristine.twin, "r") as hdf5_io:
        a, b = zarr_io.read(), hdf5_io.read()
        assert_containers_equal(a, b)
        for table in ("units", "trials", "electrodes", "intracellular_recordings"):
            for x, y in zip(getattr(a, table).columns, getattr(b, table).columns, strict=True):
                assert str(_plain(x.data)) == str(_plain(y.data)), (table, x.name)


def test_links_and_references_lead_to_the_same_objects(pristine: Released) -> None:
    with NWBZarrIO(pristine.store, "r") as io:
        nwbfile = io.read()
        acquisition = nwbfile.acquisition
        linked = acquisition["linked_ts"]
        assert acquisition["shares_timestamps"].timestamps is linked.timestamps
        assert acquisition["shares_data"].data is linked.data
        group = nwbfile.electrode_groups["shank0"]
        assert all(entry is group for entry in nwbfile.electrodes["group"][:])
        assert all(entry is group for entry in nwbfile.units["electrode_group"][:])
        reference = nwbfile.trials["timeseries"][0][0]
        assert reference.timeseries is acquisition["es"]
        assert acquisition["es"].electrodes.table is nwbfile.electrodes
        response = nwbfile.intracellular_recordings["responses"]["response"][0]
        assert response.timeseries is acquisition["resp"]


def test_the_cached_specifications_are_found(pristine: Released) -> None:
    assert set(NWBZarrIO.get_namespaces(pristine.store)) == {
        "core",
        "hdmf-common",
        "hdmf-experimental",
    }
    assert NWBZarrIO.can_read(pristine.store)


def test_the_store_is_as_valid_as_its_twin(pristine: Released) -> None:
    def errors(io: Any) -> list[str]:
        with io:
            return sorted(str(error) for error in validate(io=io))

    twin = errors(NWBHDF5IO(pristine.twin, "r"))
    assert errors(NWBZarrIO(pristine.store, "r")) == twin


# -- spellings -------------------------------------------------------------------------------------


def test_dimension_names_are_taken_from_the_attribute(pristine: Released, tmp_path: Path) -> None:
    document = json.loads((pristine.store / "acquisition/es/data/zarr.json").read_text())
    names = document["attributes"]["_ARRAY_DIMENSIONS"]
    with NWBZarrIO(pristine.store, "r") as source, NWBZarrIO(tmp_path / "new.zarr", "w") as io:
        io.export(source)
    document = json.loads((tmp_path / "new.zarr/acquisition/es/data/zarr.json").read_text())
    assert document["dimension_names"] == names
    assert "_ARRAY_DIMENSIONS" not in document["attributes"]


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ("float64", "<f8"),
        ("float64", "float"),
        ("int64", "<i8"),
        ("int64", "int"),
        ("int32", "<i4"),
        ("int16", "<i2"),
        ("uint8", "|u1"),
        ("str", "str_"),
        ("str", "string"),
        ("float64", None),
        ("int64", None),
        ("str", None),
    ],
)
def test_element_types_are_found_in_every_spelling(
    copy: Path, pristine: Released, given: str, spelling: str | None
) -> None:
    def respell(document: dict[str, Any]) -> None:
        attributes = document["attributes"]
        if attributes.get("_DTYPE") == given:
            del attributes["_DTYPE"]
            if spelling is not None:
                attributes["_DTYPE"] = spelling

    edit_nodes(copy, respell)
    assert unequal(copy, pristine.twin) == []


@pytest.mark.parametrize("path", ["specifications", "/specifications"])
def test_specifications_are_found_through_a_reference(
    copy: Path, pristine: Released, path: str
) -> None:
    def respell(root: dict[str, Any]) -> None:
        root["attributes"][".specloc"] = {"_REFERENCE": {"source": ".", "path": path}}

    edit(copy / "zarr.json", respell)
    assert "core" in NWBZarrIO.get_namespaces(copy)
    assert unequal(copy, pristine.twin) == []


def test_structured_types_are_read_in_the_other_spelling(copy: Path, pristine: Released) -> None:
    spellings = set()

    def respell(document: dict[str, Any]) -> None:
        data_type = document.get("data_type")
        if not isinstance(data_type, dict) or data_type.get("name") != "struct":
            return
        spellings.add(data_type["name"])
        fields = data_type["configuration"]["fields"]
        pairs = [[field["name"], field["data_type"]] for field in fields]
        document["data_type"] = {"name": "structured", "configuration": {"fields": pairs}}

    edit_nodes(copy, respell)
    assert spellings == {"struct"}
    assert unequal(copy, pristine.twin) == []


def test_unknown_reserved_attributes_and_keys_are_ignored(copy: Path, pristine: Released) -> None:
    def add(document: dict[str, Any]) -> None:
        for link in document["attributes"].get("_LINKS", []):
            link["object_id"] = "what earlier versions wrote"

    edit_nodes(copy, add)
    assert unequal(copy, pristine.twin) == []


# -- appending and exporting -----------------------------------------------------------------------


def append(path: Path) -> None:
    """Add containers, columns and rows to a released store."""
    with NWBZarrIO(path, "r+") as io:
        nwbfile = io.read()
        series = TimeSeries(
            name="added",
            data=np.arange(20, dtype="int16"),
            unit="V",
            timestamps=nwbfile.acquisition["linked_ts"],
        )
        nwbfile.add_acquisition(TimeSeries(name="more", data=np.arange(3.0), unit="V", rate=1.0))
        nwbfile.add_acquisition(series)
        nwbfile.add_trial(
            start_time=9.0,
            stop_time=10.0,
            tag="é",
            timeseries=[nwbfile.acquisition["linked_ts"]],
        )
        nwbfile.add_unit(
            spike_times=[0.25, 0.5],
            electrodes=[1],
            electrode_group=nwbfile.electrode_groups["shank0"],
            quality="new",
        )
        nwbfile.units.add_column(
            "depth", "added later", data=np.arange(len(nwbfile.units), dtype="f4")
        )
        nwbfile.acquisition["es"].data.append(nwbfile.acquisition["es"].data[:1])
        io.write(nwbfile)


def check_appended(nwbfile: NWBFile, before: dict[str, Any]) -> None:
    assert nwbfile.acquisition["added"].timestamps is nwbfile.acquisition["linked_ts"].timestamps
    assert nwbfile.acquisition["added"].data[:].tolist() == list(range(20))
    assert nwbfile.trials["tag"][:].tolist() == [*before["tag"], "é"]
    reference = nwbfile.trials["timeseries"][-1][0]
    assert reference.timeseries is nwbfile.acquisition["linked_ts"]
    assert nwbfile.units["spike_times"][-1].tolist() == [0.25, 0.5]
    assert nwbfile.units["electrode_group"][-1] is nwbfile.electrode_groups["shank0"]
    assert nwbfile.units["quality"][:].tolist() == [*before["quality"], "new"]
    assert nwbfile.units["depth"][:].tolist() == [float(i) for i in range(len(nwbfile.units))]
    assert len(nwbfile.acquisition["es"].data) == before["rows"] + 1
    assert nwbfile.acquisition["es"].data[:-1].tolist() == before["es"]


@pytest.fixture
def before(pristine: Released) -> dict[str, Any]:
    with NWBHDF5IO(pristine.twin, "r") as io:
        nwbfile = io.read()
        return {
            "tag": list(nwbfile.trials["tag"][:]),
            "quality": list(nwbfile.units["quality"][:]),
            "rows": len(nwbfile.acquisition["es"].data),
            "es": nwbfile.acquisition["es"].data[:].tolist(),
        }


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_released_store_can_be_appended_to(
    copy: Path, before: dict[str, Any], *, consolidated: bool
) -> None:
    if not consolidated:
        edit(copy / "zarr.json", lambda root: root.pop("consolidated_metadata"))
    append(copy)
    for mode in ("r", "r-"):
        with NWBZarrIO(copy, mode) as io:
            check_appended(io.read(), before)
    assert validate(path=copy) == []


def test_what_was_not_changed_is_as_before(copy: Path, pristine: Released) -> None:
    with ZarrIO(copy, "r+") as io:
        assert io.mode == "r+"
    append(copy)
    changed = {line.partition(":")[0].partition("@")[0] for line in unequal(copy, pristine.twin)}
    assert {path.split("/")[1] for path in changed} <= {"acquisition", "intervals", "units"}
    assert {path for path in changed if path.startswith("/acquisition")} == {
        "/acquisition/added",
        "/acquisition/more",
        "/acquisition/es/data",
    }


def test_an_exported_released_store_equals_the_twin(pristine: Released, tmp_path: Path) -> None:
    with NWBZarrIO(pristine.store, "r") as source, NWBZarrIO(tmp_path / "new.zarr", "w") as io:
        io.export(source)
    assert unequal(tmp_path / "new.zarr", pristine.twin) == []


def test_a_released_store_goes_back_to_hdf5(pristine: Released, tmp_path: Path) -> None:
    with NWBZarrIO(pristine.store, "r") as source, NWBHDF5IO(tmp_path / "back.nwb", "w") as io:
        io.export(source, write_args={"link_data": False})
    with NWBHDF5IO(tmp_path / "back.nwb", "r") as io, NWBHDF5IO(pristine.twin, "r") as twin:
        found = differences(
            io.read_builder(),
            twin.read_builder(),
            ignore=lambda path: path.endswith("@object_id") or path in DATES,
        )
        assert list(found) == []
