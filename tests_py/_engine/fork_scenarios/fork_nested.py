"""Fork from a thread that is not the main one, and again in the child, while the main thread calls."""

import threading

from checks import FORKS, double_small, double_with_own_helpers, in_child

failures: list[BaseException] = []


def fork_again() -> None:
    in_child(double_with_own_helpers)
    double_with_own_helpers()
    in_child(double_with_own_helpers)


def fork_many_times() -> None:
    try:
        for _ in range(FORKS // 6):
            in_child(fork_again)
    except BaseException as error:
        failures.append(error)


forker = threading.Thread(target=fork_many_times)
forker.start()
while forker.is_alive():
    double_small()
forker.join()
assert not failures, failures
