"""What will be written, decided as values; the destination is not touched."""
