"""Ctrl-C meets processes of a call's own before they have begun: they go on as if nothing had been, without a word."""

import multiprocessing
import os
import signal
import sys

from checks import Call
from twofold._processes import jobs


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_child(*_):
    if multiprocessing.parent_process() is not None:
        interrupt()


exit_codes = []


class Noted(jobs.OwnProcesses):
    def release(self, have_come):
        for process in self._started:
            process.join()
            exit_codes.append(process.exitcode)
        super().release(have_come)


def main(method):
    multiprocessing.set_start_method(method)
    jobs.OwnProcesses = Noted
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    call = Call("out of place", 64)
    call(None, processes=2)
    if method == "fork":
        os.register_at_fork(after_in_child=interrupt)
        call(None, processes=2)
    assert exit_codes == [0] * (4 if method == "fork" else 2), exit_codes
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked


if __name__ in {"__main__", "__mp_main__"}:
    # The last thing that multiprocessing does before it calls what it was given, with an eye on exceptions.
    multiprocessing.util.info = interrupt_child
if __name__ == "__main__":
    main(*sys.argv[1:])
elif multiprocessing.get_start_method(allow_none=True) == "spawn":
    interrupt()
