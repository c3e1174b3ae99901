"""The nodes of one store: loaded, followed, changed, committed."""
