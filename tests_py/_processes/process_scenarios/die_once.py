"""A worker dies while it has a chunk: the call ends."""

from checks import Call, PoolOfDoomed

pool = PoolOfDoomed("computed")
Call("in place", 3)(pool, processes=1, retries=100)
pool.end()
