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


@without_gil
def test_the_child_of_a_fork_finds_modules_though_another_thread_had_their_lock():
    """As it is left where a thread was waiting for it at the fork: that thread has it then, and is not in the child."""
    pytest.importorskip("numpy")
    run_script("""
        import ctypes, multiprocessing.util, os, signal, sys, threading
        import numpy as np
        lock = ctypes.c_uint8.from_address(id(sys.modules) + 10)  # ob_mutex, behind ob_tid and 16 bits
        def take():
            lock.value = 1
        def release():
            lock.value = 0
        # In this order: the hooks of twofold look for modules, too.
        os.register_at_fork(before=take, after_in_parent=release, after_in_child=lambda: signal.alarm(20))
        import twofold
        ended = []
        def fork():  # not in the thread that made the modules, which needs no lock for them
            pid = os.fork()
            if pid == 0:
                os._exit(twofold.double(np.arange(3)).tolist() != [0, 2, 4])
            ended.append(os.waitpid(pid, 0)[1])
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        assert ended == [0], ended
    """)
