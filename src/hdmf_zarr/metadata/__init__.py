"""Documents of nodes, of either format of Zarr: parsed, checked and made."""
