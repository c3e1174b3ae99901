"""What is in a store, by its metadata: as a tree for a terminal, and as JSON."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hdmf_zarr.codecs.registry import SERIALIZERS
from hdmf_zarr.convention import JSON, SELF, data_type_of
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.errors import HDMFZarrError, NotAStoreError, StoreNotFoundError
from hdmf_zarr.hdf5 import is_hdf5_file
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.read.specifications import latest_versions
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate

__all__ = ["NodeInfo", "StoreInfo", "describe", "format_bytes", "render"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeInfo:
    """A group, an array or a link.

    Attributes
    ----------
    path : str
        Path with a leading slash.
    kind : {"group", "array", "link"}
    data_type : str or None
        Data type of HDMF (``neurodata_type``).
    n_attributes : int
        Number of attributes except the reserved ones.
    dtype, shape, chunks, shards, codecs
        Properties of an array; ``shards`` is None if there are none.
    n_objects, n_bytes : int or None
        Number and bytes of the array's chunks in the store; None if the store cannot list them.
    target : str or None
        Target of a link: its path, preceded by the store if that is another one.
    """

    path: str
    kind: str
    data_type: str | None = None
    n_attributes: int = 0
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    chunks: tuple[int, ...] | None = None
    shards: tuple[int, ...] | None = None
    codecs: tuple[Any, ...] = ()
    n_objects: int | None = None
    n_bytes: int | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreInfo:
    """A store and all its nodes, without the cached specifications.

    Attributes
    ----------
    path : str
    zarr_format : int
    is_consolidated : bool
    namespaces : dict of str to str
        Latest version of each cached namespace.
    n_objects, n_bytes : int or None
        Number and bytes of all objects in the store, including metadata and specifications.
    nodes : tuple of NodeInfo
        Nodes; each group precedes its contents.
    """

    path: str
    zarr_format: int
    is_consolidated: bool
    namespaces: dict[str, str]
    n_objects: int | None
    n_bytes: int | None
    nodes: tuple[NodeInfo, ...]

    def to_json(self) -> dict[str, JSON]:
        """Return the description as an object for ``json.dumps``."""
        described = asdict(self)
        described["nodes"] = [
            {name: value for name, value in node.items() if value is not None and value != ()}
            | ({"shape": node["shape"]} if node["shape"] is not None else {})
            for node in described["nodes"]
        ]
        return described


def describe(path: str | os.PathLike[str]) -> StoreInfo:
    """Read the metadata of a store and the sizes of its objects, never an element.

    Raises
    ------
    StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        If there is no readable store.
    """
    location = locate(path)
    if location.is_local and not os.path.exists(location.uri):
        raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
    if is_hdf5_file(path):
        raise NotAStoreError(f"{location.uri} is an HDF5 file; info describes Zarr stores")
    if os.path.isfile(location.uri) and not location.uri.endswith(".zip"):
        raise NotAStoreError(f"{location.uri} is a file, but no Zarr store")
    hierarchy = Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)
    sizes = _sizes(hierarchy.bytestore)
    per_array = _sizes_of_arrays(hierarchy, sizes) if sizes is not None else None
    nodes = []
    for node in _walk(hierarchy, "", hierarchy.children()):
        if node.kind == "array" and per_array is not None:
            n_objects, n_bytes = per_array[node.path.strip("/")]
            node = replace(node, n_objects=n_objects, n_bytes=n_bytes)
        nodes.append(node)
    return StoreInfo(
        path=hierarchy.uri,
        zarr_format=hierarchy.zarr_format,
        is_consolidated=hierarchy.was_consolidated,
        namespaces=latest_versions(hierarchy),
        n_objects=None if sizes is None else len(sizes),
        n_bytes=None if sizes is None else sum(sizes.values()),
        nodes=tuple(nodes),
    )


# -- nodes -----------------------------------------------------------------------------------------


def _walk(hierarchy: Hierarchy, path: str, children: Mapping[str, list[str]]) -> Iterator[NodeInfo]:
    """Yield a group, then all nodes below it by name, except the cached specifications."""
    attributes = hierarchy.attributes(path) if path in hierarchy else {}
    yield NodeInfo(path="/" + path, kind="group", **_described_attributes(hierarchy, attributes))
    links = {link.name: link for link in hierarchy.convention.decode_links(attributes)}
    for name in sorted({*children.get(path, ()), *links}):
        child = f"{path}/{name}".lstrip("/")
        if name in links:
            link = links[name]
            target = link.path if link.source == SELF else f"{link.source}:{link.path}"
            yield NodeInfo(path="/" + child, kind="link", target=target)
        elif child == hierarchy.specification_path:
            continue
        elif child in hierarchy and hierarchy.node_type(child) == "array":
            yield _array(hierarchy, child)
        else:
            yield from _walk(hierarchy, child, children)


def _described_attributes(hierarchy: Hierarchy, attributes: Mapping[str, JSON]) -> dict[str, Any]:
    user = hierarchy.convention.user_attributes(attributes)
    return {
        "data_type": data_type_of(user),
        "n_attributes": len(user),
    }


def _array(hierarchy: Hierarchy, path: str) -> NodeInfo:
    node = array_node(hierarchy.documents[path])
    return NodeInfo(
        path="/" + path,
        kind="array",
        dtype=_dtype_name(hierarchy, path),
        shape=node.shape,
        chunks=node.chunk,
        shards=node.shards,
        codecs=node.chunk_codecs,
        **_described_attributes(hierarchy, hierarchy.attributes(path)),
    )


def _dtype_name(hierarchy: Hierarchy, path: str) -> str:
    """Return the name of an array's element type; the metadata's name if the type is unknown."""
    document = hierarchy.documents[path]
    header = hierarchy.convention.decode_header(hierarchy.attributes(path))
    try:
        return _element_name(element_type_of_array(document, header))
    except HDMFZarrError:
        return str(array_node(document).data_type)


def _element_name(element: ElementType) -> str:
    if element.shape:
        return f"{_element_name(element.entry)}{list(element.shape)}"
    if element.kind == "compound":
        return (
            "{" + ", ".join(f"{name}: {_element_name(kind)}" for name, kind in element.fields) + "}"
        )
    return element.kind if element.numpy is None else str(element.numpy)


# -- sizes -----------------------------------------------------------------------------------------


def _sizes(bytestore: ByteStore) -> dict[str, int] | None:
    """Return the bytes of every object, by key; None if the store cannot list its objects."""
    try:
        return bytestore.sizes()
    except (NotImplementedError, OSError):
        return None


def _sizes_of_arrays(hierarchy: Hierarchy, sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the number of chunk objects of each array, and their bytes."""
    found = {path: (0, 0) for path in hierarchy.documents if hierarchy.node_type(path) == "array"}
    for key, n_bytes in sizes.items():
        folder, _, name = key.rpartition("/")
        while folder and folder not in found:
            folder = folder.rpartition("/")[0]
        if folder in found and not name.startswith((".z", "zarr.json")):
            n_objects, total = found[folder]
            found[folder] = n_objects + 1, total + n_bytes
    return found


