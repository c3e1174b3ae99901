"""The plan of a write, as values; the destination is not changed."""
