"""Arrays of NumPy: its time over twofold's, by dtype, layout and size, and whether what is promised holds here.

    python benchmarks/arrays.py                          # all parts: some quarter of an hour, on a quiet machine
    python benchmarks/arrays.py --quick                  # does it run? The figures mean little
    python benchmarks/arrays.py --part small --part large --rounds 121 --json results.json
    python benchmarks/arrays.py --part table --only "longdouble|timedelta"    # cells whose line fits a pattern
    python benchmarks/arrays.py --part sizes --plot docs/speed.svg            # the plot of README.md; needs matplotlib

small   contiguous arrays of 1 to 1000 elements, where the call is what costs. At least 2 is promised.
table   dtype x layout x size. At least 0.95 is promised everywhere; what is below is listed.
large   what memory decides: beyond the last-level cache, fresh results, float16, transposed, byte-swapped.
sizes   uint32 from a thousand elements to 256 MB, as docs/speed.md has it; nothing is promised.
ufunc   `twofold.ufuncs.doubled`; nothing is promised.

NumPy's way and ours are timed in turn, in pairs whose order alternates, on the same arrays; short calls are repeated
until a turn is long enough for the clock. Printed are the median time of each, and the median of the pairs' ratios with
its quartiles: above 1, twofold is faster. Behind them is the ratio of the quickest turns, of which a machine that is
not quiet spoils less.

Inputs, and outputs but for new results, lie in one piece of memory, with huge pages where the system gives them. A new
result is dropped within the time. Timing never decides the exit code; wrong results do.
"""

import argparse
import gc
import importlib.util
import json
import math
import mmap
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import twofold
from twofold import ufuncs

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

Call = Callable[[], object]

MIB = 1 << 20
TURN_SECONDS = 0.0003  # shorter calls are repeated until they take about as long
FEWEST_ROUNDS = 5  # of a cell of the table

NOT_SLOWER, SMALL, BEYOND_CACHE, FRESH, FLOAT16, TRANSPOSED, SWAPPED = 0.95, 2.0, 1.5, 1.8, 30.0, 4.0, 3.0  # promised


@dataclass
class Cell:
    """One comparison: what it is of, and what came out."""

    part: str
    dtype: str
    layout: str
    elements: int
    promised: float | None
    ours: float = math.nan  # seconds
    theirs: float = math.nan
    ratio: tuple[float, float, float] = (math.nan,) * 3  # theirs / ours: quartiles
    best: float = math.nan  # the quickest of theirs / the quickest of ours
    rounds: int = 0
    failed: str = ""
    calls: tuple[Call, Call] | None = field(default=None, repr=False)  # ours, theirs; gone once they were timed

    @property
    def falls_short(self) -> bool:
        return bool(self.failed) or (self.promised is not None and self.ratio[1] < self.promised)

    def line(self) -> str:
        name = f"{self.dtype:9} {self.layout:22} {self.elements:>11,}"
        if self.failed:
            return f"{name}   {self.failed}"
        low, median, high = self.ratio
        promise = f"   promised {self.promised:g}" if self.falls_short else ""
        times = f"{duration(self.ours)} {duration(self.theirs)}"
        return f"{name} {times} {median:8.2f} ({low:.2f}..{high:.2f}) {self.best:8.2f}{promise}"


def duration(seconds: float) -> str:
    return (
        f"{seconds * 1e9:8.0f} ns"
        if seconds < 1e-5
        else f"{seconds * 1e6:8.1f} us"
        if seconds < 1e-2
        else f"{seconds * 1e3:8.1f} ms"
    )


