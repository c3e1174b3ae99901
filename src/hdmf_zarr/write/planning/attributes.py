"""Attributes of builders -> attributes of nodes, with their references."""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import Any

import numpy as np
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import JSON, Convention
from hdmf_zarr.convention.attributes import (
    decode_attribute,
    encode_attribute,
    recorded_enum,
    refuse_mixed,
    spell_out,
)
from hdmf_zarr.convention.records import is_compound, reference_leaves, with_references
from hdmf_zarr.convention.scales import SCALE_LISTS, is_scale_list, with_targets
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.core import limits
from hdmf_zarr.core.dtypes import enum_names_of
from hdmf_zarr.core.elements import REFERENCE_TYPES
from hdmf_zarr.core.enumerations import kept_names
from hdmf_zarr.errors import BrokenLinkError, DtypeError, EncodingError, MetadataError
from hdmf_zarr.hdf5 import convert_attribute, empty_attribute, is_h5py_reference
from hdmf_zarr.hdf5.scales import scale_list, target_of
from hdmf_zarr.hdf5.source import NO_REGIONS, attribute_dtype, is_region
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.context import PlanContext


class AttributeEncoder:
    """Encodes the attributes of builders.

    Parameters
    ----------
    context : PlanContext
    addresses : Addresses
        Paths of the objects that the attributes refer to.
    """

    def __init__(self, context: PlanContext, addresses: Addresses) -> None:
        self.context = context
        self.addresses = addresses

    def encode(self, builder: BaseBuilder) -> dict[str, JSON]:
        """Return the attributes of a builder as JSON, with the dtypes that JSON loses.

        Raises
        ------
        EncodingError, DtypeError
            If a value cannot be JSON, or a name is reserved by the format.
        BrokenLinkError
            If an attribute refers to an unreachable object.
        """
        encoded: dict[str, JSON] = {}
        types: dict[str, str] = {}
        is_new = not self._is_from_store(builder)
        for name, value in builder.attributes.items():
            if name in self.context.convention.reserved:
                raise EncodingError(f"attribute {name!r} has a name that the format reserves")
            scales = self._scale_list(name, value, builder)
            if scales is not None:
                encoded[name] = scales
                continue
            try:
                encoded[name], dtype = self._encode_attribute(value, builder, is_new=is_new)
                check_decodable(encoded[name], dtype, self.context.convention)
                if isinstance(value, (np.integer, *REFERENCE_TYPES)):
                    dtype = self._with_names(name, value, dtype, builder)
                if self.context.options.strict_json:
                    encoded[name], dtype = spell_out(encoded[name], dtype)
            except (DtypeError, EncodingError) as error:
                raise type(error)(f"attribute {name!r}: {error}") from error
            except RecursionError as error:
                raise EncodingError(
                    f"attribute {name!r} has values nested more than {limits.DEEPEST_JSON} deep; store "
                    "them in a dataset"
                ) from error
            if dtype is not None:
                types[name] = dtype
        if types:
            encoded[ATTRIBUTE_TYPES] = types
        return encoded

    def _scale_list(self, name: str, value: Any, builder: BaseBuilder) -> list[JSON] | None:
        """Return the references of an attribute of dimension scales; None for any other attribute.

        A reference whose target is not written is omitted, with a warning.
        """
        if name not in SCALE_LISTS:
            return None
        from_hdf5 = scale_list(name, value)
        if from_hdf5 is not None:
            return with_targets(from_hdf5, partial(self._hdf5_scale, name=name, builder=builder))
        if not is_scale_list(name, value, is_target=_is_object):
            return None
        return with_targets(value, self._encode_reference)

    def _hdf5_scale(self, reference: Any, *, name: str, builder: BaseBuilder) -> JSON:
        convention = self.context.convention
        target = target_of(reference, self.addresses.hdf5_file_of(builder))
        try:
            if target is None:
                raise BrokenLinkError("the object is not in the file any more")
            found = convention.decode_element(self.addresses.hdf5_target_text(target))
        except BrokenLinkError as error:
            warnings.warn(
                f"{builder.source}:{builder.path}: a reference in the attribute {name!r} of dimension "
                f"scales leads to nothing that is written, and is left out: {error}",
                BrokenLinkWarning,
                stacklevel=2,
            )
            return None
        return None if found is None else convention.encode_reference(found)

    def _with_names(
        self, name: str, value: Any, dtype: str | None, builder: BaseBuilder
    ) -> str | None:
        """Return the recorded dtype of an integer or reference, with HDF5's enum names.

        Raises
        ------
        DtypeError
            If it is a region reference, which HDMF reads as a reference to the whole dataset.
        """
        if self._is_from_store(builder):
            names = kept_names(builder).get(name, {})
        elif builder.source == self.context.destination.uri:
            names = {}  # the object is new
        else:
            place = "/" if builder.parent is None else f"{builder.location}/{builder.name}"
            held = attribute_dtype(self.addresses.hdf5_file_of(builder), place, name)
            if is_region(held):
                raise DtypeError(NO_REGIONS)
            names = enum_names_of(held)
        is_integer = isinstance(value, np.integer)
        return recorded_enum(dtype or value.dtype.name, names) if names and is_integer else dtype

    def _is_from_store(self, builder: BaseBuilder) -> bool:
        """Whether a builder was read from a store, which earlier releases may have written."""
        is_export = self.context.export_source is not None and self.context.hdf5_file is None
        return is_export or bool(self.context.is_written(builder))

    def _encode_attribute(
        self, value: Any, builder: BaseBuilder, *, is_new: bool
    ) -> tuple[JSON, str | None]:
        convention = self.context.convention
        if isinstance(value, REFERENCE_TYPES):
            return convention.encode_reference(self.addresses.reference(value)), None
        texts = value
        if isinstance(value, np.ndarray) and value.dtype.kind == "O":
            file = self.addresses.hdf5_file_of(builder)
            texts = convert_attribute(value, file, self.addresses.hdf5_target_text)
        if texts is not value:
            references = [convention.decode_element(text) for text in texts.ravel()]
            return [r and convention.encode_reference(r) for r in references], None
        if is_compound(value) and reference_leaves(value.dtype):
            value = with_references(value, partial(self._compound_reference, builder=builder))
        if _holds_references(value):
            return [self._encode_reference(entry) for entry in value], None
        encoded, dtype = encode_attribute(value)
        if dtype is None and is_new:
            refuse_mixed(encoded)
        refuse_like_reference(encoded, convention)
        return encoded, dtype

    def _compound_reference(self, entry: Any, *, builder: BaseBuilder) -> JSON:
        """Return the JSON of a compound's reference, h5py's or to a builder; None if it is null."""
        if not is_h5py_reference(entry):
            return None if entry is None else self._encode_reference(entry)
        file = self.addresses.hdf5_file_of(builder)
        if not entry or file is None:
            return None
        convention = self.context.convention
        found = convention.decode_element(self.addresses.hdf5_target_text(file[entry]))
        return None if found is None else convention.encode_reference(found)

    def _encode_reference(self, entry: Any) -> JSON:
        if not isinstance(entry, REFERENCE_TYPES):
            raise EncodingError(
                f"found {entry!r:.100} beside references; a list of references holds nothing else"
            )
        return self.context.convention.encode_reference(self.addresses.reference(entry))


