"""Rows that wait until their targets are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder

from hdmf_zarr import ZarrIO
from hdmf_zarr.metadata.documents import group_document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = GroupBuilder("target")
    data = DatasetBuilder("data", [ReferenceBuilder(target)], dtype="object")
    root = GroupBuilder("root", groups=[target], datasets=[data], attributes={"data_type": "X"})
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write_builder(root)
    return tmp_path / "a.zarr"


def with_waiting_row(io: ZarrIO) -> Any:
    """Add a row that refers to a group which is not in the store yet."""
    data = io.read_builder()["data"].data
    data.append(GroupBuilder("late", source=io.source))
    assert (len(data), data.n_pending) == (2, 1)
    return data


def test_rows_that_wait_are_written_with_their_targets(path: Path) -> None:
    with ZarrIO(path, "r+") as io:
        data = with_waiting_row(io)
        with io._session.transaction(consolidate=True, durable=False):
            io._session.begin().set_document("late", group_document({}))
        assert (len(data), data.n_pending) == (2, 0)
    with ZarrIO(path, "r") as io:
        builder = io.read_builder()
        assert list(builder["data"].data) == [builder["target"], builder["late"]]


def test_rows_wait_again_where_the_commit_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(**_options: object) -> None:
        raise OSError("the disk is full")

    with ZarrIO(path, "r+") as io:
        data, session = with_waiting_row(io), io._session
        with monkeypatch.context() as patch:
            patch.setattr(session, "commit", failing)
            with pytest.raises(OSError, match="the disk is full"):
                with session.transaction(consolidate=True, durable=False):
                    session.begin().set_document("late", group_document({}))
        assert (len(data), data.n_pending) == (2, 1)
        with session.transaction(consolidate=True, durable=False):
            session.begin().set_document("late", group_document({}))
    with ZarrIO(path, "r") as io:
        assert len(io.read_builder()["data"].data) == 2


def test_rows_whose_targets_were_never_written_are_lost_with_a_warning(path: Path) -> None:
    with ZarrIO(path, "r+") as io:
        with_waiting_row(io)
        with pytest.warns(UserWarning, match="a.zarr:/data: rows .* never written are lost"):
            io.close()
    with ZarrIO(path, "r") as io:
        assert len(io.read_builder()["data"].data) == 1
