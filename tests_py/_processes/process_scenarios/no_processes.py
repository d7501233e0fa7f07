"""The system gives no more processes: the caller does all."""

import multiprocessing
import os
import resource

import numpy as np
import twofold
from checks import Call

multiprocessing.set_start_method("fork")  # a forkserver of root's would have processes, still
call = Call("out of place", 8)
call(None, processes=2)  # which imports all there is, while it may be read
if os.getuid() == 0:  # root has no limit
    os.setresuid(65534, 65534, 65534)
values = np.arange(1 << 20, dtype=np.uint32)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    os.fork()
except BlockingIOError:
    pass
else:
    raise AssertionError("there are processes, still")
call(None, processes=2)
assert (twofold.double_in_processes(values) == values * 2).all()
