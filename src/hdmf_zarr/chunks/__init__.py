"""Chunks of an array: missing ones, kept ones, large selections; from a byte store and a node."""
