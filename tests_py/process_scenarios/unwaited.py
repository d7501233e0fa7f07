"""Somebody else waits for children, or nobody does: processes of its own are gone all the same, and nobody else's."""

import multiprocessing
import os
import signal

import numpy as np
import twofold
from checks import MiB, descriptors


def reap(number, frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


killed = []
kill = os.kill
os.kill = lambda pid, number: (killed.append(pid) if number else None, kill(pid, number))[1]
values = twofold.share(np.ones(4 * MiB, np.uint8))
twofold.double_in_processes(values, processes=2)
before = descriptors()
for handler in (signal.SIG_IGN, reap):
    signal.signal(signal.SIGCHLD, handler)
    for _ in range(20):
        assert (twofold.double_in_processes(values, processes=3) == 2).all()
    assert descriptors() == before
    assert multiprocessing.active_children() == []
    assert killed == []
