"""The filters of HDF5 as codecs of Zarr, and back."""