def _is_object(value: Any) -> bool:
    return isinstance(value, REFERENCE_TYPES)


def refuse_like_reference(value: JSON, convention: Convention) -> None:
    """Raise `EncodingError` if an encoded attribute is no reference but would be read as one."""
    entries = value if isinstance(value, list) else (value,)
    for entry in entries:
        if isinstance(entry, dict) and _is_read_as_reference(entry, convention):
            raise EncodingError(
                f"{entry!r:.200} would be read as a reference; give the object, or other keys"
            )


def _is_read_as_reference(entry: JSON, convention: Convention) -> bool:
    try:
        return convention.decode_reference(entry) is not None
    except MetadataError:
        return True


def check_decodable(value: JSON, dtype: str | None, convention: Convention) -> None:
    """Raise `EncodingError` if an encoded attribute would be unreadable, or read as another value.

    Text and single numbers without a dtype are always safe. Any other value is decoded and encoded
    again: the JSON has to be the same.
    """
    try:
        if dtype is None and type(value) in _PLAIN:
            limits.check_document_size(len(value) if type(value) is str else 0, "the attribute")
            return
        limits.check_json_depth([[value]], "the attribute")
        if _is_reference(value, convention):
            return
        again = encode_attribute(decode_attribute(value, dtype, empty=empty_attribute))
    except (MetadataError, DtypeError, EncodingError) as error:
        raise EncodingError(f"{value!r:.200} could not be read again: {error}") from error
    if again != (value, dtype) and json.dumps(again) != json.dumps((value, dtype)):  # NaN is NaN
        raise EncodingError(
            f"{value!r:.200} ({dtype}) would be read as {again[0]!r:.200} ({again[1]})"
        )


_PLAIN = (str, int, float, bool, type(None))


def _is_reference(value: JSON, convention: Convention) -> bool:
    entries = value if isinstance(value, list) else [value]
    return any(
        isinstance(entry, dict) and convention.decode_reference(entry) is not None
        for entry in entries
    )


def merged(old: dict[str, JSON], new: dict[str, JSON]) -> dict[str, JSON]:
    """Merge new attributes into old ones; attributes that stay keep their recorded dtypes."""
    types = {
        name: dtype for name, dtype in (old.get(ATTRIBUTE_TYPES) or {}).items() if name not in new
    }
    types.update(new.get(ATTRIBUTE_TYPES) or {})
    merged = {**old, **new}
    merged.pop(ATTRIBUTE_TYPES, None)
    return {**merged, ATTRIBUTE_TYPES: types} if types else merged


def _holds_references(value: Any) -> bool:
    """Whether a list, nested or not, contains builders or containers."""
    if isinstance(value, np.ndarray):
        value = value.ravel() if value.dtype.kind == "O" else ()
    elif not isinstance(value, (list, tuple)):
        return False
    return any(isinstance(one, REFERENCE_TYPES) or _holds_references(one) for one in value)
