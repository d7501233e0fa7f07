"""A worker that is stopped while it has a chunk: nobody else does that one; once it goes on, the call ends."""

import os
import signal
import threading
import time

import numpy as np
import twofold
from checks import MiB, PoolOfDoomed, in_thread, wait_until

for in_place in (False, True):
    for step in ("claimed", "computed"):
        values = twofold.share(np.arange(MiB, dtype=np.uint32))
        out = values if in_place else twofold.SharedArray(values.shape, values.dtype)
        before = out[:1024].copy()
        nearly_all = threading.Event()
        chunk = (64 << 10) // 4

        def tell(done, total, chunk=chunk, nearly_all=nearly_all):
            if done >= total - chunk:
                nearly_all.set()

        pool = PoolOfDoomed(step, signal.SIGSTOP)
        call = in_thread(
            lambda pool=pool, values=values, out=out, tell=tell: twofold.double_in_processes(
                values, pool, processes=1, out=out, chunk_bytes=64 << 10, progress=tell
            )
        )
        assert nearly_all.wait(30)
        time.sleep(0.3)  # in which it could be taken over, were it ever
        assert not call.done()
        if in_place or step == "claimed":
            assert (out[:1024] == before).all(), "somebody else has done the chunk"
        os.kill(pool.processes[0].pid, signal.SIGCONT)
        # It stops again at its next chunk, if it gets one.
        wait_until(call.done)
        assert call.result() is out
        assert (out == np.arange(MiB, dtype=np.uint32) * 2).all()
        pool.processes[0].kill()
        pool.processes[0].join()
