"""Nobody that lives holds an array: its memory is gone, although workers that had it wait for something else to come.

How many MiB the arrays have is said by TWOFOLD_TEST_MIB.
"""

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import twofold
from checks import MiB, end_pool, make_pool
from twofold._processes import segments

BYTES = int(os.environ.get("TWOFOLD_TEST_MIB", "48")) * MiB
if "TWOFOLD_TEST_MIB" not in os.environ:  # such a size is more than a process keeps, in spawned ones, too
    segments.keep(BYTES // 2)
LITTLE = 2 * MiB
waits = [0.0]


def shared_bytes():
    """What the segments that any process of this session has open take."""
    taken = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) != os.getsid(0):
                continue
            for fd in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{fd}"
                if os.readlink(path).startswith("/memfd:twofold"):
                    status = os.stat(path)
                    taken[status.st_ino] = status.st_blocks * 512
        except OSError:  # it has ended meanwhile
            continue
    return sum(taken.values())


def check_gone(what, but=0):
    begin = time.monotonic()
    while (left := shared_bytes() - but) > LITTLE:
        assert time.monotonic() < begin + 20, f"{what}: {left} bytes are left"
        time.sleep(0.01)
    waits.append(time.monotonic() - begin)


def receive(line):
    """Holds what came last, and drops it at the next word."""
    held = None
    while True:
        held = line.recv()
        line.send(None if held is None else int(held[-1]))


class Worker:
    def __init__(self, method):
        context = multiprocessing.get_context(method)
        self.line, other_end = context.Pipe()
        self.process = context.Process(target=receive, args=(other_end,), daemon=True)
        self.process.start()
        other_end.close()

    def tell(self, array):
        self.line.send(array)
        return self.line.recv()

    def kill(self):
        self.process.kill()
        self.process.join()
        self.line.close()


def array_of(stamp):
    return twofold.share(np.full(BYTES // 8, stamp))


def forked(held, ends):
    """A child that has the array in a list, and is told later how to go on without it. Returns how to tell it."""
    there, here = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        os.close(there[1])
        os.read(there[0], 1)  # until told
        stamp = int(held[0][0])
        right = bool((held[0] == stamp).all())
        if ends == "drops":
            held.clear()
        os.write(here[1], b"1" if right else b"0")
        if ends == "exits":
            os._exit(0)
        signal.pause()

    def tell():
        os.write(there[1], b"1")
        assert os.read(here[0], 1) == b"1", "a child of a fork reads something else"
        if ends == "drops":
            check_gone("dropped by a child", BYTES)
        if ends != "exits":
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for end in (*there, *here):
            os.close(end)

    return tell


def check_forks(method):
    for number, ends in enumerate(("drops", "exits", "is killed")):
        worker = Worker(method)
        held = [array_of(number)]
        assert worker.tell(held[0]) == number
        end = forked(held, ends)
        worker.tell(None)
        held.clear()
        b = array_of(-1)
        assert shared_bytes() > 2 * BYTES - LITTLE, "what a child has is gone"
        end()
        assert (b == -1).all()
        del b
        check_gone(f"a child {ends}")
        worker.kill()


def check_kills(method):
    for owner_drops_first in (True, False):
        waiting, holding = Worker(method), Worker(method)
        a = array_of(5)
        assert waiting.tell(a) == holding.tell(a) == 5
        waiting.tell(None)
        if owner_drops_first:
            del a
            assert shared_bytes() > BYTES - LITTLE
            holding.kill()
        else:
            holding.kill()
            del a
        check_gone("one of two was killed")
        waiting.kill()


def check_pools(method):
    """The example of the README: results, and what a call has for itself, is not the workers' that it starts."""
    for kind in ("Pool", "ProcessPoolExecutor"):
        pool = make_pool(kind, method)
        a = np.ones(BYTES // 8)
        for _ in range(2):
            b = twofold.double_in_processes(a, pool)
            assert type(b) is twofold.SharedArray
            assert (b == 2).all()
            del b
            check_gone(f"a result of {kind}")
        assert twofold.double_in_processes([1, 2, 3] * 100_000, pool, chunk_bytes=1 << 16) == [2, 4, 6] * 100_000
        twofold.release_memory()
        check_gone(f"a list in {kind}")
        end_pool(pool)


def main(method):
    if os.getsid(0) != os.getpid():
        os.setsid()
    check_forks(method)
    check_kills(method)
    check_pools(method)
    print(f"{method}: {BYTES // MiB} MiB gone after {max(waits):.3f} s at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
