"""Our files in released versions, theirs in ours; see `tests.peers.conftest` for what they need."""
