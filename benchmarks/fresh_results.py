"""Fresh results of recycled memory against NumPy's own: `recycled_bytes` in pyx/twofold/_memory/recycled_memory.hpp.

    python benchmarks/fresh_results.py            # 16 to 256 MiB of uint32
    python benchmarks/fresh_results.py --pairs 31

For each size `x * 2`, which makes a new array, is timed in turn with three other ways to the same values, in rounds
whose order rotates: NumPy's arithmetic into a new array of recycled memory, what twofold does into one, and what it
does into an array that is always the same (`out=o`), which no fresh result can beat. Printed are the median time of
`x * 2`, and for the others the median ratio of its time over theirs, with its quartiles: above 1, they are faster.
Behind it, page faults in a call of `x * 2`, and in one into recycled memory: the mean.

Each result is dropped before the next one is made, as in a loop that computes and moves on. Needs NumPy.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import twofold
from twofold._memory.numpy_handler import empty_like

SIZES = [16, 24, 31, 32, 33, 48, 64, 96, 128, 256]  # MiB

# Below recycled_bytes `empty_like` is NumPy's own: there, the first column should say 1.
WAYS = ("NumPy, recycled", "twofold, recycled", "twofold, out=o")


def seconds_and_faults(call: Callable[[], object]) -> tuple[float, int]:
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter()
    call()  # the result is dropped here, within the time
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


def ways_of(x: np.ndarray, o: np.ndarray) -> list[Callable[[], object]]:
    """`x * 2` and the WAYS."""
    return [
        lambda: x * 2,
        lambda: np.multiply(x, 2, out=empty_like(x)),
        lambda: twofold.double(x, out=empty_like(x)),
        lambda: twofold.double(x, out=o),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=61)
    pairs = parser.parse_args().pairs
    print(f"uint32, NumPy {np.__version__}, twofold {twofold.__version__} ({twofold.simd_target()}), {pairs} rounds")
    print(f"{'MiB':>5} {'x * 2':>10} " + " ".join(f"{name:>20}" for name in WAYS) + "   page faults")
    for mebibytes in SIZES:
        x = np.arange(mebibytes << 18, dtype=np.uint32)
        calls = ways_of(x, x.copy())
        seconds: list[list[float]] = [[] for _ in calls]
        faults = [0] * len(calls)  # in all rounds that count
        for i in range(pairs + 3):
            for k in range(len(calls)):
                way = (i + k) % len(calls)
                took, faulted = seconds_and_faults(calls[way])
                if i >= 3:  # the first ones fill the caches, and wake the helpers
                    seconds[way].append(took)
                    faults[way] += faulted
        cells = []
        for own in seconds[1:]:
            ratios = [theirs / ours for theirs, ours in zip(seconds[0], own, strict=True)]
            low, median, high = statistics.quantiles(ratios, n=4)
            cells.append(f"{median:6.2f} ({low:.2f}..{high:.2f})")
        row = " ".join(f"{cell:>20}" for cell in cells)
        milliseconds = statistics.median(seconds[0]) * 1e3
        print(f"{mebibytes:5d} {milliseconds:7.2f} ms {row}   {faults[0] // pairs} / {faults[1] // pairs}")


if __name__ == "__main__":
    main()
