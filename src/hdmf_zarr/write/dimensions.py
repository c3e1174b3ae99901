"""Names of an array's dimensions, from the specification of the type that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hdmf.build import BuildManager, DatasetBuilder

from hdmf_zarr.convention import data_type_of, one_text


class DimensionNames:
    """Looks the dimension names of datasets up in the loaded specifications."""

    def __init__(self, manager: BuildManager | None) -> None:
        self._manager = manager
        self._specs: dict[tuple[str, str], Any] = {}

    def of(self, builder: DatasetBuilder, ndim: int) -> tuple[str, ...] | None:
        """Return one name for each dimension, each name once; None for a scalar.

        xarray wants a name for every dimension: one that the specification does not name is
        called after the dataset, so that it is not taken for that of another dataset.
        """
        if ndim == 0:
            return None
        labels: Sequence[Any] = builder.dimension_labels or self._labels_of_spec(builder, ndim)
        if len(labels) != ndim:
            labels = (None,) * ndim
        if _is_ragged(builder):
            # Its rows are no rows of the table, which may have this name for them.
            labels = (None, *labels[1:])
        names: list[str] = []
        for position, label in enumerate(labels):
            # HDMF calls a dimension of a known length that has no name so.
            is_name = isinstance(label, str) and label and label != f"dim_{position}"
            is_new = is_name and label not in names
            names.append(label if is_new else f"{builder.name}_dim_{position}")
        return tuple(names)

    def _labels_of_spec(self, builder: DatasetBuilder, ndim: int) -> Sequence[Any]:
        spec = self._spec(builder)
        dims = getattr(spec, "dims", None) or ()
        if dims and isinstance(dims[0], (list, tuple)):
            return next((alternative for alternative in dims if len(alternative) == ndim), ())
        return tuple(dims)

    def _spec(self, builder: DatasetBuilder) -> Any:
        own = self._type_spec(builder)
        if own is not None or builder.parent is None:
            return own
        parent = self._type_spec(builder.parent)
        return None if parent is None else parent.get_dataset(builder.name)

    def _type_spec(self, builder: Any) -> Any:
        attributes = builder.attributes
        data_type, namespace = data_type_of(attributes), one_text(attributes.get("namespace"))
        if self._manager is None or data_type is None or namespace is None:
            return None
        key = (namespace, data_type)
        if key not in self._specs:
            try:
                self._specs[key] = self._manager.namespace_catalog.get_spec(namespace, data_type)
            except (KeyError, ValueError):  # a type of a namespace that is not loaded
                self._specs[key] = None
        return self._specs[key]


def _is_ragged(builder: DatasetBuilder) -> bool:
    """Whether a column holds the rows of an index beside it."""
    parent = builder.parent
    index = None if parent is None else parent.datasets.get(f"{builder.name}_index")
    if index is None:
        return False
    return data_type_of(index.attributes) == "VectorIndex"
