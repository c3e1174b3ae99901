"""Writes with many workers of this machine or of a cluster.

Every write unit of an array (its shard, else its chunk) is written by one task: no two workers ever read
and change the same one. To be read in this order: `options`, `tasks`, `threads`, `pickling`, `places`,
`pool`, `feed`, `workers`, `shipping`, `iterators`, `arrays`.
"""
