"""Calls from within workers, which may or may not have children; from several threads, also while a thread forks."""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import twofold
from checks import Call, end_pool, make_pool


def call_in_worker(mebibytes):
    call = Call("out of place", mebibytes)
    call(None, processes=2)
    with ProcessPoolExecutor(1) as pool:
        call(pool)
    return True


def call_in_daemon(mebibytes):
    """A worker of multiprocessing.Pool, which may have no children."""
    Call("out of place", mebibytes)(None, processes=2)
    return True


def main(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert pool.submit(call_in_worker, 4).result()
    with context.Pool(1) as pool:
        assert pool.apply(call_in_daemon, (4,))
        # An array that was pickled to a worker, which passes it on to its own processes.
        shared = twofold.share(np.arange(4 << 20, dtype=np.uint8))
        assert (pool.apply(twofold.double_in_processes, (shared,)) == shared + shared).all()

    # Several threads with one pool.
    pool = make_pool("ProcessPoolExecutor", method)
    calls = [Call(mode, 4) for mode in ("out of place", "in place", "copied", "list")]
    errors = []

    def repeat(call):
        try:
            for _ in range(10):
                call(pool)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    if method == "fork":
        while any(thread.is_alive() for thread in threads):
            pid = os.fork()
            if pid == 0:
                os._exit(not (twofold.double(calls[0].values[:1000]) == calls[0].doubled[:1000]).all())
            assert os.waitpid(pid, 0)[1] == 0
    for thread in threads:
        thread.join()
    assert errors == []
    end_pool(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
