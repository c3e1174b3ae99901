"""External resources of HDMF (HERD), written with a file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdmf.backends.io import HDMFIO
from hdmf.container import Container

from hdmf_zarr.session.options import warn_ignored


@contextmanager
def herd_beside(io: HDMFIO, container: Container, herd: Any) -> Iterator[None]:
    """Write external resources to a partial file; rename it if the context's body succeeds."""
    if io.herd_path is None:
        if herd is not None:
            reason = f"{io.source} was opened without herd_path, where it would be"
            warn_ignored("herd", reason)
        yield
        return
    if herd is None:
        from hdmf.common import HERD

        herd = HERD(type_map=io.manager.type_map)
    herd.add_ref_container(container)
    partial_path = Path(f"{io.herd_path}.{uuid.uuid4().hex}.partial")
    try:
        herd.to_zip(path=str(partial_path))
        yield
        os.replace(partial_path, io.herd_path)
    finally:
        partial_path.unlink(missing_ok=True)
