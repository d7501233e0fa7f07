"""No call imports: in another thread's child of a fork the lock of an import that has begun is held for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_script

SCENARIOS = Path(__file__).with_name("fork_scenarios")
FIRST_CALLS, WATCHED = SCENARIOS / "first_calls.py", SCENARIOS / "watched_imports.py"
RUNS = int(os.environ.get("TWOFOLD_TEST_FIRST_CALLS", "4"))

# By route: the library that it needs beside NumPy. Not pyarrow, whose own memory hangs in the child of a fork beside
# threads that use it, without twofold, too.
ROUTES = {
    **dict.fromkeys(("arrays", "masked", "dtype", "numbers", "sequences", "array", "buffers", "ufuncs", "parallel")),
    **dict.fromkeys(("share", "SharedArray", "double_in_processes", "dlpack", "arrow")),
    "torch": "torch",
    "pandas": "pandas",
}


def first_calls(route: str, order: str, way: str) -> None:
    pytest.importorskip("numpy")
    if ROUTES[route]:
        pytest.importorskip(ROUTES[route])
    command = [sys.executable, "-W", "ignore", str(FIRST_CALLS), route, order, way, str(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 + 40 * RUNS, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("route", ROUTES)
def test_first_calls_beside_forks(route):
    """As many runs as TWOFOLD_TEST_FIRST_CALLS says."""
    first_calls(route, "before", "fork")


@pytest.mark.parametrize("route", ["arrays", "ufuncs", "parallel", "share", "SharedArray", "double_in_processes"])
def test_first_calls_beside_forks_where_numpy_came_later(route):
    first_calls(route, "after", "fork")


@pytest.mark.parametrize("route", ["arrays", "ufuncs", "parallel", "SharedArray"])
def test_first_calls_beside_modules_that_fork_while_they_are_imported(route):
    first_calls(route, "before", "import")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", ["numpy", "torch", "pyarrow", "pandas"])
def test_no_first_call_takes_a_lock_of_an_import(library, order):
    pytest.importorskip("numpy")
    pytest.importorskip(library)
    run_script(WATCHED.read_text(), order, library)


def test_without_numpy_nothing_is_imported_either():
    run_script("""
        import sys
        from array import array
        from fractions import Fraction
        import twofold
        before = set(sys.modules)
        twofold.double([1, 2], dtype="uint32"), twofold.double([Fraction(1, 2)]), twofold.double(array("i", [1]))
        twofold.double(b"ab"), twofold.release_memory(), twofold.show_config()
        assert set(sys.modules) == before, set(sys.modules) - before
    """)


def test_what_takes_long_is_not_imported_with_twofold():
    run_script("""
        import sys
        before = set(sys.modules)
        import twofold
        slow = {"array", "collections", "dataclasses", "enum", "functools", "inspect", "numpy", "re", "typing"}
        assert not slow & (set(sys.modules) - before), slow & (set(sys.modules) - before)
    """)
