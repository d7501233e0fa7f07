"""No function that C calls without a way to fail runs Python code: Cython would print its exception, and go on."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = sorted(Path(__file__).parents[1].joinpath("pyx/twofold").rglob("*.pyx"))
assert SOURCES, "there are no sources beside the tests"

# An object that goes has nobody to raise to.
ALLOWED = ("__dealloc__", "__del__")


def ignored_in(source: Path, folder: Path) -> list[str]:
    """The functions of a module in which Cython has to ignore an exception."""
    made = folder / "module.cpp"
    command = [sys.executable, "-m", "cython", "-3", "--cplus", "-I", "pyx", str(source), "-o", str(made)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], capture_output=True)
    calls = (line.strip() for line in made.read_text().splitlines() if '__Pyx_WriteUnraisable("' in line)
    names = {call.partition('"')[2].partition('"')[0] for call in calls}
    return sorted(name for name in names if not name.endswith(ALLOWED))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_exception_is_ignored(source, tmp_path):
    assert ignored_in(source, tmp_path) == []


def test_one_is_found(tmp_path):
    source = tmp_path / "wrong.pyx"
    source.write_text(
        "cdef int length(object values) noexcept:\n    return len(values)\ndef use(x): return length(x)\n"
    )
    assert ignored_in(source, tmp_path) == ["wrong.length"]
