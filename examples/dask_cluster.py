"""Doubling a Dask array on a cluster of processes, one of whose workers is killed half-way.

    pip install "dask[array]" distributed
    python examples/dask_cluster.py

The cluster is one of this machine, but the same code runs on any: chunks go through the ufunc `twofold.ufuncs.doubled`
where they are. Dask computes again what a dead worker had.
"""

import os
import signal
import threading

import dask.array as da
import numpy as np
import twofold
from distributed import Client, LocalCluster

CHUNKS = 64
CHUNK = 500_000


def main() -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        values = da.arange(CHUNKS * CHUNK, chunks=CHUNK, dtype=np.uint32)
        doubled = twofold.double(values)  # lazily, as with any ufunc
        result = client.compute(da.stack([doubled.sum(), (doubled == values + values).sum()]))
        killer = threading.Timer(0.3, lambda: os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL))
        killer.start()
        total, right = (int(number) for number in result.result())
        killer.join()
    n = CHUNKS * CHUNK
    if right != n:
        raise SystemExit(f"{n - right:,} of {n:,} numbers are wrong")
    print(f"{n:,} numbers doubled, every one checked, with a worker killed half-way; their sum is {total:,}")


if __name__ == "__main__":
    main()
