"""All the tests, C++ and Python: `nox`. One half: `nox -s cpp` or `nox -s py`."""

import os
import shutil
from pathlib import Path

import nox

nox.options.sessions = ["lint", "cpp", "py"]
nox.options.stop_on_first_error = True

MESON = ["meson>=1.6", "ninja"]

# The ends of what is supported: the compiler, and where the headers of xsimd come from. Those of PyPI's pythran are
# found without its dependencies, which do not all install everywhere.
NEW_XSIMD = "pythran==0.19.0"  # xsimd 14.1
OLD_XSIMD = "libxsimd-dev"  # xsimd 8.1 on Debian 12
TOOLCHAINS = {"gcc": ("g++", NEW_XSIMD), "clang": ("clang++", OLD_XSIMD)}


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and types."""
    session.install("ruff==0.17.6", "clang-format==19.1.7", "mypy==2.4.1", "numpy", "typing-extensions")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    folders = ["include", "pyx", "tests_cpp", "benchmarks", "examples"]
    sources = [str(p) for folder in folders for p in Path(folder).rglob("*.[hc]pp") if is_ours(p)]
    session.run("clang-format", "--dry-run", "--Werror", *sources)
    session.run("mypy", "--strict", "pyx/twofold/_core.pyi", "pyx/twofold/_array.pyi", "examples")


def is_ours(path: Path) -> bool:
    """Whether a source was written, not generated or copied by a build."""
    return path.name != "_core.cpp" and Path("pyx/twofold/include") not in path.parents


@nox.session
@nox.parametrize("toolchain", list(TOOLCHAINS))
def cpp(session: nox.Session, toolchain: str) -> None:
    """The C++ tests. Further arguments go to `meson test`."""
    compiler, xsimd = TOOLCHAINS[toolchain]
    if shutil.which(compiler) is None:
        session.skip(f"there is no {compiler} on this machine")
    session.install(*MESON)
    env = {"CXX": compiler}
    if xsimd is NEW_XSIMD:
        target = session.create_tmp()
        session.install("--no-deps", "--upgrade", "--target", target, NEW_XSIMD)
        env["XSIMD_INCLUDE_DIR"] = os.path.join(target, "pythran")
    build = f"build/{toolchain}"
    wipe = ["--wipe"] if Path(build).exists() else []
    session.run("meson", "setup", *wipe, build, env=env)
    session.run("meson", "compile", "-C", build)
    session.run("meson", "compile", "-C", build, "thresholds")  # a benchmark, which nothing else would build
    session.run("meson", "test", "-C", build, "--print-errorlogs", "--num-processes", "1", *session.posargs)


@nox.session
def py(session: nox.Session) -> None:
    """The Python tests, on the wheel that is built from the sdist. Further arguments go to pytest."""
    session.install("build", "Cython>=3.1", "setuptools>=77", "numpy", "pytest", "pytest-timeout")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))  # the sdist, and from it the wheel
    session.install("--force-reinstall", "--no-deps", *map(str, dist.glob("*.whl")))
    session.run("pytest", *session.posargs)
