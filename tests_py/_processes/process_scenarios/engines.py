"""The pools of other libraries, and threads: right results, and workers at work.

engines.py ENGINE STARTS: in one pool after the other, until so many workers have been started.
"""

import contextlib
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks import MODES, Call
from every_start_method import Counting

WORKERS = 2


def executor_of_joblib(n):
    """As the documentation has it: by the line that stands there."""
    import joblib.executor  # noqa: PLC0415

    page = Path(__file__).parents[3].joinpath("docs/process-pools.md").read_text()
    (line,) = re.findall(r"^\| joblib \| `(.*)` \|$", page, re.M)
    return eval(line, {"joblib": joblib, "n": n})


@contextlib.contextmanager
def pool_of(engine, workers=WORKERS):
    if engine == "threads":
        with ThreadPoolExecutor(workers) as pool:
            yield pool
    elif engine == "loky":
        from loky import get_reusable_executor  # noqa: PLC0415

        with get_reusable_executor(workers) as pool:
            yield pool
    elif engine == "joblib":
        import joblib  # noqa: PLC0415

        pool = executor_of_joblib(workers)
        yield pool
        # Which is the one that joblib goes on to use, or replaces.
        for n_jobs in (workers, workers + 1):
            assert joblib.Parallel(n_jobs)(joblib.delayed(abs)(i) for i in range(-9, 0)) == list(range(9, 0, -1))
        executor_of_joblib(workers).shutdown()
    elif engine == "mpire":
        from mpire import WorkerPool  # noqa: PLC0415

        with WorkerPool(workers) as pool:
            yield pool
    elif engine == "ray":
        import ray  # noqa: PLC0415
        from ray.util.multiprocessing import Pool  # noqa: PLC0415

        with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # short, for the sake of its sockets
            ray.init(num_cpus=workers, _temp_dir=directory, include_dashboard=False, log_to_driver=False)
            pool = Pool(workers)
            yield pool
            pool.terminate()
            ray.shutdown()
    else:
        import dask  # noqa: PLC0415
        from distributed import Client, LocalCluster  # noqa: PLC0415

        options = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with (
            tempfile.TemporaryDirectory() as directory,
            dask.config.set(temporary_directory=directory),
            LocalCluster(**options) as cluster,
            Client(cluster) as client,
        ):
            yield client


def main(engine, starts):
    calls = [Call(mode, 8) for mode in MODES]
    for _ in range(0, int(starts), WORKERS):
        use(engine, calls)


def use(engine, calls):
    with pool_of(engine) as pool:
        for call in calls:
            call(pool, processes=WORKERS)
            call(pool, processes=WORKERS)
        if engine == "distributed":  # which is told apart by its class
            asked = [pool.submit(call_in_worker, pure=False) for _ in range(2)]
            assert all(future.result() for future in asked)
            return
        counting = Counting(pool)
        while counting.bytes_done() == 0:  # workers may come too late for a call, but not for ever
            calls[0](counting)


def call_in_worker():
    Call("out of place", 4)(None, processes=2)
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
