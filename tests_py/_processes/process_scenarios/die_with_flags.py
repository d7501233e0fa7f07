"""A worker dies when its chunk is done: it has told before what became of its floats."""

import numpy as np
import twofold
from checks import PoolOfDoomed

pool = PoolOfDoomed("done")
values = twofold.share(np.ones(4096))
values[0] = 1e308
try:
    with np.errstate(over="raise"):
        twofold.double_in_processes(values, pool, processes=1, chunk_bytes=4096)
except FloatingPointError:
    pass
else:
    raise AssertionError("nobody has heard of the overflow")
pool.end()
