"""One open store, and what is done with it as a whole."""
