"""Forks while kernels are at work that are not ours: they take the GIL, sleep, call again, wait for a lock.

The kernels are those of an extension module of somebody else's, fork_kernels/kernels.cpp, built here. Each
scenario is a script beside it, run in a process of its own with a wall-clock limit, so that a hang is a failure.
"""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import twofold
from conftest import run_script

# Threads would read from each other's processes.
pytestmark = pytest.mark.thread_unsafe(reason="starts processes")

SOURCE = Path(__file__).with_name("fork_kernels")
CHECKS = str(Path(__file__).with_name("fork_scenarios"))
FORKS = os.environ.get("TWOFOLD_TEST_FORKS")
SECONDS = max(120, int(FORKS or "0"))

WENT_ON = (
    "twofold: a fork has waited 2 seconds for a kernel that is at work on a helper thread, and goes on without it\n"
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """Says in the environment of a scenario where the module is."""
    directory = tmp_path_factory.mktemp("kernels")
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    include = [f"-I{twofold.get_include()}", "-isystem", sysconfig.get_path("include")]
    library = directory / f"kernels{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(["c++", *flags, *include, str(SOURCE / "kernels.cpp"), "-o", str(library)], check=True)
    path = os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "TWOFOLD_TEST_KERNELS": str(directory), "PYTHONPATH": path}


def start(script: str, *arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    # CPython 3.12 and later warn when a process with several threads forks. These are the scenario's own.
    command = [sys.executable, "-W", "ignore", str(SOURCE / script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Its output and its stderr, if all was well."""
    try:
        said, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, errors
    return said, errors


# How Python and C fork, what the helper is at, and whether the fork is to wait for the two seconds. "unregistered": the
# module has not said twofold::register_at_fork().
WITH_GIL_AND_WITHOUT_HOOKS = ["subprocess_user", "c_with_gil"]
ONE_FORK = {
    **{("os", kernel): False for kernel in ("nothing", "sleep", "nest", "python")},
    **{(way, "python"): False for way in ("multiprocessing", "subprocess_preexec", "c_without_gil")},
    **{(way, "python"): True for way in WITH_GIL_AND_WITHOUT_HOOKS},
    ("os", "python", "unregistered"): True,
    **{(way, "lock"): True for way in ("os", "multiprocessing", *WITH_GIL_AND_WITHOUT_HOOKS, "c_without_gil")},
}


@pytest.fixture(scope="module")
def scenarios(kernels):
    """All at the same time, since most of them wait."""
    return {case: start("one_fork.py", *case, env=kernels) for case in ONE_FORK}


@pytest.mark.parametrize("case", ONE_FORK, ids="-".join)
def test_a_fork_while_a_helper_is_in_a_kernel(case, scenarios):
    """It waits for the kernel; for one that waits for what the forking thread has, two seconds; never for ever."""
    assert end(scenarios[case]) == ("", WENT_ON if ONE_FORK[case] else "")


KERNELS = ["sleep", "nest", "lock"]
MANY_FORKS = {
    "os": (FORKS or "200", ["python", *KERNELS]),
    "multiprocessing": ("50", ["python", *KERNELS]),
    "subprocess_preexec": ("20", ["python", *KERNELS]),
    "c_without_gil": ("50", ["python", *KERNELS]),
    "c_with_gil": ("50", KERNELS),
    "subprocess_user": ("20", KERNELS),
}


@pytest.mark.parametrize("way", MANY_FORKS)
def test_forks_while_threads_are_in_kernels_and_come_and_go(way, kernels):
    count, names = MANY_FORKS[way]
    said, errors = end(start("many_forks.py", way, count, *names, env=kernels))
    assert errors == ""
    print(f"{count} forks by {way}, the longest {said}")


def test_a_fork_on_the_thread_of_a_helper_aborts_with_a_sentence(kernels):
    script = """
        import os, resource
        import kernels
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        kernels.register_at_fork()
        kernels.start("python", os.fork)
        kernels.finish()
    """
    with pytest.raises(AssertionError) as failed:
        run_script(script, env=kernels)
    said = str(failed.value)
    assert f"exit status {-signal.SIGABRT}\n" in said
    sentence = "a kernel forks on a helper thread, and the child would have that thread alone, in a call of nobody's"
    assert sentence in said


# ---- twofold's own helpers, beside what others do with hooks and signals

BEGIN = f"""
import os, signal, sys, threading
sys.path.insert(0, {CHECKS!r})
"""


def test_no_helper_is_started_between_the_hook_and_the_fork_and_all_may_be_after_it():
    """Hooks of others run before ours and after it, and may call, fork and raise."""
    run_script(
        BEGIN
        + """
raised = []
sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_type)
is_nested = False

def hook_that_runs_after_ours():
    global is_nested
    assert settles_at(1), threads()
    double_large()
    assert settles_at(1), threads()
    if not is_nested:
        is_nested = True
        in_child(double_with_own_helpers)
        double_large()
        assert settles_at(1), threads()
        is_nested = False
        raise KeyboardInterrupt

def hook_that_runs_before_ours():
    if not is_nested:
        double_large()
        assert settles_at(3), threads()
        raise KeyboardInterrupt

os.register_at_fork(before=hook_that_runs_after_ours)
import twofold
from checks import double_large, double_with_own_helpers, in_child, settles_at, threads
os.register_at_fork(before=hook_that_runs_before_ours)

for _ in range(3):
    double_large()
    assert settles_at(3)
    in_child(double_with_own_helpers)
assert raised == [KeyboardInterrupt] * 6, raised
double_large()
assert settles_at(3)
"""
    )


def test_a_fork_that_fails_leaves_helpers_allowed(tmp_path):
    source = tmp_path / "no_fork.c"
    source.write_text("#include <errno.h>\nint fork(void) { errno = EAGAIN; return -1; }\n")
    library = tmp_path / "no_fork.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    run_script(
        BEGIN
        + """
from checks import double_large, settles_at, threads
for _ in range(3):
    double_large()
    assert settles_at(3)
    try:
        os.fork()
    except BlockingIOError:
        assert settles_at(1)
    else:
        raise AssertionError("it did not fail")
double_large()
assert settles_at(3)
""",
        env={**os.environ, "LD_PRELOAD": str(library)},
    )


def test_what_a_signal_handler_raises_leaves_helpers_allowed():
    """The hooks are built-in functions, which no handler interrupts."""
    run_script(
        BEGIN
        + """
from checks import double_large, double_small, settles_at, threads

class Alarm(Exception):
    pass

def handler(*_):
    raise Alarm

signal.signal(signal.SIGALRM, handler)
alarms = 0
for i in range(100):
    try:
        double_small()
        signal.setitimer(signal.ITIMER_REAL, 0.00002 * (i + 1))
        if os.fork() == 0:
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        alarms += 1
signal.setitimer(signal.ITIMER_REAL, 0)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
assert alarms > 0
double_large()
assert settles_at(3), threads()
"""
    )


def test_threads_that_fork_at_the_same_time_leave_helpers_allowed():
    run_script(
        BEGIN
        + """
from checks import double_large, double_small, double_with_own_helpers, in_child, settles_at, threads
failures = []

def fork_often():
    try:
        for _ in range(25):
            double_large()
            in_child(lambda: double_with_own_helpers(double_large))
    except BaseException as error:
        failures.append(error)

forking = [threading.Thread(target=fork_often) for _ in range(4)]
for thread in forking:
    thread.start()
for thread in forking:
    thread.join()
assert not failures, failures
double_large()
assert settles_at(3), threads()
""",
        options=("-W", "ignore"),
    )
