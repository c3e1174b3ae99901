"""Released versions read what we write, and we read what they write, value by value."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from tests.conftest import corpus_files
from tests.peers import write
from tests.peers.conftest import Peer
from tests.peers.describe import Description, describe
from tests.peers.facts import facts
from tests.rich import rich_manager, rich_nwbfile

# The fixtures make files, and HDMF and pynwb warn of what they hold.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\.")


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def unequal(a: Description, b: Description) -> dict[str, Any]:
    """Return what differs between two descriptions."""
    missing = "nothing"
    return {
        path: (a.get(path, missing), b.get(path, missing))
        for path in sorted({*a, *b})
        if a.get(path, missing) != b.get(path, missing)
    }


def described(path: Path, mode: str = "r") -> Description:
    """Return what we, or HDF5IO, read from a file."""
    with (NWBHDF5IO if path.suffix == ".nwb" else NWBZarrIO)(path, mode) as io:
        return as_json(describe(io.read_builder()))


def facts_of(path: Path) -> dict[str, Any]:
    with (NWBHDF5IO if path.suffix == ".nwb" else NWBZarrIO)(path, "r") as io:
        return as_json(facts(io.read()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peers")


@pytest.fixture(scope="module")
def twin(folder: Path) -> Path:
    """The rich file as HDF5."""
    with NWBHDF5IO(folder / "twin.nwb", "w") as io:
        io.write(rich_nwbfile())
    return folder / "twin.nwb"


@pytest.fixture(scope="module")
def ours(folder: Path) -> Path:
    """The rich file, as we write it."""
    write.write(str(folder / "ours.nwb.zarr"))
    return folder / "ours.nwb.zarr"


@pytest.fixture(scope="module")
def theirs(folder: Path, peer: Peer) -> Path:
    """The rich file, as the release writes it."""
    peer.run("write", "write", folder / "theirs.nwb.zarr")
    return folder / "theirs.nwb.zarr"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda store: Path(shutil.copytree(store, tmp_path / store.name))


# -- it reads what we write ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_it_reads_our_file(peer: Peer, ours: Path, twin: Path, tmp_path: Path, mode: str) -> None:
    assert unequal(peer.describe(ours, mode, tmp_path), described(twin)) == {}


def test_it_reads_our_file_with_an_extension(peer: Peer, tmp_path: Path) -> None:
    for kind, name in ((NWBZarrIO, "rich.zarr"), (NWBHDF5IO, "rich.nwb")):
        with kind(tmp_path / name, "w", manager=rich_manager()) as io:
            io.write(rich_nwbfile(io.manager.type_map))
    found = peer.describe(tmp_path / "rich.zarr", "r", tmp_path)
    assert "/acquisition/rich/raw" in found
    assert unequal(found, described(tmp_path / "rich.nwb")) == {}


def test_it_gives_the_same_containers(peer: Peer, ours: Path, twin: Path) -> None:
    assert unequal(json.loads(peer.run("facts", ours, "r")), facts_of(twin)) == {}


def test_it_finds_our_file_valid(peer: Peer, ours: Path) -> None:
    errors = peer.run("write", "validate", ours).splitlines()
    # The release gives every integer of an attribute as int64, of its own files, too.
    assert [error for error in errors if "sweep_number" not in error] == []


@pytest.mark.parametrize("name", ["exported.nwb", "exported.zarr"])
def test_it_exports_our_file(peer: Peer, ours: Path, twin: Path, tmp_path: Path, name: str) -> None:
    peer.run("write", "export", ours, tmp_path / name)
    found = unequal(described(tmp_path / name), described(twin))
    assert {path for path in found if not path.endswith("/specloc")} == set()


def test_it_reads_what_we_appended_to_its_file(
    peer: Peer, theirs: Path, copied: Callable[[Path], Path], tmp_path: Path
) -> None:
    store = copied(theirs)
    write.append(str(store))
    assert "/acquisition/added/data" in described(store)
    for mode in ("r", "r-"):
        assert unequal(peer.describe(store, mode, tmp_path), described(store, mode)) == {}


def test_it_follows_our_links_to_another_store(peer: Peer, ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours, tmp_path / "source.nwb.zarr")
    write.link(str(tmp_path / "source.nwb.zarr"), str(tmp_path / "linking.nwb.zarr"))
    links = json.loads((tmp_path / "linking.nwb.zarr/acquisition/shares/zarr.json").read_text())
    assert {entry["source"] for entry in links["attributes"]["_LINKS"]} == {"../source.nwb.zarr"}
    found = peer.describe(tmp_path / "linking.nwb.zarr", "r", tmp_path)
    assert unequal(found, described(tmp_path / "linking.nwb.zarr")) == {}
    assert found["/acquisition/shares/data"][:3] == ["elsewhere", "data", "uint16"]
    assert found["/acquisition/shares/timestamps"][:3] == ["elsewhere", "timestamps", "float64"]


@pytest.mark.parametrize("hdf5", corpus_files(), ids=lambda path: path.name)
def test_it_reads_the_corpus_as_we_convert_it(peer: Peer, tmp_path: Path, hdf5: Path) -> None:
    with NWBHDF5IO(hdf5, "r") as source, NWBZarrIO(tmp_path / "copy.nwb.zarr", "w") as io:
        io.export(source)
    assert unequal(peer.describe(tmp_path / "copy.nwb.zarr", "r", tmp_path), described(hdf5)) == {}


# -- we read what it writes ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_we_read_its_file(theirs: Path, twin: Path, mode: str) -> None:
    assert unequal(described(theirs, mode), described(twin)) == {}


def test_we_give_the_same_containers(theirs: Path, twin: Path) -> None:
    assert unequal(facts_of(theirs), facts_of(twin)) == {}


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_we_read_what_it_appended_to_our_file(
    peer: Peer, ours: Path, copied: Callable[[Path], Path], tmp_path: Path, mode: str
) -> None:
    store = copied(ours)
    peer.run("write", "append", store)
    found = described(store, mode)
    assert found["/acquisition/added/timestamps"] == "-> /acquisition/first/timestamps"
    assert found["/units/later"][1] == ["a", "ö", ""]
    assert unequal(found, peer.describe(store, mode, tmp_path)) == {}


def test_we_follow_its_links_to_another_store(peer: Peer, ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours, tmp_path / "source.nwb.zarr")
    peer.run("write", "link", tmp_path / "source.nwb.zarr", tmp_path / "linking.nwb.zarr")
    found = described(tmp_path / "linking.nwb.zarr")
    assert found["/acquisition/shares/data"][:3] == ["elsewhere", "data", "uint16"]
    assert found["/acquisition/shares/timestamps"][:3] == ["elsewhere", "timestamps", "float64"]
    assert unequal(found, peer.describe(tmp_path / "linking.nwb.zarr", "r", tmp_path)) == {}


# -- every kind of array ---------------------------------------------------------------------------


def _record(*fields: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "dtype": dtype} for name, dtype in fields]


def arrays() -> dict[str, Any]:
    """Return the data of datasets that NWB has not, and the dtype where they do not tell it."""
    steps = np.arange(1000.0).reshape(100, 10)
    whole = np.arange(1000).reshape(100, 10)
    return {
        "fixed bytes": (np.array([b"ab", b"c\xff", b"def"]), None),
        "bytes": ([b"ab", b"\xff\xfe"], "bytes"),
        "ascii": ([b"ab", b"cd"], "ascii"),
        "dates": (["2024-01-01T00:00:00", "2024-01-02T00:00:00"], "isodatetime"),
        "text": (["", "löng", "日本"], "text"),
        "one text": ("hällo", None),
        "one bool": (np.bool_(1), None),
        "one number": (np.int8(-3), None),
        "empty": (np.zeros((0, 3)), None),
        "empty text": (np.array([], dtype=object), "text"),
        "half": (np.array([1.5, np.nan, -np.inf], dtype="f2"), None),
        "big endian": (np.arange(4, dtype=">i4"), None),
        "numbers": (
            np.array([(1, 2.5), (3, np.nan)], dtype="i4,f8"),
            _record(("f0", "int32"), ("f1", "float64")),
        ),
        "texts": ([(1, "ä"), (3, "löngér")], _record(("n", "int32"), ("t", "text"))),
        "asciis": ([(1, b"a"), (3, b"long")], _record(("n", "int32"), ("t", "ascii"))),
        "no rows": ([], _record(("n", "int32"), ("t", "text"))),
        "one row": (
            np.array((1, 2.5), dtype="i4,f8")[()],
            _record(("f0", "int32"), ("f1", "float64")),
        ),
        "sharded": (ZarrDataIO(steps, chunks=(10, 10), shards=(50, 10)), None),
        "gzip": (ZarrDataIO(steps, compressor=numcodecs.GZip(3)), None),
        "zlib": (ZarrDataIO(steps, compressor=numcodecs.Zlib(3)), None),
        "shuffled": (ZarrDataIO(whole, compressor=[numcodecs.Shuffle(8), numcodecs.Zstd(3)]), None),
        "delta": (ZarrDataIO(whole, filters=[numcodecs.Delta("i8")]), None),
        "raw": (ZarrDataIO(whole, compressor=False), None),
        "blosc": (ZarrDataIO(whole, compressor=numcodecs.Blosc("lz4", 5, 2)), None),
    }


ATTRIBUTES = {
    "u1": np.uint8(255),
    "i2": np.int16(-3),
    "u4": np.uint32(2**32 - 1),
    "u8": np.uint64(2**64 - 1),
    "f4": np.float32(0.1),
    "nan": np.nan,
    "inf": -np.inf,
    "array": np.array([1, 2], dtype="u2"),
    "nans": np.array([np.nan, 1.0]),
    "a text": "ä",
    "a texts": ["a", "日本"],
    "flag": np.bool_(0),
}


def test_it_reads_every_kind_of_array_of_ours(peer: Peer, tmp_path: Path) -> None:
    root = GroupBuilder("root", attributes=ATTRIBUTES, source=str(tmp_path / "all.zarr"))
    for name, (data, dtype) in arrays().items():
        root.set_dataset(DatasetBuilder(name, data, dtype=dtype))
    target = DatasetBuilder("target", np.arange(3))
    group = GroupBuilder("group", attributes={"refers": ReferenceBuilder(target)})
    root.set_dataset(target)
    root.set_group(group)
    references = [ReferenceBuilder(target), ReferenceBuilder(group)]
    root.set_dataset(DatasetBuilder("references", references, dtype="object"))
    root.set_dataset(DatasetBuilder("one reference", references[0], dtype="object"))
    rows = [(n, reference) for n, reference in enumerate(references)]
    fields = _record(("n", "int32"), ("r", "object"))
    root.set_dataset(DatasetBuilder("rows", rows, dtype=fields))
    root.set_link(LinkBuilder(target, name="link"))
    with ZarrIO(tmp_path / "all.zarr", "w") as io:
        io.write_builder(root)
    with ZarrIO(tmp_path / "all.zarr", "r") as io:
        own = as_json(describe(io.read_builder()))
    assert own["/references"][1] == ["-> /target", "-> /group"]
    assert unequal(peer.describe(tmp_path / "all.zarr", "r", tmp_path), own) == {}


def test_it_follows_our_references_to_another_store(peer: Peer, tmp_path: Path) -> None:
    other = GroupBuilder("root", source=str(tmp_path / "other.zarr"))
    other.set_dataset(DatasetBuilder("far", np.arange(3)))
    with ZarrIO(tmp_path / "other.zarr", "w") as io:
        io.write_builder(other)
    with ZarrIO(tmp_path / "other.zarr", "r") as io:
        far = ReferenceBuilder(io.read_builder()["far"])
        root = GroupBuilder("root", source=str(tmp_path / "near.zarr"), attributes={"far": far})
        root.set_dataset(DatasetBuilder("column", [far, far], dtype="object"))
        fields = _record(("n", "int32"), ("r", "object"))
        root.set_dataset(DatasetBuilder("rows", [(1, far)], dtype=fields))
        with ZarrIO(tmp_path / "near.zarr", "w") as near:
            near.write_builder(root)
    found = peer.describe(tmp_path / "near.zarr", "r", tmp_path)
    assert found["/column"][1] == ["-> /far", "-> /far"]
    assert found["/rows"][1][0][1] == [None, "-> /far"]
    assert found["@far"] == "-> /far"