def last_level_cache() -> int:
    """In bytes; 32 MiB where the system does not say."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(size.read_text().strip().removesuffix("K")) * 1024 for size in sizes), default=32 * MIB)


CACHE = last_level_cache()

# ---- arrays


class Arena:
    """One piece of memory, from which arrays are taken one behind the other."""

    def __init__(self, nbytes: int) -> None:
        self.pages = mmap.mmap(-1, nbytes)
        self.pages.madvise(mmap.MADV_HUGEPAGE)
        self.bytes = np.frombuffer(self.pages, np.uint8)
        self.bytes[:] = 0
        self.used = 0

    def clear(self) -> None:
        self.used = 0

    def take(self, dtype: np.dtype, shape: int | tuple[int, ...], shift: int = 0) -> np.ndarray:
        """An array on a boundary of 64 bytes, or `shift` bytes behind one, filled with small numbers."""
        nbytes = math.prod(np.atleast_1d(shape).tolist()) * dtype.itemsize
        begin = self.used + shift
        self.used = -(-(begin + nbytes) // 64) * 64
        array = np.ndarray(shape, dtype, self.bytes, begin)
        array[...] = np.resize(np.arange(64).astype(dtype), shape) if array.size < MIB else 1
        return array


def square(n: int) -> tuple[int, int]:
    side = max(1, math.isqrt(n))
    return side, max(1, n // side)


def cube(n: int) -> tuple[int, int, int]:
    side = max(1, round(n ** (1 / 3)))
    return side, side, max(1, n // side**2)


def swapped(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("S")


# For each layout `values` and `out`; without `out` the result is new.
Layout = Callable[[Arena, np.dtype, int], tuple[np.ndarray, np.ndarray | None]]


def in_place(arena: Arena, dtype: np.dtype, n: int) -> tuple[np.ndarray, np.ndarray]:
    values = arena.take(dtype, n)
    values[...] = np.zeros((), dtype)  # which stays: other numbers would grow with each call
    return values, values


def transposed_into_c_order(arena: Arena, dtype: np.dtype, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = square(n)
    return arena.take(dtype, (rows, columns)).T, arena.take(dtype, (columns, rows))


def rows_of_a_wider_array(arena: Arena, dtype: np.dtype, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = square(n)
    return arena.take(dtype, (rows, columns + max(1, columns // 8)))[:, :columns], arena.take(dtype, (rows, columns))


def cube_of_axes(*axes: int) -> Layout:
    def layout(arena: Arena, dtype: np.dtype, n: int) -> tuple[np.ndarray, np.ndarray]:
        values = arena.take(dtype, cube(n)).transpose(axes)
        return values, arena.take(dtype, values.shape)

    return layout


LAYOUTS: dict[str, Layout] = {
    "new": lambda arena, dtype, n: (arena.take(dtype, n), None),
    "out=o": lambda arena, dtype, n: (arena.take(dtype, n), arena.take(dtype, n)),
    "in place": in_place,
    "F order, new": lambda arena, dtype, n: (arena.take(dtype, square(n)).T, None),
    "transposed to C": transposed_into_c_order,
    "every 2nd, new": lambda arena, dtype, n: (arena.take(dtype, 2 * n)[::2], None),
    "every 2nd, out=o": lambda arena, dtype, n: (arena.take(dtype, 2 * n)[::2], arena.take(dtype, n)),
    "into every 2nd": lambda arena, dtype, n: (arena.take(dtype, n), arena.take(dtype, 2 * n)[::2]),
    "rows of wider": rows_of_a_wider_array,
    "rows of wider, new": lambda arena, dtype, n: (rows_of_a_wider_array(arena, dtype, n)[0], None),
    "reversed, out=o": lambda arena, dtype, n: (arena.take(dtype, n)[::-1], arena.take(dtype, n)),
    "swapped, new": lambda arena, dtype, n: (arena.take(swapped(dtype), n), None),
    "swapped, out=o": lambda arena, dtype, n: (arena.take(swapped(dtype), n), arena.take(swapped(dtype), n)),
    "unaligned, out=o": lambda arena, dtype, n: (arena.take(dtype, n, shift=1), arena.take(dtype, n)),
    "3-D (2, 1, 0) to C": cube_of_axes(2, 1, 0),
    "3-D (1, 0, 2) to C": cube_of_axes(1, 0, 2),
    "broadcast, new": lambda arena, dtype, n: (np.broadcast_to(arena.take(dtype, square(n)[1]), square(n)), None),
    "0-d, new": lambda arena, dtype, n: (arena.take(dtype, ()), None),
    "0-d, out=o": lambda arena, dtype, n: (arena.take(dtype, ()), arena.take(dtype, ())),
}


def laid_out(arena: Arena, layout: str, dtype: np.dtype, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    arena.clear()
    return LAYOUTS[layout](arena, dtype, n)


def makes_sense(layout: str, dtype: np.dtype, n: int) -> bool:
    if "0-d" in layout:
        return n == 1
    if "swapped" in layout:
        return dtype.itemsize > 1 and dtype.kind in "iufcm" and dtype.char != "E"
    return "unaligned" not in layout or dtype.itemsize > 1


def pair(values: np.ndarray, out: np.ndarray | None, ours: Callable[..., object] = twofold.double) -> tuple[Call, Call]:
    if out is None:
        return lambda: ours(values), lambda: np.add(values, values)
    return lambda: ours(values, out=out), lambda: np.add(values, values, out=out)


# ---- the parts: cells whose calls are ready when they are yielded, and not longer


def small(arena: Arena, quick: bool) -> Iterator[Cell]:
    sizes = [1, 10, 100, 1000] if quick else [1, 2, 3, 5, 10, 16, 31, 32, 33, 64, 100, 127, 255, 300, 500, 777, 1000]
    for letter, layout, n in product("Id", ["new", "out=o", "in place"], sizes):
        dtype = np.dtype(letter)
        promised = None if layout == "in place" else SMALL
        yield Cell("small", dtype.name, layout, n, promised, calls=pair(*laid_out(arena, layout, dtype, n)))


def table(arena: Arena, quick: bool) -> Iterator[Cell]:
    beyond_cache = 5 * CACHE // 4  # bytes of each array: out of any cache together
    dtypes = [np.dtype(letter) for letter in ("IedD" if quick else "bBhHiIlLqQefdgFDG")]
    dtypes += [np.dtype("m8[s]")]
    if ml_dtypes:
        dtypes.append(np.dtype(ml_dtypes.bfloat16))
    for dtype in dtypes:
        sizes = [1, 100, 10_000, 1_000_000, *([] if quick else [beyond_cache // dtype.itemsize])]
        for n, layout in product(sizes, LAYOUTS):
            if makes_sense(layout, dtype, n):
                name = f"{dtype.char} {dtype.name}" if dtype.char in "lLqQ" else dtype.name
                yield Cell("table", name, layout, n, NOT_SLOWER, calls=pair(*laid_out(arena, layout, dtype, n)))


def large(arena: Arena, quick: bool) -> Iterator[Cell]:
    sizes = [33] if quick else sorted({32, 33, 48, 64, 96, 128, 256, 3 * CACHE // MIB})  # MiB
    for letter, mebibytes in product("Id", sizes):
        dtype = np.dtype(letter)
        n = mebibytes * MIB // dtype.itemsize
        values, out = laid_out(arena, "out=o", dtype, n)
        if values.nbytes >= 2 * CACHE:
            yield Cell("large", dtype.name, "out=o", n, BEYOND_CACHE, calls=pair(values, out))
        calls = lambda x=values: twofold.double(x), lambda x=values: x * 2
        yield Cell("large", dtype.name, "new, to x * 2", n, FRESH, calls=calls)
    rows = [
        ("e", layout, n, FLOAT16) for layout, n in product(["new", "out=o", "in place"], [10_000, 100_000, 4_000_000])
    ]
    rows += [(letter, "transposed to C", n, TRANSPOSED) for letter, n in product("HIdD", [2000**2, 2048**2, 4000**2])]
    rows += [
        (letter, layout, 4_000_000, SWAPPED)
        for letter, layout in product("HIQfdFD", ["swapped, new", "swapped, out=o"])
    ]
    for letter, layout, n, promised in rows[:: 4 if quick else 1]:
        dtype = np.dtype(letter)
        yield Cell("large", dtype.name, layout, n, promised, calls=pair(*laid_out(arena, layout, dtype, n)))


def ufunc(arena: Arena, quick: bool) -> Iterator[Cell]:
    layouts = ["new", "out=o", "transposed to C", "every 2nd, out=o", "swapped, out=o"]
    sizes = [1, 10, 100, 1000, 100_000, *([] if quick else [1_000_000, 2 * CACHE // 4])]
    for letter, layout, n in product("Id", layouts, sizes):
        dtype = np.dtype(letter)
        calls = pair(*laid_out(arena, layout, dtype, n), ours=ufuncs.doubled)
        yield Cell("ufunc", dtype.name, layout, n, None, calls=calls)


def sizes(arena: Arena, quick: bool) -> Iterator[Cell]:
    dtype = np.dtype("I")
    for n in [1_000, 10_000, 100_000, 1_000_000, *([] if quick else [16_000_000, 64_000_000])]:
        for layout in ("out=o", "in place", "new"):
            yield Cell("sizes", dtype.name, layout, n, None, calls=pair(*laid_out(arena, layout, dtype, n)))


PARTS = {"small": small, "sizes": sizes, "table": table, "large": large, "ufunc": ufunc}

# ---- timing


def seconds_of(call: Call, repeats: int) -> float:
    turns = range(repeats)
    start = time.perf_counter()
    for _ in turns:
        call()
    return (time.perf_counter() - start) / repeats


def measure(cell: Cell, rounds: int, budget: float | None) -> None:
    """Times a cell; within about `budget` seconds, with fewer rounds if there have to be."""
    ours, theirs = cell.calls
    try:
        expected = np.array(theirs())  # before the other one writes to the same `out`
        if not np.array_equal(np.asarray(ours()), expected):
            cell.failed = "WRONG RESULT"
            return
    except (TypeError, ValueError) as error:
        cell.failed = f"{type(error).__name__}: {error}"
        return
    one_turn = [seconds_of(call, 1 + int(expected.size < 10_000) * 3) for call in cell.calls]
    repeats = max(1, round(TURN_SECONDS / max(min(one_turn), 1e-9)))
    if budget:
        rounds = min(rounds, max(FEWEST_ROUNDS, int(budget / (repeats * sum(one_turn)))))
    times = []
    for i in range(rounds):
        order = cell.calls if i % 2 else cell.calls[::-1]
        turn = [seconds_of(call, repeats) for call in order]
        times.append(turn if i % 2 else turn[::-1])
    cell.ours, cell.theirs = (statistics.median(column) for column in zip(*times, strict=True))
    cell.ratio = tuple(statistics.quantiles([theirs / ours for ours, theirs in times], n=4))
    cell.best = min(theirs for _, theirs in times) / min(ours for ours, _ in times)
    cell.rounds = rounds


def run(part: str, arena: Arena, rounds: int, quick: bool, only: str) -> list[Cell]:
    budget = 0.02 if quick else 0.25 if part == "table" else None
    print(f"\n{part}\n{'dtype':9} {'layout':22} {'elements':>11} {'twofold':>11} {'NumPy':>11}", end="")
    print("   NumPy / twofold (quartiles), best")
    cells = []
    for cell in PARTS[part](arena, quick):
        if not re.search(only, f"{cell.dtype} {cell.layout} {cell.elements}"):
            continue
        measure(cell, rounds, budget)
        cell.calls = None
        cells.append(cell)
        print(cell.line(), flush=True)
    return cells


def summarize(cells: list[Cell]) -> None:
    short = [cell for cell in cells if cell.falls_short]
    print(f"\n{len(short)} of {sum(cell.promised is not None for cell in cells)} below what is promised:")
    for cell in short:
        print(f"{cell.part:6} {cell.line()}")


def plot(cells: list[Cell], path: Path) -> None:
    """GB/s over size, read and written, of twofold and of NumPy: a picture for each layout of `sizes`."""
    import matplotlib as mpl  # noqa: PLC0415  needed only for --plot

    mpl.use("Agg")
    # Text stays text, and the same figures give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "twofold", "font.size": 9})
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib import ticker  # noqa: PLC0415

    shown = {"new": "a new array", "out=o": "out=o", "in place": "in place: out=x"}
    figure, axes = plt.subplots(1, len(shown), figsize=(9, 3.3), sharey=True, layout="constrained")
    for ax, (layout, title) in zip(axes, shown.items(), strict=True):
        of_layout = [cell for cell in cells if cell.part == "sizes" and cell.layout == layout]
        for name, of, style in (("twofold", "ours", "C0o-"), ("NumPy", "theirs", "C1s--")):
            points = [(cell.elements, 2 * 4 * cell.elements / getattr(cell, of) / 1e9) for cell in of_layout]
            ax.plot(*zip(*points, strict=True), style, label=name, markersize=4)
        ax.set(xscale="log", yscale="log", title=title, xlabel="elements of uint32")
        ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("GB/s, read and written")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)  # beside the grids
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="one of the parts; all of them without it")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="a regular expression for '<dtype> <layout> <elements>'"
    )
    parser.add_argument("--rounds", type=int, help="pairs for each ratio: 61, or with --quick 5; the table takes fewer")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the part `sizes` there; needs matplotlib")
    arguments = parser.parse_args()
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    rounds = max(2, arguments.rounds or (5 if arguments.quick else 61))
    about = {
        "numpy": np.__version__,
        "twofold": twofold.__version__,
        "simd": twofold.simd_target(),
        "cpus": len(os.sched_getaffinity(0)),
        "cache_bytes": CACHE,
        "rounds": rounds,
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    arena = Arena(2 * max(256 * MIB, 3 * CACHE) + MIB)  # the two of the largest cell
    gc.disable()
    cells = [
        cell for part in arguments.part or PARTS for cell in run(part, arena, rounds, arguments.quick, arguments.only)
    ]
    summarize(cells)
    if arguments.json:
        results = [{k: v for k, v in asdict(cell).items() if k != "calls"} for cell in cells]
        arguments.json.write_text(json.dumps({**about, "cells": results}, indent=1))
    if arguments.plot:
        plot(cells, arguments.plot)
    return int(any(cell.failed == "WRONG RESULT" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
