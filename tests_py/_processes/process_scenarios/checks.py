"""What the scenarios share: arrays with known answers, pools of each kind, and workers that die or stop where told."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np
import twofold
from twofold._engine.twofold_engine import operation_named
from twofold._processes.claims import Claims
from twofold._processes.jobs import this_process
from twofold._processes.places import open_place

MiB = 1 << 20

KINDS = ("ProcessPoolExecutor", "Pool")
MODES = ("out of place", "in place", "copied", "list")


def make_pool(kind, method="fork", workers=2):
    context = multiprocessing.get_context(method)
    if kind == "Pool":
        return context.Pool(workers)
    return ProcessPoolExecutor(workers, mp_context=context)


def end_pool(pool):
    """In a way that does not hang, whatever has become of its workers."""
    if isinstance(pool, ProcessPoolExecutor):
        pool.shutdown(wait=True, cancel_futures=True)
    else:
        pool.terminate()
        pool.join()


def workers_of(pool):
    return list(pool._processes) if isinstance(pool, ProcessPoolExecutor) else [worker.pid for worker in pool._pool]


class Call:
    """A call of double_in_processes in one of the ways, on an array of which each element is known."""

    def __init__(self, mode, mebibytes):
        self.mode = mode
        self.values = np.arange(mebibytes * MiB // 4, dtype=np.uint32) * 7
        self.doubled = self.values * 2
        self.shared = twofold.share(self.values)
        self.list = self.values[: 1 << 16].tolist() if mode == "list" else None

    def __call__(self, pool, **keywords):
        if self.mode == "list":
            result = twofold.double_in_processes(self.list, pool, chunk_bytes=4096, **keywords)
            assert result == [v + v for v in self.list]
            return
        if self.mode == "in place":
            self.shared[...] = self.values
            result = twofold.double_in_processes(self.shared, pool, out=self.shared, **keywords)
            assert result is self.shared
        elif self.mode == "out of place":
            result = twofold.double_in_processes(self.shared, pool, **keywords)
        else:
            result = twofold.double_in_processes(self.values, pool, **keywords)
        wrong = np.flatnonzero(result != self.doubled)
        assert wrong.size == 0, f"{wrong.size} elements are wrong, the first one is {wrong[0]}: {result[wrong[0]]}"


class PoolOfDoomed:
    """Each worker sends itself a signal at a step of its first chunk; `submit` returns when that has come to pass."""

    def __init__(self, step, number=signal.SIGKILL):
        self.step = step
        self.number = number
        self.processes = []

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()
            process.close()

    def submit(self, work, order):
        process = multiprocessing.get_context("fork").Process(target=meet_doom, args=(order, self.step, self.number))
        process.start()
        self.processes.append(process)
        come_to_pass = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        assert come_to_pass.si_status in (self.number, 0), come_to_pass  # 0: there was nothing left to do
        return Future()


def meet_doom(order, step, number):
    _, table_place, place, out_place, name, element, overflow = order
    claims = Claims.join(open_place(table_place), this_process())
    if claims is None:  # so many have died that there is no room for more
        os.kill(os.getpid(), number)
        return
    claims.signal_at(step, number)
    values = open_place(place)
    out = values if out_place == place else open_place(out_place)
    while claims.work(operation_named(name), values, out, element, overflow, 1, 1.0):
        pass
    claims.leave()


def end_without_pools():
    """Ends this process although pools are in no state to be ended: that of multiprocessing may hang then.

    Who runs the scenario kills what is left of them.
    """
    sys.stdout.flush()
    os._exit(0)


def descriptors():
    """How many this process has, without those of memory that is kept for later results."""
    gc.collect()
    twofold.release_memory()
    return len(os.listdir("/proc/self/fd"))


def in_thread(function):
    """Runs it in another thread; `join` of what is returned raises what it has raised."""
    future = Future()

    def run():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.001)
