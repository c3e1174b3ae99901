"""The metadata of a store are read without trust: nonsense becomes a finding, not an error."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import pytest
import zarr
from zarr.storage import MemoryStore

from hdmf_zarr.checking import inventory
from hdmf_zarr.checking.inventory import Examined, examine, object_sizes
from hdmf_zarr.core import limits
from hdmf_zarr.errors import NotAStoreError, StoreNotFoundError
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


@pytest.fixture(params=[2, 3])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store with the group ``g`` and the array ``g/data``, of each format."""
    path = tmp_path / "a.zarr"
    root = zarr.create_group(str(path), zarr_format=request.param, attributes={"a": 1})
    root.create_group("g").create_array("data", shape=(4,), chunks=(2,), dtype="i2")[...] = 3
    return path


@pytest.fixture
def path3(tmp_path: Path) -> Path:
    path = tmp_path / "three.zarr"
    zarr.create_group(str(path)).create_group("g")
    return path


def codes(examined: Examined) -> list[tuple[str, str, str | None]]:
    return [(found.code, found.path, found.key) for found in examined.findings]


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# -- a sound store ---------------------------------------------------------------------------------


def test_a_sound_store_has_no_findings(path: Path) -> None:
    examined = examine(locate(path))
    assert codes(examined) == []
    assert set(examined.nodes()) == {"", "g", "g/data"}
    assert list(examined.arrays()) == ["g/data"]
    assert examined.hierarchy.attributes("") == {"a": 1}
    assert examined.held is None
    assert examined.uri == str(path)
    assert examined.zarr_format == zarr.open_group(str(path), mode="r").metadata.zarr_format


def test_the_bytes_of_every_object_are_known(path: Path) -> None:
    sizes = examine(locate(path)).sizes
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    assert sizes == {key: file.stat().st_size for key, file in files.items()}


def test_consolidated_metadata_are_read_besides(path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(str(path))
    examined = examine(locate(path))
    assert codes(examined) == []
    assert examined.held is not None
    assert {"g", "g/data"} <= {key.rpartition("/")[0] for key in examined.held}
    assert set(examined.held) <= set(examined.own)
    assert "consolidated_metadata" not in examined.own[examined.root_key]


def test_cached_specifications_are_no_nodes(path3: Path) -> None:
    rewrite(path3 / "zarr.json", attributes={".specloc": "specifications"})
    zarr.open_group(str(path3)).create_group("specifications").create_group("core")
    zarr.open_group(str(path3)).create_group("specifications_of_mine")
    examined = examine(locate(path3))
    assert set(examined.nodes()) == {"", "g", "specifications_of_mine"}
    assert examined.is_specification("specifications/core")


def test_a_change_meanwhile_is_noticed(path: Path) -> None:
    examined = examine(locate(path))
    assert not examined.is_changed()
    root = path / ("zarr.json" if examined.zarr_format == 3 else ".zattrs")
    root.write_text(root.read_text() + "\n")
    assert examined.is_changed()


# -- no store --------------------------------------------------------------------------------------


def test_what_is_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="does not exist; check the path"):
        examine(locate(tmp_path / "nothing.zarr"))
    with h5py.File(tmp_path / "a.nwb", "w"):
        pass
    with pytest.raises(NotAStoreError, match="is an HDF5 file; only Zarr stores can be checked"):
        examine(locate(tmp_path / "a.nwb"))
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(NotAStoreError, match="is a file, but no Zarr store"):
        examine(locate(tmp_path / "a.txt"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    with pytest.raises(NotAStoreError, match="is not a Zarr store: it has no metadata"):
        examine(locate(tmp_path / "folder"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_at_the_root_is_no_store(tmp_path: Path, zarr_format: Any) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(2,), dtype="i2", zarr_format=zarr_format)
    with pytest.raises(NotAStoreError, match="holds a Zarr array at its root, not a group"):
        examine(locate(tmp_path / "a.zarr"))


# -- what is broken --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ""),
        ("{", ""),
        ("[]", "must be a JSON object, found list"),
        ("3", "must be a JSON object, found int"),
        ("null", "must be a JSON object, found NoneType"),
        ("\xff", ""),
    ],
)
def test_a_document_that_is_no_json_object_is_a_finding(
    path3: Path, text: str, message: str
) -> None:
    (path3 / "g" / "zarr.json").write_bytes(text.encode("latin-1"))
    examined = examine(locate(path3))
    assert codes(examined) == [("broken-document", "/g", "g/zarr.json")]
    assert message in examined.findings[0].message
    assert set(examined.nodes()) == {""}


@pytest.mark.parametrize("changes", [{"node_type": "other"}, {"zarr_format": 4}, {"attributes": 3}])
def test_a_document_that_makes_no_sense_is_a_finding(path3: Path, changes: Any) -> None:
    rewrite(path3 / "g" / "zarr.json", **changes)
    examined = examine(locate(path3))
    assert [found[0] for found in codes(examined)] == ["broken-document"]
    assert "g" not in examined.hierarchy.documents


def test_a_root_that_is_broken_is_told_once(path3: Path) -> None:
    (path3 / "zarr.json").write_text("{")
    examined = examine(locate(path3))
    assert set(codes(examined)) == {("broken-document", "/", "zarr.json")}
    assert set(examined.nodes()) == {"", "g"}


def test_a_write_that_did_not_finish_has_no_root(path3: Path) -> None:
    (path3 / "zarr.json").unlink()
    examined = examine(locate(path3))
    assert codes(examined) == [("unfinished-write", "/", None)]
    assert set(examined.nodes()) == {"", "g"}


def test_consolidated_metadata_that_are_no_object_are_a_finding(path3: Path) -> None:
    held = {"kind": "inline", "must_understand": False, "metadata": 3}
    rewrite(path3 / "zarr.json", consolidated_metadata=held)
    examined = examine(locate(path3))
    assert codes(examined) == [("broken-consolidated-metadata", "/", None)]
    assert examined.held is None
    assert set(examined.nodes()) == {"", "g"}


def test_a_path_that_leads_out_of_the_store_is_a_finding(path3: Path) -> None:
    document = json.loads((path3 / "g" / "zarr.json").read_text())
    held = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {"../b": document, "g": document},
    }
    rewrite(path3 / "zarr.json", consolidated_metadata=held)
    examined = examine(locate(path3))
    assert [found[0] for found in codes(examined)] == ["unsafe-name"]
    assert set(examined.nodes()) == {"", "g"}


