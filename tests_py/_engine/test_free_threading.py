"""Many threads at once on shared arrays, lists that change, buffers and all else; on a free-threaded Python, too."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import run_script

STRESS = Path(__file__).with_name("thread_scenarios") / "stress.py"
SECONDS = float(os.environ.get("TWOFOLD_TEST_SECONDS", "2"))


@pytest.mark.parametrize("beside", [[], ["fork"]], ids=["threads", "threads_and_forks"])
def test_eight_threads_on_all_kinds_of_values(beside):
    """For about as many seconds as TWOFOLD_TEST_SECONDS says."""
    pytest.importorskip("numpy")
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", str(STRESS), str(SECONDS), *beside]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 + 4 * SECONDS, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr[-6000:]}"


without_gil = pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")


@without_gil
def test_no_module_of_twofold_switches_the_gil_on():
    run_script(
        """
        import importlib, pkgutil, sys
        import twofold
        for module in pkgutil.walk_packages(twofold.__path__, "twofold."):
            importlib.import_module(module.name)
            assert not sys._is_gil_enabled(), module.name
        """,
        options=("-W", "error"),  # Python warns where it switches the GIL on
        env={name: value for name, value in os.environ.items() if name != "PYTHON_GIL"},
    )


# By what has the lock: the object, and what asks for it in the child.
LOCKED = {
    "modules": ("sys.modules", "twofold.double(np.arange(3))"),
    "names_of_a_module": ("vars(multiprocessing.process)", "twofold.threads_info()"),
    "environment": ("os.environ._data", "twofold.threads_info()"),
    "classes": ("twofold._containers.ndarray.plain_classes", "twofold.double(np.matrix(range(3)))"),
}


@without_gil
@pytest.mark.parametrize("locked", LOCKED)
def test_the_child_of_a_fork_finds_what_it_looks_up_though_another_thread_had_its_lock(locked):
    """As it is left where a thread was waiting for it at the fork: that thread has it then, and is not in the child."""
    pytest.importorskip("numpy")
    what, call = LOCKED[locked]
    run_script(f"""
        import ctypes, multiprocessing.util, os, signal, sys, threading
        import numpy as np
        def take():
            lock.value = 1
        def release():
            lock.value = 0
        # In this order: the hooks of twofold look for modules, too.
        os.register_at_fork(before=take, after_in_parent=release, after_in_child=lambda: signal.alarm(20))
        import twofold, twofold._containers.ndarray
        lock = ctypes.c_uint8.from_address(id({what}) + 10)  # ob_mutex, behind ob_tid and 16 bits
        ended = []
        def fork():  # not in the thread that made the object, which needs no lock for it
            pid = os.fork()
            if pid == 0:
                {call}
                os._exit(twofold.double(np.arange(3)).tolist() != [0, 2, 4])
            ended.append(os.waitpid(pid, 0)[1])
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        assert ended == [0], ended
    """)


@without_gil
def test_locks_that_calls_take_are_free_before_python_does_anything_in_the_child_of_a_fork():
    """It frees what the other threads had, which may be segments, before it calls any hook."""
    pytest.importorskip("numpy")
    run_script("""
        import ctypes, os
        import numpy as np
        found = []
        os.register_at_fork(after_in_child=lambda: found.append(lock.value))  # before those of twofold
        import twofold._containers.ndarray
        lock = ctypes.c_uint8.from_address(id(twofold._containers.ndarray.plain_classes) + 10)
        lock.value = 1
        pid = os.fork()
        if pid == 0:
            os._exit(found != [0])
        lock.value = 0
        assert os.waitpid(pid, 0)[1] == 0
    """)
