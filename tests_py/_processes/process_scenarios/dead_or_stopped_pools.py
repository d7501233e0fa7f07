"""Pools that cannot do anything: the caller does all, and the call ends."""

import contextlib
import os
import signal
import sys
import time

from checks import Call, end_pool, end_without_pools, make_pool, workers_of


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0] == "T"


def main(kind, method):
    calls = [Call(mode, 6) for mode in ("out of place", "in place", "list")]

    def call_all(pool):
        for call in calls:
            call(pool)

    def used_pool():
        pool = make_pool(kind, method)
        calls[0](pool)
        return pool

    # Shut down, or closed.
    pool = used_pool()
    end_pool(pool)
    call_all(pool)

    # Its workers are busy with something else, all the time.
    pool = used_pool()
    submit = pool.submit if hasattr(pool, "submit") else pool.apply_async
    [submit(time.sleep, *([100] if hasattr(pool, "submit") else [(100,)])) for _ in range(4)]
    call_all(pool)
    for pid in workers_of(pool):
        os.kill(pid, signal.SIGKILL)

    # Its workers are stopped.
    pool = used_pool()
    for pid in workers_of(pool):
        os.kill(pid, signal.SIGSTOP)
    while not all(
        map(is_stopped, workers_of(pool))
    ):  # one that still runs for a moment could take a chunk, and keep it
        time.sleep(0.001)
    call_all(pool)
    for pid in workers_of(pool):
        os.kill(pid, signal.SIGCONT)
    calls[0](pool)
    end_pool(pool)

    # Its workers were killed while they were idle, and nobody has noticed yet; or somebody has.
    pool = used_pool()
    for pid in workers_of(pool):
        with contextlib.suppress(ProcessLookupError):  # an executor ends all of them as soon as it sees one end
            os.kill(pid, signal.SIGKILL)
    call_all(pool)
    call_all(pool)

    end_without_pools()


if __name__ == "__main__":
    main(*sys.argv[1:])
