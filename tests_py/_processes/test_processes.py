"""double_in_processes: right whatever comes in, and whatever becomes of the pool, its workers and the caller.

Each scenario is a script of its own in process_scenarios, run in a fresh interpreter and session with a
wall-clock limit. Afterwards nothing may be left: no process, no file in /dev/shm, no temporary file.
"""

import array
import fractions
import gc
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import twofold
from conftest import ALL_ELEMENTS
from twofold._engine.twofold_engine import operation_named
from twofold._processes.claims import Claims
from twofold._processes.jobs import is_dead, this_process

SCENARIOS = Path(__file__).with_name("process_scenarios")
SECONDS = 100
METHODS = ["fork", "spawn", "forkserver"]
KINDS = ["ProcessPoolExecutor", "Pool"]

# From 3.12 on, CPython gives one where a process with several threads forks: so helper threads are gone then.
NO_WARNING = ["-W", "error::DeprecationWarning"]

# More on demand: see CONTRIBUTING.md.
KILLS = int(os.environ.get("TWOFOLD_TEST_KILLS", "10"))
KILL_SECONDS = float(os.environ.get("TWOFOLD_TEST_KILL_SECONDS", "5"))
STARTS = int(os.environ.get("TWOFOLD_TEST_STARTS", "2"))
RESULTS = int(os.environ.get("TWOFOLD_TEST_RESULTS", "10"))
ROUNDS = int(os.environ.get("TWOFOLD_TEST_ARRAYS", "0"))
FIRST_FORKS = 3


# ---- scenarios


def processes_of(session: int) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(pid))
    return found


def shared_files() -> set[str]:
    """Those that arrays in shared memory could leave; pools, and joblib, have files of their own there."""
    return {name for name in os.listdir("/dev/shm") if name.startswith("psm_") or "twofold" in name}


