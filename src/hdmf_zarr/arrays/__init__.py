"""The lazy arrays that readers hand out, and the view of them that zarr-python has."""
