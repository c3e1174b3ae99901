"""A store -> builders: one pass over the metadata (`tree`), lazy data (`lazy`)."""
