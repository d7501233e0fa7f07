"""What the installed package is and is not."""

import ast
import contextlib
import doctest
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pickle
import pickletools
import pkgutil
import re
import subprocess
import sys
import tarfile
import textwrap
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import pytest
import twofold
from conftest import needs_wheel, run_script


def test_there_is_one_version():
    header = (Path(twofold.get_include()) / "twofold/version.hpp").read_text()
    numbers = re.findall(r"#define TWOFOLD_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    assert twofold.__version__ == importlib.metadata.version("twofold") == ".".join(numbers)


def differences(files: set[str], listed: str) -> tuple[list[str], list[str]]:
    """The files that no line of a stored list stands for, and the lines that stand for none."""
    lines = [line for line in Path(__file__).with_name(listed).read_text().splitlines() if not line.startswith("#")]
    unlisted = sorted(file for file in files if not any(fnmatchcase(file, line) for line in lines))
    missing = [line for line in lines if not any(fnmatchcase(file, line) for file in files)]
    return unlisted, missing


@needs_wheel
def test_what_the_wheel_holds():
    """Modules, doors, types, headers, and what tools for C++ look for; no sources and nothing of ours besides."""
    files = {str(path) for path in importlib.metadata.files("twofold") if "__pycache__" not in path.parts}
    assert differences({file for file in files if ".dist-info/" not in file}, "wheel_files.txt") == ([], [])


def test_a_file_more_and_a_file_less_are_noticed():
    files = set(Path(__file__).with_name("wheel_files.txt").read_text().splitlines())
    files = files - {"twofold/py.typed"} | {"twofold/_engine/dispatch.cpp"}
    assert differences(files, "wheel_files.txt") == (["twofold/_engine/dispatch.cpp"], ["twofold/py.typed"])


def built(pattern: str) -> Path:
    """The file that nox has built; it says where."""
    if "TWOFOLD_DIST" not in os.environ:
        pytest.skip("TWOFOLD_DIST does not say where the sdist and the wheel are, as it does under nox -s py")
    (path,) = Path(os.environ["TWOFOLD_DIST"]).glob(pattern)
    return path


def test_what_the_sdist_holds():
    """All that the wheel and the tests are made of, and nothing that a build has made."""
    with tarfile.open(built("*.tar.gz")) as sdist:
        files = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    assert differences({file for file in files if ".egg-info/" not in file}, "sdist_files.txt") == ([], [])


def test_the_wheel_is_small():
    assert built("*.whl").stat().st_size < 1_700_000


def test_public_names():
    assert sorted(twofold.__all__) == [
        "Kernel",
        "SharedArray",
        "__version__",
        "double",
        "double_in_processes",
        "get_include",
        "get_num_threads",
        "num_threads",
        "parallel",
        "release_memory",
        "set_num_threads",
        "share",
        "show_config",
        "simd_target",
        "threads_info",
    ]
    assert all(hasattr(twofold, name) for name in twofold.__all__)


PUBLIC = [getattr(twofold, name) for name in twofold.__all__ if name != "__version__"]


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_a_public_function_tells_its_signature_and_what_its_parameters_are(public):
    described = inspect.getdoc(public)
    for name in inspect.signature(public).parameters:
        assert re.search(rf"^(\w+, )*\*{{0,2}}{name}(, \w+)*( : |$)", described, re.MULTILINE), name


@pytest.mark.parametrize(("name", "types"), [("double", "_containers/double.pyi"), ("double_in_processes", "pools.py")])
def test_the_types_have_all_keywords(name, types):
    """In a TypedDict, which stubtest does not look into."""
    source = (Path(twofold.__file__).parent / types).read_text()
    (options,) = re.findall(r"class _Options\(TypedDict, total=False\):\n((?: +\w+: .*\n)+)", source)
    parameters = inspect.signature(getattr(twofold, name)).parameters.values()
    keywords = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert re.findall(r"^ +(\w+): ", options, re.MULTILINE) == [keyword for keyword in keywords if keyword != "out"]


def modules() -> list[ModuleType]:
    """All modules of the package, but those for libraries that are not here."""
    names = [module.name for module in pkgutil.walk_packages(twofold.__path__, "twofold.")]
    found = [twofold]
    for name in names:
        with contextlib.suppress(ImportError):
            found.append(importlib.import_module(name))
    return found


@pytest.mark.thread_unsafe(reason="doctest patches linecache, and looks at all that is printed")
@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings(module):
    for name in getattr(module, "__all__", ()):
        getattr(module, name)  # what is made when it is asked for
    finder = doctest.DocTestFinder()
    tests = finder.find(module)
    for name, value in vars(module).items():
        if type(value).__name__ == "ufunc":  # which is no function to doctest
            tests += finder.find(value, name, module)
    runner = doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_a_public_function_has_an_example(public):
    assert ">>> " in public.__doc__


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_a_public_function_is_pickled_by_its_public_name(public):
    pickled = pickle.dumps(public)
    strings = [argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)]
    assert strings == ["twofold.shared" if public is twofold.SharedArray else "twofold", public.__name__]
    assert pickle.loads(pickled) is public


