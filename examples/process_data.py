"""Doubling a list of numbers on all cores: the pattern `pool.map(process_data, [data])[0]`, done right.

In that pattern the whole list is one task, so one worker works while the others idle; and the list is pickled to the
worker and the result pickled back, which takes a hundred times as long as the arithmetic. Here the numbers stand in
memory that all processes share, and each task names a chunk of it.

    python examples/process_data.py

Linux only, since it shares memory through a memfd: that has no name to leak and needs no helper process.
"""

import mmap
import multiprocessing
import os
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool

import twofold

NUMBERS = 10_000_000
WORKERS = len(os.sched_getaffinity(0))
CHUNKS_PER_WORKER = 4  # several, so that a worker that is late holds up the others by a fraction of its share only


def process_data(data: list[int]) -> list[int]:
    """Return the double of each number as a uint32 has it, modulo 2**32, computed by the threads of this process.

    Raises OverflowError or TypeError, naming the index, if an item is no integer that fits a uint32.
    """
    return twofold.double(data, dtype="uint32")


def process_data_parallel(data: list[int], pool: Pool) -> list[int]:
    """Return, or raise, what `process_data` does; the workers of `pool` double the numbers in chunks, in place."""
    try:
        numbers = array("I", data)
    except (OverflowError, TypeError):
        return process_data(data)  # whose error names the index
    if not numbers:
        return []
    with shared_memory(len(numbers) * numbers.itemsize) as (path, memory):
        memory[:] = memoryview(numbers).cast("B")
        double_in_pool(path, len(memory), pool)
        with memoryview(memory) as raw, raw.cast("I") as doubled:
            return doubled.tolist()


def double_in_pool(path: str, size: int, pool: Pool) -> None:
    """Double the `size` bytes of uint32 in the shared memory at `path`, in place, one task for each chunk."""
    share = size // (WORKERS * CHUNKS_PER_WORKER)
    chunk = max(share // mmap.ALLOCATIONGRANULARITY, 1) * mmap.ALLOCATIONGRANULARITY  # where a mapping may begin
    pool.starmap(
        double_chunk, [(path, first, min(chunk, size - first)) for first in range(0, size, chunk)], chunksize=1
    )


def double_chunk(path: str, first: int, size: int) -> None:
    """Double `size` bytes of uint32 from byte `first` on. Runs in a worker, one of many, and so on one thread."""
    with (
        open(path, "r+b") as file,
        mmap.mmap(file.fileno(), size, offset=first) as memory,
        memoryview(memory) as raw,
        raw.cast("I") as numbers,
    ):
        twofold.double(numbers, out=numbers, threads=1)


@contextmanager
def shared_memory(size: int) -> Iterator[tuple[str, mmap.mmap]]:
    """Memory of `size` bytes, and the path by which another process on this machine opens it. Gone at the end."""
    descriptor = os.memfd_create("process_data")
    try:
        os.posix_fallocate(descriptor, 0, size)  # now, or memory that is not to be had is a SIGBUS later
        with mmap.mmap(descriptor, size) as memory:
            yield f"/proc/{os.getpid()}/fd/{descriptor}", memory
    finally:
        os.close(descriptor)


def timed(call: Callable[[], list[int]]) -> tuple[list[int], float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def main() -> None:
    print(process_data([1, 2, 3, 4, 5]))

    data = [429 * i for i in range(NUMBERS)]  # up to nearly 2**32, so that half of the doubles wrap
    expected = [858 * i % 2**32 for i in range(NUMBERS)]
    with multiprocessing.Pool(WORKERS) as pool:
        pool.map(abs, range(WORKERS))  # the workers are up before the clock starts
        in_chunks, seconds_in_chunks = timed(lambda: process_data_parallel(data, pool))
        naive, seconds_naive = timed(lambda: pool.map(process_data, [data])[0])
    if in_chunks != expected or naive != expected:
        raise SystemExit("wrong result")

    print(f"{NUMBERS:,} numbers doubled by {WORKERS} worker processes, every one checked:")
    print(f"  {seconds_in_chunks:6.2f} s  in chunks over shared memory")
    print(f"  {seconds_naive:6.2f} s  naively, with pool.map(process_data, [data])[0]")
    print(f"  {seconds_naive / seconds_in_chunks:6.1f}    times as long")


if __name__ == "__main__":
    main()
