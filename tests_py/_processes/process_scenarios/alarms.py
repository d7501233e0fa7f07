"""Alarms at all moments of short calls, one after another, whose handler raises: each one reaches the caller.

Python itself loses what is raised in a weak reference's callback, a `__del__` or a hook of fork, and tells
sys.unraisablehook: of these none may be twofold's.
"""

import gc
import mmap
import multiprocessing
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import traceback
from array import array
from collections import deque
from fractions import Fraction
from itertools import repeat

import numpy as np
import twofold
from twofold import ufuncs

SECONDS = 60  # without an alarm: it was lost

values = np.arange(20_000)  # as many as more than one thread may double
small = np.arange(10)
matrix = np.asmatrix(small)
items = array("q", range(20_000))
shared = twofold.share(values)


class Text(str):
    def __repr__(self):
        return "".join(map(str, range(100)))


def calls(function, *arguments):
    """Many of them, with no Python code of ours between them."""
    deque(map(function, *map(repeat, arguments, repeat(20))), 0)


def limit():
    with twofold.num_threads(1), twofold.num_threads(2):
        twofold.double(small)


def refuse():
    try:
        twofold.double([Text()])
    except TypeError:
        pass
    else:
        raise AssertionError("a string was doubled")


def round_trip(array):
    return pickle.loads(pickle.dumps(array))


def in_processes(x, out, pool=None, **keywords):
    twofold.double_in_processes(x, pool, out=out, chunk_bytes=1, **keywords)


file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - which has a name until `main` ends


def file_array():
    file.truncate(1 << 14)
    return np.frombuffer(mmap.mmap(file.fileno(), 0), np.int64)


class NoPool:
    def submit(self, work, order):
        raise RuntimeError("no more work")


def new_pool(name):
    if name == "Pool":
        return multiprocessing.Pool(1)
    if name == "ProcessPoolExecutor":
        # Here, as `logging`, which it imports, has hooks of fork.
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

        return ProcessPoolExecutor(1)
    return None


def functions_of(error):
    """The names of the functions that it came through."""
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]


mapped = file_array()
pools = []  # the last one is asked; the others are kept, as their end would run Python code

# What is called, and within how many seconds an alarm comes.
STRETCHES = {
    "array": (lambda: calls(twofold.double, values), 1e-3),
    "small array": (lambda: calls(twofold.double, small), 1e-4),
    "strides": (lambda: calls(twofold.double, values[::2]), 1e-3),
    "list": (lambda: calls(twofold.double, [Fraction(1, 2), 1, 2.5] * 5), 3e-4),
    "list of a dtype": (lambda: twofold.double([1, 2] * 50, dtype=np.dtype("i4")), 1e-4),
    "refused": (refuse, 1e-4),
    "buffer": (lambda: calls(twofold.double, memoryview(items)), 1e-3),
    "ufunc": (lambda: calls(ufuncs.doubled, values), 1e-3),
    "matrix": (lambda: twofold.double(matrix, threads=1), 3e-5),
    "limit": (limit, 1e-4),
    "pickle": (lambda: round_trip(shared), 2e-4),
    "pickle and drop": (lambda: round_trip(twofold.share(small)), 3e-4),
    "share": (lambda: twofold.share(small), 2e-4),
    "SharedArray": (lambda: twofold.SharedArray(10), 2e-4),
    "own": (lambda: in_processes(shared, shared, processes=1), 10e-3),
    "ProcessPoolExecutor": (lambda: in_processes(shared, shared, pools[-1]), 3e-3),
    "Pool": (lambda: in_processes(shared, shared, pools[-1]), 3e-3),
    "file": (lambda: in_processes(mapped, mapped, NoPool()), 1e-3),
}


def send(name, count, base):
    function, max_seconds = STRETCHES[name]
    raised = arrived = 0
    lost = []

    class DeadlineError(getattr(__builtins__, base)):
        pass

    def on_alarm(*_):
        nonlocal raised
        raised += 1
        raise DeadlineError

    def lose(unraisable):
        assert unraisable.exc_type is DeadlineError, unraisable
        for frame, _ in traceback.walk_tb(unraisable.exc_traceback):
            assert "twofold" not in frame.f_globals["__name__"], unraisable
        lost.append(str(unraisable.object))

    sys.unraisablehook = lose
    signal.signal(signal.SIGALRM, on_alarm)

    def call_until_alarm():  # a function, since Python 3.13 has steps of a loop in a `try` that this does not cover
        while raised == i and time.monotonic() < end:
            function()

    draw = random.Random(base + name)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for i in range(int(count)):
        end = time.monotonic() + SECONDS
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, max_seconds))
            call_until_alarm()
        except DeadlineError as error:
            arrived += 1
            # It may have come between the steps of a pool that has taken a lock, which is held for ever then.
            if any(function in {"submit", "apply_async"} for function in functions_of(error)):
                pools.append(new_pool(name))
                function()  # which starts its workers and threads
        assert raised == i + 1, "no alarm came"
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask, "signals are blocked"
        assert twofold.threads_info()["limit"] is None, "a limit was left"
    function()
    assert arrived + len(lost) == raised, f"{raised - arrived - len(lost)} of {raised} were lost; Python lost {lost}"
    print(f"{name}, {base}: {arrived} alarms arrived, Python itself lost {lost}", flush=True)


def main(name, count, *bases):
    multiprocessing.set_start_method("fork")
    pools.append(new_pool(name))
    for _ in range(3):
        STRETCHES[name][0]()
    gc.freeze()
    for base in bases:
        send(name, count, base)
    file.close()
    os._exit(0)  # pools that were interrupted may not end; the test that runs this kills their workers


if __name__ == "__main__":
    main(*sys.argv[1:])
