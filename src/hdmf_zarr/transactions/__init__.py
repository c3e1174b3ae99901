"""One writer at a time, the journal of its changes, and the undoing of them."""
