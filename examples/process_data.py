"""Doubling a list of numbers on all cores: the pattern `pool.map(process_data, [data])[0]`, done right.

In that pattern the whole list is one task, so one worker works while the others idle; and the list is pickled to the
worker and the result pickled back, which takes a hundred times as long as the arithmetic. Here the numbers stand in
memory that all processes share, and the workers help themselves to chunks of it. (In one process, threads do it: they
take as long or less.)

    python examples/process_data.py
"""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.pool import Pool

import twofold

NUMBERS = 10_000_000
WORKERS = len(os.sched_getaffinity(0))
NAIVE = "the naive pool: pool.map(process_data, [data])[0]"


def process_data(data: list[int]) -> list[int]:
    """Return the double of each number as a uint32 has it, modulo 2**32, computed by the threads of this process.

    Raises OverflowError or TypeError, naming the index, if an item is no integer that fits a uint32.
    """
    return twofold.double(data, dtype="uint32")


def process_data_parallel(data: list[int], pool: Pool | None = None) -> list[int]:
    """Return, or raise, what `process_data` does, computed by the workers of `pool`, or by processes of its own."""
    return twofold.double_in_processes(data, pool, dtype="uint32")


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    del result  # off the clock
    return seconds


def main() -> None:
    print(process_data([1, 2, 3, 4, 5]))

    data = [429 * i for i in range(NUMBERS)]  # up to nearly 2**32, so that half of the doubles wrap
    expected = [858 * i % 2**32 for i in range(NUMBERS)]
    with multiprocessing.Pool(WORKERS) as pool:
        ways: dict[str, Callable[[], list[int] | twofold.SharedArray]] = {
            "plain Python: [2 * v % 2**32 for v in data]": lambda: [2 * v % 2**32 for v in data],
            "one native call: process_data(data)": lambda: process_data(data),
            NAIVE: lambda: pool.map(process_data, [data])[0],
            "the pool over shared memory: process_data_parallel(data, pool)": lambda: process_data_parallel(data, pool),
        }
        with contextlib.suppress(ImportError):  # without NumPy there are lists and buffers alone
            shared = twofold.share(data, "uint32")
            ways["the same of an array that is there: double_in_processes(shared, pool)"] = lambda: (
                twofold.double_in_processes(shared, pool)
            )
        for way, call in ways.items():  # before the clock starts: then the workers are up, and the pages are there
            result = call()
            if (result if isinstance(result, list) else result.tolist()) != expected:
                raise SystemExit(f"wrong result by {way}")
            del result
        # In turns, so that what else the machine does happens to all of them; the best of each counts.
        rounds = [{way: timed(call) for way, call in ways.items()} for _ in range(3)]
        seconds = {way: min(taken[way] for taken in rounds) for way in ways}

    print(f"{NUMBERS:,} numbers doubled, in processes by {WORKERS} workers, every one checked:")
    for way, taken in seconds.items():
        print(f"  {taken:7.3f} s, {seconds[NAIVE] / taken:5.1f} times as fast as the naive pool; {way}")


if __name__ == "__main__":
    main()
