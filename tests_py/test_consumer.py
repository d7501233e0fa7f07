"""A package that uses both Cython doors is really built, against the installed package, and used in a fresh process."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import twofold
from conftest import ELEMENTS, needs_wheel
from twofold import _core

SOURCE = Path(__file__).with_name("consumer")
INSTALLED = Path(twofold.__file__).parent
CYTHON_DOORS = ["__init__.pxd", "_core.pxd", "libtwofold.pxd"]
HEADERS = sorted(
    str(path.relative_to(INSTALLED)) for path in (INSTALLED / "include/twofold").glob("*.hpp") if path.is_file()
)

USE = """
import sys
sys.path.insert(0, sys.argv[1])
from array import array
import header_free_door, template_door
from conftest import ELEMENTS, needs_wheel, expected_double, native, sample

for element in ELEMENTS:
    for n in (1, 5, 1000, 300_000):
        values = native(element, sample(element, n))
        out = native(element, [0] * n)
        header_free_door.double_by_name(element, values, out)
        assert out.tolist() == expected_double(element, values.tolist()), (element, n)
values = array("I", [1, 2**31, 3])
header_free_door.double_with_the_gil(values)
assert values.tolist() == [2, 0, 6]
for n in (3, 1_000_000):
    values = array("I", range(n))
    try:
        header_free_door.double_next(values)
    except ValueError as error:
        assert "overlap" in str(error)
    else:
        sys.exit("an overlap was accepted")
    assert values == array("I", range(n))

assert template_door.double_vector([1, 2, 2**31]) == ([2, 4, 0], [2, 4, 0])
values, out = array("I", range(1_000_000)), array("I", bytes(4_000_000))
for threads in (0, 1, 4):
    template_door.double_memory(values, out, threads)
    assert out == array("I", range(0, 2_000_000, 2))
try:
    template_door.double_into_too_short([1.0, 2.0])
except ValueError as error:
    assert "the input has 2 elements, but the output has 0" in str(error)
else:
    sys.exit("a short output was accepted")
"""


def build(directory: Path, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Builds the consumer in `directory`, against the installed packages or, instead, those in `site`."""
    no_site = ["-S"] if site else []
    return subprocess.run(
        [sys.executable, *no_site, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(site)} if site else None,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    directory = tmp_path_factory.mktemp("consumer") / "consumer"
    shutil.copytree(SOURCE, directory)
    done = build(directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_both_doors_work(built):
    subprocess.run([sys.executable, "-c", USE, str(built)], cwd=Path(__file__).parent, timeout=120, check=True)


def test_every_element_type_has_a_function():
    def short(name: str) -> str:
        return re.sub(r"([iuf])\D*(\d+)", r"\1\2", name)

    assert set(_core.__pyx_capi__) == {f"double_{short(name)}" for name in ELEMENTS}


def test_all_headers_come_from_the_package(built):
    """No header of ours or of xsimd is found elsewhere on this machine by accident."""
    include = twofold.get_include()
    command = ["c++", "-std=c++20", "-M", "-x", "c++", f"-I{include}", "-"]
    asked = subprocess.run(
        command, input="#include <twofold/twofold.hpp>", capture_output=True, text=True, timeout=60, check=True
    )
    used = [path for path in asked.stdout.split() if "twofold/" in path or "xsimd" in path]
    assert used
    assert [path for path in used if not path.startswith(include)] == []


@needs_wheel
@pytest.mark.parametrize("missing", CYTHON_DOORS + HEADERS)
def test_a_file_left_out_is_noticed(built, tmp_path, missing):
    """The proof that the build above can fail: without any one of these files it does."""
    site = tmp_path / "site"
    shutil.copytree(INSTALLED, site / "twofold", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "twofold" / missing).unlink()
    for other in Path(sysconfig.get_path("purelib")).iterdir():
        if other.name != "twofold":
            (site / other.name).symlink_to(other)
    directory = tmp_path / "consumer"
    shutil.copytree(SOURCE, directory)
    if missing in HEADERS:
        # The translation to C++ reads no header. Taken over, so that only the compiler has work.
        for name in ("header_free_door.c", "template_door.cpp"):
            shutil.copy2(built / name, directory / name)
    done = build(directory, site)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    wanted = Path(missing).name if missing in HEADERS else "not found"
    assert wanted in said, said


@needs_wheel
def test_with_all_files_a_copy_of_the_package_will_do(built, tmp_path):
    """The proof that it is the missing file that is noticed above, and not the copy."""
    site = tmp_path / "site"
    site.mkdir()
    for other in Path(sysconfig.get_path("purelib")).iterdir():
        (site / other.name).symlink_to(other)
    directory = tmp_path / "consumer"
    shutil.copytree(SOURCE, directory)
    for name in ("header_free_door.c", "template_door.cpp"):
        shutil.copy2(built / name, directory / name)
    done = build(directory, site)
    assert done.returncode == 0, done.stdout + done.stderr