def test_importing_brings_little_and_prints_nothing():
    output = run_script("""
        import sys
        before = set(sys.modules)
        import twofold
        brought = {name.partition(".")[0] for name in set(sys.modules) - before}
        brought = {name for name in brought if not name.startswith(("_cython", "cython_runtime"))}
        little = {"__future__", "array", "collections", "itertools", "keyword", "math", "mmap"}
        little |= {"operator", "reprlib"}
        little |= {"_collections", "_functools", "_operator", "_weakref"}
        little |= {"_math_integer"}  # which Python 3.15's math imports
        assert "twofold" in brought and brought <= {"twofold", *little}, brought
    """)
    assert output == ""


def test_dir_shows_the_public_names():
    """And so does completion: no modules that are imported for use, and what is made on first use, too."""
    names = {"twofold": {*twofold.__all__, "pools", "shared", "ufuncs"}}
    names |= {f"twofold.{name}": set(getattr(twofold, name).__all__) for name in ("pools", "shared", "ufuncs")}
    for module, public in names.items():
        assert set(run_script(f"import {module} as module; print(*dir(module))").split()) == public, module
        script = f"""
            import {module} as module, rlcompleter
            complete, i = rlcompleter.Completer({{"module": module}}).complete, 0
            while found := complete("module.", i):
                print(found.rstrip("()").removeprefix("module."))
                i += 1
        """
        found = {name for name in run_script(script).split() if not name.startswith("__")}
        assert found == {name for name in public if not name.startswith("__")}, module


def test_imports_of_compiled_modules_stand_in_python_code():
    """Where tools find them that put a program together with what it imports, as PyInstaller does."""
    script = """
        import sys
        before = set(sys.modules)
        import twofold
        print(*(name for name in set(sys.modules) - before if hasattr(sys.modules[name], "__file__")))
    """
    loaded = {name for name in run_script(script).split() if not name.startswith(("_cython", "cython_runtime"))}
    folder = Path(twofold.__file__).parent
    compiled = {path.parent / path.name.partition(".")[0] for path in folder.rglob("*.so")}
    named = set()
    for path in folder.rglob("*.py"):
        if path.with_suffix("") not in compiled:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    named |= {alias.name for alias in node.names}
                if isinstance(node, ast.ImportFrom):
                    named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    named |= {name.rpartition(".")[0] for name in named}  # packages
    assert loaded - named == set()


def test_a_frozen_program(tmp_path):
    """As PyInstaller makes one, which must bring all that calls need."""
    pytest.importorskip("PyInstaller")
    numpy = "numpy" if importlib.util.find_spec("numpy") else ""
    (tmp_path / "program.py").write_text(
        textwrap.dedent(f"""
        import array, multiprocessing, twofold
        if __name__ == "__main__":
            multiprocessing.freeze_support()
            assert twofold.double([1, 2]) == [2, 4]
            assert twofold.double(array.array("I", [1])).tolist() == [2]
            if {bool(numpy)}:
                import numpy
                x = twofold.share(numpy.arange(1 << 16))
                assert (twofold.double(x) == 2 * numpy.arange(1 << 16)).all()
                assert twofold.double_in_processes(x, processes=2, out=x) is x
            print("done", twofold.simd_target())
        """)
    )
    package = str(Path(twofold.__file__).parents[1])
    options = ["--log-level", "ERROR", "--paths", package, "--exclude-module", "pytest", "program.py"]
    subprocess.run([sys.executable, "-m", "PyInstaller", *options], cwd=tmp_path, check=True, timeout=240)
    command = [tmp_path / "dist/program/program"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"done {twofold.simd_target()}\n"), done.stderr


def test_importing_starts_no_thread_and_leaves_the_environment():
    run_script("""
        import os
        before = dict(os.environ)
        import twofold
        assert len(os.listdir("/proc/self/task")) == 1, "a thread was started"
        assert dict(os.environ) == before
        os.environ["TWOFOLD_NUM_THREADS"] = "3"  # looked at by calls, not by the import
        assert twofold.get_num_threads() == 3
    """)


def test_only_the_crew_makes_threads():
    """Thread creation stands in one header; nothing else mentions any way to make one."""
    creation = re.compile(r"pthread_create|std::j?thread\b|std::async|#pragma omp|thrd_create|\bfork\(")
    project = Path(__file__).parent.parent
    sources = [
        path
        for folder in ("include", "pyx")
        for path in (project / folder).rglob("*")
        if path.suffix in (".hpp", ".cpp", ".pyx", ".pxd") and "xsimd" not in path.parts
    ]
    assert len(sources) > 10
    assert [path.name for path in sources if creation.search(path.read_text())] == ["crew.hpp"]


def test_one_module_has_the_crew():
    """The others call the engine there: with a crew each they would ask for a multiple of the threads."""

    def makes_threads(module: Path) -> bool:
        asked = subprocess.run(["nm", "-D", "--undefined-only", module], capture_output=True, text=True, check=True)
        return "pthread_create" in asked.stdout

    modules = list(Path(twofold.__file__).parent.rglob("*.so"))
    assert len(modules) > 10
    assert [module.name.partition(".")[0] for module in modules if makes_threads(module)] == ["twofold_engine"]
