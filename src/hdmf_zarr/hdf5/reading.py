"""What goes wrong while an HDF5 file is read, said as one error that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hdmf_zarr.errors import HDMFZarrError, MetadataError


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Name the file in every error: of a damaged one, h5py and HDMF raise what they stumble over.

    Errors of ours, and those of the system (no permission, a lock), pass as they are.

    Parameters
    ----------
    where : str
        The file, and the object if it is known.
    """
    try:
        yield
    except HDMFZarrError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MetadataError(
            f"{where} cannot be read ({type(error).__name__}: {error!s:.300}); the file is damaged, or "
            "holds what HDMF does not know"
        ) from error
