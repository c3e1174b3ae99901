"""Links to objects of other files: what is written of them, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import BuildManager, GroupBuilder, LinkBuilder
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager, get_type_map, validate
from pynwb.device import Device
from pynwb.ecephys import ElectricalSeries
from pynwb.ophys import (
    ImageSegmentation,
    OpticalChannel,
    RoiResponseSeries,
    TwoPhotonSeries,
)
from pynwb.spec import NWBGroupSpec, NWBLinkSpec, NWBNamespaceBuilder

from hdmf_zarr import NWBZarrIO, ZarrIO
from hdmf_zarr.checking import check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.hdf5.linked import LinkedFiles
from hdmf_zarr.transfer.upgrading import upgrade

KINDS = ("hdf5", "zarr2", "zarr3")
"""Sources: HDF5, and Zarr of either format."""

WAYS = ("convert", "export", "container", "clear_cache")


def new_file(identifier: str) -> NWBFile:
    return NWBFile("links", identifier, datetime(2024, 1, 1, tzinfo=UTC))


def path_for(folder: Path, name: str, kind: str) -> Path:
    return folder / (f"{name}.nwb" if kind == "hdf5" else f"{name}.nwb.zarr")


def opened(path: Path, mode: str, manager: BuildManager | None = None) -> Any:
    if path.suffix == ".nwb":
        return NWBHDF5IO(path, mode, manager=manager)
    return NWBZarrIO(path, mode, manager=manager)


def written(path: Path, nwbfile: NWBFile, kind: str, manager: BuildManager | None = None) -> Path:
    if kind == "hdf5":
        io: Any = NWBHDF5IO(path, "w", manager=manager)
    else:
        io = NWBZarrIO(path, "w", manager=manager, zarr_format=int(kind[-1]))
    with io:
        io.write(nwbfile)
    return path


@contextmanager
def shared(*paths: Path) -> Iterator[tuple[BuildManager, list[NWBFile]]]:
    """Several files read with one manager."""
    manager = get_manager()
    with ExitStack() as stack:
        yield manager, [stack.enter_context(opened(path, "r", manager)).read() for path in paths]


def rig(folder: Path, kind: str, name: str = "a") -> Path:
    """Write a file with a device and objects that link and refer to others."""
    nwbfile = new_file(name)
    device = nwbfile.create_device("dev", description=f"of {name}")
    channel = OpticalChannel(name="oc", description="d", emission_lambda=500.0)
    plane = nwbfile.create_imaging_plane(
        name="ip",
        optical_channel=channel,
        description=f"of {name}",
        device=device,
        excitation_lambda=600.0,
        indicator="G",
        location="V1",
    )
    group = nwbfile.create_electrode_group("tetrode", "d", "l", device)
    for x in (1.0, 2.0):
        nwbfile.add_electrode(x=x, y=2.0, z=3.0, location="CA1", group=group)
    region = nwbfile.create_electrode_table_region([1, 0], "all")
    nwbfile.add_acquisition(
        ElectricalSeries(name="es", data=np.arange(6.0).reshape(3, 2), electrodes=region, rate=1.0)
    )
    module = nwbfile.create_processing_module("ophys", f"module of {name}")
    segmentation = ImageSegmentation(name="seg")
    table = segmentation.create_plane_segmentation(
        name="ps", description=f"of {name}", imaging_plane=plane
    )
    table.add_roi(image_mask=np.eye(3))
    table.add_roi(image_mask=np.ones((3, 3)))
    module.add(segmentation)
    rois = table.create_roi_table_region("rois", region=[1])
    module.add(RoiResponseSeries(name="rrs", data=np.ones((3, 1)), rois=rois, unit="n", rate=1.0))
    return written(path_for(folder, name, kind), nwbfile, kind)


def linking(
    folder: Path, kind: str, add: Any, *targets: Path, own: Any = None, name: str = "b"
) -> Path:
    """Write a file to which objects of others were added."""
    path = path_for(folder, name, kind)
    with shared(*targets) as (manager, files):
        nwbfile = new_file(name)
        if own is not None:
            own(nwbfile)
        add(nwbfile, *files)
        written(path, nwbfile, kind, manager)
    return path


def add_group(nwbfile: NWBFile, a: NWBFile) -> None:
    nwbfile.create_electrode_group("g", "d", "l", a.devices["dev"])


def series_of(plane: Any, name: str = "tp") -> TwoPhotonSeries:
    data = np.arange(12.0).reshape(3, 2, 2)
    return TwoPhotonSeries(name=name, data=data, rate=1.0, unit="n", imaging_plane=plane)


def add_series(nwbfile: NWBFile, a: NWBFile) -> None:
    nwbfile.add_acquisition(series_of(a.imaging_planes["ip"]))


def export(source: Path, destination: Path, way: str = "convert", **options: Any) -> Path:
    """Export a file in one of several ways."""
    if way == "convert":
        convert(source, destination, **options)
        return destination
    with opened(source, "r") as src, NWBZarrIO(destination, "w", zarr_format=3) as io:
        container = src.read() if way != "export" else None
        io.export(src, container, clear_cache=way == "clear_cache", **options)
    return destination


def root_of(path: Path) -> GroupBuilder:
    """Return the builder of a file's root, all of which is in memory."""
    with opened(path, "r") as io:
        root: GroupBuilder = io.read_builder()
        return root


