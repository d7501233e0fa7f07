"""twofold.double on lists against list comprehensions, array.array and the tutorials' native module.

    python benchmarks/lists.py                         # 10 to 10 million items; some minutes, some GB of memory
    python benchmarks/lists.py --most 100000 --pairs 11

The two of a row are timed in turn, in pairs whose order alternates, on the same list. Printed are the median times for
one item, and the median of the pairs' ratios with its quartiles: above 1, twofold is faster. To drop the result, which
takes both equally long, is part of what is timed where calls are so short that they are repeated.

"shuffled" lists hold their items in an order that is not the one of the items in memory, as after a sort or a shuffle.
With dtype="uint32" the peers are a comprehension that wraps, and what a native function on a list of uint32 does at the
least: it reads the list into an array, as `array.array("I", values)` does, doubles it, and makes a list again.

Timed is the CPU time of the thread: nearly all is done by the one that calls, and so other work on the machine is not.
"""

import argparse
import gc
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable

import twofold

MIN_SECONDS = 0.002  # shorter calls are repeated until they take about as long
MAX_ITEMS = 10_000_000
PAIRS = 31
LONG_PAIRS = 9  # of calls that take longer than LONG_SECONDS
LONG_SECONDS = 0.05

KINDS: dict[str, Callable[[int], list]] = {
    "0..255": lambda n: [i % 256 for i in range(n)],
    "30 bits": lambda n: [2**29 + i for i in range(n)],
    "60 bits": lambda n: [2**59 + i for i in range(n)],
    "float": lambda n: [i + 0.5 for i in range(n)],
}


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    start = time.thread_time()
    for _ in range(repeats - 1):
        call()
    result = call()
    seconds = (time.thread_time() - start) / repeats
    del result  # only now
    return seconds


def compare(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> tuple[float, float, list[float]]:
    """Median seconds of each, and the quartiles of theirs / ours over the pairs."""
    ours()
    once = seconds_of(theirs, 1)
    repeats = max(1, round(MIN_SECONDS / once))
    times: list[tuple[float, float]] = []
    for i in range(min(pairs, LONG_PAIRS) if once > LONG_SECONDS else pairs):
        if i % 2:
            times.append((seconds_of(ours, repeats), seconds_of(theirs, repeats)))
        else:
            times.append((seconds_of(theirs, repeats), seconds_of(ours, repeats))[::-1])
    ratios = statistics.quantiles([theirs / ours for ours, theirs in times], n=4)
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times), ratios


def by_array(values: list[int]) -> list[int]:
    elements = array("I", values)
    return twofold.double(elements, out=elements).tolist()


def calls(values: list, kind: str) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """What is compared on a list: ours and theirs."""
    rows = {"[2 * v for v in values]": (lambda: twofold.double(values), lambda: [2 * v for v in values])}
    if kind == "30 bits":
        rows["uint32: [2 * v & 0xFFFFFFFF ...]"] = (
            lambda: twofold.double(values, dtype="uint32"),
            lambda: [2 * v & 0xFFFFFFFF for v in values],
        )
        rows["uint32: array('I', values)"] = (
            lambda: twofold.double(values, dtype="uint32"),
            lambda: by_array(values),
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--most", type=int, default=MAX_ITEMS, metavar="ITEMS")
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be given again; default: all")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, twofold {twofold.__version__} ({twofold.simd_target()})")
    print(
        "   items     kind     order  against                           twofold     peer   ns an item; peer / twofold"
    )
    gc.disable()
    for kind in arguments.kind or KINDS:
        n = 10
        while n <= arguments.most:
            values = KINDS[kind](n)
            for order in ("in order", "shuffled"):
                if order == "shuffled":
                    random.Random(0).shuffle(values)
                for peer, (ours, theirs) in calls(values, kind).items():
                    own, other, (low, median, high) = compare(ours, theirs, arguments.pairs)
                    times = f"{own / n * 1e9:9.1f} {other / n * 1e9:8.1f}"
                    row = f"{n:8} {kind:>8}  {order}  {peer:32} {times}"
                    print(f"{row}   {median:5.2f} ({low:.2f}..{high:.2f})", flush=True)
            n *= 10


if __name__ == "__main__":
    main()
