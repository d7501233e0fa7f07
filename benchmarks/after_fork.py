"""What parallel loops do beside processes: after a fork, for four callers at once, and when a pool's worker is killed.

    python benchmarks/after_fork.py                     # the table; two minutes
    python benchmarks/after_fork.py --only twofold numba
    python benchmarks/after_fork.py --forks 10000       # and so many forks while eight threads are in twofold's loops

Each way doubles an array of a million uint32 on two threads. Each cell is a process of its own:

- a fork: the parent calls, then forks, and the child calls;
- four threads: they call at once, 100 times each;
- a killed worker: `multiprocessing.Pool(2)` maps calls over pieces of the array, and one worker is killed meanwhile;
  for twofold it is `double_in_processes` with that pool.

"right" is what it should be, "wrong" another result, "hangs" no end within ten seconds, "aborts" an end by a signal,
"raises" an exception. Ways whose libraries are not here are named as missing. Needs a C and a C++ compiler, Cython and
NumPy; numba, numexpr, TBB and cargo with rayon where they are there.
"""

import argparse
import contextlib
import importlib.util
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SECONDS = 10  # until a cell counts as hanging: each takes a fraction of a second where it does not
LOAD_SECONDS = 60  # for what comes before: importing, compiling

CALL_C = """
import ctypes
library = ctypes.CDLL({library!r})
library.double_all.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
def call(values, out):
    library.double_all(values.ctypes.data, out.ctypes.data, values.size)
"""

OPENMP_C = """
#include <stddef.h>
void double_all(unsigned const* values, unsigned* out, size_t n) {
    #pragma omp parallel for num_threads(2)
    for (size_t i = 0; i < n; ++i) out[i] = 2 * values[i];
}
"""

TBB_CPP = """
#include <cstddef>
#include <tbb/tbb.h>
extern "C" void double_all(unsigned const* values, unsigned* out, std::size_t n) {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, n, n / 8), [=](auto const& range) {
        for (std::size_t i = range.begin(); i < range.end(); ++i) out[i] = 2 * values[i];
    });
}
"""

RAYON_RS = """
use rayon::prelude::*;
#[no_mangle]
pub unsafe extern "C" fn double_all(values: *const u32, out: *mut u32, n: usize) {
    let values = std::slice::from_raw_parts(values, n);
    let out = std::slice::from_raw_parts_mut(out, n);
    out.par_chunks_mut(1 << 14).zip(values.par_chunks(1 << 14)).for_each(|(to, from)| {
        for (x, y) in to.iter_mut().zip(from) { *x = y.wrapping_mul(2); }
    });
}
"""

CARGO_TOML = """
[package]
name = "doubling"
version = "0.1.0"
edition = "2021"
[lib]
crate-type = ["cdylib"]
path = "doubling.rs"
[dependencies]
rayon = "1"
"""

# Debian's crates, where they are installed: nothing is downloaded.
CARGO_CONFIG = """
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "/usr/share/cargo/registry"
"""

PRANGE_PYX = """
# cython: language_level=3, boundscheck=False, wraparound=False
from cython.parallel cimport prange
def call(const unsigned int[::1] values, unsigned int[::1] out):
    cdef Py_ssize_t i
    for i in prange(values.shape[0], nogil=True, num_threads=2):
        out[i] = 2 * values[i]
"""

PARALLEL_FOR_PYX = """
# cython: language_level=3
from twofold cimport parallel_for
cdef struct Job:
    const unsigned int* values
    unsigned int* out
cdef int double_range(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef Job* job = <Job*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        job.out[i] = 2 * job.values[i]
    return 0
def call(const unsigned int[::1] values, unsigned int[::1] out):
    cdef Job job
    job.values, job.out = &values[0], &out[0]
    with nogil:
        parallel_for(values.shape[0], 4, double_range, &job, 2)
"""

