"""Python's garbage collector, kept from looking at thousands of objects again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled_objects() -> Iterator[None]:
    """Take what is in memory now out of the collections that happen meanwhile.

    A file of thousands of objects makes hundreds of thousands of small values, none of them garbage; each
    full collection goes over all of them, which took half of the time of reading or writing such a file.
    What becomes garbage meanwhile is collected as ever.
    """
    if gc.get_freeze_count():
        # Somebody has settled objects already, and `gc.unfreeze` would undo that.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
