"""Chunks of one array: missing chunks, cached chunks, large selections."""
