"""Whether the planned arrays can be read again, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.errors import EncodingError, MetadataError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.documents import check_node
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.plan import ArrayPlan, Plan


def check_readable(nodes: Iterable[Plan], context: PlanContext) -> None:
    """Raise if readers would refuse a node, or read the elements of an array as another type.

    Attributes of builders are checked when they are encoded.

    Raises
    ------
    EncodingError
    """
    for node in nodes:
        try:
            check_node(node.path, {"attributes": node.attributes}, f"/{node.path}")
            if isinstance(node, ArrayPlan):
                _check_elements(node, context)
            else:
                context.convention.decode_links(node.attributes)
        except MetadataError as error:
            where = f"{context.destination.uri}:/{node.path}"
            raise EncodingError(f"{where} would not be read again: {error}") from error


def _check_elements(plan: ArrayPlan, context: PlanContext) -> None:
    header = context.convention.decode_header(plan.attributes)
    document = _said_of_elements(plan) if plan.document is None else plan.document
    found, wanted = element_type_of_array(document, header), plan.source.element
    if _kinds(found) != _kinds(wanted):
        raise MetadataError(
            f"elements of {_kinds(wanted)} would be read as those of {_kinds(found)}"
        )


def _said_of_elements(plan: ArrayPlan) -> dict[str, Any]:
    """Return the part of an array's document that describes its elements."""
    assert plan.layout is not None
    objects = [codec for codec in plan.layout.codecs if isinstance(codec, JSONObjectsCodec)]
    return {
        "data_type": _spelled(plan.data_type),
        "codecs": [codec.to_dict() for codec in objects],
    }


@lru_cache(maxsize=1024)
def _spelled(data_type: Any) -> Any:
    return array_document.data_type_json(data_type)


def _kinds(element: ElementType) -> Any:
    if element.kind != "compound":
        return element.kind
    return [(name, field.shape, _kinds(field)) for name, field in element.fields]
