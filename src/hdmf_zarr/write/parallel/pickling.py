"""Sources of regions, as bytes that other processes understand."""

from __future__ import annotations

import io
import pickle
import sys
from typing import Any

from hdmf_zarr.core.hdmf_private import pickled_state
from hdmf_zarr.write.parallel.options import WorkerOptions
from hdmf_zarr.write.parallel.tasks import RegionSource


def pickled(held: RegionSource, options: WorkerOptions) -> bytes:
    main = sys.modules.get("__main__")
    is_script = getattr(main, "__file__", None) is not None
    if options.executor is None and is_script:
        # Processes of this machine import the script.
        return pickle.dumps(held, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        import cloudpickle
    except ImportError:
        return _pickled_without_main(held)
    return bytes(cloudpickle.dumps(held))


def _pickled_without_main(held: RegionSource) -> bytes:
    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and obj.__module__ == "__main__":
                raise pickle.PicklingError(
                    f"the class {obj.__qualname__} is defined in __main__, which workers do not have: "
                    "define it in a module, or install cloudpickle"
                )
            return NotImplemented

    file = io.BytesIO()
    Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(held)
    return file.getvalue()


def what_is_not_picklable(iterator: Any, error: BaseException) -> str:
    """Describe the part of an iterator that cannot be pickled, for a message."""
    for name, value in _state(iterator).items():
        try:
            pickle.dumps(value)
        except Exception as own:
            return f"its {name} ({type(value).__module__}.{type(value).__qualname__}): {own}"
    return f"{type(error).__name__}: {error}"


def _state(iterator: Any) -> dict[str, Any]:
    try:
        state = pickled_state(iterator)
    except Exception:
        # The iterator lacks the method that hdmf requires: the error of pickle says so.
        return {}
    return dict(state) if isinstance(state, dict) else {}
