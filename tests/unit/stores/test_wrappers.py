"""Stores that wrap another one, and views that only read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, MemoryStore, WrapperStore

from hdmf_zarr.stores.wrappers import innermost_store, mapping_of, read_only_view, wrapped_store


def test_all_wrappers_lead_to_the_innermost_store() -> None:
    store = MemoryStore()
    assert innermost_store(store) is store
    assert innermost_store(WrapperStore(WrapperStore(store))) is store
    once = WrapperStore(store)
    assert wrapped_store(WrapperStore(once)) is once
    assert wrapped_store(store) is None


def test_a_store_in_memory_has_a_mapping() -> None:
    held: dict[str, Any] = {}
    assert mapping_of(MemoryStore(held)) is held


def test_a_view_only_reads(tmp_path: Path) -> None:
    for store in (MemoryStore(), LocalStore(tmp_path)):
        view: Any = read_only_view(store)
        assert view.read_only
        assert not store.read_only
        assert read_only_view(view) is view
    memory = MemoryStore()
    view = read_only_view(memory)
    assert isinstance(view, MemoryStore)
    assert mapping_of(view) is mapping_of(memory)


class OwnStore(MemoryStore):
    """With a constructor of its own, of which zarr's `with_read_only` knows nothing."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__()
        self.called = (name, number)


def test_a_store_that_makes_no_copies_is_left_as_it_is() -> None:
    own = OwnStore("a", 1)
    assert read_only_view(own) is own
    wrapper: Any = WrapperStore(own)
    assert not read_only_view(wrapper).read_only
