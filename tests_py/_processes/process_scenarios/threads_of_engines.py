"""Four workers of an engine double at the same time: they have no more threads than there are CPUs and workers.

threads_of_engines.py ENGINE: nobody writes OMP_NUM_THREADS, but for engines that do.
threads_of_engines.py ENGINE set: they write it after the package has been imported.
"""

import os
import signal
import sys
import time
from collections import defaultdict

import numpy as np
import twofold
from checks import KINDS, MiB, end_pool, make_pool
from engines import pool_of

WORKERS = 4
CPUS = len(os.sched_getaffinity(0))

# Helper threads block all signals. Most others do not; jemalloc's, which comes with pyarrow, does.
BLOCKED = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM))


def threads_that_block():
    """Of this process."""
    count = 0
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/status") as status:
                (mask,) = (line.split()[1] for line in status if line.startswith("SigBlk"))
        except FileNotFoundError:
            continue
        count += int(mask, 16) & BLOCKED == BLOCKED
    return count


def double_and_count(number, begun, variable):
    """Doubles when all others do, too. Returns this process, and the most helpers that it has had."""
    if variable is not None:
        os.environ["OMP_NUM_THREADS"] = variable
    values = np.ones(64 * MiB // 4, np.uint32)  # for which as many threads as there may be pay
    out = np.empty_like(values)
    before = threads_that_block()
    begun[number] = True
    end = time.monotonic() + 60
    while not begun.all():
        assert time.monotonic() < end, "the others have not come"
        time.sleep(0.001)
    most = 0
    for _ in range(5):
        twofold.double(values, out=out)
        assert (out == 2).all()
        most = max(most, threads_that_block() - before)
    return os.getpid(), most


def in_all_workers(engine, variable):
    begun = twofold.SharedArray(WORKERS, bool)
    orders = [(number, begun, variable) for number in range(WORKERS)]
    if engine == "joblib":
        import joblib  # noqa: PLC0415

        return joblib.Parallel(WORKERS)(joblib.delayed(double_and_count)(*order) for order in orders)
    if engine == "ray":
        import ray  # noqa: PLC0415

        with pool_of(engine, WORKERS + 1):  # the pool, of which nothing is asked here, has a CPU
            return ray.get([ray.remote(double_and_count).remote(*order) for order in orders])
    if engine in KINDS:
        pool = make_pool(engine, "spawn" if engine == "Pool" else "fork", WORKERS)
        asked = [submit_to(pool)(double_and_count, *order) for order in orders]
        told = [future() for future in asked]
        end_pool(pool)
        return told
    with pool_of(engine, WORKERS) as pool:
        asked = [submit_to(pool)(double_and_count, *order) for order in orders]
        return [future() for future in asked]


def submit_to(pool):
    """A function that has a worker call another; what it returns waits for the result."""
    if hasattr(pool, "submit"):
        return lambda *call: pool.submit(*call).result
    return lambda function, *arguments: pool.apply_async(function, arguments).get


def main(engine, how="unset"):
    os.environ.pop("OMP_NUM_THREADS", None)
    of_process = defaultdict(int)
    for process, most in in_all_workers(engine, "1" if how == "set" else None):
        of_process[process] = max(of_process[process], most)
    assert len(of_process) == (1 if engine == "threads" else WORKERS), "not all workers have come"
    if engine in KINDS:  # children of multiprocessing, whose rule is one thread
        assert not any(of_process.values()), f"helpers were {dict(of_process)}"
    threads = WORKERS + sum(of_process.values())
    assert threads <= CPUS + WORKERS, f"{threads} threads on {CPUS} CPUs: helpers were {dict(of_process)}"


if __name__ == "__main__":
    main(*sys.argv[1:])
