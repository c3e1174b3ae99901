"""One open store: what a mode allows, and what a transaction leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zarr
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, TypeMap
from hdmf.spec import NamespaceCatalog
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrIO
from hdmf_zarr.errors import (
    ModeError,
    NoDataError,
    ObjectExistsError,
    StoreExistsError,
    StoreNotFoundError,
    UnsupportedFormatError,
)
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.session.modes import APPENDING_MODES, CREATING_MODES, MODES, READING_MODES
from hdmf_zarr.session.session import Session, session_of
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.job import WriteSource, write_piece, write_tree
from hdmf_zarr.write.options import WriteOptions


def session(path: Any, mode: str, **options: Any) -> Session:
    return Session(locate(path), mode, BuildManager(TypeMap(NamespaceCatalog())), **options)


def opened(path: Any, mode: str, **options: Any) -> Session:
    one = session(path, mode, **options)
    one.open()
    return one


def root(*names: str, **attributes: Any) -> GroupBuilder:
    datasets = [DatasetBuilder(name, [1, 2]) for name in names]
    return GroupBuilder("root", datasets=datasets, attributes=attributes)


def write(one: Session, builder: GroupBuilder, **options: Any) -> None:
    source = WriteSource(builder=builder, manager=one.manager)
    write_tree(one, source, WriteOptions(**options))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "a.zarr"
    one = opened(path, "w")
    write(one, root("a", data_type="Container", object_id="1"))
    one.close()
    return path


def names(path: Any) -> list[str]:
    return sorted(zarr.open_group(path, mode="r"))


# -- modes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", sorted(READING_MODES | {"r+"}))
def test_a_store_to_read_or_append_to_must_be_there(tmp_path: Path, mode: str) -> None:
    one = session(tmp_path / "none.zarr", mode)
    with pytest.raises(StoreNotFoundError, match="does not exist"):
        one.open()
    assert not one.is_open


@pytest.mark.parametrize("mode", ["w-", "x"])
def test_a_store_that_is_there_is_replaced_only_in_mode_w(stored: Path, mode: str) -> None:
    with pytest.raises(StoreExistsError, match="does not replace it"):
        session(stored, mode).open()
    assert names(stored) == ["a"]


@pytest.mark.parametrize("mode", sorted({*CREATING_MODES, "a"}))
def test_a_store_is_created_with_the_first_change_and_not_before(tmp_path: Path, mode: str) -> None:
    one = opened(tmp_path / "new.zarr", mode)
    assert (one.hierarchy, one.is_new) == (None, False)
    assert one.begin() is one.hierarchy
    assert one.is_new
    one.close()
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.parametrize("mode", MODES)
def test_what_a_mode_allows_is_known_once_the_store_is_open(
    stored: Path, tmp_path: Path, mode: str
) -> None:
    one = session(tmp_path / "new.zarr" if mode in CREATING_MODES else stored, mode)
    for require in (one.require_open, one.require_writable):
        with pytest.raises(ModeError, match="is closed"):
            require()
    one.open()
    for require, refused in (
        (one.require_writable, READING_MODES),
        (one.require_readable, CREATING_MODES),
    ):
        if mode in refused:
            with pytest.raises(ModeError, match=f"in mode {mode!r}; use mode"):
                require()
        else:
            require()
    assert one.is_for_reading == (mode in READING_MODES)
    one.close()
    with pytest.raises(ModeError, match="is closed"):
        one.require_open()


@pytest.mark.parametrize("zarr_format", [0, 1, 4, "3"])
def test_a_format_that_is_not_known_is_refused_before_anything_is_opened(
    tmp_path: Path, zarr_format: Any
) -> None:
    with pytest.raises(UnsupportedFormatError, match="choose one of: 3, 2"):
        session(tmp_path / "a.zarr", "w", zarr_format=zarr_format)


@pytest.mark.parametrize("mode", sorted(READING_MODES))
def test_metadata_that_were_read_already_are_taken_once(mode: str) -> None:
    store = MemoryStore()
    zarr.create_group(store, attributes={"data_type": "X"})
    bytestore = opened(store, "r").hierarchy.bytestore  # type: ignore[union-attr]
    loaded = Hierarchy(bytestore, {"": group_document({})}, zarr_format=3)
    one = session(store, mode, loaded=loaded)
    one.open()
    assert one.hierarchy is loaded
    with pytest.raises(NoDataError, match="holds no HDMF data"):
        one.require_data()
    one.close()
    one.open()
    assert one.hierarchy is not loaded
    one.require_data()
    one.close()


# -- transactions ----------------------------------------------------------------------------------


def test_a_tree_is_committed_and_its_builders_are_known_as_written(tmp_path: Path) -> None:
    one, builder = opened(tmp_path / "a.zarr", "w"), root("a", "b")
    assert not one.is_written(builder)
    write(one, builder)
    assert not one.is_new
    assert one.is_written(builder)
    assert one.is_written(builder["b"])
    assert names(tmp_path / "a.zarr") == ["a", "b"]
    one.close()


@pytest.mark.parametrize("mode", ["w", "r+"])
def test_a_transaction_that_fails_leaves_what_was_there(stored: Path, mode: str) -> None:
    before = {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()}
    one = opened(stored, mode)
    hierarchy = one.begin()
    documents = dict(hierarchy.documents)
    with pytest.raises(KeyboardInterrupt), one.transaction(consolidate=True, durable=False):
        hierarchy.begin()
        hierarchy.set_document("late", group_document({}))
        raise KeyboardInterrupt
    assert one.hierarchy is None if mode == "w" else hierarchy.documents == documents
    assert not one.is_new
    one.close()
    after = {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()}
    assert after == before


def test_a_new_store_with_an_error_is_discarded(tmp_path: Path) -> None:
    one = opened(tmp_path / "a.zarr", "w")
    piece = WriteSource(builder=GroupBuilder("group"), manager=one.manager)
    write_piece(one, "", piece, WriteOptions())
    one.discard_new_store()
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_pieces_are_committed_by_the_close(tmp_path: Path) -> None:
    one = opened(tmp_path / "a.zarr", "w", zarr_format=2)
    piece = WriteSource(builder=GroupBuilder("group"), manager=one.manager)
    write_piece(one, "", piece, WriteOptions())
    assert not (tmp_path / "a.zarr").exists()
    one.close()
    assert names(tmp_path / "a.zarr") == ["group"]
    assert (tmp_path / "a.zarr" / ".zgroup").exists()


@pytest.mark.parametrize("mode", sorted(APPENDING_MODES))
def test_another_root_is_refused_and_nothing_is_written(stored: Path, mode: str) -> None:
    one = opened(stored, mode)
    with pytest.raises(ObjectExistsError, match="holds a file already \\(Container 1\\)"):
        write(one, root("b", data_type="Container"))
    one.close()
    assert names(stored) == ["a"]


# -- IOs -------------------------------------------------------------------------------------------


def test_the_session_of_an_io_is_found_and_others_have_none(tmp_path: Path) -> None:
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        found = session_of(io)
        assert found is not None
        assert found.uri == io.source
    assert session_of(object()) is None
    assert session_of(None) is None