NUMBA = """
import numba
import numpy as np
numba.config.THREADING_LAYER = {layer!r}
numba.config.NUMBA_NUM_THREADS = 2
@numba.njit(parallel=True)
def call(values, out):
    for i in numba.prange(values.size):
        out[i] = np.uint32(2) * values[i]
"""

NUMEXPR = """
import numexpr
numexpr.set_num_threads(2)
def call(values, out):
    numexpr.evaluate("values * 2", out=out, casting="unsafe")
"""

TWOFOLD = """
import twofold
def call(values, out):
    twofold.double(values, out=out, threads=2)
"""

# The scenarios. `call` is the way's; what one prints before "now" is not under the time limit.
BEGIN = """
import multiprocessing, os, signal, sys, threading, time
import numpy as np
from way import call
values = np.arange(1_000_000, dtype=np.uint32)
expected = values + values
def check():
    out = np.zeros_like(values)
    call(values, out)
    if not (out == expected).all():
        sys.exit("wrong")
"""

FORK = """
check()
print("now", flush=True)
if (pid := os.fork()) == 0:
    check()
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status if status >= 0 else f"signal {-status}")
"""

THREADS = """
check()
print("now", flush=True)
def call_often():
    for _ in range(100):
        check()
threads = [threading.Thread(target=call_often) for _ in range(4)]
failures = []
threading.excepthook = failures.append
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failures:
    sys.exit("wrong" if failures[0].exc_type is SystemExit else f"raises {failures[0].exc_type.__name__}")
"""

KILLED = """
def piece(part):
    out = np.empty_like(part)
    call(part, out)
    return out
def kill_one(pool):
    time.sleep(0.1)
    os.kill(pool._pool[0].pid, signal.SIGKILL)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(piece, [values[:10]] * 4)
        print("now", flush=True)
        threading.Thread(target=kill_one, args=(pool,)).start()
        {work}
        os._exit(0)
"""
MAP = """
        for _ in range(100):
            parts = pool.map(piece, np.array_split(values, 8), chunksize=1)
            if not (np.concatenate(parts) == expected).all():
                sys.exit("wrong")
"""
IN_PROCESSES = """
        import twofold
        shared, end = twofold.share(values), time.monotonic() + 0.5
        while time.monotonic() < end:
            if not (twofold.double_in_processes(shared, pool) == expected).all():
                sys.exit("wrong")
"""


class MissingError(Exception):
    """What a way needs is not here."""


def need_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise MissingError(f"{name} is not installed")


def run_or_miss(command: list[str], directory: Path, what: str) -> None:
    if shutil.which(command[0]) is None:
        raise MissingError(f"there is no {command[0]}")
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingError(f"{what} does not build: {done.stderr.strip().splitlines()[-1] if done.stderr else ''}")


def c_library(name: str, text: str, *command: str) -> Callable[[Path], None]:
    def build(directory: Path) -> None:
        (directory / name).write_text(text)
        compiler, *flags = command
        run_or_miss([compiler, "-O2", "-shared", "-fPIC", name, "-o", "doubling.so", *flags], directory, name)
        (directory / "way.py").write_text(CALL_C.format(library=str(directory / "doubling.so")))

    return build


def rayon(directory: Path) -> None:
    (directory / "doubling.rs").write_text(RAYON_RS)
    (directory / "Cargo.toml").write_text(CARGO_TOML)
    if Path("/usr/share/cargo/registry").is_dir():
        (directory / ".cargo").mkdir()
        (directory / ".cargo/config.toml").write_text(CARGO_CONFIG)
    run_or_miss(["cargo", "build", "--release", "--offline", "-q"], directory, "rayon")
    (directory / "way.py").write_text(CALL_C.format(library=str(directory / "target/release/libdoubling.so")))


def cython(text: str, *flags: str) -> Callable[[Path], None]:
    def build(directory: Path) -> None:
        (directory / "way.pyx").write_text(text)
        environment = {**os.environ, "CFLAGS": " ".join(["-O2", *flags]), "LDFLAGS": " ".join(flags)}
        command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", "way.pyx"]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MissingError(f"Cython does not build: {done.stderr.strip().splitlines()[-1]}")

    return build


