"""Ctrl-C while a call is at work: it ends soon, workers stop taking chunks, and the next call is as any other."""

import os
import signal
import sys
import time

import numpy as np
import twofold
from checks import Call, MiB, descriptors, end_pool, make_pool


def main(kind):
    call = Call("out of place", 8)
    large = twofold.SharedArray(128 * MiB // 4, "uint32")
    pool = None if kind == "own" else make_pool(kind)
    call(pool, processes=2)
    before = descriptors()
    for in_place in (False, True):
        large[...] = 1
        told = []

        def tell(done, total, told=told):
            told.append(done / total)
            if len(told) == 1:
                if kind == "own":
                    os.killpg(
                        0, signal.SIGINT
                    )  # as a terminal does; to those of pools it is for the pools to see to it
                else:
                    signal.raise_signal(signal.SIGINT)

        try:
            twofold.double_in_processes(
                large, pool, processes=2, out=large if in_place else None, chunk_bytes=MiB, progress=tell
            )
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError(f"it went on: {told}")
        # Nobody writes any more.
        now = large.copy()
        time.sleep(0.05)
        assert (large == now).all()
        assert set(np.unique(large)) <= {1, 2}
        call(pool, processes=2)
    assert descriptors() == before
    if pool is not None:
        end_pool(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
