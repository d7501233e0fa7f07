"""`twofold.parallel(ufunc)` against the ufunc, call by call in turn.

    python benchmarks/ufuncs.py [--sizes] [--quick]

For large arrays with `out=`: medians and quartiles of the ratios of 61 pairs of calls. The promise is 1.7 and more on
two idle cores. With --sizes: the difference in nanoseconds for each power of two, which is 50 at most below the size
from which calls are shared, and above that the larger of 1000 and 5 %. The load of the machine is printed, since
nothing else should run. Without SciPy `scipy.special.erf` is left out.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import twofold

PROMISED = 1.7
NAMES = ("sin", "log", "exp", "cbrt", "add")


def ufuncs() -> dict[str, np.ufunc]:
    found = {name: getattr(np, name) for name in NAMES}
    try:
        from scipy import special  # noqa: PLC0415
    except ImportError:
        return found
    return {**found, "erf": special.erf}


def seconds(call: Callable[[], object], calls: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def pairs(ufunc: np.ufunc, n: int, count: int, calls: int = 1) -> list[tuple[float, float]]:
    """Seconds that a call takes with the ufunc and with twofold, in turn."""
    values, out = np.linspace(0.1, 3, n), np.empty(n)
    arguments, shared = [values] * ufunc.nin, twofold.parallel(ufunc)
    plain, ours = lambda: ufunc(*arguments, out), lambda: shared(*arguments, out)
    for _ in range(20):
        plain(), ours()
    return [(seconds(plain, calls), seconds(ours, calls)) for _ in range(count)]


def large(n: int, count: int) -> None:
    print(f"{n:,} doubles, out=: how many times as fast as NumPy, median (quartiles)")
    for name, ufunc in ufuncs().items():
        ratios = [plain / ours for plain, ours in pairs(ufunc, n, count)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        promised = f"  promised: {PROMISED}" if middle < PROMISED and name != "add" else ""
        print(f"  {name:5} {middle:5.2f} ({low:.2f} to {high:.2f}){promised}")


def sizes(count: int) -> None:
    print("nanoseconds of a call of NumPy, and how many more with twofold: median")
    for name, ufunc in ufuncs().items():
        for power in range(18):
            found = pairs(ufunc, 1 << power, count, max(1, 20_000 >> power))
            plain = statistics.median(pair[0] for pair in found) * 1e9
            more = statistics.median(ours - plain for plain, ours in found) * 1e9
            print(f"  {name:5} 2^{power:<2} {plain:10.0f} {more:+8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", action="store_true", help="small and middling arrays instead of large ones")
    parser.add_argument("--quick", action="store_true", help="only check that it runs")
    arguments = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.2f}, NumPy {np.__version__}")
    if arguments.sizes:
        sizes(3 if arguments.quick else 61)
    else:
        large(1 << 16 if arguments.quick else 1 << 22, 5 if arguments.quick else 61)


if __name__ == "__main__":
    main()
