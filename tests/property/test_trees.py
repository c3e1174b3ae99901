"""Any tree of groups, datasets, attributes, links and references is read as it was written."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import get_manager
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrIO, check
from tests.property.strategies import node_names, number_arrays, text

Model = dict[str, Any]
"""Name -> a model (a group), an array, a list of text, ``("link", path)`` or ``("references", paths)``."""

values = (
    number_arrays(max_dims=2, min_dims=1, max_side=4)
    | st.lists(text, min_size=1, max_size=3)
    | number_arrays(max_dims=0)
    | text
)

attributes = st.dictionaries(
    # Those that begin so may be reserved, which is an error and has its own tests.
    node_names.filter(lambda name: not name.startswith(("_", ".", "zarr"))),
    st.integers(-(2**31), 2**31)
    | st.floats()
    | text
    | st.booleans()
    | number_arrays(max_dims=2, min_dims=1, max_side=3)
    | st.lists(text, min_size=1, max_size=3).map(lambda texts: np.array(texts, dtype=object)),
    max_size=3,
)


def _fold(names: Any) -> bool:
    folded = [name.casefold() for name in names]
    return len(set(folded)) == len(folded)


groups = st.recursive(
    st.tuples(st.just("dataset"), values, attributes),
    lambda children: st.tuples(
        st.just("group"),
        st.dictionaries(node_names, children, max_size=4).filter(_fold),
        attributes,
    ),
    max_leaves=8,
)

roots = st.dictionaries(node_names, groups, min_size=1, max_size=4).filter(_fold)


def build(model: Any, pointers: list[tuple[str, int]]) -> GroupBuilder:
    """Return the builders of a model, with links and references between them."""
    root = GroupBuilder("root")
    nodes: list[Any] = []

    def fill(group: GroupBuilder, children: Any) -> None:
        for name, (kind, content, attrs) in children.items():
            builder: Any
            if kind == "group":
                # HDMF has one name for one thing of a group.
                own = {key: value for key, value in attrs.items() if key not in content}
                builder = GroupBuilder(name, attributes=own)
                group.set_group(builder)
                fill(builder, content)
            else:
                builder = DatasetBuilder(name, content, attributes=dict(attrs))
                group.set_dataset(builder)
            nodes.append(builder)

    fill(root, model)
    extra = GroupBuilder("~pointers")
    root.set_group(extra)
    for number, (kind, index) in enumerate(pointers):
        target = nodes[index % len(nodes)]
        if kind == "link":
            extra.set_link(LinkBuilder(target, f"link{number}"))
        elif kind == "attribute":
            extra.attributes[f"attribute{number}"] = ReferenceBuilder(target)
        else:
            references = [ReferenceBuilder(target)] * 2
            extra.set_dataset(DatasetBuilder(f"data{number}", references, dtype="object"))
    return root


def path_of(builder: Any) -> str:
    parts = []
    while builder is not None and builder.parent is not None:
        parts.append(builder.name)
        builder = builder.parent
    return "/".join(reversed(parts))


def described(group: GroupBuilder) -> Any:
    """What a tree of builders holds, to be compared."""
    found: dict[str, Any] = {}
    for name, value in group.attributes.items():
        if isinstance(value, (ReferenceBuilder, GroupBuilder, DatasetBuilder)):
            found[f"@{name}"] = path_of(getattr(value, "builder", value))
        else:
            found[f"@{name}"] = repr(value.item() if isinstance(value, np.generic) else value)
    for name, child in group.groups.items():
        found[name] = described(child)
    for name, link in group.links.items():
        found[name] = ("link", path_of(link.builder))
    for name, dataset in group.datasets.items():
        data = dataset.data
        if name.startswith("data") and group.name == "~pointers":
            targets = [data[i] for i in range(len(data))]
            found[name] = [path_of(getattr(target, "builder", target)) for target in targets]
            continue
        # As text of a fixed width numpy would drop the NULs at its end.
        if isinstance(data, (list, str)):
            array = np.array(data, dtype=object)
        else:
            array = np.asarray(data[...] if np.shape(data) else data)
        kind = "text" if array.dtype.kind in "OUT" else array.dtype.str
        attrs = {
            key: repr(value.item() if isinstance(value, np.generic) else value)
            for key, value in dataset.attributes.items()
        }
        found[name] = (kind, array.shape, [repr(entry) for entry in array.ravel().tolist()], attrs)
    return found


@contextmanager
def a_store(kind: str) -> Iterator[Any]:
    if kind == "memory":
        yield MemoryStore()
        return
    if kind == "url":
        pytest.importorskip("fsspec")
        yield f"memory://trees/{uuid.uuid4().hex}.zarr"
        return
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder / "file.zarr"
    finally:
        shutil.rmtree(folder)


def zipped(folder: Path) -> Path:
    path = folder.with_name("file.zarr.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", ["local", "memory", "zip", "url"])
@given(
    model=roots,
    pointers=st.lists(
        st.tuples(st.sampled_from(["link", "attribute", "data"]), st.integers(0, 50)), max_size=3
    ),
)
@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
def test_a_tree_is_read_as_it_was_written(
    kind: str, zarr_format: int, model: Any, pointers: list[tuple[str, int]]
) -> None:
    expected = described(build(model, pointers))
    with a_store(kind) as target:
        with ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io:
            io.write_builder(build(model, pointers))
        source = zipped(target) if kind == "zip" else target
        for mode in ("r", "r-"):
            with ZarrIO(source, mode, get_manager()) as io:
                assert described(io.read_builder()) == expected
        errors = [f for f in check(source).findings if f.severity == "error"]
        assert errors == []
