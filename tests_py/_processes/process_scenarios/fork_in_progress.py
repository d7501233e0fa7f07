"""What is told of the progress forks: the call goes on in the parent, and ends in the child."""

import os
import signal
import sys

import numpy as np
import twofold
from checks import MiB, end_pool, make_pool
from twofold._processes import jobs


class NoPool:
    def submit(self, *order):
        raise RuntimeError("no more work is taken")


def check(pool, in_place, child_raises):
    caller = os.getpid()
    statuses = []

    def fork(done, total):
        if statuses or done == total:
            return
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            statuses.append(0)
            if child_raises:
                raise FileNotFoundError
            return
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    try:
        while not statuses:  # until something is told before all is done
            values = twofold.share(np.ones(64 * MiB, np.uint8))
            out = values if in_place else twofold.SharedArray(values.shape, values.dtype)
            twofold.double_in_processes(values, pool, processes=2, out=out, chunk_bytes=1 << 16, progress=fork)
            assert os.getpid() == caller
    except FileNotFoundError:
        os._exit(7 if child_raises else 1)
    except RuntimeError as error:
        os._exit(8 if "child of a fork" in str(error) and os.getpid() != caller else 1)
    assert statuses == [7 if child_raises else 8]
    assert (out == 2).all()


def main(kind):
    jobs.GRACE_SECONDS = jobs.WORK_SECONDS = 0.001  # so that something is told before all is done
    pool = None if kind == "own" else NoPool() if kind == "none" else make_pool(kind)
    for in_place in (False, True):
        for child_raises in (False, True):
            check(pool, in_place, child_raises)
    if kind == "Pool":
        end_pool(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