def run_scenario(  # noqa: PLR0913
    tmp_path, name, *arguments, expected=0, stderr="", leaves_processes=False, seconds=SECONDS, options=()
):
    """Its output, if it ended with the expected status, said nothing on stderr, and has left nothing."""
    shared_before = shared_files()
    command = [sys.executable, *options, str(SCENARIOS / f"{name}.py"), *map(str, arguments)]
    output, errors = tmp_path / "stdout", tmp_path / "stderr"
    # Not below tmp_path: the sockets of a forkserver lie in it, and their paths are 100 characters long at most.
    temporary = tempfile.mkdtemp()
    # To files: any process that is left would hold a pipe open.
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            command, stdout=out, stderr=err, start_new_session=True, env={**os.environ, "TMPDIR": temporary}
        )
        try:
            status = process.wait(timeout=seconds)
            end = time.monotonic() + (0 if leaves_processes else 10)
            while (left := processes_of(process.pid)) and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            for pid in processes_of(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()
    assert status == expected, errors.read_text()
    if stderr is not None:
        assert errors.read_text() == stderr
    assert leaves_processes or left == []
    assert shared_files() <= shared_before
    os.rmdir(temporary)  # where nothing is left
    return output.read_text()


@pytest.mark.parametrize("threads", ["used", "unused"])
@pytest.mark.parametrize("method", METHODS)
def test_every_start_method(tmp_path, method, threads):
    seconds = SECONDS + STARTS
    run_scenario(tmp_path, "every_start_method", method, threads, STARTS, seconds=seconds, options=NO_WARNING)


@pytest.mark.parametrize("threads", ["used", "unused"])
@pytest.mark.parametrize("method", METHODS)
def test_processes_of_its_own(tmp_path, method, threads):
    run_scenario(tmp_path, "own_processes", method, threads, options=NO_WARNING)


@pytest.mark.parametrize("threads", ["used", "unused"])
@pytest.mark.parametrize("method", METHODS)
def test_every_public_function_in_a_worker(tmp_path, method, threads):
    run_scenario(tmp_path, "every_function", method, threads, options=NO_WARNING)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("package", ["multiprocessing", "multiprocess", "billiard"])
def test_results_arrive_through_queues(tmp_path, package, method):
    """Those of workers that end at once, which wait for that and for nothing else."""
    pytest.importorskip(package)
    if package == "multiprocess":
        try:
            pytest.importorskip("dill").dumps(compile("", "", "exec"))
        except AttributeError as error:  # dill 0.4.1 wants co_lnotab, which Python 3.15 does not have
            pytest.skip(f"dill cannot send functions: {error}")
    run_scenario(tmp_path, "queues", package, method, RESULTS, seconds=SECONDS + RESULTS, options=NO_WARNING)


ENGINES = ["threads", "loky", "joblib", "distributed", "mpire", "ray"]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines(tmp_path, engine):
    """Others that have `submit` or `apply_async`."""
    if engine != "threads":
        pytest.importorskip(engine)
    run_scenario(
        tmp_path,
        "engines",
        engine,
        STARTS,
        stderr=None,
        leaves_processes=engine != "threads",
        seconds=SECONDS + 5 * STARTS,
    )


def test_read_only_inputs_of_joblib(tmp_path):
    """Those above 1 MB come as maps of a file, those below as copies."""
    pytest.importorskip("joblib")
    run_scenario(tmp_path, "joblib_inputs", stderr=None, leaves_processes=True)


@pytest.mark.parametrize("method", METHODS)
def test_calls_in_workers_and_from_several_threads(tmp_path, method):
    run_scenario(tmp_path, "nested", method, stderr=None)


def test_a_worker_dies_at_each_step(tmp_path):
    run_scenario(tmp_path, "die_at_each_step")


def test_a_worker_that_dies_has_told_of_its_floats(tmp_path):
    run_scenario(tmp_path, "die_with_flags")


def test_too_many_die_over_one_chunk(tmp_path):
    run_scenario(tmp_path, "give_up")


@pytest.mark.parametrize("kind", ["none", "own", "Pool"])
def test_a_fork_while_progress_is_told(tmp_path, kind):
    run_scenario(tmp_path, "fork_in_progress", kind, stderr=None)


def test_nobody_waits_for_children(tmp_path):
    run_scenario(tmp_path, "unwaited")


def test_a_stopped_worker_is_waited_for(tmp_path):
    run_scenario(tmp_path, "stop_with_a_chunk")


@pytest.mark.parametrize(
    ("kind", "method"), [("ProcessPoolExecutor", "fork"), ("ProcessPoolExecutor", "spawn"), ("Pool", "fork")]
)
def test_pools_that_do_nothing(tmp_path, kind, method):
    """Shut down, busy, stopped, dead."""
    run_scenario(tmp_path, "dead_or_stopped_pools", kind, method, stderr=None, leaves_processes=True)


@pytest.mark.parametrize("mode", ["out of place", "in place"])
@pytest.mark.parametrize("kind", KINDS)
def test_workers_killed_at_random_moments(tmp_path, kind, mode):
    done = run_scenario(
        tmp_path,
        "kill_storm",
        kind,
        mode,
        KILLS,
        KILL_SECONDS,
        stderr=None,
        leaves_processes=True,
        seconds=KILL_SECONDS + 60,
    )
    print(f"{kind}, {mode}: {done.split()[0]} kills in {done.split()[1]} calls")


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_ctrl_c(tmp_path, kind):
    run_scenario(tmp_path, "interrupt", kind)


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_before_a_process_begins(tmp_path, method):
    run_scenario(tmp_path, "early_interrupt", method)


def test_signals_while_processes_are_started(tmp_path):
    run_scenario(tmp_path, "interrupted_start")


@pytest.mark.parametrize("mode", ["out of place", "in place", "late"])
def test_workers_end_when_the_caller_is_killed(tmp_path, mode):
    run_scenario(tmp_path, "killed_parent", mode)


@pytest.mark.parametrize(("how", "expected"), [("sys.exit", 7), ("os._exit", 7), ("exception", 1)])
@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_the_end_of_the_caller(tmp_path, kind, how, expected):
    # An executor that nobody has shut down, and os._exit, leave its workers; and CPython 3.11 may then complain.
    is_left = kind == "ProcessPoolExecutor" and how != "sys.exit"
    used = run_scenario(tmp_path, "end_after_use", kind, how, expected=expected, stderr=None, leaves_processes=is_left)
    assert used == "used\n"


def test_a_process_that_is_closed_to_others(tmp_path):
    run_scenario(tmp_path, "closed_process")


@pytest.mark.parametrize("how", ["mounted over", "somewhere else"])
def test_there_is_no_proc(tmp_path, how):
    run_scenario(tmp_path, "no_proc", how)


def test_no_processes_to_be_had(tmp_path):
    run_scenario(tmp_path, "no_processes")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_modules_that_can_no_longer_be_read(tmp_path, method):
    run_scenario(tmp_path, "unreadable_modules", method)


@pytest.mark.parametrize(
    ("kind", "method"), [("Pool", "fork"), ("ProcessPoolExecutor", "spawn"), ("Pool", "forkserver")]
)
def test_a_worker_has_one_thread(tmp_path, kind, method):
    run_scenario(tmp_path, "threads_of_workers", kind, method)


@pytest.mark.parametrize("arguments", [*((engine,) for engine in KINDS + ENGINES), *((kind, "set") for kind in KINDS)])
def test_no_more_threads_than_cpus_and_workers(tmp_path, arguments):
    """Also where each worker doubles an array that is large enough for all CPUs."""
    if arguments[0] not in [*KINDS, "threads"]:
        pytest.importorskip(arguments[0])
    run_scenario(tmp_path, "threads_of_engines", *arguments, stderr=None, leaves_processes=True)


@pytest.mark.parametrize("threads", ["used", "unused"])
def test_many_threads_enter_first_in_a_child(tmp_path, threads):
    run_scenario(tmp_path, "first_in_child", threads, FIRST_FORKS, stderr=None, seconds=SECONDS + FIRST_FORKS)


@pytest.mark.parametrize(("kind", "method"), [("ProcessPoolExecutor", "fork"), ("Pool", "spawn")])
def test_little_address_space(tmp_path, kind, method):
    run_scenario(tmp_path, "address_space", kind, method)


@pytest.mark.parametrize("method", METHODS)
def test_memory_without_holders_is_gone(tmp_path, method):
    print(run_scenario(tmp_path, "dropped_memory", method))


def test_reused_memory_is_not_read_by_earlier_references(tmp_path):
    print(run_scenario(tmp_path, "stamped_rounds", seconds=SECONDS + ROUNDS // 20))


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "ENOSYS"])
def test_the_caller_does_all_where_no_memory_can_be_shared(tmp_path, error):
    run_scenario(tmp_path, "no_shared_memory", error, tmp_path / "mapped")


UNBLOCKED = "jobs.call_undisturbed = lambda function, *arguments: function(*arguments)"
NOT_IGNORED = """
import functools

jobs.WorkUndisturbed.__reduce__ = lambda self: (functools.partial, (jobs.work, self._order))
"""
STAYS_BLOCKED = """
import signal

def call_undisturbed(function, *arguments):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return function(*arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

jobs.call_undisturbed = call_undisturbed
"""
ENDS_ONCE = """
def call_and_end(function, end):
    try:
        return function()
    finally:
        end()

jobs.call_and_end = call_and_end
"""

# What a scenario is to see: with this in the place of a mechanism it fails.
MUTATIONS = {
    "nothing": ("pass", "die_once"),
    "workers outlive their caller": ("jobs.is_dead = lambda process: False", "killed_parent", "in place"),
    "Ctrl-C meets a forked process": (UNBLOCKED, "early_interrupt", "fork"),
    "Ctrl-C meets a spawned process": (UNBLOCKED, "early_interrupt", "spawn"),
    "Ctrl-C meets a process of the fork server": (NOT_IGNORED, "early_interrupt", "forkserver"),
    "Ctrl-C stays blocked": (STAYS_BLOCKED, "interrupted", "undisturbed", "100"),
    "an end that was interrupted": (ENDS_ONCE, "interrupted", "fork", "100"),
    "a start that was interrupted": (UNBLOCKED, "interrupted", "fork", "100"),
    "processes are left": (
        "jobs.OwnProcesses.release = lambda self, have_come: None",
        "own_processes",
        "fork",
        "unused",
    ),
    "no error is kept from the pool": (
        "jobs.PoolAdapter.ask = lambda self, order: self._submit(order)",
        "dead_or_stopped_pools",
        "Pool",
        "fork",
    ),
    "workers have all threads": ("jobs.threads_of_worker = lambda: 3", "threads_of_workers", "Pool", "fork"),
    "all workers have all threads": (
        "import functools, os, twofold as t; t.double = functools.partial(t.double, threads=os.cpu_count() + 1)",
        "threads_of_engines",
        "ProcessPoolExecutor",
    ),
}
# With these it does not end.
HANGING_MUTATIONS = {
    "deaths are not counted": ("jobs.Job._take_over = lambda *arguments: None", "give_up"),
    "a late process is taken for dead": ("jobs.is_dead = lambda process: True", "stop_with_a_chunk"),
    "the dead are not noticed": ("jobs.is_dead = lambda process: False", "die_once"),
    "a zombie lives": (
        "stat = jobs._stat; jobs._stat = lambda pid: (stat(pid)[0], 'S', *stat(pid)[2:])",
        "die_once",
    ),
    "the caller takes no chunks": ("jobs.GRACE_SECONDS = 1000", "dead_or_stopped_pools", "Pool", "fork"),
}
MIN_SECONDS = 10


def test_the_scenarios_see_what_they_should():
    """Those that hang do so beside the others."""
    command = [sys.executable, str(SCENARIOS / "mutated.py")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    start = time.monotonic()
    hanging = {name: subprocess.Popen([*command, *m], **quiet) for name, m in HANGING_MUTATIONS.items()}
    failing = {name: subprocess.Popen([*command, *m], **quiet) for name, m in MUTATIONS.items()}
    try:
        green = {name for name, process in failing.items() if process.wait(timeout=SECONDS) == 0}
        time.sleep(max(start + MIN_SECONDS - time.monotonic(), 0))
        ended = {name for name, process in hanging.items() if process.poll() is not None}
    finally:
        for process in [*hanging.values(), *failing.values()]:
            for pid in processes_of(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
    assert green == {"nothing"}
    assert ended == set()


# ---- what comes in, what comes out


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2) as executor:
        yield executor


LISTS = {
    "empty": [],
    "ints": list(range(-1000, 1000)),
    "the largest that fit": [2**62 - 1, -(2**62)],
    "too large to double": [1, 2**62, 5],
    "large": [2**63, 2**100, -(2**64)],
    "floats": [1.5, float("inf"), -0.0],
    "bools": [True, False, 3],
    "mixed": [1, 2.5, 3j, fractions.Fraction(1, 3), np.uint8(200)],
    "tuple": (1, 2, 3),
    "range": range(5, 100, 7),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_lists_are_doubled_exactly(pool, name):
    values = LISTS[name]
    result = twofold.double_in_processes(values, pool)
    assert type(result) is list
    assert result == [v + v for v in values]
    assert list(map(type, result)) == [type(v + v) for v in values]


def test_lists_with_a_type(pool):
    assert twofold.double_in_processes([1, 2**31], pool, dtype="uint32") == [2, 0]
    assert twofold.double_in_processes([1, 2**31], pool, dtype="uint32", overflow="saturate") == [2, 2**32 - 1]
    out = np.zeros(2, "float32")
    assert twofold.double_in_processes([1, 2.5], pool, out=out) is out
    assert out.tolist() == [2, 5]
    for values in ([1, "x"], [1, 2**32], [1, 2**31]):
        with pytest.raises((TypeError, OverflowError), match=r"values\[1\]"):
            twofold.double_in_processes(values, pool, dtype="uint32", overflow="raise")


def sample(dtype, shape):
    random.seed(7)
    raw = np.frombuffer(random.randbytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), np.uint8)
    if np.dtype(dtype).kind in "fc":
        return np.arange(-5, int(np.prod(shape)) - 5).astype(dtype).reshape(shape) / 3
    return raw.view(dtype).reshape(shape)


NUMPY_TYPES = [name for name in ALL_ELEMENTS if not name.startswith("bfloat")]


@pytest.mark.parametrize("name", NUMPY_TYPES)
def test_every_element_type(pool, name):
    dtype = np.dtype("m8[s]") if name.startswith("timedelta") else np.dtype(name)
    values = sample(dtype, 3001) if dtype.kind != "m" else np.arange(3001).astype(dtype)
    for given in (values, twofold.share(values)):
        result = twofold.double_in_processes(given, pool, chunk_bytes=4096)
        assert type(result) is twofold.SharedArray
        assert result.dtype == values.dtype
        np.testing.assert_array_equal(result, twofold.double(values))


LAYOUTS = {
    "C": lambda a: a,
    "F": lambda a: a.T,
    "slice": lambda a: a[1:5],
    "strided": lambda a: a[::2, ::3],
    "reversed": lambda a: a[::-1],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "broadcast": lambda a: np.broadcast_to(a, (3, *a.shape)),
    "empty": lambda a: a[:0],
    "no dimension": lambda a: a[0, 0, ...],
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
}


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout(pool, name, is_shared):
    base = sample("uint32", (100, 333))
    values = LAYOUTS[name](twofold.share(base) if is_shared else base.copy())
    expected = np.asarray(values) * 2
    result = twofold.double_in_processes(values, pool, chunk_bytes=4096)
    assert (result == expected).all()
    assert result.shape == values.shape
    assert result.dtype == values.dtype
    out = np.empty(values.shape, values.dtype)
    shared_out = twofold.SharedArray(values.shape, values.dtype.newbyteorder("="))
    assert twofold.double_in_processes(values, pool, out=out, chunk_bytes=4096) is out
    assert twofold.double_in_processes(values, pool, out=shared_out, chunk_bytes=4096) is shared_out
    assert (out == expected).all()
    assert (shared_out == expected).all()
    if values.flags.writeable:
        assert twofold.double_in_processes(values, pool, out=values, chunk_bytes=4096) is values
        assert (values == expected).all()


@pytest.mark.parametrize("is_shared", [False, True])
def test_out_that_overlaps(pool, is_shared):
    values = sample("uint32", 40_000)
    for first, second in (
        (slice(0, -1), slice(1, None)),
        (slice(1, None), slice(0, -1)),
        (slice(None, None, -1), slice(None)),
    ):
        memory = twofold.share(values) if is_shared else values.copy()
        expected = memory[first] * 2
        twofold.double_in_processes(memory[first], pool, out=memory[second], chunk_bytes=4096)
        assert (memory[second] == expected).all()
    square = values[:10_000].reshape(100, 100)
    memory = twofold.share(square) if is_shared else square.copy()
    twofold.double_in_processes(memory, pool, out=memory.T)
    assert (square * 2 == memory.T).all()


def test_other_buffers(pool):
    numbers = array.array("I", range(5000))
    result = twofold.double_in_processes(numbers, pool, chunk_bytes=4096)
    assert result.tolist() == list(range(0, 10_000, 2))
    assert twofold.double_in_processes(numbers, pool, out=numbers, chunk_bytes=4096) is numbers
    assert numbers.tolist() == list(range(0, 10_000, 2))
    assert twofold.double_in_processes(b"\x01\x81", pool).tolist() == [2, 2]


@pytest.mark.thread_unsafe(reason="changes a module")
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file(pool, tmp_path, mode):
    """Read where it is, at any place of the file; written in place, where that is what writing to it means."""
    values = sample("uint32", 100_000)
    (tmp_path / "numbers").write_bytes(b"header" * 100 + values.tobytes())
    mapped = np.memmap(tmp_path / "numbers", "uint32", mode, 600)[17:]
    with pytest.MonkeyPatch.context() as patch:
        if mode != "c":  # it is not copied
            patch.setattr(np, "copyto", None)
        result = twofold.double_in_processes(mapped, pool, chunk_bytes=4096)
        assert (result == values[17:] * 2).all()
        if mode == "r":
            return
        assert twofold.double_in_processes(mapped, pool, out=mapped, chunk_bytes=4096, overflow="saturate") is mapped
    doubled = np.minimum(values[17:].astype("uint64") * 2, 2**32 - 1)
    assert (mapped == doubled).all()
    in_file = np.fromfile(tmp_path / "numbers", "uint32", offset=600)
    assert (in_file[17:] == (doubled if mode == "r+" else values[17:])).all()
    (tmp_path / "numbers").unlink()  # copied, then
    assert (twofold.double_in_processes(mapped, pool, chunk_bytes=4096) == mapped * 2).all()


def test_a_mapped_file_that_is_mapped_twice(pool, tmp_path):
    values = sample("uint32", 10_000)
    values.tofile(tmp_path / "numbers")
    read_only, writable = (np.memmap(tmp_path / "numbers", "uint32", mode) for mode in ("r", "r+"))
    twofold.double_in_processes(read_only, pool, out=writable, chunk_bytes=4096)  # in place, then
    assert (read_only == values * 2).all()
    twofold.double_in_processes(read_only[1:], pool, out=writable[:-1], chunk_bytes=4096)
    assert (read_only[:-1] == values[1:] * 4).all()


def test_a_mapped_file_that_is_mapped_twice_and_overlaps_with_gaps(pool, tmp_path):
    np.arange(8, dtype="uint32").tofile(tmp_path / "numbers")
    read_only, writable = (np.memmap(tmp_path / "numbers", "uint32", mode) for mode in ("r", "r+"))
    twofold.double_in_processes(read_only[::-1], pool, out=writable)
    assert (writable == 2 * np.arange(8)[::-1]).all()


def test_a_mapped_file_whose_name_is_no_text(pool, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"numbers-\xff")
    with open(path, "w+b") as file:
        file.write(np.arange(8, dtype="uint32").tobytes())
        file.flush()
        mapped = np.frombuffer(mmap.mmap(file.fileno(), 32), np.uint32)
    assert (twofold.double_in_processes(mapped, pool) == 2 * np.arange(8)).all()


@pytest.mark.thread_unsafe(reason="counts open files")
@pytest.mark.parametrize("name", ["a\rb", "new\nline", " spaces ", "(deleted)"])
def test_files_of_odd_names_do_no_harm(pool, tmp_path, name):
    twofold.double_in_processes(sample("uint32", 10_000), pool, chunk_bytes=4096)
    twofold.release_memory()
    before = len(os.listdir("/proc/self/fd"))
    # One before and one after it, in whichever order the system places them.
    mapped = [np.memmap(tmp_path / path, "uint32", "w+", shape=(10_000,)) for path in ("plain", name, "other")]
    for values in mapped:
        values[:] = 1
        assert (twofold.double_in_processes(values, pool, chunk_bytes=4096) == 2).all()
        assert twofold.double_in_processes(values, pool, out=values, chunk_bytes=4096) is values
        assert (values == 2).all()
    del mapped, values
    twofold.release_memory()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("where", [None, "in place", "out of place"])
def test_the_first_that_does_not_fit(pool, where, is_shared):
    """Its index, whichever worker comes first; in place nothing has changed."""
    plain = np.ones((40, 1000), np.int32)
    for first, *others in ([(0, 0)], [(39, 999)], [(7, 3), (7, 4), (20, 0)], [(0, 999), (1, 0), (39, 999)]):
        values = twofold.share(plain) if is_shared else plain.copy()
        for place in (first, *others):
            values[place] = 2**30
        before = values.copy()
        out = {None: None, "in place": values, "out of place": np.empty_like(plain)}[where]
        with pytest.raises(
            OverflowError, match=rf"values\[{first[0]}, {first[1]}\] is 1073741824, whose double does not fit int32"
        ):
            twofold.double_in_processes(values, pool, out=out, overflow="raise", chunk_bytes=4096)
        assert (values == before).all()
        with pytest.raises(OverflowError) as of_double:
            twofold.double(values.T, overflow="raise")
        with pytest.raises(OverflowError) as error:
            twofold.double_in_processes(values.T, pool, overflow="raise", chunk_bytes=4096)
        assert str(error.value) == str(of_double.value)  # the first in the order of its own indices
    saturated = twofold.double_in_processes(values, pool, overflow="saturate")
    assert saturated[first] == 2**31 - 1


def test_floats_say_what_became_of_them(pool):
    values = twofold.share(np.array([1e308, 1.0]))
    with pytest.warns(RuntimeWarning, match="overflow"):
        twofold.double_in_processes(values, pool)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        twofold.double_in_processes(values, pool)
    with np.errstate(all="raise"):
        twofold.double_in_processes(values[1:], pool)


def test_with_a_type_of_computation(pool):
    values = np.arange(3000, dtype="int16")
    result = twofold.double_in_processes(values, pool, dtype="float32", chunk_bytes=4096)
    assert result.dtype == "float32"
    assert (result == values * 2).all()
    with pytest.raises(TypeError, match="would lose something"):
        twofold.double_in_processes(values * 1.0, pool, dtype="int16")


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("overflow", ["wrap", "saturate", "raise"])
def test_a_dtype_that_narrows_is_checked_as_the_policy_says(pool, overflow, swapped):
    durations = [(2**62, "m8[s]", "m8[ns]")] if overflow != "saturate" else []
    for value, dtype, narrow in ((300, "u4", "u1"), (-129, "i8", "i1"), (1e39, "f8", "f4"), *durations):
        values = np.array([1, value, 2]).astype(dtype)
        values = values.astype(values.dtype.newbyteorder("S")) if swapped else values
        calls = [lambda f, *pools, x=values, to=narrow: f(x, *pools, dtype=to, overflow=overflow)]
        calls.append(
            lambda f, *pools, x=values, to=narrow: f(x, *pools, dtype=to, overflow=overflow, out=np.empty(3, to))
        )
        for call in calls:
            if overflow == "raise" or (overflow == "wrap" and values.dtype.kind == "m"):
                with pytest.raises(OverflowError, match=r"values\[1\]"):
                    call(twofold.double_in_processes, pool)
            else:
                with np.errstate(over="ignore"):
                    assert (call(twofold.double_in_processes, pool) == call(twofold.double)).all()


BAD = {
    "a string": ({"values": "abc"}, TypeError, "values must be a list .*, not str; convert it first"),
    "a number": ({"values": 3}, TypeError, "values must be a list .*, not int"),
    "a masked array": ({"values": np.ma.ones(3)}, TypeError, "MaskedArray"),
    "strings": ({"values": np.array(["x"])}, TypeError, "cannot be doubled"),
    "objects": ({"values": np.array([None])}, TypeError, "cannot be doubled"),
    "no pool": ({"pool": "2"}, TypeError, "`submit` or `apply_async`"),
    "no processes": ({"processes": 0}, ValueError, "processes must be at least 1, not 0"),
    "half a process": ({"processes": 1.5}, TypeError, "processes must be an integer, not 1.5"),
    "no chunk": ({"chunk_bytes": 0}, ValueError, "chunk_bytes must be at least 1"),
    "no retries": ({"retries": -1}, ValueError, "retries must be at least 0"),
    "overflow": ({"overflow": "clamp"}, ValueError, "'wrap', 'saturate' or 'raise', not 'clamp'"),
    "progress": ({"progress": "yes"}, TypeError, "progress must be True, False or a callable"),
    "out of another type": ({"out": np.zeros(3, "int16")}, TypeError, "out holds int16"),
    "out of another shape": ({"out": np.zeros(4, "int64")}, ValueError, "out has shape"),
    "out read-only": ({"out": bytes(24)}, (ValueError, TypeError), "out"),
    "out a list": ({"out": [1, 2, 3]}, TypeError, "out must be a writable array or buffer, not list"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_make_no_sense(pool, name):
    arguments, error, message = BAD[name]
    arguments = {"values": np.arange(3), "pool": pool, **arguments}
    with pytest.raises(error, match=message):
        twofold.double_in_processes(arguments.pop("values"), arguments.pop("pool"), **arguments)


# ---- progress


def test_chunks_larger_than_anything(pool):
    values = sample("uint32", 10_000)
    for chunk_bytes in (2**62, 2**64 - 1, 2**100):
        assert (twofold.double_in_processes(values, pool, chunk_bytes=chunk_bytes) == values * 2).all()


def test_a_lost_array_says_why(pool):
    lost = twofold.shared.LostArray("process 7 has ended")
    with pytest.raises(twofold.shared.SharedArrayError, match="process 7 has ended"):
        twofold.double_in_processes(lost, pool)
    with pytest.raises(twofold.shared.SharedArrayError, match="process 7 has ended"):
        twofold.double_in_processes(np.zeros(3), pool, out=lost)


def test_progress_is_told_to_a_callable(pool):
    """Ever more, and all in the end; also within a large chunk."""
    values = twofold.SharedArray(16 << 20, "uint32")
    told = []
    twofold.double_in_processes(values, pool, chunk_bytes=1 << 30, progress=lambda *now: told.append(now))
    done = [now[0] for now in told]
    assert done == sorted(set(done))
    assert told[-1] == (16 << 20, 16 << 20)
    told.clear()
    twofold.double_in_processes(values, pool, out=values, overflow="raise", progress=lambda *now: told.append(now))
    assert told[-1] == (16 << 20, 16 << 20)
    with pytest.raises(ZeroDivisionError):
        twofold.double_in_processes(values, pool, progress=lambda done, total: 1 // 0)
    assert (twofold.double_in_processes(values, pool) == 0).all()


def test_progress_is_shown_by_tqdm(pool, capsys):
    pytest.importorskip("tqdm")
    twofold.double_in_processes(twofold.SharedArray(1 << 20, "uint32"), pool, progress=True)
    assert "100%" in capsys.readouterr().err


def test_progress_by_tqdm_leaves_nothing_to_the_garbage_collector(pool):
    pytest.importorskip("tqdm")
    values = twofold.SharedArray(10)
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            twofold.double_in_processes(values, out=values, processes=1, progress=True)
        assert len(os.listdir("/proc/self/fd")) < before + 5
    finally:
        gc.enable()


def test_progress_without_tqdm(pool, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="progress=True needs tqdm"):
        twofold.double_in_processes(np.arange(3), pool, progress=True)


# ---- the parts


def test_what_is_known_of_processes():
    assert not is_dead(this_process())
    pid, started = this_process()
    assert is_dead((pid, started - 1)), "a number that was used again"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2].split()[19])
    assert not is_dead((child.pid, started))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead((child.pid, started)), "a zombie"
    child.wait()
    assert is_dead((child.pid, started))


def test_a_table_that_does_not_fit_what_it_is_used_for():
    doubling = operation_named("twofold:double")
    memory = bytearray(Claims.bytes_for(1000, 64, 2, "out of place"))
    claims = Claims.create(memory, 1000, 64, 2, "out of place", this_process())
    with pytest.raises(ValueError, match="the table is for 1000 bytes, not 999"):
        claims.work(doubling, bytes(999), bytearray(1000), "uint8", "wrap", 1, 1.0)
    with pytest.raises(ValueError, match="the table takes"):
        Claims.create(memory[:-1], 1000, 64, 2, "out of place", this_process())
    assert Claims.join(memory, this_process()) is not None
    assert Claims.join(memory, this_process()) is None
    out = bytearray(1000)
    assert not claims.work(doubling, b"\x03" * 1000, out, "uint8", "wrap", 1, 60.0)
    assert claims.all_done()
    assert out == b"\x06" * 1000


def test_the_worker_is_pickled_by_its_name():
    import pickle  # noqa: PLC0415

    from twofold._processes.jobs import work  # noqa: PLC0415

    assert pickle.loads(pickle.dumps(work)) is work
    assert len(pickle.dumps(work)) < 60


def test_importing_it_brings_neither_numpy_nor_multiprocessing():
    script = "import sys, twofold.pools; assert not {'numpy', 'multiprocessing'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
