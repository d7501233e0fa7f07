"""Arrays whose elements are all one number come and go, as do their holders: no process ever reads another number.

Their memory is used again, round after round, beside workers that are killed and children of forks that drop what they
have, end, or are killed. As many rounds as TWOFOLD_TEST_ARRAYS says.
"""

import os
import random
import signal
from multiprocessing import Pipe

import numpy as np
import twofold

N = 1 << 15  # which is a quarter of a MiB: large enough to be used again
ROUNDS = int(os.environ.get("TWOFOLD_TEST_ARRAYS", "400"))


def is_right(held):
    return all((array == stamp).all() for stamp, array in held)


def work(line):
    """What every other process does: holds some arrays, checks all that it has, and makes one of its own."""
    held = []
    while True:
        stamp, array = line.recv()
        held = [*held[-random.randrange(4) :], (stamp, array)]
        line.send((is_right(held), twofold.share(np.full(N, -stamp))))


def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(600)
            random.seed(os.getpid())
            function()
        finally:
            os._exit(1)
    return pid


def started():
    line, other_end = Pipe()
    return in_child(lambda: work(other_end)), line


def end(pid, line):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    line.close()


class Child:
    """Of a fork: it has what its parent has, and checks it later."""

    def __init__(self, held):
        self.line, other_end = Pipe()
        self.way = random.choice(("is killed", "drops", "ends"))

        def wait():
            other_end.recv()
            right = is_right(held)
            if self.way == "drops":
                held.clear()
                own = twofold.share(np.full(N, 1 << 40))
                right = right and (own == 1 << 40).all()
            other_end.send(right)
            if self.way == "ends":
                os._exit(0)
            other_end.recv()

        self.pid = in_child(wait)
        other_end.close()

    def check(self):
        self.line.send(None)
        assert self.line.recv(), f"a child that {self.way} has read something else"
        if self.way != "ends":
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.line.close()


def main():
    random.seed(1)
    workers = [started() for _ in range(3)]
    files = len(os.listdir("/proc/self/fd"))
    tokens, held, results, children = set(), [], [], []
    again = 0
    counts = {"forks": 0, "kills": 0}
    for stamp in range(1, ROUNDS + 1):
        array = twofold.share(np.full(N, stamp))
        again += array.base.token[:16] in tokens
        tokens.add(array.base.token[:16])
        which = random.randrange(3)
        line = workers[which][1]
        line.send((stamp, array))
        held = [*held[-random.randrange(5, 12) :], (stamp, array)]
        right, result = line.recv()
        assert right, f"a worker's array changed before round {stamp}"
        results = [*results[-2:], (-stamp, result)]
        del array, result
        assert is_right(held + results), stamp
        if stamp % 10 == 0:
            children.append(Child(list(held + results)))
            counts["forks"] += 1
        if children and random.random() < 0.4:
            children.pop(random.randrange(len(children))).check()
        if stamp % 20 == 0:
            end(*workers[which])
            workers[which] = started()
            counts["kills"] += 1
    for child in children:
        child.check()
    for worker in workers:
        end(*worker)
    assert again > ROUNDS / 10, f"memory used again in {again} of {ROUNDS} rounds: nothing is shown here"
    assert len(os.listdir("/proc/self/fd")) < files + 40
    print(f"{ROUNDS} rounds, {counts}, memory used again in {again}: all right")


if __name__ == "__main__":
    main()
