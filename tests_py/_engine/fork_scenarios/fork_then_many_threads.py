"""Eight threads enter the library at once, first thing in a child."""

import threading

from checks import FORKS, double_large, double_small, in_child, settles_at, threads


def eight_at_once() -> None:
    failures: list[BaseException] = []

    def call() -> None:
        try:
            gate.wait()
            double_small()
            double_large()
        except BaseException as error:
            failures.append(error)

    gate = threading.Barrier(8)
    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures, failures
    assert settles_at(3), f"{threads()} threads after calls with 3"


for _ in range(FORKS // 6):
    double_large()
    in_child(eight_at_once)
