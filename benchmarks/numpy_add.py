"""twofold.double(x, out=o) against numpy.add(x, x, out=o), and twofold.double(x) against x + x.

    python benchmarks/numpy_add.py            # 256 MB of uint32, and smaller sizes
    python benchmarks/numpy_add.py --pairs 31

The two are timed in turn, in pairs whose order alternates, on the same arrays. Printed are the median times, and the
median of the pairs' ratios with its quartiles: above 1, twofold is faster. Needs NumPy.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import twofold

LEAST_SECONDS = 0.002  # shorter calls are repeated until they take about as long
SIZES = [1_000, 10_000, 100_000, 1_000_000, 16_000_000, 64_000_000]  # elements; the last are 256 MB


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def compare(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> tuple[float, float, list[float]]:
    """Median seconds of each, and the quartiles of theirs / ours over the pairs."""
    ours()
    theirs()
    repeats = max(1, round(LEAST_SECONDS / max(seconds_of(theirs, 3), 1e-9)))
    times: list[tuple[float, float]] = []
    for i in range(pairs):
        if i % 2:
            times.append((seconds_of(ours, repeats), seconds_of(theirs, repeats)))
        else:
            times.append((seconds_of(theirs, repeats), seconds_of(ours, repeats))[::-1])
    ratios = statistics.quantiles([theirs / ours for ours, theirs in times], n=4)
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times), ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=61)
    pairs = parser.parse_args().pairs
    print(f"uint32, NumPy {np.__version__}, twofold {twofold.__version__} ({twofold.simd_target()}), {pairs} pairs")
    print("    elements         call        twofold          NumPy   NumPy / twofold (quartiles)")
    for n in SIZES:
        x = np.arange(n, dtype=np.uint32)
        o = np.empty_like(x)
        cases = {
            "out=o": (lambda x=x, o=o: twofold.double(x, out=o), lambda x=x, o=o: np.add(x, x, out=o)),
            "out=x": (lambda x=x: twofold.double(x, out=x), lambda x=x: np.add(x, x, out=x)),
            "new": (lambda x=x: twofold.double(x), lambda x=x: x + x),
        }
        for name, (ours, theirs) in cases.items():
            own, other, (low, median, high) = compare(ours, theirs, pairs)
            times = f"{own * 1e6:11.2f} us {other * 1e6:11.2f} us"
            print(f"{n:12,} {name:>12} {times}   {median:6.2f} ({low:.2f}..{high:.2f})")
        np.testing.assert_array_equal(twofold.double(x, out=o), x + x)


if __name__ == "__main__":
    main()
