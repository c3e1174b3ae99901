"""The lazy arrays that readers return, and their view as arrays of zarr-python."""
