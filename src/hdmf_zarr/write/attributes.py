"""Attributes of builders -> those of nodes, references among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.attributes import encode_attribute, spell_out
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.elements import REFERENCE_TYPES
from hdmf_zarr.errors import DtypeError, EncodingError
from hdmf_zarr.hdf5 import convert_attribute
from hdmf_zarr.write.addresses import Addresses
from hdmf_zarr.write.context import PlanContext


class AttributeEncoder:
    """Encodes the attributes of builders.

    Parameters
    ----------
    context : PlanContext
    addresses : Addresses
        Of what they refer to.
    """

    def __init__(self, context: PlanContext, addresses: Addresses) -> None:
        self.context = context
        self.addresses = addresses

    def encode(self, builder: BaseBuilder) -> dict[str, JSON]:
        """Return the attributes of a builder, and beside them the dtypes that JSON loses.

        Raises
        ------
        EncodingError, DtypeError
            If one has no JSON, or a name that the format reserves.
        BrokenLinkError
            If one refers to what cannot be reached.
        """
        encoded: dict[str, JSON] = {}
        types: dict[str, str] = {}
        for name, value in builder.attributes.items():
            if name in self.context.convention.reserved:
                raise EncodingError(f"attribute {name!r} has a name that the format reserves")
            try:
                encoded[name], dtype = self._encode_attribute(value, builder)
                if self.context.strict_json:
                    encoded[name], dtype = spell_out(encoded[name], dtype)
            except (DtypeError, EncodingError) as error:
                raise type(error)(f"attribute {name!r}: {error}") from error
            if dtype is not None:
                types[name] = dtype
        if types:
            encoded[ATTRIBUTE_TYPES] = types
        return encoded

    def _encode_attribute(self, value: Any, builder: BaseBuilder) -> tuple[JSON, str | None]:
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
        if _holds_references(value):
            return [self._encode_reference(entry) for entry in value], None
        return encode_attribute(value)

    def _encode_reference(self, entry: Any) -> JSON:
        if not isinstance(entry, REFERENCE_TYPES):
            raise EncodingError(
                f"found {entry!r:.100} beside references; a list of references holds nothing else"
            )
        return self.context.convention.encode_reference(self.addresses.reference(entry))


def merged(old: dict[str, JSON], new: dict[str, JSON]) -> dict[str, JSON]:
    """New attributes over old ones; dtypes that were recorded stay for attributes that stay."""
    types = {
        name: dtype for name, dtype in (old.get(ATTRIBUTE_TYPES) or {}).items() if name not in new
    }
    types.update(new.get(ATTRIBUTE_TYPES) or {})
    merged = {**old, **new}
    merged.pop(ATTRIBUTE_TYPES, None)
    return {**merged, ATTRIBUTE_TYPES: types} if types else merged


def _holds_references(value: Any) -> bool:
    """Whether a list, or one in it, has builders or containers among its entries."""
    if isinstance(value, np.ndarray):
        value = value.ravel() if value.dtype.kind == "O" else ()
    elif not isinstance(value, (list, tuple)):
        return False
    return any(isinstance(one, REFERENCE_TYPES) or _holds_references(one) for one in value)
