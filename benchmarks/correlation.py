"""A loop of a real shape: the correlation of each pair of columns, in which values are missing.

    python benchmarks/correlation.py                       # the times, and 1,000 forks; two minutes
    python benchmarks/correlation.py --rounds 101 --forks 0

It is what pandas' DataFrame.corr does, in Cython: by `prange`, with OpenMP, and by twofold's `parallel_for`, on all
cores. The rows of the matrix of results are the items; they differ in length, so `prange` has schedule='dynamic'. Both
are built here, with the same flags but OpenMP's. Printed are the median of the ratios of rounds that alternate,
prange's time over ours, with its quartiles, each way's threads asleep when its turn begins; and how many children of
forks get the right result. A child that takes ten seconds counts as hanging.
"""

import argparse
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

ROWS, COLUMNS = 2000, 120
CHILD_SECONDS = 10
PAUSE_SECONDS = 0.02  # libgomp's threads spin for some milliseconds after a loop

PAIRS = """
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
from libc.math cimport isnan, sqrt, NAN

cdef double correlation(const double* x, const double* y, Py_ssize_t n) noexcept nogil:
    \"\"\"Of the rows in which neither is missing, by Welford's method.\"\"\"
    cdef double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0, dx, dy
    cdef Py_ssize_t i, count = 0
    for i in range(n):
        if isnan(x[i]) or isnan(y[i]):
            continue
        count += 1
        dx = x[i] - mean_x
        dy = y[i] - mean_y
        mean_x += dx / count
        mean_y += dy / count
        xx += (x[i] - mean_x) * dx
        yy += (y[i] - mean_y) * dy
        xy += (x[i] - mean_x) * dy
    return xy / sqrt(xx * yy) if xx > 0 and yy > 0 else NAN

cdef void one_row(const double* columns, Py_ssize_t n, Py_ssize_t k, Py_ssize_t i, double* out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(i + 1):
        out[i * k + j] = out[j * k + i] = correlation(columns + i * n, columns + j * n, n)
"""

PRANGE = """
from cython.parallel cimport prange

def correlations(const double[:, ::1] columns, double[:, ::1] out):
    cdef Py_ssize_t i, k = columns.shape[0], n = columns.shape[1]
    cdef const double* start = &columns[0, 0]
    cdef double* result = &out[0, 0]
    for i in prange(k, nogil=True, schedule="dynamic"):
        one_row(start, n, k, i, result)
"""

PARALLEL_FOR = """
from twofold cimport parallel_for

cdef struct Job:
    const double* columns
    double* out
    Py_ssize_t n, k

cdef int some_rows(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef Job* job = <Job*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        one_row(job.columns, job.n, job.k, i, job.out)
    return 0

def correlations(const double[:, ::1] columns, double[:, ::1] out):
    cdef Job job
    job.columns, job.out, job.k, job.n = &columns[0, 0], &out[0, 0], columns.shape[0], columns.shape[1]
    with nogil:
        parallel_for(job.k, job.n * sizeof(double), some_rows, &job)
"""


def build(directory: Path, name: str, text: str, flags: str) -> ModuleType:
    (directory / f"{name}.pyx").write_text(PAIRS + text)
    environment = {**os.environ, "CFLAGS": f"-O3 {flags}", "LDFLAGS": flags}
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", f"{name}.pyx"]
    subprocess.run(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, check=True)
    (path,) = directory.glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(call: Callable[[], None]) -> float:
    time.sleep(PAUSE_SECONDS)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def children_that_are_right(call: Callable[[], None], is_right: Callable[[], bool], forks: int) -> str:
    done = right = hung = 0
    while done < forks and hung < 3:  # the others would hang, too
        done += 1
        pid = os.fork()
        if pid == 0:
            signal.alarm(CHILD_SECONDS)
            call()
            os._exit(0 if is_right() else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        right += status == 0
        hung += status == -signal.SIGALRM
    return f"right in {right} of {done} children, {hung} hung"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=61)
    parser.add_argument("--forks", type=int, default=1000)
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    columns = random.normal(size=(COLUMNS, ROWS))
    columns[random.random(columns.shape) < 0.05] = np.nan
    with tempfile.TemporaryDirectory() as folder:
        prange = build(Path(folder), "by_prange", PRANGE, "-fopenmp")
        ours = build(Path(folder), "by_parallel_for", PARALLEL_FOR, "")
        linked = subprocess.run(["ldd", str(ours.__file__)], capture_output=True, text=True, check=True).stdout
    print(f"by_parallel_for is linked with libgomp: {'yes' if 'gomp' in linked else 'no'}")
    expected, out = np.empty((COLUMNS, COLUMNS)), np.empty((COLUMNS, COLUMNS))
    ways = {
        "prange": lambda: prange.correlations(columns, out),
        "parallel_for": lambda: ours.correlations(columns, out),
    }
    prange.correlations(columns, expected)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(arguments.rounds + 3):
        for name in ways if i % 2 else reversed(ways):
            out[...] = -2
            seconds[name].append(timed(ways[name]))
            assert np.array_equal(out, expected), name
    ratios = [other / own for other, own in zip(*seconds.values(), strict=True)][3:]
    low, middle, high = statistics.quantiles(ratios, n=4)
    for name, times in seconds.items():
        print(f"{name:>13}: {1000 * statistics.median(times[3:]):.2f} ms")
    print(f"prange's time over ours: {middle:.3f} ({low:.3f} to {high:.3f}), {arguments.rounds} rounds")
    if arguments.forks:
        for name, call in ways.items():
            said = children_that_are_right(call, lambda: bool(np.array_equal(out, expected)), arguments.forks)
            print(f"{name:>13}: {said}")


if __name__ == "__main__":
    main()
