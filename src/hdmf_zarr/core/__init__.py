"""Pure values and calls of the system; imports nothing of the package but its errors."""