def test_documents_beyond_the_limits_are_findings(
    path3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep: Any = 1
    for _ in range(limits.DEEPEST_JSON + 2):
        deep = [deep]
    rewrite(path3 / "g" / "zarr.json", attributes={"a": deep})
    assert codes(examine(locate(path3))) == [("broken-document", "/g", "g/zarr.json")]

    def refuse(n_bytes: int, where: str) -> None:
        if where == "/g/zarr.json":
            raise limits.MetadataError(f"{where} has {n_bytes} bytes")

    monkeypatch.setattr(limits, "check_document_size", refuse)
    assert codes(examine(locate(path3))) == [("beyond-limits", "/g", "g/zarr.json")]


def test_an_object_that_cannot_be_read_costs_itself_alone(
    path3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytestore = open_bytestore(locate(path3), read_only=True)
    get = type(bytestore).get

    def fail_many(_self: Any, _keys: Any, **_options: Any) -> Any:
        raise OSError("no such disk")

    def fail_g(self: Any, key: str, most: Any = None) -> Any:
        if key.startswith("g/"):
            raise OSError("no permission")
        return get(self, key, most)

    monkeypatch.setattr(type(bytestore), "get_many", fail_many)
    monkeypatch.setattr(type(bytestore), "get", fail_g)
    examined = examine(locate(path3))
    assert codes(examined) == [("unreadable-object", "/g", "g/zarr.json")]
    assert set(examined.nodes()) == {""}


# -- stores that cannot be listed ------------------------------------------------------------------


class Unlisted(MemoryStore):
    supports_listing = False

    def list_prefix(self, prefix: str) -> Any:
        raise NotImplementedError

    def list(self) -> Any:
        raise NotImplementedError


def test_a_store_that_cannot_be_listed_is_known_by_its_consolidated_metadata() -> None:
    store = Unlisted()
    zarr.create_group(store).create_group("g")
    documents = {key: json.loads(value.to_bytes()) for key, value in store._store_dict.items()}
    held = {"kind": "inline", "must_understand": False, "metadata": {"g": documents["g/zarr.json"]}}
    root = {**documents["zarr.json"], "consolidated_metadata": held}
    bytestore = open_bytestore(locate(store), read_only=False)
    bytestore.set("zarr.json", json.dumps(root).encode())
    bytestore.flush()
    assert object_sizes(bytestore) is None
    examined = examine(locate(store))
    assert codes(examined) == [("not-listed", "/", None)]
    assert set(examined.nodes()) == {"", "g"}


def test_objects_that_stand_for_folders_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    zarr.create_group(store)
    bytestore = open_bytestore(locate(store), read_only=True)
    monkeypatch.setattr(type(bytestore), "sizes", lambda _self: {"a/": 0, "zarr.json": 3})
    assert object_sizes(bytestore) == {"zarr.json": 3}
    monkeypatch.setattr(type(bytestore), "sizes", lambda _self: {"a/": 0})
    assert object_sizes(bytestore) is None


@pytest.mark.parametrize("together", [1, 2])
def test_documents_are_asked_for_in_batches(
    path: Path, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "READ_TOGETHER", together)
    assert set(examine(locate(path)).nodes()) == {"", "g", "g/data"}
