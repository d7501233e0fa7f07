"""one_fork.py WAY KERNEL [unregistered]: a fork while a helper is in the middle of that kernel.

Python's code runs on this thread alone until then: so the kernel "python" waits for the GIL, and "lock" for a lock that
this thread has.
"""

import os
import subprocess
import sys

import kernels
from ways import WAYS

way, name, *rest = sys.argv[1:]
if not rest:
    kernels.register_at_fork()
sys.setswitchinterval(1000)
calls_of_python = []
kernels.lock()


def start_before(owner: object, function: str) -> None:
    """Has a helper be in the kernel when `owner.function` is called, which forks."""
    fork = getattr(owner, function)

    def start_and_fork(*arguments: object) -> object:
        setattr(owner, function, fork)
        kernels.start(name, lambda: calls_of_python.append(1))
        return fork(*arguments)

    setattr(owner, function, start_and_fork)


for owner, function in ((os, "fork"), (subprocess, "_fork_exec"), (kernels, "fork_here")):
    start_before(owner, function)
WAYS[way]()
kernels.unlock()
assert kernels.finish() == 0
assert len(calls_of_python) == (name == "python")
assert kernels.run("nest") == 0
WAYS[way]()
