"""What the tests share: the table of element types, and scripts run in fresh interpreters."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from array import array, typecodes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twofold._engine import parallel_ufunc, twofold_engine

# A shell that starts the tests in the background has Ctrl-C ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The one table of element types, as the extension module has it: rows by name.
ROWS = {row["name"].decode(): row for row in twofold_engine.element_rows()}
ALL_ELEMENTS = list(ROWS)

# What `array.array` and `memoryview` call them.
FIRST_LETTERS = {name: row["struct_letters"].decode()[:1] for name, row in ROWS.items()}
LETTERS = {name: letter for name, letter in FIRST_LETTERS.items() if letter in list(typecodes)}

# What NumPy calls numbers: all of the letters, though some name the same type.
NUMPY_LETTERS = "".join(row["numpy_letters"].decode() for row in ROWS.values() if row["kind"] in b"iufc")

# Those that Python's own arrays hold; NumPy's hold all.
ELEMENTS = [name for name in ALL_ELEMENTS if name in LETTERS]

SCRIPT_SECONDS = 120

# Tests of what the wheel holds have nothing to look at in an editable install.
needs_wheel = pytest.mark.skipif(
    Path(twofold_engine.__file__).with_name("twofold_engine.pyx").exists(),
    reason="twofold is installed in editable mode, not as a wheel",
)


def lowest_and_highest(element: str) -> tuple[int, int]:
    """The limits of an integer type."""
    bits = int(element.lstrip("uint"))
    return (0, 2**bits - 1) if element.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def wrapped_double(value: int, element: str) -> int:
    """2 * value as the element type has it."""
    lowest, highest = lowest_and_highest(element)
    return (2 * value - lowest) % (highest - lowest + 1) + lowest


def sample(element: str, n: int) -> list:
    """n values of the type, its limits among them."""
    if element.startswith("float"):
        special = [0.0, -0.0, 1.5, -2.25, float("inf"), 1e-45 if element == "float32" else 5e-324]
        # Not so large that the double of a float16, which Python 3.15's arrays have, does not fit.
        values = [special[i % len(special)] + (i % 2**14 if i >= len(special) else 0) for i in range(n)]
        return array(LETTERS[element], values).tolist()  # rounded to the type
    lowest, highest = lowest_and_highest(element)
    special = [0, 1, highest, lowest, highest // 2, highest // 2 + 1, lowest // 2]
    return [special[i] if i < len(special) else (i * 2654435761) % (highest - lowest + 1) + lowest for i in range(n)]


def expected_double(element: str, values: list) -> list:
    """What doubling must give, in Python's own arithmetic."""
    if element.startswith("float"):
        return [v + v for v in values]
    return [wrapped_double(v, element) for v in values]


def native(element: str, values: list) -> array:
    return array(LETTERS[element], values)


def run_script(script: str, *arguments: str, env: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> str:
    """Runs a script in a fresh interpreter with a wall-clock limit, so that a hang is a failure; returns its output."""
    command = [sys.executable, *options, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_SECONDS, env=env, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def without_thread_variables() -> dict[str, str]:
    """This environment, but saying nothing of threads."""
    names = ("TWOFOLD_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT")
    return {name: value for name, value in os.environ.items() if name not in names}


@pytest.fixture(scope="session")
def loops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose scripts can import _engine/loops/loops.pyx: somebody else's module, with its own loops."""
    directory = tmp_path_factory.mktemp("loops")
    source = Path(__file__).parent / "_engine/loops/loops.pyx"
    shutil.copy(source, directory)
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-3", "-i", "-q", source.name]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])}


UNIT = 7  # elements in a range of a ufunc, where all calls are shared


@pytest.fixture
def all_shared() -> Iterator[Callable[[], int]]:
    """All calls of `parallel` are shared that can be; returns how many were, since it was last called."""
    seen = parallel_ufunc.shared_calls()

    def count() -> int:
        nonlocal seen
        before, seen = seen, parallel_ufunc.shared_calls()
        return seen - before

    before = parallel_ufunc.share_all(UNIT)
    yield count
    parallel_ufunc.share_all(before)


@pytest.fixture(params=ELEMENTS)
def element(request: pytest.FixtureRequest) -> str:
    """Each element type that Python's own arrays hold."""
    return request.param
