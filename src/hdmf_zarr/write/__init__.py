"""Builders -> a store: decide first (`planner`), then write (`tree`), commit at the end."""
