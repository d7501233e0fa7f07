"""From which size on a call should release the GIL: `keep_gil_bytes` in pyx/twofold/_engine/twofold_engine.pyx.

    python benchmarks/gil_threshold.py

Releasing the GIL and getting it back costs tens of nanoseconds, and far more where another thread wants it. Not
releasing it keeps other threads waiting as long as the call takes. Printed is how long the arithmetic of one call takes
at each size: the threshold belongs where that is some microseconds at most, a thousandth of the interpreter's own
switch interval.
"""

import statistics
import sys
import time
from array import array

import twofold


def main() -> None:
    print(f"{twofold.simd_target()}, switch interval {sys.getswitchinterval() * 1e3:.0f} ms")
    empty = array("I")
    for kib in (0, 1, 2, 4, 8, 16, 32, 64, 128):
        x = array("I", bytes(kib << 10))
        times = []
        for _ in range(201):
            start = time.perf_counter_ns()
            for _ in range(50):
                twofold.double(x, out=x, threads=1)
            loaded = time.perf_counter_ns()
            for _ in range(50):
                twofold.double(empty, out=empty, threads=1)
            times.append((2 * loaded - start - time.perf_counter_ns()) / 50)
        print(f"{kib:4d} KiB {statistics.median(times):8.0f} ns")


if __name__ == "__main__":
    main()
