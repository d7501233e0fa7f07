"""Somebody else waits for children, or nobody does: processes of its own are gone all the same, and nobody else's."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import twofold
from checks import MiB, descriptors


def reap(number, frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def is_child(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except FileNotFoundError:
        return False
    return int(status.rpartition(")")[2].split()[1]) == os.getpid()


def watched(pid, number):
    if number and not is_child(pid):  # one that is slow to end is killed, and no other
        strangers.append(pid)
    return kill(pid, number)


multiprocessing.set_start_method("fork")  # those of a forkserver, the default since Python 3.14, are its children
strangers = []
kill = os.kill
os.kill = watched
values = twofold.share(np.ones(4 * MiB, np.uint8))
twofold.double_in_processes(values, processes=2)
before = descriptors()
for handler in (signal.SIG_IGN, reap):
    signal.signal(signal.SIGCHLD, handler)
    for _ in range(20):
        assert (twofold.double_in_processes(values, processes=3) == 2).all()
    assert descriptors() == before
    assert multiprocessing.active_children() == []
    assert strangers == []
