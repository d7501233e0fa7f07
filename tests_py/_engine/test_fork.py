"""A fork at any moment: the child computes right and with helper threads of its own, and so does the parent.

Each scenario is a script of its own in fork_scenarios, run in a fresh interpreter with a wall-clock limit,
so that a hang is a failure in bounded time.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_script

SCENARIOS = sorted(Path(__file__).with_name("fork_scenarios").glob("fork_*.py"))
assert SCENARIOS, "there are no scenarios beside the tests"
SECONDS = max(120, int(os.environ.get("TWOFOLD_TEST_FORKS", "0")))

# CPython 3.12 and later warn when a process with several threads forks. Where the threads are the script's own, that is
# no fault of ours.
WITHOUT_THREADS = ["fork_after_use.py", "fork_before_use.py"]


def run_scenario(path: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    options = ["-W", "error::DeprecationWarning"] if path.name in WITHOUT_THREADS else ["-W", "ignore"]
    command = [sys.executable, *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=env, check=False)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_fork(path):
    done = run_scenario(path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("calls", ["loops", "ufuncs", "kernels"])
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_fork_with_other_calls(loops, path, calls):
    """The same, but for which calls are made: loops of somebody else's, ufuncs of NumPy's, or kernels."""
    forks = os.environ.get("TWOFOLD_TEST_FORKS", "18" if calls == "kernels" else "60")  # which run as ufuncs do
    # Threads are counted, of which NumPy's linear algebra would start some.
    env = {**loops, "TWOFOLD_TEST_CALLS": calls, "TWOFOLD_TEST_FORKS": forks, "OPENBLAS_NUM_THREADS": "1"}
    done = run_scenario(path, env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["fork_after_use", "fork_during_call", "fork_nested"])
def test_the_tests_fail_without_the_fork_handlers(tmp_path, name):
    """The proof: these are red without the hooks of Python and with a pthread_atfork that does nothing, where no memory
    is wiped in a child, either (or else a child finds out by itself that it is one)."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "register = os.register_at_fork\n"
        "def register_others(**hooks):\n"
        "    if getattr(hooks.get('before'), '__name__', '') != 'stop_helpers':\n"
        "        register(**hooks)\n"
        "os.register_at_fork = register_others\n"
    )
    source = tmp_path / "no_atfork.c"
    # What glibc's pthread_atfork, which is linked statically, calls.
    source.write_text(
        "int __register_atfork(void (*a)(void), void (*b)(void), void (*c)(void), void *d)\n"
        "{ (void)a; (void)b; (void)c; (void)d; return 0; }\n"
        # Says that it wipes, and does not.
        "int madvise(void *a, unsigned long n, int advice) { (void)a; (void)n; return advice == -1 ? -1 : 0; }\n"
    )
    library = tmp_path / "no_atfork.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    path = next(path for path in SCENARIOS if path.stem == name)
    path_of_modules = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": path_of_modules}
    assert run_scenario(path, env=env).returncode != 0


def test_the_child_of_a_fork_by_c_forgets_which_forks_its_parent_was_told_of():
    run_script("""
        import ctypes, os, threading
        from array import array
        between = threading.Event(), threading.Event()
        os.register_at_fork(before=lambda: (between[0].set(), between[1].wait()))  # runs after that of twofold
        import twofold
        values = array("I", bytes(32 << 20))

        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)

        thread = threading.Thread(target=fork)
        thread.start()
        between[0].wait()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            twofold.double(values, out=values, threads=2)
            os._exit(len(os.listdir("/proc/self/task")))
        threads = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        between[1].set()
        thread.join()
        assert threads == 2, threads
    """)
