"""A C++ program is built with the headers of the installed package, found as Meson, CMake and pkgconf find them."""

import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
import twofold

SOURCE = Path(__file__).with_name("cpp_consumer")
MAJOR, MINOR, PATCH = (int(part) for part in twofold.__version__.split("."))

# Those of the environment that runs the tests come first.
PATHS = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])


def place(group: str) -> Path:
    """The directory that the package names in a group of entry points, as the tools for C++ have it."""
    (entry_point,) = entry_points(group=group, name="twofold")
    (directory,) = find_spec(entry_point.value).submodule_search_locations
    return Path(directory)


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0], path=PATHS) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    return subprocess.run(
        list(map(str, command)),
        env={**os.environ, "PATH": PATHS, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def meson_configure(build: Path, wanted: str) -> subprocess.CompletedProcess[str]:
    return run("meson", "setup", build, SOURCE, f"-Dwanted={wanted}", PKG_CONFIG_PATH=str(place("pkg_config")))


def cmake_configure(build: Path, wanted: str) -> subprocess.CompletedProcess[str]:
    wanted = wanted.removeprefix(">=")  # what CMake means without saying so
    return run("cmake", "-S", SOURCE, "-B", build, f"-DWANTED={wanted}", f"-Dtwofold_ROOT={place('cmake.root')}")


TOOLS = {
    "meson": (meson_configure, ["meson", "compile", "-C"]),
    "cmake": (cmake_configure, ["cmake", "--build"]),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_program_is_built_and_runs(tool, tmp_path):
    configure, compile_in = TOOLS[tool]
    done = configure(tmp_path, f">={twofold.__version__}")
    assert done.returncode == 0, done.stdout
    done = run(*compile_in, tmp_path)
    assert done.returncode == 0, done.stdout
    assert run(tmp_path / "consumer").stdout.split() == [twofold.__version__]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "wanted",
    [f">={MAJOR}.{MINOR}.{PATCH + 1}", f">={MAJOR}.{MINOR + 1}", f">={MAJOR + 1}.0"],
    ids=["patch", "minor", "major"],
)
def test_a_newer_version_is_not_found(tool, wanted, tmp_path):
    """The proof that it is our file that was found above, with our version."""
    done = TOOLS[tool][0](tmp_path, wanted)
    assert done.returncode != 0
    assert twofold.__version__ in done.stdout


def test_pkgconf_of_pypi_finds_it_by_itself():
    pytest.importorskip("pkgconf", reason="pkgconf of PyPI is not installed")
    done = run(sys.executable, "-m", "pkgconf", "--modversion", "twofold")
    assert done.stdout.split() == [twofold.__version__]


@pytest.mark.parametrize("directory", ["moved", "with a space"])
def test_a_compiler_needs_what_pkg_config_says_and_no_more(directory, tmp_path):
    """Wherever the package lies."""
    package = tmp_path / directory
    for name in ("include", "lib"):
        shutil.copytree(Path(twofold.__file__).parent / name, package / name)
    flags = run("pkg-config", "--cflags", "--libs", "twofold", PKG_CONFIG_PATH=str(package / "lib/pkgconfig")).stdout
    assert any(flag.startswith(f"-I{package}") for flag in shlex.split(flags)), flags
    program = tmp_path / "consumer"
    done = run("c++", "-std=c++20", SOURCE / "main.cpp", "-o", program, *shlex.split(flags))
    assert done.returncode == 0, done.stdout
    assert run(program).stdout.split() == [twofold.__version__]
