"""What a small call costs here and in another twofold: two processes take turns, one with each.

    pip install --target BEFORE twofold-of-before.whl
    python benchmarks/small_calls.py --before BEFORE [--rounds 41] [--only array]

Printed are the medians in nanoseconds, and the median of the differences with its quartiles; a row is marked where that
median is more than 3 ns and more than 3 %.
"""

import argparse
import os
import statistics
import subprocess
import sys

MEASURE_SECONDS = 0.004  # of one case in one round
ALLOWED_NS, ALLOWED_SHARE = 3, 0.03

SETUP = """
import array
import numpy as np
import twofold
from twofold import ufuncs

double = twofold.double
one, few, some = (np.ones(n, np.int64) for n in (1, 16, 1000))
floats, scalar, swapped = np.ones(16), np.int64(3), np.ones(16, ">i4")
strided, square, matrix = np.ones(32, np.int64)[::2], np.ones((4, 4)), np.ones((4, 4)).T
subclass = np.ones(16).view(type("Own", (np.ndarray,), dict()))
masked = np.ma.array(np.ones(16), mask=np.arange(16) % 4 == 0)
out = np.ones(16, np.int64)
ints, numbers, a, b = [1, 2, 3], [1.0] * 100, array.array("q", [1] * 16), bytearray(16)
m = memoryview(a)
"""

CASES = {
    "array of 1": "double(one)",
    "array of 16": "double(few)",
    "array of 1000": "double(some)",
    "array of 16, out": "double(few, out)",
    "array of 16, in place": "double(out, out)",
    "array of 16, raise": "double(few, overflow='raise')",
    "array of 16 floats": "double(floats)",
    "array, 4 x 4": "double(square)",
    "array, transposed": "double(matrix)",
    "array, strided": "double(strided)",
    "array, byte-swapped": "double(swapped)",
    "array, dtype=": "double(few, dtype='f8')",
    "scalar of NumPy": "double(scalar)",
    "subclass": "double(subclass)",
    "masked": "double(masked)",
    "ufunc, 1": "ufuncs.doubled(one)",
    "ufunc, 16": "ufuncs.doubled(few)",
    "ufunc, 16, out": "ufuncs.doubled(few, out)",
    "ufunc, 16 floats": "ufuncs.doubled(floats)",
    "ufunc, strided": "ufuncs.doubled(strided)",
    "ufunc, byte-swapped": "ufuncs.doubled(swapped)",
    "ufunc, checked": "ufuncs.doubled_checked(few)",
    "ufunc, a number": "ufuncs.doubled(3)",
    "list of 3": "double(ints)",
    "list of 100 floats": "double(numbers)",
    "list, dtype=": "double(ints, dtype='int32')",
    "list, out": "double(ints, a3)",
    "int": "double(3)",
    "array.array": "double(a)",
    "array.array, in place": "double(a, a)",
    "bytearray": "double(b)",
    "memoryview, in place": "double(m, m)",
}

# Answers each line, the name of a case, with the nanoseconds of a call.
WORKER = (
    SETUP
    + """
import sys, timeit
a3 = array.array("q", [0] * 3)
cases = {CASES!r}
timers = {{name: timeit.Timer(code, globals=globals()) for name, code in cases.items()}}
loops = {{}}
for line in sys.stdin:
    name = line.strip()
    if name not in loops:
        loops[name] = max(int({MEASURE_SECONDS} / (min(timers[name].repeat(3, 100)) / 100)), 1)
    print(timers[name].timeit(loops[name]) / loops[name] * 1e9, flush=True)
"""
)


class Worker:
    """A process that has one twofold."""

    def __init__(self, path: str | None) -> None:
        script = WORKER.format(CASES=CASES, MEASURE_SECONDS=MEASURE_SECONDS)
        env = {**os.environ, "PYTHONPATH": path} if path else None
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def measure(self, name: str) -> float:
        print(name, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a directory in which the other twofold is installed")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--only", default="", help="cases whose names begin with this")
    arguments = parser.parse_args()
    before, now = Worker(arguments.before), Worker(None)
    slower = 0
    print(f"{'':24}  before     now  difference (quartiles)")
    for name in filter(lambda name: name.startswith(arguments.only), CASES):
        pairs = []
        for i in range(arguments.rounds + 1):
            turns = (before, now) if i % 2 else (now, before)
            times = {worker: worker.measure(name) for worker in turns}
            pairs.append((times[before], times[now]))
        old, new = (statistics.median(times) for times in zip(*pairs[1:], strict=True))  # the first one warms up
        low, middle, high = statistics.quantiles([b - a for a, b in pairs[1:]], n=4)
        is_slower = middle > max(ALLOWED_NS, ALLOWED_SHARE * old)
        slower += is_slower
        mark = "  slower" if is_slower else ""
        print(f"{name:24} {old:7.1f} {new:7.1f}  {middle:+6.1f} ({low:+.1f} to {high:+.1f}){mark}", flush=True)
    print(f"{slower} of the cases slower by more than {ALLOWED_NS} ns and {ALLOWED_SHARE:.0%}")


if __name__ == "__main__":
    main()
