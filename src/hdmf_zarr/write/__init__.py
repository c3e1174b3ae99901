"""Builders -> a store: decide first (`planning`), then write (`execute`), commit at the end."""
