"""What the fork scenarios share: arrays with known answers, and children that say what went wrong."""

import os
import signal
import sys
import time
import traceback
from array import array
from collections.abc import Callable

import twofold

# The kind of call, which the environment names: doubling, a loop of somebody else's, a ufunc, or a kernel.
match os.environ.get("TWOFOLD_TEST_CALLS"):
    case "loops":
        from loops import double
    case "ufuncs" | "kernels" as kind:
        import numpy as np

        if kind == "ufuncs":
            shared_add = twofold.parallel(np.add)
        else:
            kernel = twofold.Kernel(("loops", "double_chunk"))

        def double(values: array, out: array | None = None, threads: int | None = None) -> array:
            out = array("I", bytes(4 * len(values))) if out is None else out
            operand, target = np.asarray(values), np.asarray(out)
            if kind == "ufuncs":
                shared_add(operand, operand, out=target, threads=threads)
            else:
                kernel(operand, out=target, threads=threads)
            return out
    case _:
        from twofold import double

FORKS = int(os.environ.get("TWOFOLD_TEST_FORKS", "300"))

SMALL = array("I", bytes(range(256)) * 4096)  # 1 MiB: shared with helpers that are awake
SMALL_DOUBLED = array("I", [2 * v % 2**32 for v in SMALL])
LARGE = SMALL * 20  # large enough to wake or to start helpers, also without what a loop's first call does alone
LARGE_DOUBLED = SMALL_DOUBLED * 20

CHILD_SECONDS = 20


def threads() -> int:
    """The number of threads of this process."""
    return len(os.listdir("/proc/self/task"))


def settles_at(count: int) -> bool:
    """Whether this process comes to have `count` threads: one that was joined may take a moment to be gone."""
    end = time.monotonic() + 5
    while threads() != count and time.monotonic() < end:
        pass
    return threads() == count


def double_large() -> None:
    """Has helpers started or woken, and checks the answer."""
    assert double(LARGE, threads=3) == LARGE_DOUBLED


def double_small() -> None:
    assert double(SMALL, threads=3) == SMALL_DOUBLED


def double_in_every_way() -> None:
    """Every kind of call, with two helpers at the end that are this process's own."""
    double_small()
    double_large()
    out = array("I", bytes(4 * len(LARGE)))
    assert double(LARGE, out=out, threads=3) == LARGE_DOUBLED
    assert twofold.double(LARGE[:], out=LARGE[:], threads=3) == LARGE_DOUBLED
    assert twofold.double(bytes(SMALL), threads=3).tobytes() == bytes(v * 2 % 256 for v in range(256)) * 4096
    assert twofold.double([1, 2, 3]) == [2, 4, 6]
    assert twofold.double([1, 2**31], dtype="uint32") == [2, 0]


def double_with_own_helpers(call: Callable[[], None] = double_in_every_way) -> None:
    """For a child that has made no thread yet: it starts with one, and has helpers after a large call."""
    assert threads() == 1, f"{threads()} threads right after the fork"
    call()
    assert threads() == 3, f"{threads()} threads after calls with 3"


def double_large_with_own_helpers() -> None:
    """The same with a single call, for the many."""
    double_with_own_helpers(double_large)


def in_child(check: Callable[[], None]) -> None:
    """Forks, runs `check` in the child under a time limit, and waits for it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(CHILD_SECONDS)  # a hang ends with -SIGALRM
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the child ended with {status}"
