"""Writes with many workers of this machine or of a cluster.

One task writes a write unit of an array (its shard, or its chunk if there are no shards): no two
workers ever read and change the same unit. Read the modules in this order: `options`, `tasks`,
`threads`, `pickling`, `store_handles`, `pool`, `feed`, `workers`, `dispatch`, `iterators`,
`arrays`.
"""
