"""Progress bars: one for each dataset, and one in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

FORMAT = {"unit": "B", "unit_scale": True, "dynamic_ncols": True}


class Watched(Protocol):
    """A dataset that is being written."""

    name: str
    n_bytes: int | None
    iterator: Any


@dataclass
class Bars:
    """Bars for datasets whose iterators request one (``display_progress``).

    Workers show no bars: the bytes of a task are counted here when it is done.

    Parameters
    ----------
    datasets : sequence of Watched
    """

    datasets: Sequence[Watched]

    def __post_init__(self) -> None:
        self._bars: dict[int, Any] = {}
        self._total: Any = None
        shown = [d for d in self.datasets if getattr(d.iterator, "display_progress", False)]
        if not shown:
            return
        # This is a widget in a notebook, elsewhere a line of text.
        from tqdm.auto import tqdm

        if len(self.datasets) > 1:
            sizes = [dataset.n_bytes for dataset in self.datasets]
            total = None if None in sizes else sum(size or 0 for size in sizes)
            self._total = tqdm(total=total, desc="all datasets", **FORMAT)
        for dataset in shown:
            bar_class, options = _own_bar(dataset.iterator, tqdm)
            options = {"desc": dataset.name, **FORMAT, **options, "total": dataset.n_bytes}
            self._bars[id(dataset)] = bar_class(**options)

    def advance(self, dataset: Watched, n_bytes: int) -> None:
        """Count the bytes of a dataset that were just written."""
        for bar in (self._bars.get(id(dataset)), self._total):
            if bar is not None:
                bar.update(n_bytes)

    def close(self) -> None:
        """Close the bars; they stay visible."""
        for bar in (*self._bars.values(), self._total):
            if bar is not None:
                bar.close()


def _own_bar(iterator: Any, default: Any) -> tuple[Any, dict[str, Any]]:
    """Return class and options of an iterator's own bar, which counts buffers; close that bar."""
    bar = getattr(iterator, "progress_bar", None)
    options = dict(getattr(iterator, "progress_bar_options", None) or {})
    if bar is None:
        return default, options
    if hasattr(bar, "leave"):
        bar.leave = False
    bar.close()
    is_users = not type(bar).__module__.startswith("tqdm.")
    return (type(bar) if is_users else default), options