def python(text: str, *needs: str) -> Callable[[Path], None]:
    def build(directory: Path) -> None:
        for name in needs:
            need_module(name)
        (directory / "way.py").write_text(text)

    return build


WAYS: dict[str, Callable[[Path], None]] = {
    "Cython prange": cython(PRANGE_PYX, "-fopenmp"),
    "numba, omp": python(NUMBA.format(layer="omp"), "numba"),
    "numba, tbb": python(NUMBA.format(layer="tbb"), "numba"),
    "numba, workqueue": python(NUMBA.format(layer="workqueue"), "numba"),
    "numexpr": python(NUMEXPR, "numexpr"),
    "OpenMP (libgomp)": c_library("doubling.c", OPENMP_C, "cc", "-fopenmp"),
    "TBB": c_library("doubling.cpp", TBB_CPP, "c++", "-std=c++17", "-ltbb"),
    "rayon": rayon,
    "twofold.double": python(TWOFOLD, "twofold"),
    "twofold parallel_for": cython(PARALLEL_FOR_PYX),
}
SCENARIOS = {"a fork": FORK, "four threads": THREADS, "a killed worker": KILLED}


def outcome(directory: Path, scenario: str, way: str) -> str:
    text = SCENARIOS[scenario]
    if scenario == "a killed worker":
        text = text.format(work=(IN_PROCESSES if way.startswith("twofold") else MAP).strip())
    script = directory / "scenario.py"
    script.write_text(BEGIN + text)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], LOAD_SECONDS)
        begins = process.stdout.readline() if ready else ""
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "hangs"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == 0 and begins:
        return "right"
    last = errors.strip().splitlines()[-1] if errors.strip() else ""
    if "threading layer" in last.lower() and not begins:
        return f"missing: {last[:60]}"
    if process.returncode < 0 or "signal" in last:
        number = -process.returncode if process.returncode < 0 else int(last.rsplit(maxsplit=1)[-1])
        return f"aborts ({signal.Signals(number).name})"
    return "wrong" if last == "wrong" else f"raises ({last[:60]})"


STORM = """
stop = threading.Event()
failures = []
threading.excepthook = failures.append
def call_until_stopped():
    while not stop.is_set():
        check()
threads = [threading.Thread(target=call_until_stopped) for _ in range(8)]
for thread in threads:
    thread.start()
hung = bad = 0
for _ in range({forks}):
    if (pid := os.fork()) == 0:
        signal.alarm(20)
        check()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    hung += status == -signal.SIGALRM
    bad += status not in (0, -signal.SIGALRM)
stop.set()
for thread in threads:
    thread.join()
print(f"{forks} forks beside 8 threads: {{hung}} children hung, {{bad}} failed, {{len(failures)}} threads failed")
"""


def storm(directory: Path, forks: int) -> None:
    (directory / "storm.py").write_text(BEGIN + STORM.format(forks=forks))
    subprocess.run([sys.executable, "-W", "ignore", "storm.py"], cwd=directory, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="ways whose names contain one of these")
    parser.add_argument("--forks", type=int, default=0, help="forks beside eight threads in loops of twofold's")
    arguments = parser.parse_args()
    print(f"| | {' | '.join(SCENARIOS)} |")
    print("|---" * (1 + len(SCENARIOS)) + "|")
    for way, build in WAYS.items():
        if not any(name in way for name in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            try:
                build(directory)
            except MissingError as missing:
                print(f"| {way} | missing: {missing} |" + " |" * (len(SCENARIOS) - 1), flush=True)
                continue
            cells = [outcome(directory, scenario, way) for scenario in SCENARIOS]
            print(f"| {way} | {' | '.join(cells)} |", flush=True)
            if arguments.forks and way == "twofold parallel_for":
                storm(directory, arguments.forks)


if __name__ == "__main__":
    main()
