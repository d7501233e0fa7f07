"""Many threads that each double an array of their own, against one caller that has all cores.

    python benchmarks/many_callers.py                        # eight threads; half a minute
    python benchmarks/many_callers.py --threads 2 --rounds 21

Both double in place, in rounds that alternate: the threads an array each, one caller an array as large as all of those
together. Printed are the medians of the bytes that were doubled a second (each is read once and written once), and the
median of the rounds' ratios with its quartiles: at 1, many callers lose nothing. Without the GIL, small calls run side
by side, too; with it, only those that are large enough to release it do.
"""

import argparse
import statistics
import sys
import threading
import time

import numpy as np
import twofold

SIZES = [1 << 14, 1 << 20, 64 << 20]  # bytes of each array: held in a first-level cache, in a shared cache, in none
ROUND_BYTES = 4 << 30  # what a round doubles in all, at the most
MAX_CALLS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if has_gil else 'without'} the GIL; {arguments.threads} threads")
    print(f"{'bytes each':>12} {'many, GB/s':>12} {'one, GB/s':>12} {'many / one':>22}")
    for size in SIZES:
        report(size, arguments.threads, arguments.rounds)


def report(size: int, threads: int, rounds: int) -> None:
    own = [np.ones(size // 4, np.uint32) for _ in range(threads)]
    all_of_it = np.ones(size // 4 * threads, np.uint32)
    calls = max(1, min(MAX_CALLS, ROUND_BYTES // (size * threads)))
    rates: list[tuple[float, float]] = []
    for i in range(rounds + 1):
        order = [lambda: by_many(own, calls), lambda: by_one(all_of_it, calls)]
        seconds = [call() for call in (order if i % 2 else reversed(order))]
        many, one = seconds if i % 2 else reversed(seconds)
        rates.append((size * threads * calls / many / 1e9, size * threads * calls / one / 1e9))
    del rates[0]  # which started the helpers
    low, middle, high = statistics.quantiles([many / one for many, one in rates], n=4)
    many, one = (statistics.median(side) for side in zip(*rates, strict=True))
    print(f"{size:>12} {many:>12.1f} {one:>12.1f} {middle:>8.2f} ({low:.2f} to {high:.2f})")


def by_one(values: np.ndarray, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        twofold.double(values, out=values)
    return time.perf_counter() - start


def by_many(arrays: list[np.ndarray], calls: int) -> float:
    """Seconds from the moment that all threads are ready until the last has done its calls."""
    ready = threading.Barrier(len(arrays) + 1)

    def double_own(values: np.ndarray) -> None:
        ready.wait()
        for _ in range(calls):
            twofold.double(values, out=values)

    callers = [threading.Thread(target=double_own, args=(values,)) for values in arrays]
    for caller in callers:
        caller.start()
    ready.wait()
    start = time.perf_counter()
    for caller in callers:
        caller.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
