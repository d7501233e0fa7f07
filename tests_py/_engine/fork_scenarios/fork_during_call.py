"""Fork while another thread is inside a call, hundreds of times."""

import threading
from array import array

from checks import (
    FORKS,
    LARGE,
    LARGE_DOUBLED,
    double,
    double_large,
    double_large_with_own_helpers,
    double_with_own_helpers,
    in_child,
)

done = threading.Event()
in_call = threading.Event()
calls = 0
wrong = 0


def call_again_and_again() -> None:
    global calls, wrong  # noqa: PLW0603 one writer
    out = array("I", bytes(4 * len(LARGE)))
    while not done.is_set():
        in_call.set()
        double(LARGE, out=out, threads=3)
        calls += 1
        wrong += out[-4096:] != LARGE_DOUBLED[-4096:] or out[:4096] != LARGE_DOUBLED[:4096]


caller = threading.Thread(target=call_again_and_again)
caller.start()
try:
    for i in range(FORKS):
        in_call.clear()
        in_call.wait()  # the other thread is in the call or about to enter it
        in_child(double_with_own_helpers if i % 20 == 0 else double_large_with_own_helpers)
finally:
    done.set()
    caller.join()
assert calls >= FORKS, f"only {calls} calls in {FORKS} forks"
assert wrong == 0, f"{wrong} wrong results in the parent"
double_large()
