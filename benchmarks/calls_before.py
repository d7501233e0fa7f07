"""What a call costs here and in another twofold: two processes take turns, one with each.

A call varies by some percent from process to process, by where things lie: so there are several pairs of them.

    pip install --target BEFORE twofold-of-before.whl
    python benchmarks/calls_before.py --before BEFORE [--pairs 7] [--only array] [--large]

Small calls, or with --large those on arrays of 1 and 32 MiB of every kind of layout, which take a quarter of an hour.
Printed are the medians of the pairs in nanoseconds, and the median of their differences with its quartiles; a row is
marked where that is more than 3 ns and more than 3 %.
"""

import argparse
import os
import statistics
import subprocess
import sys

MEASURE_SECONDS = 0.004  # of one case in one round
LARGE_MEASURE_SECONDS = 0.03
ALLOWED_NS, ALLOWED_SHARE = 3, 0.03

SETUP = """
import array, random
import numpy as np
import twofold
junk = [bytearray(random.randrange(4096)) for _ in range(300)]  # so that arrays lie elsewhere in each process
del junk[::2]
from twofold import ufuncs

double = twofold.double
one, few = np.ones(1, np.int64), np.ones(16, np.int64)
memory = np.ones(2048, np.int64)  # where a result of a thousand lies in a cache line is chance
some, some_out = (memory[-memory.ctypes.data % 64 // 8 :][i : i + 1000] for i in (0, 1024))
floats, scalar, swapped = np.ones(16), np.int64(3), np.ones(16, ">i4")
strided, square, matrix = np.ones(32, np.int64)[::2], np.ones((4, 4)), np.ones((4, 4)).T
subclass = np.ones(16).view(type("Own", (np.ndarray,), dict()))
masked = np.ma.array(np.ones(16), mask=np.arange(16) % 4 == 0)
out = np.ones(16, np.int64)
a3 = array.array("q", [0] * 3)
ints, numbers, a, b = [1, 2, 3], [1.0] * 100, array.array("q", [1] * 16), bytearray(16)
m = memoryview(a)
"""

CASES = {
    "array of 1": "double(one)",
    "array of 16": "double(few)",
    "array of 1000, out": "double(some, some_out)",
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

# Arrays are made once for each case, and kept until the next one. `columns`: every second element of a row.
LARGE_SETUP = """
import functools
import numpy as np
import twofold

@functools.lru_cache(1)
def arrays(dtype, mib, layout, swap_in, swap_out):
    made = []
    for swap in swap_in, swap_out:
        kind = np.dtype(dtype).newbyteorder(">" if swap else "=")
        rows, columns = mib * 1024, 1024 // kind.itemsize
        whole = np.ones((rows * (1 + (layout == "rows")), columns * (1 + (layout == "columns"))), kind)
        made.append(whole[:: 1 + (layout == "rows"), :: 1 + (layout == "columns")])
    return (made[0], np.ones(made[0].shape[::-1], made[1].dtype).T) if layout == "transposed" else made

def double(case, **how):
    values, out = arrays(*case)
    return twofold.double(values, out, **how)
"""

LARGE_CASES = {
    f"{dtype}, {mib} MiB, {name}": f"double({(dtype, mib, layout, *swaps)}, overflow={overflow!r})"
    for mib in (1, 32)
    for dtype in ("u1", "i2", "f2", "i4", "f4", "i8", "f8", "c8", "c16", "m8[s]")
    for name, layout, swaps, overflow in (
        ("contiguous", "", (0, 0), "wrap"),
        ("raise", "", (0, 0), "raise"),
        ("saturate", "", (0, 0), "saturate"),
        ("byte-swapped", "", (1, 1), "wrap"),
        ("from byte-swapped", "", (1, 0), "wrap"),
        ("rows apart", "rows", (0, 0), "wrap"),
        ("strided", "columns", (0, 0), "wrap"),
        ("transposed", "transposed", (0, 0), "wrap"),
    )
    if overflow == "wrap" or dtype != "m8[s]"
}

# Answers each line, the name of a case, with the nanoseconds of a call.
WORKER = """
import sys, timeit
cases = {cases!r}
timers = {{name: timeit.Timer(code, globals=globals()) for name, code in cases.items()}}
loops = {{}}
for line in sys.stdin:
    name = line.strip()
    if name not in loops:
        number = 1
        while (seconds := min(timers[name].repeat(3, number))) < {seconds} / 10:
            number *= 2
        loops[name] = max(int({seconds} / (seconds / number)), 1)
    print(timers[name].timeit(loops[name]) / loops[name] * 1e9, flush=True)
"""


class Worker:
    """A process that has one twofold."""

    def __init__(self, path: str | None, *, large: bool) -> None:
        setup, cases, seconds = (
            (LARGE_SETUP, LARGE_CASES, LARGE_MEASURE_SECONDS) if large else (SETUP, CASES, MEASURE_SECONDS)
        )
        script = setup + WORKER.format(cases=cases, seconds=seconds)
        env = {**os.environ, "PYTHONPATH": path} if path else None
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def measure(self, name: str) -> float:
        print(name, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a directory in which the other twofold is installed")
    parser.add_argument("--pairs", type=int, default=7, help="of processes, one after another")
    parser.add_argument("--rounds", type=int, default=11, help="in which the two of a pair take turns")
    parser.add_argument("--only", default="", help="cases whose names begin with this")
    parser.add_argument("--large", action="store_true", help="calls on large arrays")
    arguments = parser.parse_args()
    large = arguments.large
    names = [name for name in (LARGE_CASES if large else CASES) if name.startswith(arguments.only)]
    measured = {name: [] for name in names}  # of each pair the medians before and now
    for _ in range(arguments.pairs):
        with Worker(arguments.before, large=large) as before, Worker(None, large=large) as now:
            for name in names:
                measured[name].append(medians(name, before, now, arguments.rounds))
    slower = 0
    print(f"{'':32}  before     now  difference (quartiles)")
    for name, pairs in measured.items():
        old, new = (statistics.median(times) for times in zip(*pairs, strict=True))
        low, middle, high = statistics.quantiles([b - a for a, b in pairs], n=4)
        is_slower = middle > max(ALLOWED_NS, ALLOWED_SHARE * old)
        slower += is_slower
        mark = "  slower" if is_slower else ""
        print(f"{name:32} {old:7.1f} {new:7.1f}  {middle:+6.1f} ({low:+.1f} to {high:+.1f}){mark}")
    print(f"{slower} of {len(names)} cases slower by more than {ALLOWED_NS} ns and {ALLOWED_SHARE:.0%}")


def medians(name: str, before: Worker, now: Worker, rounds: int) -> tuple[float, float]:
    """What a call costs in the two processes of a pair."""
    times = []
    for i in range(rounds + 1):
        turns = (before, now) if i % 2 else (now, before)
        measured = {worker: worker.measure(name) for worker in turns}
        times.append((measured[before], measured[now]))
    first, second = zip(*times[1:], strict=True)  # the first round warms up
    return statistics.median(first), statistics.median(second)


if __name__ == "__main__":
    main()
