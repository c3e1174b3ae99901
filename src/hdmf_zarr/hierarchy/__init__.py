"""The nodes of one store: loaded, resolved, changed, committed."""
