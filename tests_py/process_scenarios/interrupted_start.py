"""Signals meet the caller while it starts processes of its own: what their handlers raise comes out, Ctrl-C is not
blocked for longer, and nobody is left.
"""

import multiprocessing
import os
import random
import signal

from checks import Call
from twofold import _jobs

ALARMS = 2000
MOST_SECONDS = 100e-6


class InterruptError(Exception):
    pass


def interrupt(*_):
    raise InterruptError


def alarms():
    """At any moment."""
    signal.signal(signal.SIGALRM, interrupt)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for seed in range(ALARMS):
        after = random.Random(seed).uniform(1e-6, MOST_SECONDS)
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            while True:
                with _jobs._ctrl_c_later("fork"):
                    pass
        except InterruptError:
            pass
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, seed


def ctrl_c():
    """As soon as a process has been started."""
    signal.signal(signal.SIGINT, interrupt)
    start = multiprocessing.Process.start

    def start_and_interrupt(self):
        start(self)
        os.kill(os.getpid(), signal.SIGINT)

    multiprocessing.Process.start = start_and_interrupt
    try:
        Call("elsewhere", 8)(None, processes=2)
    except InterruptError:
        pass
    else:
        raise AssertionError("a handler's exception was lost")
    assert multiprocessing.active_children() == []


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    alarms()
    ctrl_c()
