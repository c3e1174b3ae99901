"""Executes the pages of this folder, each in its own process, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PAGES = ("write_and_read_hdmf.py", "write_and_read_nwb.py", "convert_from_hdf5.py")


def main() -> int:
    """Return 1 if a page fails."""
    folder = Path(__file__).resolve().parent
    failed = []
    for page in PAGES:
        started = time.perf_counter()
        # Only warnings of this package are a mistake in a page.
        command = [sys.executable, "-W", "error:::hdmf_zarr", str(folder / page)]
        if subprocess.run(command, check=False).returncode:
            failed.append(page)
        print(f"{page}: {time.perf_counter() - started:.1f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
