"""The codec pipeline with which zarr-python decodes the chunks of an array."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zarr
from zarr.codecs import ShardingCodec
from zarr.storage import LocalStore

from hdmf_zarr.codecs.registry import IN_ZARRS
from hdmf_zarr.core.system import n_cores
from hdmf_zarr.core.zarr_private import (
    ArrayConfig,
    ArraySpec,
    default_buffer_prototype,
    fused_pipeline_class,
    wrapped_store,
)

logger = logging.getLogger(__name__)


_DEFAULT_PIPELINE = "zarr.core.codec_pipeline.BatchedCodecPipeline"


def has_default_pipeline() -> bool:
    """Return whether the user has not chosen another codec pipeline in zarr's configuration."""
    return bool(zarr.config.get("codec_pipeline.path", _DEFAULT_PIPELINE) == _DEFAULT_PIPELINE)


PATH_OF_ZARRS = "zarrs.ZarrsCodecPipeline"
"""Value in zarr's configuration with which the package ``zarrs`` decodes chunks."""


def choose_pipeline(array: Any) -> None:
    """Set the codec pipeline of an array of numbers in a read-only store.

    It is the fused one of zarr-python 3.4 if the user has chosen none. It is that of ``zarrs`` only if the
    user has configured it, since a forked process hangs on its first read after its parent has read with it.
    The pipeline is a plain attribute of the array, so that the configuration of the process is unchanged.
    """
    if array.metadata.zarr_format != 3:
        return
    pipeline = None
    if has_default_pipeline():
        pipeline = _fused_pipeline(array)
    elif zarr.config.get("codec_pipeline.path") == PATH_OF_ZARRS:
        pipeline = _zarrs_pipeline(array)
    if pipeline is not None:
        object.__setattr__(array, "codec_pipeline", pipeline)


def _zarrs_pipeline(array: Any) -> Any:
    dtype = array.metadata.dtype.to_native_dtype()
    if not _are_known(array.metadata.codecs) or dtype.kind not in "iuf" or not dtype.isnative:
        return None
    given = array.store_path.store
    watched = given if hasattr(given, "look") else None
    store = given if watched is None else wrapped_store(watched)
    if not isinstance(store, LocalStore):
        return None
    check_file = getattr(store, "check_file", None)
    if check_file is None:
        return None  # a store class of the user
    store = LocalStore(store.root, read_only=store.read_only)  # zarrs accepts only this class
    from zarrs import (
        ZarrsCodecPipeline as pipeline,
    )  # the user has configured it, so that it is installed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = pipeline.from_array_metadata_and_store(array.metadata, store)
    except (UserWarning, ValueError, TypeError, RuntimeError) as error:
        logger.debug("%s is left to zarr-python: %s", array.store_path, error)
        return None
    return _ZarrsPipeline(made, watched, check_file)


class _ZarrsPipeline:
    """The pipeline of ``zarrs``, and that of zarr-python for the selections that it refuses.

    It bypasses the store of its array, which therefore checks first that chunks exist and can be read.
    """

    def __init__(self, pipeline: Any, watched: Any, check_file: Callable[[str], bool]) -> None:
        self._pipeline = pipeline
        self._watched = watched
        self._check_file = check_file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    async def read(self, batch_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Read chunks."""
        batch = list(batch_info)
        keys = [chunk[0].path for chunk in batch]
        if self._watched is not None:
            self._watched.look(keys, self._check_file)
        else:
            for key in keys:
                self._check_file(key)
        try:
            return await self._pipeline.read(batch, *args, **kwargs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            # A valid selection, or a damaged chunk, which zarr-python then reports.
            fallback = self._pipeline.python_impl
            if fallback is None:
                raise
            logger.debug("zarrs refuses a selection, zarr-python reads it: %s", error)
        return await fallback.read(batch, *args, **kwargs)


def _are_known(codecs: Sequence[Any]) -> bool:
    for codec in codecs:
        if isinstance(codec, ShardingCodec) and not _are_known(codec.codecs):
            return False
        said = codec.to_dict()
        if said["name"] not in IN_ZARRS or _is_big_endian(said):
            return False
    return True


def _is_big_endian(codec: Mapping[str, Any]) -> bool:
    return bool((codec.get("configuration") or {}).get("endian") == "big")


def _fused_pipeline(array: Any) -> Any:
    fused = fused_pipeline_class()
    grid = array.metadata.chunk_grid
    if fused is None or not hasattr(grid, "chunk_shape"):
        return None
    specification = ArraySpec(
        shape=grid.chunk_shape,
        dtype=array.metadata.data_type,
        fill_value=array.metadata.fill_value,
        config=ArrayConfig.from_dict({}),
        prototype=default_buffer_prototype(),
    )
    pipeline = fused.from_codecs(array.metadata.codecs)
    evolved = pipeline.evolve_from_array_spec(specification)
    return evolved if evolved.sync_transform is not None else None


def most_threads(at_most: int) -> int:
    """Return the maximum number of decoding threads: from zarr's configuration, or one per core."""
    told = zarr.config.get("threading.max_workers", None)
    return max(1, min(at_most, told if isinstance(told, int) else n_cores()))
