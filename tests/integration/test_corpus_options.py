"""Files of the corpus with options drawn by chance, to Zarr and back: what h5py reads is the same.

Each file is converted for two seconds, or once, with other options each time; run it by hand for longer with
``HDMF_ZARR_COMBINATIONS=30 pytest tests/integration/test_corpus_options.py``.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import LayoutError
from tests.conftest import corpus_files

pytestmark = [
    pytest.mark.skipif(not corpus_files(), reason="the corpus is not on this machine"),
    pytest.mark.filterwarnings("ignore"),
]

COMBINATIONS = int(os.environ.get("HDMF_ZARR_COMBINATIONS", "0"))
"""Of each file, however long they take; 0 for as many as there is time for."""

SECONDS = 2.0


@pytest.mark.slow
def test_random_options_change_nothing(tmp_path: Path) -> None:
    generator = random.Random(os.environ.get("HDMF_ZARR_SEED", "1"))
    for source in corpus_files():
        started, n_done = time.monotonic(), 0
        while n_done < COMBINATIONS or (
            not COMBINATIONS and (n_done == 0 or time.monotonic() - started < SECONDS)
        ):
            options = drawn_options(generator, source)
            middle, back = tmp_path / "middle.zarr", tmp_path / "back.nwb"
            try:
                convert(source, middle, overwrite=True, **options)
                convert(middle, back, overwrite=True)
                with h5py.File(source) as expected, h5py.File(back) as found:
                    lines = list(differences(expected, found, set()))
            except LayoutError as error:
                # Filters in an order that Zarr has no codecs for: it says so, and nothing is written.
                if not options["strict"] or "no Zarr codec for its place" not in str(error):
                    raise
                n_done += 1
                continue
            except Exception as error:
                error.add_note(f"{source.name} with {options}")
                raise
            assert not lines, f"{source.name} with {options}:\n" + "\n".join(lines[:20])
            n_done += 1


def drawn_options(generator: random.Random, source: Path) -> dict[str, Any]:
    """Options of a conversion to Zarr that make sense together."""
    with h5py.File(source) as file:
        shapes = dict(numeric_datasets(file))
    zarr_format = generator.choice([2, 3, 3])
    chosen = generator.sample(sorted(shapes), min(len(shapes), generator.randrange(6)))
    chunks = {path: tuple(generator.randint(1, n + 2) for n in shapes[path]) for path in chosen}
    shards: Any = None
    if zarr_format == 3:
        of_some = {
            path: tuple(size * generator.randint(1, 4) for size in shape)
            for path, shape in chunks.items()
        }
        shards = generator.choice([None, "auto", of_some or None])
    some = {path: generator.choice(["keep", "default"]) for path in chosen}
    return {
        "zarr_format": zarr_format,
        "codecs": generator.choice(
            ["keep", "default", some, lambda path, _dataset: "default" if "data" in path else None]
        ),
        "chunks": generator.choice([None, chunks]) if not isinstance(shards, dict) else chunks,
        "shards": shards,
        "number_of_jobs": generator.choice([1, 1, 1, 2]),
        "verify": generator.random() < 0.5,
        "checksum": generator.random() < 0.3,
        "strict": generator.random() < 0.3,
        "external_links": generator.choice(["follow", "keep"]),
        "strict_json": generator.random() < 0.3,
    }


def numeric_datasets(file: h5py.File) -> Iterator[tuple[str, tuple[int, ...]]]:
    found: list[tuple[str, tuple[int, ...]]] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "iuf" and item.size:
            found.append(("/" + name, item.shape))

    file.visititems(note)
    return iter(found)


# -- what h5py tells of two files ------------------------------------------------------------------


def differences(a: Any, b: Any, seen: set[str]) -> Iterator[str]:
    """Yield a line for each difference between two groups, or two datasets, and what is below them."""
    if a.name in seen:
        return
    seen.add(a.name)
    yield from attribute_differences(a, b)
    if type(a) is not type(b):
        yield f"{a.name}: {type(a).__name__} != {type(b).__name__}"
    elif isinstance(a, h5py.Dataset):
        yield from dataset_differences(a, b)
    else:
        if set(a) != set(b):
            yield f"{a.name}: {sorted(set(a) ^ set(b))} are in one of them"
        for name in sorted(set(a) & set(b)):
            first, second = a.get(name), b.get(name)
            if first is None or second is None:
                if first is not second:
                    yield f"{a.name}/{name}: one of the links is broken"
                continue
            yield from differences(first, second, seen)


def dataset_differences(a: h5py.Dataset, b: h5py.Dataset) -> Iterator[str]:
    is_specification = a.name.startswith("/specifications/")
    if is_specification and a[()] == b[()]:
        return  # what reads a cached specification gets its text, whatever the file says of its length
    if described(a.dtype) != described(b.dtype):
        yield f"{a.name}: {described(a.dtype)} != {described(b.dtype)}"
    if a.shape != b.shape:
        yield f"{a.name}: {a.shape} != {b.shape}"
    elif a.shape is not None and plain(a[()], a.file) != plain(b[()], b.file):
        yield f"{a.name}: other values"


def attribute_differences(a: Any, b: Any) -> Iterator[str]:
    if set(a.attrs) != set(b.attrs):
        yield f"{a.name}: attributes {sorted(set(a.attrs) ^ set(b.attrs))} are in one of them"
    for name in set(a.attrs) & set(b.attrs):
        first, second = a.attrs[name], b.attrs[name]
        types = [described_text(described(item.attrs.get_id(name).dtype)) for item in (a, b)]
        if types[0] != types[1]:
            yield f"{a.name}@{name}: {types[0]} != {types[1]}"
        if plain(first, a.file) != plain(second, b.file):
            yield f"{a.name}@{name}: {first!r:.80} != {second!r:.80}"


def described_text(description: Any) -> Any:
    """Describe text of any length alike in both character sets: what reads an attribute gets ``str``."""
    return ("text", None) if description in TEXT_OF_ANY_LENGTH else description


TEXT_OF_ANY_LENGTH = (("text", "ascii", None), ("text", "utf-8", None))


def described(dtype: np.dtype[Any]) -> Any:
    """What a dtype is, with what h5py hides in it."""
    if dtype.names is not None:
        return [(name, described(dtype[name])) for name in dtype.names]
    if (text := h5py.check_string_dtype(dtype)) is not None:
        return ("text", text.encoding, text.length)
    if h5py.check_ref_dtype(dtype) is not None:
        return str(h5py.check_ref_dtype(dtype))
    if h5py.check_enum_dtype(dtype) is not None:
        return str(h5py.check_enum_dtype(dtype))
    return dtype.newbyteorder("=").str


def plain(value: Any, file: h5py.File) -> Any:
    """Elements as what can be compared: references as their targets, numbers as their bytes."""
    if isinstance(value, h5py.Reference):
        return ("reference", file[value].name if value else None)
    if isinstance(value, h5py.Empty):
        return ("empty", described(value.dtype))
    if isinstance(value, np.void):
        return [plain(value[name], file) for name in value.dtype.names or ()]
    if isinstance(value, np.ndarray):
        if value.dtype.names is not None or value.dtype.hasobject:
            return (value.shape, [plain(entry, file) for entry in value.ravel()])
        return (value.shape, value.astype(value.dtype.newbyteorder("=")).tobytes())
    if isinstance(value, np.generic):
        return value.astype(value.dtype.newbyteorder("=")).tobytes()
    return value
