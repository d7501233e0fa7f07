"""What shared memory costs: the constants in pyx/twofold/_processes/segment.cpp and pyx/twofold/shared.py.

    python benchmarks/shared_arrays.py            # 64 KiB to 256 MiB of uint32
    python benchmarks/shared_arrays.py --rounds 31

For each size, in rounds, the median time in microseconds

- to share an array in new memory, filled through the file; to do so by copying into the mapping; and in memory that was
  used before;
- for another process to open an array and write all of it: mapped page by page as it is written to, mapped ahead, and
  with the mapping that it kept from the last time;
- to double a plain array into another one, for comparison.

Needs NumPy.
"""

import argparse
import multiprocessing
import pickle
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import twofold
from twofold import shared
from twofold._processes import segments, transit

KIBIBYTES = [64, 256, 1024, 4096, 16384, 40960, 262144]


def microseconds(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - start) * 1e6


def forget() -> None:
    """Makes the next array one of new memory."""
    transit.sweep()
    segments.release_memory()


def share_anew(x: np.ndarray) -> None:
    forget()
    twofold.share(x)


def copy_anew(x: np.ndarray) -> None:
    forget()
    np.copyto(twofold.SharedArray.empty(x.shape, x.dtype), x)


def write(data: bytes) -> None:
    pickle.loads(data).fill(1)


def worker(line: Connection) -> None:
    """Opens what comes, and says how long it took, page by page, mapped ahead, and as kept."""
    while data := line.recv():
        seconds = []
        for most in (0, 1 << 60):
            segments.release_memory()
            shared.MAX_MAPPED_AHEAD = most
            seconds.append(microseconds(write, data))
        seconds.append(microseconds(write, data))
        line.send(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    line, other_end = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=worker, args=(other_end,))
    process.start()
    names = ["new, filled", "new, copied", "used before", "by page", "ahead", "kept", "out=o"]
    print(f"{'KiB':>8}" + "".join(f"{name:>13}" for name in names))
    for kibibytes in KIBIBYTES:
        x = np.arange(kibibytes << 8, dtype=np.uint32)
        o = x.copy()
        rows = []
        for _ in range(rounds):
            times = [microseconds(share_anew, x), microseconds(copy_anew, x)]
            times.append(microseconds(twofold.share, x))
            array = twofold.share(x)
            line.send(pickle.dumps(array))
            times += line.recv()
            times.append(microseconds(twofold.double, x, o))
            rows.append(times)
            del array
        print(f"{kibibytes:>8}" + "".join(f"{statistics.median(column):>13.0f}" for column in zip(*rows, strict=True)))
    line.send(b"")
    process.join()


if __name__ == "__main__":
    main()
