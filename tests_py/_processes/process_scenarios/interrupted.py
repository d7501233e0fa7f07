"""A signal's handler raises at each place of a call at which Python runs handlers, in turn: all that a call changes of
its thread and its process is as it was before.

The handler itself asks for the next signal, in a way after which it runs no more itself. So no clock is in it.
"""

import ctypes
import gc
import mmap
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import suppress

import numpy as np
import twofold
from twofold._engine import parallel_ufunc
from twofold._processes import jobs

matrix = np.asmatrix(np.arange(10))
masked = np.ma.MaskedArray(np.arange(4), [0, 1, 0, 0])
shared = twofold.share(np.arange(2000))


class InterruptError(BaseException):
    pass


# Who sends the signal: the thread itself, which may have blocked it; or some other thread has taken it, and Python runs
# the handler in this one nevertheless.
SENDERS = {"this thread": ctypes.PyDLL(None)["raise"], "another thread": ctypes.pythonapi.PyErr_SetInterruptEx}


class Interrupter:
    """Raises at the `place`-th one of a call; 0: nowhere. Counts them."""

    def __init__(self, sender):
        self._send = SENDERS[sender]
        self.raised = 0
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number, frame):
        if not self._is_on or os.getpid() != self._pid:
            return
        self.places += 1
        self.first.setdefault((frame.f_code, frame.f_lasti), self.places)
        if self.places == self._place:
            self._is_on = False
            self.raised += 1
            raise InterruptError
        [*map(self._send, (number,))]  # after a plain call, this handler would be the next place

    def call(self, function, place):
        """Returns what came out that is no result, or None."""
        self._place, self.places, self.first = place, 0, {}
        self._pid, self._is_on = os.getpid(), True
        try:
            self._send(signal.SIGINT)
            function()
        except InterruptError as error:
            return error
        finally:
            self._is_on = False
        return None


def limit():
    with twofold.num_threads(1), twofold.num_threads(2):
        pass


@twofold.num_threads(3)
def limited(**_):
    pass


def file_array():
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - which goes when this process ends
    file.truncate(1 << 14)
    files.append(file)
    return np.frombuffer(mmap.mmap(file.fileno(), 0), np.int64)


files = []


class NoPool:
    def submit(self, work, order):
        raise RuntimeError("no more work")


class Here:
    """A pool whose worker is the caller itself."""

    def submit(self, work, order):
        work(order)


def in_processes(values, out=None, pool=None):
    twofold.double_in_processes(values, pool, out=out, chunk_bytes=1, processes=2)


def in_parallel():
    before = parallel_ufunc.share_all(7)
    try:
        twofold.parallel(np.add)(shared, shared)
    finally:
        parallel_ufunc.share_all(before)


if __name__ == "__main__":  # and not in a process that is spawned
    mapped, target = file_array(), file_array()

CALLS = {
    "num_threads": limit,
    "decorated": lambda: limited(key=1),
    "threads=": lambda: twofold.double(matrix, threads=1),
    "masked": lambda: twofold.double(masked, overflow="raise"),
    "masked, in place": lambda: twofold.double(masked, out=masked, overflow="raise"),
    "narrows": lambda: twofold.double(matrix, dtype="i4", overflow="saturate"),
    "undisturbed": lambda: jobs.call_undisturbed(limit),
    "fork": lambda: in_processes(shared, shared),
    "list, fork": lambda: in_processes([1, 2] * 500),
    "spawn": lambda: in_processes(shared, shared),
    "forkserver": lambda: in_processes(shared, shared),
    "file": lambda: in_processes(mapped, mapped, NoPool()),
    "two files": lambda: in_processes(mapped, target, NoPool()),
    "file, opened by a worker": lambda: in_processes(mapped, target, Here()),
    "parallel": in_parallel,
    "SharedArray": lambda: twofold.SharedArray(10),
    "share": lambda: twofold.share(matrix),
}


def descriptors():
    gc.collect()
    twofold.release_memory()
    return sorted(map(int, os.listdir("/proc/self/fd")))[:-1]  # the last one is that of the listing


def children():
    with open("/proc/thread-self/children") as file:
        return [child for child in file.read().split() if int(child) not in servers]


servers = set()  # of multiprocessing, which stay


def state():
    return {
        "signal mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "thread limit": twofold.threads_info()["limit"],
        "errstate": np.geterr(),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "children": children(),
        "descriptors": descriptors(),
    }


def set_back(before):
    signal.pthread_sigmask(signal.SIG_SETMASK, before["signal mask"])
    twofold.set_num_threads(before["thread limit"])
    np.seterr(**before["errstate"])
    return state()


def is_of_python(error):
    """Whether it came through what starts or closes a process of multiprocessing, which loses pipes then."""
    return any(
        frame.f_code.co_name in {"start", "close"} and frame.f_globals["__name__"] == "multiprocessing.process"
        for frame, _ in traceback.walk_tb(error and error.__traceback__)
    )


def interrupt(name, sender, count):
    function = CALLS[name]
    interrupter = Interrupter(sender)
    lost = []  # by Python, in callbacks of weak references and hooks of fork

    def lose(unraisable):  # or an error of an object of which only a part had been made
        if unraisable.exc_type is InterruptError:
            lost.append(unraisable.exc_traceback.tb_frame.f_globals["__name__"])

    sys.unraisablehook = lose
    before = state()
    assert interrupter.call(function, 0) is None
    places, first = interrupter.places, list(interrupter.first.values())
    left = Counter()
    arrived = 0
    # In each instruction at least once, if they may be so many.
    tried = first[:: -(-len(first) // count)]
    tried += [1 + i * places // count for i in range(count - len(tried))]
    for place in tried:
        error = interrupter.call(function, place)
        arrived += error is not None
        is_ours = sender == "this thread" or not is_of_python(error)
        error = None
        after = state()
        if after != before:
            differs = [key for key in before if before[key] != after[key]]
            if is_ours:
                left.update(differs)
            before = set_back(before)
    assert interrupter.raised == arrived + len(lost), (interrupter.raised, arrived, lost)
    assert not any(module.startswith("twofold") for module in lost), lost
    print(
        f"{name}, by {sender}: {len(tried)} times at {places} places in {len(first)} instructions, left: {dict(left)}",
        flush=True,
    )
    return not left


def main(name, count):
    with suppress(ValueError):
        multiprocessing.set_start_method(name.rpartition(" ")[2] if "fork" in name or name == "spawn" else "fork")
    for _ in range(3):
        CALLS[name]()
    servers.update(map(int, children()))
    gc.freeze()
    # Servers of multiprocessing do not survive what comes in the middle of a start.
    senders = ["this thread"] if name in {"spawn", "forkserver"} else SENDERS
    results = [interrupt(name, sender, int(count)) for sender in senders]
    assert all(results)
    for file in files:
        file.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