# -- the tree as text ------------------------------------------------------------------------------


def render(info: StoreInfo, width: int = 100, *, is_ascii: bool = False) -> str:
    """Return the tree of a store as lines of at most ``width`` columns, if possible.

    Parameters
    ----------
    info : StoreInfo
    width : int
    is_ascii : bool
        Draw with ASCII characters.
    """
    root, *nodes = info.nodes
    lines = [_headline(info, root)]
    rows = list(_rows(nodes, is_ascii=is_ascii))
    longest = max((len(label) for label, _, _ in rows), default=0)
    column = min(longest, max(24, width * 2 // 5)) + 2
    for label, continuation, words in rows:
        lines += _fitted(label, continuation, words, column, width)
    lines += ["", f"specifications  {_namespaces(info)}", f"total           {_totals(info)}"]
    return "\n".join(line.rstrip() for line in lines)


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes in readable form.

    Examples
    --------
    >>> format_bytes(999), format_bytes(12_345), format_bytes(3_400_000_000)
    ('999 B', '12.3 kB', '3.4 GB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    exponent = min(int(math.log10(n_bytes) // 3), 5)
    return f"{n_bytes / 1000**exponent:.1f} {'kMGTP'[exponent - 1]}B"


def _headline(info: StoreInfo, root: NodeInfo) -> str:
    words = [info.path, f"Zarr format {info.zarr_format}"]
    if root.data_type is not None:
        words.append(root.data_type)
    words.append("consolidated metadata" if info.is_consolidated else "no consolidated metadata")
    return "  ".join([words[0], ", ".join(words[1:])])


def _rows(nodes: list[NodeInfo], *, is_ascii: bool) -> Iterator[tuple[str, str, list[str]]]:
    """Yield for each node its label with branches, the branches below it, and its description."""
    branch, last, trunk = ("|- ", "`- ", "|  ") if is_ascii else ("├─ ", "└─ ", "│  ")
    arrow = "->" if is_ascii else "→"
    parents = {node.path: node.path.rpartition("/")[0] for node in nodes}
    last_of = {parent: path for path, parent in parents.items()}
    with_children = set(parents.values())
    for node in nodes:
        ancestors = _ancestors(node.path, parents)
        stem = "".join("   " if last_of[parents[path]] == path else trunk for path in ancestors)
        is_last = last_of[parents[node.path]] == node.path
        name = node.path.rpartition("/")[2] + ("/" if node.kind == "group" else "")
        below = stem + ("   " if is_last else trunk)
        continuation = below + (trunk if node.path in with_children else "")
        yield stem + (last if is_last else branch) + name, continuation, _words(node, arrow)


def _ancestors(path: str, parents: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    current = parents[path]
    while current:
        found.insert(0, current)
        current = parents[current]
    return found


def _words(node: NodeInfo, arrow: str) -> list[str]:
    if node.kind == "link":
        return [f"{arrow} {node.target}"]
    attributes = f"{node.n_attributes} attribute{'s' if node.n_attributes != 1 else ''}"
    described = node.data_type or (attributes if node.n_attributes else "")
    if node.kind == "group":
        return [described] if described else []
    assert node.shape is not None
    assert node.chunks is not None
    words = [f"{node.dtype} {_shape(node.shape) if node.shape else 'scalar'}"]
    if node.shape and node.chunks != node.shape:
        words.append(f"chunks {_shape(node.chunks)}")
    if node.shards is not None:
        words.append(f"shards {_shape(node.shards)}")
    words += [codec for codec in map(_codec_text, node.codecs) if codec]
    words += [word for word in (_stored_text(node), described) if word]
    return words


def _shape(sizes: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "") + ")"


def _stored_text(node: NodeInfo) -> str:
    if node.n_bytes is None or node.n_objects is None:
        return ""
    text = format_bytes(node.n_bytes)
    return text if node.n_objects == 1 else f"{text} in {node.n_objects} objects"


def _codec_name(codec: Any) -> str:
    return str(codec.get("name")) if isinstance(codec, Mapping) else str(codec)


def _codec_text(codec: Any) -> str:
    name = _codec_name(codec)
    settings = codec.get("configuration") or {} if isinstance(codec, Mapping) else {}
    if name in SERIALIZERS:
        return "big-endian" if settings.get("endian") == "big" else ""
    if name == "blosc":
        return f"blosc({settings.get('cname')} {settings.get('clevel')}, {settings.get('shuffle')})"
    listed = ", ".join(f"{key}={value}" for key, value in settings.items() if value is not None)
    return f"{name}({listed})" if listed else name


def _fitted(label: str, continuation: str, words: list[str], column: int, width: int) -> list[str]:
    """Return the lines of a row, which is wrapped if it is too long."""
    lines = [label.ljust(column) if words else label]
    if len(label) + 2 > column and words:
        lines = [label, continuation.ljust(column)]
    is_empty = True
    for word in words:
        if not is_empty and len(lines[-1]) + 2 + len(word) > width:
            lines.append(continuation.ljust(column))
            is_empty = True
        lines[-1] += word if is_empty else f"  {word}"
        is_empty = False
    return lines


def _namespaces(info: StoreInfo) -> str:
    return ", ".join(f"{name} {version}" for name, version in info.namespaces.items()) or "none"


def _totals(info: StoreInfo) -> str:
    counts = Counter(node.kind for node in info.nodes)
    counted = [
        f"{counts[kind]} {kind}{'s' if counts[kind] != 1 else ''}"
        for kind in ("group", "array", "link")
    ]
    if info.n_bytes is not None and info.n_objects is not None:
        counted.append(f"{format_bytes(info.n_bytes)} in {info.n_objects} objects")
    return ", ".join(counted)
