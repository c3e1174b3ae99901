"""Pure values and system calls; imports nothing of the package except its errors."""
