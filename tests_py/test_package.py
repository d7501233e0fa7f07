"""What the installed package is and is not."""

import doctest
import importlib.metadata
import pickle
import re
from pathlib import Path

import pytest
import twofold
from conftest import needs_wheel, run_script
from twofold import _core

INSTALLED = Path(twofold.__file__).parent


def test_there_is_one_version():
    header = (Path(twofold.get_include()) / "twofold/version.hpp").read_text()
    numbers = re.findall(r"#define TWOFOLD_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    assert twofold.__version__ == importlib.metadata.version("twofold") == ".".join(numbers)


@needs_wheel
def test_what_the_package_holds():
    """Compiled modules, doors, types and headers; no sources and nothing of ours besides."""
    files = {
        str(path.relative_to(INSTALLED))
        for path in INSTALLED.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "xsimd" not in path.parts
    }
    modules = {name for name in files if name.endswith(".so")}
    assert {name.partition(".")[0] for name in modules} == {"_array", "_core", "_memory"}
    headers = {name for name in files if name.startswith("include/twofold/")}
    assert files - modules - headers == {
        "__init__.py",
        "__init__.pxd",
        "_array.pyi",
        "_core.pxd",
        "_core.pyi",
        "_memory.pxd",
        "_memory.pyi",
        "libtwofold.pxd",
        "py.typed",
    }
    project = Path(__file__).parent.parent
    assert headers == {f"include/twofold/{path.name}" for path in (project / "include/twofold").glob("*.hpp")}


def test_public_names():
    assert sorted(twofold.__all__) == [
        "__version__",
        "double",
        "get_include",
        "get_num_threads",
        "num_threads",
        "set_num_threads",
        "show_config",
        "simd_target",
        "threads_info",
    ]
    assert all(hasattr(twofold, name) for name in twofold.__all__)


@pytest.mark.parametrize("module", [twofold, _core], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


def test_double_is_pickled_by_its_name():
    pickled = pickle.dumps(twofold.double)
    assert len(pickled) < 60
    assert pickle.loads(pickled) is twofold.double


def test_importing_brings_little_and_prints_nothing():
    output = run_script("""
        import sys
        before = set(sys.modules)
        import twofold
        brought = {name.partition(".")[0] for name in set(sys.modules) - before}
        brought = {name for name in brought if not name.startswith(("_cython", "cython_runtime"))}
        assert brought == {"twofold"}, brought
    """)
    assert output == ""


def test_only_the_crew_makes_threads():
    """Thread creation stands in one header; nothing else mentions any way to make one."""
    creation = re.compile(r"pthread_create|std::j?thread\b|std::async|#pragma omp|thrd_create|\bfork\(")
    project = Path(__file__).parent.parent
    sources = [
        path
        for folder in ("include", "pyx")
        for path in (project / folder).rglob("*")
        if path.suffix in (".hpp", ".cpp", ".pyx", ".pxd")
        and "xsimd" not in path.parts
        and (path.suffix != ".cpp" or not path.with_suffix(".pyx").exists())  # generated
    ]
    assert len(sources) > 10
    assert [path.name for path in sources if creation.search(path.read_text())] == ["crew.hpp"]