def target_of(path: Path, link: str) -> tuple[str, str, str]:
    """Return the file, the path and the object id of what a link leads to; fails if it is none."""
    holder, _, name = link.rpartition("/")
    found = root_of(path)
    for part in holder.split("/"):
        found = found[part]
    builder = found.links[name].builder
    assert isinstance(found.links[name], LinkBuilder)
    place = f"{builder.location}/{builder.name}".replace("//", "/")
    return builder.source, place, builder.attributes["object_id"]


def id_of(path: Path, place: str) -> str:
    builder: Any = root_of(path)
    for part in place.strip("/").split("/"):
        builder = builder[part]
    object_id: str = builder.attributes["object_id"]
    return object_id


def check_alone(path: Path) -> None:
    """The file leads to no other one, and readers and checks find nothing wrong with it."""
    assert validate(path=str(path)) == []
    if path.suffix == ".zarr":
        assert check(path).findings == ()
        documents = [*path.rglob("zarr.json"), *path.rglob(".zattrs")]
        assert documents
        sources = {
            source
            for document in documents
            for source in re.findall(r'"source": *"([^"]*)"', document.read_text())
        }
        assert sources <= {"."}


DESTINATIONS = ("c.nwb.zarr", "c2.nwb.zarr", "c.nwb")


def options_of(name: str) -> dict[str, Any]:
    return {"zarr_format": 2} if name == "c2.nwb.zarr" else {}


