"""Writing with many workers: who they are, what they are told, what becomes of a failure.

Every write unit of an array (its shard, else its chunk) is written by one task: no two workers ever read
and change the same one. To be read in this order: `options`, `tasks`, `threads`, `pickling`, `places`,
`pool`, `feed`, `workers`, `shipping`, `iterators`, `arrays`.
"""
