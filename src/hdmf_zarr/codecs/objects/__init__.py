"""Codecs for the objects of Zarr format 2, which format 3 does not have."""
