"""The documents of nodes, of either format of Zarr: parsed, checked, made; no store is read."""