@pytest.mark.parametrize("destination", DESTINATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_target_of_a_link_that_the_schema_has_gets_its_own_path(tmp_path, kind, destination):
    if kind == "hdf5" and destination == "c.nwb":
        pytest.skip("HDF5 links to HDF5")
    a = rig(tmp_path, kind)
    ids = {place: id_of(a, place) for place in ("/general/devices/dev",)}

    def add(nwbfile: NWBFile, a: NWBFile) -> None:
        add_group(nwbfile, a)
        add_series(nwbfile, a)
        nwbfile.create_electrode_group("h", "d", "l", a.devices["dev"])

    b = linking(tmp_path, kind, add, a)
    copy = export(b, tmp_path / destination, **options_of(destination))
    a.rename(tmp_path / "away")
    check_alone(copy)
    expected = (str(copy), "/general/devices/dev", ids["/general/devices/dev"])
    for group in ("g", "h"):
        link = f"general/extracellular_ephys/{group}/device"
        assert target_of(copy, link) == expected
    assert target_of(copy, "general/optophysiology/ip/device") == expected
    assert target_of(copy, "acquisition/tp/imaging_plane")[1] == "/general/optophysiology/ip"
    with opened(copy, "r") as io:
        nwbfile = io.read()
        device = nwbfile.devices["dev"]
        assert device.description == "of a"
        assert nwbfile.electrode_groups["g"].device is device
        assert nwbfile.electrode_groups["h"].device is device
        plane = nwbfile.acquisition["tp"].imaging_plane
        assert plane is nwbfile.imaging_planes["ip"]
        assert plane.device is device
        assert plane.optical_channel[0].emission_lambda == 500.0
        np.testing.assert_array_equal(nwbfile.acquisition["tp"].data[2], [[8.0, 9.0], [10.0, 11.0]])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_export_copies_the_target_once(tmp_path, kind, way):
    a = rig(tmp_path, kind)
    b = linking(tmp_path, kind, add_series, a)
    copy = export(b, tmp_path / "c.nwb.zarr", way)
    check_alone(copy)
    assert target_of(copy, "acquisition/tp/imaging_plane") == (
        str(copy),
        "/general/optophysiology/ip",
        id_of(a, "/general/optophysiology/ip"),
    )
    with opened(copy, "r") as io:
        plane = io.read().acquisition["tp"].imaging_plane
        assert plane.device.description == "of a"


@pytest.mark.parametrize("kind", KINDS)
def test_another_object_of_the_name_stays_and_the_copy_gets_a_number(tmp_path, kind):
    def own(nwbfile: NWBFile) -> None:
        device = nwbfile.create_device("dev", description="own")
        nwbfile.create_device("Dev_2", description="own, too")
        nwbfile.create_electrode_group("own", "d", "l", device)

    a = rig(tmp_path, kind)
    b = linking(tmp_path, kind, add_group, a, own=own)
    copy = export(b, tmp_path / "c.nwb.zarr")
    check_alone(copy)
    with opened(copy, "r") as io:
        nwbfile = io.read()
        groups = nwbfile.electrode_groups
        assert groups["own"].device.description == "own"
        assert groups["own"].device is nwbfile.devices["dev"]
        assert groups["g"].device is nwbfile.devices["dev_3"]
        assert groups["g"].device.description == "of a"
        assert groups["g"].device.object_id == id_of(a, "/general/devices/dev")


@pytest.mark.parametrize("kind", KINDS)
def test_the_object_that_is_there_already_is_not_copied_again(tmp_path, kind):
    a = rig(tmp_path, kind)
    b = linking(tmp_path, kind, add_group, a)
    first = export(b, tmp_path / "first.nwb.zarr")
    # The copy has the device of `a`; a group that links to it there is added by hand.
    with ZarrIO(first, "r+") as io:
        root = io.read_builder()
        group = root["general/extracellular_ephys/g"]
        again = GroupBuilder("again", attributes={**group.attributes, "object_id": "other"})
        io.write_group("general/extracellular_ephys", again)
    target = "../" + a.name
    if kind == "hdf5":
        return
    zarr.open_group(first, mode="r+", use_consolidated=False)[
        "general/extracellular_ephys/again"
    ].attrs["_LINKS"] = [{"name": "device", "source": target, "path": "/general/devices/dev"}]
    with ZarrIO(first, "r-") as src, ZarrIO(tmp_path / "second.nwb.zarr", "w") as io:
        io.export(src)
    second = tmp_path / "second.nwb.zarr"
    assert list(root_of(second)["general/devices"].groups) == ["dev"]
    for group in ("g", "again"):
        found = target_of(second, f"general/extracellular_ephys/{group}/device")
        assert found[:2] == (str(second), "/general/devices/dev")


@pytest.mark.parametrize("kind", KINDS)
def test_targets_in_third_files_are_found(tmp_path, kind):
    a = rig(tmp_path, kind)

    def plane_with_device(nwbfile: NWBFile, a: NWBFile) -> None:
        channel = OpticalChannel(name="oc", description="d", emission_lambda=5.0)
        nwbfile.create_imaging_plane(
            name="middle",
            optical_channel=channel,
            description="d",
            device=a.devices["dev"],
            excitation_lambda=6.0,
            indicator="G",
            location="V1",
        )

    def add(nwbfile: NWBFile, middle: NWBFile) -> None:
        nwbfile.add_acquisition(series_of(middle.imaging_planes["middle"]))

    middle = linking(tmp_path, kind, plane_with_device, a, name="m")
    b = linking(tmp_path, kind, add, middle)
    copy = export(b, tmp_path / "c.nwb.zarr")
    check_alone(copy)
    found = target_of(copy, "general/optophysiology/middle/device")
    assert found == (str(copy), "/general/devices/dev", id_of(a, "/general/devices/dev"))


@pytest.mark.parametrize("way", ["convert", "container"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_copied_object_refers_to_is_copied(tmp_path, kind, way):
    """An `ElectricalSeries` in its place: its electrodes, their groups and these groups' device."""
    a = rig(tmp_path, kind)

    def own(nwbfile: NWBFile) -> None:
        device = nwbfile.create_device("dev", description="own")
        group = nwbfile.create_electrode_group("tetrode", "own", "l", device)
        nwbfile.add_electrode(x=9.0, y=2.0, z=3.0, location="own", group=group)

    b = linking(
        tmp_path, kind, lambda nwbfile, a: nwbfile.add_acquisition(a.acquisition["es"]), a, own=own
    )
    copy = export(b, tmp_path / "c.nwb.zarr", way)
    check_alone(copy)
    with opened(copy, "r") as io:
        nwbfile = io.read()
        region = nwbfile.acquisition["es"].electrodes
        assert region.table.object_id == id_of(a, "/general/extracellular_ephys/electrodes")
        assert list(region.table["x"][:]) == [1.0, 2.0]
        groups = region.table["group"][:]
        assert groups[0] is groups[1]
        assert groups[0].description == "d"
        assert groups[0].device.description == "of a"
        assert list(nwbfile.electrodes["x"][:]) == [9.0]
        assert nwbfile.electrodes["group"][0].description == "own"
        assert nwbfile.electrodes["group"][0].device.description == "own"


@pytest.mark.parametrize("kind", KINDS)
def test_groups_above_that_are_missing_are_made(tmp_path, kind):
    a = rig(tmp_path, kind)

    def add(nwbfile: NWBFile, a: NWBFile) -> None:
        nwbfile.add_acquisition(a.processing["ophys"]["rrs"])

    b = linking(tmp_path, kind, add, a)
    copy = export(b, tmp_path / "c.nwb.zarr")
    check_alone(copy)
    with opened(copy, "r") as io:
        nwbfile = io.read()
        table = nwbfile.acquisition["rrs"].rois.table
        assert table is nwbfile.processing["ophys"]["seg"]["ps"]
        assert nwbfile.processing["ophys"].description == "module of a"
        assert table.imaging_plane.device.description == "of a"
        np.testing.assert_array_equal(table["image_mask"][1], np.ones((3, 3)))
    assert id_of(copy, "processing/ophys/seg/ps") == id_of(a, "processing/ophys/seg/ps")
    # The module has one part of the other one: it is another object.
    assert id_of(copy, "processing/ophys") != id_of(a, "processing/ophys")


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_may_stand_in_the_place_of_a_link_does(tmp_path, kind):
    nwbfile = new_file("a")
    nwbfile.add_acquisition(TimeSeries(name="ts", data=np.arange(3.0), unit="V", rate=1.0))
    a = written(path_for(tmp_path, "a", kind), nwbfile, kind)
    b = linking(tmp_path, kind, lambda nwbfile, a: nwbfile.add_stimulus(a.acquisition["ts"]), a)
    copy = export(b, tmp_path / "c.nwb.zarr")
    check_alone(copy)
    assert list(root_of(copy)["stimulus/presentation"].groups) == ["ts"]
    assert list(root_of(copy)["acquisition"].groups) == []
    assert id_of(copy, "stimulus/presentation/ts") == id_of(a, "acquisition/ts")


@pytest.mark.parametrize("kind", KINDS)
def test_links_are_kept_where_that_is_asked_for(tmp_path, kind):
    a = rig(tmp_path, kind)
    b = linking(tmp_path, kind, add_group, a)
    if kind == "hdf5":
        convert(a, tmp_path / "a.nwb.zarr")
    copy = tmp_path / "c.nwb.zarr"
    assert main(["convert", str(b), str(copy), "--external-links", "keep"]) == 0
    assert list(root_of(copy)["general"].groups["extracellular_ephys"].groups) == ["g"]
    found = target_of(copy, "general/extracellular_ephys/g/device")
    expected = id_of(a, "/general/devices/dev")
    assert found == (str(tmp_path / "a.nwb.zarr"), "/general/devices/dev", expected)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("remote", [True, False])
def test_a_write_that_cannot_link_copies_to_the_own_path(tmp_path, remote, zarr_format):
    a = rig(tmp_path, "zarr3" if remote else "hdf5")
    path: Any = f"memory://{tmp_path.name}{zarr_format}.zarr" if remote else tmp_path / "b.nwb.zarr"
    with shared(a) as (manager, files):
        nwbfile = new_file("b")
        add_series(nwbfile, files[0])
        with NWBZarrIO(path, "w", manager=manager, zarr_format=zarr_format) as io:
            with pytest.warns(UserWarning, match="cannot link to"):
                io.write(nwbfile)
            device = files[0].devices["dev"]
            nwbfile.create_electrode_group("later", "d", "l", device)
            with pytest.warns(UserWarning, match="cannot link to"):
                io.write(nwbfile)
    assert check(path).findings == ()
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.devices) == ["dev"]
        assert nwbfile.acquisition["tp"].imaging_plane is nwbfile.imaging_planes["ip"]
        assert nwbfile.imaging_planes["ip"].device is nwbfile.devices["dev"]
        assert nwbfile.electrode_groups["later"].device is nwbfile.devices["dev"]
        assert nwbfile.devices["dev"].object_id == id_of(a, "/general/devices/dev")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_append_copies_to_the_own_path(tmp_path, zarr_format):
    a, other = rig(tmp_path, "hdf5"), rig(tmp_path, "hdf5", "other")
    path = tmp_path / "b.nwb.zarr"
    nwbfile = new_file("b")
    nwbfile.create_device("dev", description="own")
    written(path, nwbfile, f"zarr{zarr_format}")
    for source, name in ((a, "g"), (other, "h"), (a, "i")):
        with shared(source) as (manager, files), NWBZarrIO(path, "r+", manager=manager) as io:
            nwbfile = io.read()
            nwbfile.create_electrode_group(name, "d", "l", files[0].devices["dev"])
            with pytest.warns(UserWarning, match="cannot link to"):
                io.write(nwbfile)
    check_alone(path)
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        found = {name: group.device.description for name, group in nwbfile.electrode_groups.items()}
        assert found == {"g": "of a", "h": "of other", "i": "of a"}
        assert sorted(nwbfile.devices) == ["dev", "dev_2", "dev_3"]
        assert nwbfile.electrode_groups["i"].device is nwbfile.electrode_groups["g"].device


def test_a_reference_of_an_hdf5_file_does_not_lead_to_another_object_of_that_path(tmp_path):
    """In a write: the electrodes of the new file have the path of those that are copied."""
    a, path = rig(tmp_path, "hdf5"), tmp_path / "b.nwb.zarr"
    with shared(a) as (manager, files):
        nwbfile = new_file("b")
        device = nwbfile.create_device("dev", description="own")
        group = nwbfile.create_electrode_group("tetrode", "own", "l", device)
        nwbfile.add_electrode(x=9.0, y=2.0, z=3.0, location="own", group=group)
        nwbfile.add_acquisition(files[0].acquisition["es"])
        with NWBZarrIO(path, "w", manager=manager) as io, pytest.warns(UserWarning, match="link"):
            io.write(nwbfile)
    check_alone(path)
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        assert [g.description for g in nwbfile.acquisition["es"].electrodes.table["group"][:]] == [
            "d",
            "d",
        ]
        assert [g.description for g in nwbfile.electrodes["group"][:]] == ["own"]


def never_added(nwbfile: NWBFile) -> None:
    nwbfile.create_electrode_group("g", "d", "l", Device(name="nowhere"))


def of_a_file_that_is_never_written(nwbfile: NWBFile) -> None:
    device = new_file("never").create_device("nowhere")
    nwbfile.create_electrode_group("g", "d", "l", device)


@pytest.mark.parametrize("add", [never_added, of_a_file_that_is_never_written])
@pytest.mark.parametrize("way", ["write", "append", "export"])
def test_a_link_to_what_is_in_no_file_is_an_error_before_the_write(tmp_path, add, way):
    path = written(tmp_path / "a.nwb.zarr", new_file("a"), "zarr3")
    before = {one: one.read_bytes() for one in path.rglob("*") if one.is_file()}
    destination = path if way == "append" else tmp_path / "b.nwb.zarr"
    with ExitStack() as stack:
        if way == "write":
            nwbfile = new_file("b")
            io = stack.enter_context(NWBZarrIO(destination, "w"))
        else:
            source = stack.enter_context(NWBZarrIO(path, "r+" if way == "append" else "r"))
            nwbfile = source.read()
            io = source if way == "append" else NWBZarrIO(destination, "w")
            stack.enter_context(io)
        add(nwbfile)
        with pytest.raises(BrokenLinkError, match="(?s)g.*nowhere") as caught:
            io.export(source, nwbfile) if way == "export" else io.write(nwbfile)
        assert isinstance(caught.value, ValueError)
        assert str(destination) in str(caught.value)
        if way != "append":
            assert not destination.exists()
    assert {one: one.read_bytes() for one in path.rglob("*") if one.is_file()} == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_check_finds_an_object_in_the_place_of_a_link(tmp_path, zarr_format):
    path = rig(tmp_path, f"zarr{zarr_format}", "a")
    assert check(path).findings == ()
    root = zarr.open_group(path, mode="r+", zarr_format=zarr_format, use_consolidated=False)
    groups = root["general/extracellular_ephys"]
    wrong = groups.create_group("wrong", attributes=groups["tetrode"].attrs.asdict())
    links = wrong.attrs.pop("_LINKS" if zarr_format == 3 else "zarr_link")
    assert [link["name"] for link in links] == ["device"]
    wrong.create_group("device", attributes=root["general/devices/dev"].attrs.asdict())
    # Beside it: the consolidated metadata do not know the groups.
    (finding,) = [one for one in check(path).findings if one.code == "object-for-link"]
    assert finding.severity == "error"
    assert finding.path == "/general/extracellular_ephys/wrong/device"
    assert "Device" in finding.message


def test_an_upgrade_keeps_links_to_other_stores(tmp_path):
    a = rig(tmp_path, "zarr2")
    b = linking(tmp_path, "zarr2", add_group, a)
    (tmp_path / "sub").mkdir()
    upgrade(b, tmp_path / "sub" / "c.nwb.zarr")
    found = target_of(tmp_path / "sub" / "c.nwb.zarr", "general/extracellular_ephys/g/device")
    assert found == (str(a), "/general/devices/dev", id_of(a, "/general/devices/dev"))


def with_extension(folder: Path) -> Any:
    """Return a type map with a type whose links have no name of their own, and are optional."""
    builder = NWBNamespaceBuilder("doc", "ndx-rig", version="0.1.0", author="a", contact="a@b.c")
    for data_type in ("NWBDataInterface", "Device", "TimeSeries", "VectorData"):
        builder.include_type(data_type, namespace="core")
    links = [
        NWBLinkSpec("devices", target_type="Device", quantity="*"),
        NWBLinkSpec("a column", target_type="VectorData", name="column", quantity="?"),
        NWBLinkSpec("a series", target_type="TimeSeries", name="series", quantity="?"),
    ]
    spec = NWBGroupSpec(
        "doc", neurodata_type_def="Rig", neurodata_type_inc="NWBDataInterface", links=links
    )
    builder.add_spec("ndx-rig.extensions.yaml", spec)
    builder.export("ndx-rig.namespace.yaml", outdir=str(folder))
    type_map = get_type_map()
    type_map.load_namespaces(str(folder / "ndx-rig.namespace.yaml"))
    return type_map


@pytest.mark.parametrize("kind", KINDS)
def test_links_of_an_extension_are_known_by_their_types(tmp_path, kind):
    type_map = with_extension(tmp_path)
    nwbfile = new_file("a")
    devices = [nwbfile.create_device(name) for name in ("first", "second")]
    nwbfile.add_trial_column("score", "d")
    nwbfile.add_trial(start_time=1.0, stop_time=2.0, score=5.0)
    nwbfile.add_acquisition(TimeSeries(name="ts", data=np.arange(3.0), unit="V", rate=1.0))
    a = written(path_for(tmp_path, "a", kind), nwbfile, kind)
    manager = BuildManager(type_map)
    with opened(a, "r", manager) as io:
        there, nwbfile = io.read(), new_file("b")
        rig_of_b = type_map.get_dt_container_cls("Rig", "ndx-rig")(
            name="rig",
            devices=list(there.devices.values()),
            column=there.trials["score"],
            series=there.acquisition["ts"],
        )
        nwbfile.add_acquisition(rig_of_b)
        b = written(path_for(tmp_path, "b", kind), nwbfile, kind, manager)
    copy = export(b, tmp_path / "c.nwb.zarr")
    a.rename(tmp_path / "away")
    check_alone(copy)
    assert target_of(copy, "acquisition/rig/column")[1] == "/intervals/trials/score"
    assert target_of(copy, "acquisition/rig/series")[1] == "/acquisition/ts"
    with opened(copy, "r", BuildManager(type_map)) as io:
        nwbfile = io.read()
        found = nwbfile.acquisition["rig"]
        assert {one.object_id for one in found.devices.values()} == {d.object_id for d in devices}
        assert found.column is nwbfile.trials["score"]
        assert list(found.column[:]) == [5.0]
        # A table is read only as a whole.
        assert list(nwbfile.trials["start_time"][:]) == [1.0]


@pytest.mark.parametrize("path", ["/general/alias/dev", "/general/direct", "/general/devices/dev"])
def test_a_link_of_hdf5_through_soft_links_leads_to_the_own_path(tmp_path, path):
    a = rig(tmp_path, "hdf5")
    with h5py.File(a, "r+") as file:
        file["general/alias"] = h5py.SoftLink("/general/devices")
        file["general/direct"] = h5py.SoftLink("/general/devices/dev")
    nwbfile = new_file("b")
    for name in ("g", "h"):
        device = nwbfile.devices.get("own") or nwbfile.create_device("own")
        nwbfile.create_electrode_group(name, "d", "l", device)
    b = written(tmp_path / "b.nwb", nwbfile, "hdf5")
    with h5py.File(b, "r+") as file:
        for name, target in (("g", path), ("h", "/general/devices/dev")):
            group = file[f"general/extracellular_ephys/{name}"]
            del group["device"]
            group["device"] = h5py.ExternalLink("a.nwb", target)
    copy = export(b, tmp_path / "c.nwb.zarr")
    check_alone(copy)
    for name in ("g", "h"):
        found = target_of(copy, f"general/extracellular_ephys/{name}/device")
        assert found == (str(copy), "/general/devices/dev", id_of(a, "/general/devices/dev"))


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_one_name_in_two_files_are_two(tmp_path, kind):
    a, c = rig(tmp_path, kind, "a"), rig(tmp_path, kind, "c")

    def add(nwbfile: NWBFile, a: NWBFile, c: NWBFile) -> None:
        for name, file in (("of a", a), ("of c", c)):
            nwbfile.create_electrode_group(name, "d", "l", file.devices["dev"])
            nwbfile.add_acquisition(series_of(file.imaging_planes["ip"], name))
        nwbfile.add_acquisition(a.processing["ophys"]["rrs"])
        nwbfile.add_stimulus(c.processing["ophys"]["rrs"])

    copy = export(linking(tmp_path, kind, add, a, c), tmp_path / "d.nwb.zarr")
    check_alone(copy)
    with opened(copy, "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.devices) == ["dev", "dev_2"]
        for name in ("of a", "of c"):
            device = nwbfile.electrode_groups[name].device
            assert device.description == name
            assert nwbfile.acquisition[name].imaging_plane.description == name
            assert nwbfile.acquisition[name].imaging_plane.device is device
        for name, series in (("of a", nwbfile.acquisition), ("of c", nwbfile.stimulus)):
            table = series["rrs"].rois.table
            assert table.description == table.imaging_plane.description == name
        assert list(nwbfile.processing["ophys"]["seg"].plane_segmentations) == ["ps", "ps_2"]


def test_a_file_from_which_only_data_are_copied_is_not_read_as_a_whole(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["values"] = np.arange(3.0)
    nwbfile = new_file("b")
    nwbfile.add_acquisition(TimeSeries(name="ts", data=[1.0], unit="V", rate=1.0))
    b = written(tmp_path / "b.nwb", nwbfile, "hdf5")
    with h5py.File(b, "r+") as file:
        attributes = dict(file["acquisition/ts/data"].attrs)
        del file["acquisition/ts/data"]
        file["acquisition/ts/data"] = h5py.ExternalLink("data.h5", "/values")
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        file["values"].attrs.update(attributes)
    read: list[str] = []
    monkeypatch.setattr(LinkedFiles, "_io", lambda _self, filename: read.append(filename))
    copy = export(b, tmp_path / "c.nwb.zarr")
    assert read == []
    with opened(copy, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], np.arange(3.0))
