"""Ctrl-C meets the caller while it starts processes of its own: what its handler raises comes out; nobody is left."""

import multiprocessing
import os
import signal

from checks import Call


class InterruptError(Exception):
    pass


def interrupt(*_):
    raise InterruptError


def ctrl_c():
    """As soon as a process has been started."""
    signal.signal(signal.SIGINT, interrupt)
    start = multiprocessing.Process.start

    def start_and_interrupt(self):
        start(self)
        os.kill(os.getpid(), signal.SIGINT)

    multiprocessing.Process.start = start_and_interrupt
    try:
        Call("out of place", 8)(None, processes=2)
    except InterruptError:
        pass
    else:
        raise AssertionError("a handler's exception was lost")
    assert multiprocessing.active_children() == []


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    ctrl_c()
