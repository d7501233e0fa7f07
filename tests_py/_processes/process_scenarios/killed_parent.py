"""The caller stops its processes in the middle of a call, or before they begin, and kills itself: when they go on, they
end.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import twofold
from checks import MiB, wait_until
from twofold._processes import jobs
from twofold._processes.jobs import identity_of

CHUNK = 64 << 10


def work_later(order, work=jobs.work):
    os.kill(os.getpid(), signal.SIGSTOP)
    work(order)


def call(values, out, told):
    def stop_workers_and_die(done, total):
        for number, worker in enumerate(multiprocessing.active_children()):
            told[number] = worker.pid
            os.kill(worker.pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

    twofold.double_in_processes(values, processes=2, out=out, chunk_bytes=CHUNK, progress=stop_workers_and_die)


def is_zombie(pid):
    """Not by is_dead, which is what this is about. The process that has taken them over need not look after them."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it is gone by now
        return True


def main(mode):
    multiprocessing.set_start_method("fork")  # whose processes have what is put in the place of `work`
    jobs.WORK_SECONDS = 0.001  # as long as one may go on that was stopped just before it began
    if mode == "late":
        jobs.work = work_later
    values = twofold.share(np.ones(256 * MiB, np.uint8))
    out = values if mode == "in place" else twofold.SharedArray(values.shape, values.dtype)
    told = twofold.SharedArray(2, "int64")
    caller = multiprocessing.get_context("fork").Process(target=call, args=(values, out, told))
    caller.start()
    caller.join()
    assert caller.exitcode == -signal.SIGKILL
    workers = [identity_of(int(pid)) for pid in told]
    before = np.count_nonzero(out == 2)
    assert before < out.size
    time.sleep(2 * jobs.WORK_SECONDS)  # so that it is time to look up when they go on

    def have_ended():
        living = [pid for pid, started in workers if identity_of(pid) == (pid, started) and not is_zombie(pid)]
        for pid in living:  # again, since one that was stopped before it began stops itself then
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return not living

    wait_until(have_ended)
    more = np.count_nonzero(out == 2) - before
    assert more < (out.size - before) // 2, f"{more} bytes were doubled when the caller had gone"


if __name__ == "__main__":
    main(*sys.argv[1:])
