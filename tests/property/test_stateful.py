"""Writes, appends, deletions, failures and reopenings in any order, against a model in memory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hdmf_zarr import ZarrIO, check
from tests.faults import end_as_if_killed

numbers = st.lists(st.integers(-100, 100), min_size=1, max_size=30)


class Files(RuleBasedStateMachine):
    """One store, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "file.zarr"
        self.model: dict[str, list[int]] = {}
        self.n_groups = 0
        self.reader: tuple[ZarrIO, Any] | None = None

    def teardown(self) -> None:
        self.stop_reading()
        shutil.rmtree(self.folder)

    @initialize(values=numbers, zarr_format=st.sampled_from([2, 3]))
    def start(self, values: list[int], zarr_format: int) -> None:
        self.zarr_format = zarr_format
        self.replace(values)

    @rule(values=numbers)
    def replace(self, values: list[int]) -> None:
        with ZarrIO(self.path, "w", get_manager(), zarr_format=self.zarr_format) as io:
            io.write_builder(self._root({"first": values}))
        self.model = {"first": list(values)}

    def _root(self, arrays: dict[str, list[int]]) -> GroupBuilder:
        root = GroupBuilder("root")
        for name, values in arrays.items():
            root.set_group(self._group(name, values))
        return root

    def _group(self, name: str, values: list[int]) -> GroupBuilder:
        group = GroupBuilder(name, attributes={"name": name})
        group.set_dataset(DatasetBuilder("data", np.array(values, dtype="int32")))
        return group

    @rule(values=numbers)
    def add_a_group(self, values: list[int]) -> None:
        self.n_groups += 1
        name = f"group{self.n_groups}"
        with ZarrIO(self.path, "r+", get_manager()) as io:
            io.write_group("", self._group(name, values))
        self.model[name] = list(values)

    @rule(which=st.integers(0, 5), values=numbers)
    def delete_a_group(self, which: int, values: list[int]) -> None:
        """With zarr, which has what HDMF has not; the next append takes it over."""
        name = sorted(self.model)[which % len(self.model)]
        del zarr.open_group(self.path, mode="r+", use_consolidated=False)[name]
        del self.model[name]
        self.add_a_group(values)

    @rule(values=numbers, mode=st.sampled_from(["w", "w-", "x", "a"]))
    def delete_the_store(self, values: list[int], mode: str) -> None:
        self.stop_reading()
        shutil.rmtree(self.path)
        with ZarrIO(self.path, mode, get_manager(), zarr_format=self.zarr_format) as io:
            io.write_builder(self._root({"first": values}))
        self.model = {"first": list(values)}

    @rule()
    def start_reading(self) -> None:
        """A reader that stays open while others write."""
        self.stop_reading()
        io = ZarrIO(self.path, "r", get_manager())
        root = io.read_builder()
        self.reader = (
            io,
            {name: (root[name]["data"].data, self.model[name][:]) for name in self.model},
        )

    @rule()
    def go_on_reading(self) -> None:
        """It reads what was there when it was opened, or is told that this is gone."""
        if self.reader is None:
            return
        for data, expected in self.reader[1].values():
            try:
                found = data[:].tolist()
            except (ValueError, RuntimeError, OSError):
                continue
            if not self.is_assigned:
                assert found == expected

    def stop_reading(self) -> None:
        if self.reader is not None:
            self.reader[0].close()
        self.reader = None
        self.is_assigned = False

    @rule(values=numbers, which=st.integers(0, 5), mode=st.sampled_from(["r+", "a"]))
    def add_rows(self, values: list[int], which: int, mode: str) -> None:
        name = sorted(self.model)[which % len(self.model)]
        with ZarrIO(self.path, mode, get_manager()) as io:
            io.read_builder()[name]["data"].data.append(np.array(values, dtype="int32"))
        self.model[name] += values

    @rule(which=st.integers(0, 5), size=st.integers(0, 40))
    def resize(self, which: int, size: int) -> None:
        name = sorted(self.model)[which % len(self.model)]
        with ZarrIO(self.path, "r+", get_manager()) as io:
            data = io.read_builder()[name]["data"].data
            data.resize((size,))
            if size > len(self.model[name]):
                data[len(self.model[name]) :] = 7
        self.is_assigned = True
        kept = self.model[name][:size]
        self.model[name] = kept + [7] * (size - len(kept))

    @rule(which=st.integers(0, 5), value=st.integers(-100, 100))
    def assign(self, which: int, value: int) -> None:
        name = sorted(self.model)[which % len(self.model)]
        if self.model[name]:
            with ZarrIO(self.path, "r+", get_manager()) as io:
                io.read_builder()[name]["data"].data[0] = value
            self.model[name][0] = value
            self.is_assigned = True  # elements that are overwritten are seen at once

    @rule(values=numbers, mode=st.sampled_from(["r+", "w"]))
    def fail(self, values: list[int], mode: str) -> None:
        """What cannot be written is an error, and nothing has happened."""
        root = self._root({"new": values})
        bad: Any = np.array([object()])
        root["new"].set_dataset(DatasetBuilder("bad", bad))
        try:
            with ZarrIO(self.path, mode, get_manager()) as io:
                io.write_builder(root)
        except (TypeError, ValueError):
            return
        raise AssertionError("it was written")

    @rule()
    def crash(self) -> None:
        """An append of which only the beginning came to the disk."""
        io = ZarrIO(self.path, "r+", get_manager())
        io.write_group("", self._group("lost", [1, 2, 3]))
        end_as_if_killed(io)

    @invariant()
    def the_store_is_the_model(self) -> None:
        if not self.model:
            return
        with ZarrIO(self.path, "r", get_manager()) as io:
            root = io.read_builder()
            found = {name: root[name]["data"].data[:].tolist() for name in root.groups}
            assert found == self.model
            assert {root[name].attributes["name"] for name in root.groups} == set(self.model)
        report = check(self.path)
        assert {finding.severity for finding in report.findings} <= {"note"}, report
        assert [path.name for path in self.folder.iterdir()] == ["file.zarr"]


TestFiles = Files.TestCase
TestFiles.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
