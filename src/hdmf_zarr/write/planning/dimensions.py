"""Names of the dimensions of an array, from the specification of its type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hdmf.build import BuildManager, DatasetBuilder

from hdmf_zarr.convention import data_type_of, one_text
from hdmf_zarr.convention.scales import CLASS, DIMENSION_LIST
from hdmf_zarr.hdf5 import is_h5py_dataset, stored_dataset
from hdmf_zarr.hdf5.scales import scale_names
from hdmf_zarr.write.planning.dataio import unwrap


class DimensionNames:
    """Looks up the dimension names of datasets in the loaded specifications."""

    def __init__(self, manager: BuildManager | None) -> None:
        self._manager = manager
        self._specs: dict[tuple[str, str], Any] = {}

    def of(self, builder: DatasetBuilder, ndim: int) -> tuple[str, ...] | None:
        """Return a unique name for each dimension; None for a scalar.

        xarray requires a name for every dimension: one without a name in the specification is named
        after the dataset, so that it differs from the dimensions of other datasets.
        """
        if ndim == 0:
            return None
        labels: Sequence[Any] = builder.dimension_labels or self._labels_of_spec(builder, ndim)
        if len(labels) != ndim:
            labels = (None,) * ndim
        labels = _with_scale_names(builder, labels)
        if _is_ragged(builder):
            # Its elements are not the rows of the table, which may have this name.
            labels = (None, *labels[1:])
        names: list[str] = []
        for position, label in enumerate(labels):
            is_new = _is_name(label, position) and label not in names
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
            except (KeyError, ValueError):  # the namespace of the type is not loaded
                self._specs[key] = None
        return self._specs[key]


def _is_name(label: Any, position: int) -> bool:
    # HDMF gives this name to a dimension of known length without a name.
    return isinstance(label, str) and label not in ("", f"dim_{position}")


def _with_scale_names(builder: DatasetBuilder, labels: Sequence[Any]) -> Sequence[Any]:
    """Return the dimension names, completed by the names of HDF5's dimension scales."""
    if not {DIMENSION_LIST, CLASS} & builder.attributes.keys():
        return labels
    dataset = stored_dataset(unwrap(builder.data)[0])
    names = scale_names(dataset) if is_h5py_dataset(dataset) else ()
    if len(names) != len(labels):
        return labels
    pairs = enumerate(zip(labels, names, strict=True))
    return [label if _is_name(label, position) else name for position, (label, name) in pairs]


def _is_ragged(builder: DatasetBuilder) -> bool:
    """Whether a column has an index next to it that divides it into rows."""
    parent = builder.parent
    index = None if parent is None else parent.datasets.get(f"{builder.name}_index")
    if index is None:
        return False
    return data_type_of(index.attributes) == "VectorIndex"
