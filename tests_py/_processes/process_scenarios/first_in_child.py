"""Eight threads enter at once, first thing in the child of a fork, each by another door."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback

import numpy as np
import twofold
from checks import Call

SECONDS = 40


def by_reference():
    array = twofold.share(np.arange(1 << 16))
    assert (pickle.loads(pickle.dumps(array[::2])) == np.arange(0, 1 << 16, 2)).all()


def with_threads(values):
    assert (twofold.double(values, threads=3) == values * 2).all()


def in_child(values, inherited):
    of_parent = inherited[0].copy()
    doors = [
        lambda: Call("out of place", 4)(None, processes=2),
        lambda: Call("in place", 4)(None, processes=2),
        lambda: Call("list", 4)(None, processes=2),
        lambda: with_threads(values),
        lambda: with_threads(values[: 1 << 16]),
        by_reference,
        twofold.release_memory,
        lambda: np.testing.assert_array_equal(inherited, of_parent),
    ]
    failures = []
    gate = threading.Barrier(len(doors))

    def enter(door):
        try:
            gate.wait()
            door()
            door()
        except BaseException:
            failures.append(traceback.format_exc())

    callers = [threading.Thread(target=enter, args=(door,)) for door in doors]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return "".join(failures)


def main(threads, children):
    values = np.arange(4 << 20, dtype=np.uint32)
    inherited = twofold.share(np.full(1 << 20, 7, np.uint8))
    for _ in range(int(children)):
        if threads == "used":
            with_threads(values)
            Call("out of place", 4)(None, processes=2)  # whose memory is kept for later
        pid = os.fork()
        if pid == 0:
            signal.alarm(SECONDS)  # a hang ends with a signal
            failures = in_child(values, inherited)
            sys.stderr.write(failures)
            sys.stderr.flush()
            os._exit(1 if failures else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (inherited == 7).all()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")  # a forkserver leaves its socket where a child ends by os._exit
    main(*sys.argv[1:])
