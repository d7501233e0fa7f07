"""Ways to fork, for the scenarios beside this file; each waits for the child, which makes calls of its own."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

sys.path.insert(0, os.environ["TWOFOLD_TEST_KERNELS"])  # where kernels.cpp was built

import kernels


def child() -> None:
    """What a child does: calls with helpers, its own."""
    signal.alarm(20)  # a hang ends with -SIGALRM
    assert kernels.run("nest") == 0


def wait_for(pid: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the child ended with {status}"


def fork_by_os() -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child()
            status = 0
        finally:
            os._exit(status)
    wait_for(pid)


def fork_by_multiprocessing() -> None:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode


def fork_by_subprocess_user() -> None:
    """By C code, with the GIL held, and without Python's hooks."""
    subprocess.run(["true"], user=os.getuid(), check=True)


def fork_by_subprocess_preexec() -> None:
    subprocess.run(["true"], preexec_fn=child, check=True)


def fork_by_c_with_gil() -> None:
    wait_for(kernels.fork_here(True))


def fork_by_c_without_gil() -> None:
    wait_for(kernels.fork_here(False))


WAYS: dict[str, Callable[[], None]] = {
    name.removeprefix("fork_by_"): value for name, value in globals().items() if name.startswith("fork_by_")
}


class Forks:
    """The time that forks take: from the call to the return, in the parent."""

    def __init__(self) -> None:
        self.longest = 0.0

    def watch(self, owner: object, name: str) -> None:
        """Has each call of owner.name timed."""
        fork = getattr(owner, name)

        def timed(*arguments: object) -> object:
            start = time.perf_counter()
            result = fork(*arguments)
            self.longest = max(self.longest, time.perf_counter() - start)
            return result

        setattr(owner, name, timed)
