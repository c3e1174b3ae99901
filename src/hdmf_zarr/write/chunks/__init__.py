"""Elements -> stored bytes: regions, write units, shards, raw copies."""
