"""One open store and its operations."""
