"""How long Ctrl-C takes in the middle of one long call: from the signal until KeyboardInterrupt is caught.

    python benchmarks/interrupt.py [--times 20] [--gib 1]

Another process sends SIGINT at some moment in the middle of the call. Printed are the median and the worst, and how
long the call takes where nobody interrupts it. A slice of a long call, `slice_bytes` in
include/twofold/parallel/slices.hpp, is to be so short that all but the last stay below 100 ms. The last is a loop of
NumPy's in which nobody asks for signals: the exception waits for the end of the call.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import twofold
from twofold import ufuncs

# Waits for a line with the seconds to wait before the signal; says when it has sent it, on the clock of all processes.
SENDER = """
import os, signal, sys, time
for line in sys.stdin:
    time.sleep(float(line))
    at = time.monotonic()
    os.kill(os.getppid(), signal.SIGINT)
    print(at, flush=True)
"""


def calls(nbytes: int, directory: str):
    """The calls by name, each on about so many bytes."""
    x = np.ones(nbytes // 4, np.uint32)
    out = np.ones_like(x)
    square = int((nbytes / 16) ** 0.5)
    complex_in = np.ones((square, square), ">c16")
    complex_out = np.ones((square, square), "c16")
    one = np.broadcast_to(np.uint8(1), nbytes)
    bytes_out = np.ones(nbytes, np.uint8)
    in_file = np.memmap(os.path.join(directory, "values"), np.uint32, "w+", shape=x.shape)
    in_file[:] = 1
    items = list(range(10_000_000))
    buffer = memoryview(x.view(np.uint8)).cast("I")
    return {
        "array, new result": lambda: twofold.double(x, threads=1),
        "array, out=": lambda: twofold.double(x, out=out, threads=1),
        "array, out=, all threads": lambda: twofold.double(x, out=out),
        "array, in place": lambda: twofold.double(x, out=x, threads=1),
        "array, in place, raise": lambda: twofold.double(out, out=out, threads=1, overflow="raise"),
        "strides of 0": lambda: twofold.double(one, out=bytes_out, threads=1),
        "strides of 64 bytes": lambda: twofold.double(one[::64], out=bytes_out[::64], threads=1),
        "transposed, swapped": lambda: twofold.double(complex_in.T, out=complex_out, threads=1),
        "file, in place": lambda: twofold.double(in_file, out=in_file, threads=1),
        "memoryview": lambda: twofold.double(buffer, out=buffer, threads=1),
        "list of 10 M": lambda: twofold.double(items),
        'list of 10 M, "int64"': lambda: twofold.double(items, dtype="int64"),
        "ufunc": lambda: ufuncs.doubled(x, out),
        "ufunc with a cast": lambda: ufuncs.doubled(x, out=out, casting="unsafe", dtype=np.float64),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=20)
    arguments.add_argument("--gib", type=float, default=1.0)
    chosen = arguments.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    print(f"{twofold.simd_target()}, {twofold.get_num_threads()} threads; milliseconds")
    print(f"{'call':28} {'uninterrupted':>13} {'median':>8} {'worst':>8}")
    with tempfile.TemporaryDirectory() as directory, sender:
        for name, call in calls(int(chosen.gib * 2**30), directory).items():
            np.seterr(all="ignore")
            whole = min(seconds(call) for _ in range(3))
            late = [interrupted(call, whole, sender) for _ in range(chosen.times)]
            print(
                f"{name:28} {whole * 1e3:13.0f} {statistics.median(late) * 1e3:8.1f} {max(late) * 1e3:8.1f}", flush=True
            )
        sender.stdin.close()


def seconds(call) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def interrupted(call, whole: float, sender: subprocess.Popen) -> float:
    """The seconds from the signal to the exception, for a call that takes `whole` of them."""
    try:
        sender.stdin.write(f"{random.uniform(0.2, 0.7) * whole}\n")
        while True:  # again, if it was over too soon
            call()
    except KeyboardInterrupt:
        caught = time.monotonic()
    return caught - float(sender.stdout.readline())


if __name__ == "__main__":
    main()
