"""Doubling in tasks of Ray, one of whose workers is killed half-way.

    pip install ray numpy
    python examples/ray_tasks.py

A task calls `twofold.double` as any function, here on one machine, or on as many as the cluster has. It uses one
thread: Ray says so in OMP_NUM_THREADS. What a dead worker had, Ray does again.
"""

import os
import signal

import numpy as np
import ray
import twofold

CHUNKS = 64
CHUNK = 500_000


def double_chunk(number: int) -> tuple[int, int, int]:
    """Returns the process that has done it, the sum of the result, and how many numbers are right."""
    values = np.arange(number * CHUNK, (number + 1) * CHUNK, dtype=np.uint32)
    doubled = twofold.double(values)
    return os.getpid(), int(doubled.sum()), int((doubled == values + values).sum())


def main() -> None:
    ray.init(num_cpus=2, include_dashboard=False)
    task = ray.remote(double_chunk)
    asked = [task.remote(number) for number in range(CHUNKS)]
    done, _ = ray.wait(asked, num_returns=CHUNKS // 2)
    victim = ray.get(done[-1])[0]
    os.kill(victim, signal.SIGKILL)
    processes, sums, right = zip(*ray.get(asked), strict=True)
    ray.shutdown()
    n = CHUNKS * CHUNK
    if sum(right) != n:
        raise SystemExit(f"{n - sum(right):,} of {n:,} numbers are wrong")
    print(
        f"{n:,} numbers doubled by {len(set(processes))} processes, every one checked, with a worker killed half-way;"
        f" their sum is {sum(sums):,}"
    )


if __name__ == "__main__":
    main()
