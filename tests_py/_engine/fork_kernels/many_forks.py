"""many_forks.py WAY COUNT KERNEL...: forks while other threads are in calls with these kernels, and come and go.

Prints the longest fork, in milliseconds.
"""

import os
import subprocess
import sys
import threading

import kernels
from ways import WAYS, Forks

way, count, names = WAYS[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]
kernels.register_at_fork()

done = threading.Event()
wrong = 0
calls_of_python = 0


def called_by_kernel() -> None:
    global calls_of_python  # noqa: PLW0603 a number that need not be exact
    calls_of_python += 1


def call(name: str) -> None:
    global wrong  # noqa: PLW0603 a thread that changes it has found a fault
    if kernels.run(name, called_by_kernel) != 0:
        wrong += 1


def call_again_and_again(name: str) -> None:
    while not done.is_set():
        call(name)


def come_and_go() -> None:
    while not done.is_set():
        thread = threading.Thread(target=call, args=("nothing",))
        thread.start()
        thread.join()


forks = Forks()
for owner, name in ((os, "fork"), (subprocess, "_fork_exec"), (kernels, "fork_here")):
    forks.watch(owner, name)
threads = [threading.Thread(target=call_again_and_again, args=(name,)) for name in names]
threads.append(threading.Thread(target=come_and_go))
for thread in threads:
    thread.start()
try:
    for _ in range(count):
        way()
    while kernels.count_of_helpers() == 0:  # or nothing was shown
        way()
finally:
    done.set()
    for thread in threads:
        thread.join()
assert wrong == 0, f"{wrong} wrong results in the parent"
assert "python" not in names or calls_of_python > 0
print(f"{1000 * forks.longest:.1f} ms, kernels on helpers: {kernels.count_of_helpers()}")
