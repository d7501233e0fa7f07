"""All the tests, C++ and Python: `nox`. One half: `nox -s cpp` or `nox -s py`."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "cpp", "emulate", "py", "sanitize"]
nox.options.stop_on_first_error = True

MESON = ["meson>=1.6", "ninja"]
MYPY = ["mypy==2.4.1", "numpy", "typing-extensions"]
BUILD = ["build", "Cython>=3.1", "setuptools>=77", "numpy"]
PY_TESTS = [*BUILD, *MYPY, *MESON, "cmake", "pkgconf", "hypothesis", "pytest", "pytest-timeout"]
PY_TESTS += ["pyinstaller", "pytest-run-parallel", "pytest-xdist", "threadpoolctl"]

# The ends of what is supported: the compiler, and where the headers of xsimd come from. Those of PyPI's pythran are
# found without its dependencies, which do not all install everywhere.
NEW_XSIMD = "pythran==0.19.0"  # xsimd 14.1
OLD_XSIMD = "libxsimd-dev"  # xsimd 8.1 on Debian 12
TOOLCHAINS = {"gcc": ("g++", NEW_XSIMD), "clang": ("clang++", OLD_XSIMD)}


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and types."""
    session.install("ruff==0.17.6", "clang-format==19.1.7", *MYPY)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    folders = ["include", "pyx", "tests_cpp", "benchmarks", "examples"]
    session.run("clang-format", "--dry-run", "--Werror", *(p for folder in folders for p in files(folder, "*.[hc]pp")))
    # Of Python, too, what has no stub beside it.
    typed = [*files("pyx/twofold", "*.pyi"), *(p for p in files("pyx/twofold", "*.py") if not Path(f"{p}i").exists())]
    session.run("mypy", "--strict", *typed, "examples")


def files(folder: str, pattern: str) -> list[str]:
    """The files of that folder, and of those in it, whose names match the pattern; there has to be one."""
    copied = Path("pyx/twofold/include")  # by an editable install
    found = sorted(str(path) for path in Path(folder).rglob(pattern) if copied not in path.parents)
    if not found:
        raise FileNotFoundError(f"{folder} has no {pattern}")
    return found


@nox.session
@nox.parametrize("toolchain", list(TOOLCHAINS))
def cpp(session: nox.Session, toolchain: str) -> None:
    """The C++ tests. Further arguments go to `meson test`."""
    compiler, xsimd = TOOLCHAINS[toolchain]
    if shutil.which(compiler) is None:
        session.skip(f"there is no {compiler} on this machine")
    # Without debug information, which takes a quarter of the time.
    build = meson_setup(session, toolchain, {"CXX": compiler, **headers_of(session, xsimd)}, "-Ddebug=false")
    session.run("meson", "compile", "-C", build)
    session.run("meson", "compile", "-C", build, "thresholds", "peers")  # benchmarks, which nothing else would build
    meson_test(session, build, *session.posargs)


# Machines that this one is not, as qemu-user emulates them, with the build directory and what Meson is to know of it.
EMULATED = {
    # Its programs need the C library of that machine, which comes with the cross compiler.
    "arm64": ("aarch64-linux-gnu-g++", "qemu-aarch64 -L /usr/aarch64-linux-gnu", "arm64"),
    # The last ones before AVX: what is compiled for the baseline must not need more. On the build of cpp(gcc).
    "nehalem": ("g++", "qemu-x86_64 -cpu Nehalem", "gcc"),
}


@nox.session
@nox.parametrize("machine", list(EMULATED))
def emulate(session: nox.Session, machine: str) -> None:
    """The C++ tests on a machine that this one is not. Further arguments go to `meson test`."""
    compiler, emulator, build = EMULATED[machine]
    program = Path(session.create_tmp()).resolve() / "empty"
    if not compiles(compiler, "int main() {}", program) or runner(program, emulator) is None:
        session.skip(f"no {compiler}, or no {emulator.split()[0]} that runs what it makes (Debian: qemu-user)")
    env = headers_of(session, NEW_XSIMD)
    if machine == "arm64":
        meson_setup(session, build, env, "--cross-file", "tests_cpp/arm64.ini", "-Ddebug=false")
        meson_test(session, f"build/{build}", "--setup", "emulator", *session.posargs)
    else:
        session.install(*MESON)
        # It says so, and does nothing, if cpp(gcc) has done it.
        session.run("meson", "setup", f"build/{build}", env={"CXX": compiler, **env})
        # Those of `symbols` are scripts, which only read, and Python should not be emulated.
        no_scripts = ["--no-suite", "symbols"]
        meson_test(
            session, f"build/{build}", "--setup", "emulator", "--wrapper", emulator, *no_scripts, *session.posargs
        )


# With Clang. The thread sanitizer of GCC 12 ends every process that creates a thread as the child of one that had
# threads, also without twofold: "dup thread with used id". And its address sanitizer compiles three times as long.
SANITIZERS = {"address": "address,undefined", "thread": "thread"}

THREAD = """
#include <thread>
int main() { std::thread([] {}).join(); }
"""


@nox.session
@nox.parametrize("sanitizer", list(SANITIZERS))
def sanitize(session: nox.Session, sanitizer: str) -> None:
    """The C++ tests under the sanitizers. Further arguments go to `meson test`."""
    flag = f"-fsanitize={SANITIZERS[sanitizer]}"
    program = Path(session.create_tmp()).resolve() / "thread"
    # The thread sanitizer wants parts of the address space that a kernel with much randomness gives to others.
    is_made = compiles("clang++", THREAD, program, "-std=c++20", "-pthread", flag)
    wrapper = runner(program, "", "setarch -R") if is_made else None
    if wrapper is None:
        session.skip(f"clang++ (libclang-rt-14-dev on Debian 12) makes no program with {flag} that runs here")
    options = [
        f"-Db_sanitize={SANITIZERS[sanitizer]}",
        "-Db_lundef=false",  # Clang's sanitizers are not linked to shared objects
        "-Doptimization=1",
        "-Ddebug=false",
        "-Dcpp_args=-gline-tables-only -fno-omit-frame-pointer -fno-sanitize-recover=all",
    ]
    build = meson_setup(session, sanitizer, {"CXX": "clang++", **headers_of(session, NEW_XSIMD)}, *options)
    wrap = ["--wrapper", wrapper] if wrapper else []
    meson_test(session, build, "--setup", sanitizer, *wrap, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzzing for as many seconds as the argument says, 60 if there is none. What it finds stays in build/corpus."""
    build = Path("build/address")
    if not build.exists():
        session.error("there is no build/address yet: run nox -s sanitize first")
    session.install(*MESON)
    session.run("meson", "compile", "-C", str(build), "fuzz")
    corpus = Path("build/corpus")
    corpus.mkdir(exist_ok=True)
    seconds = session.posargs[0] if session.posargs else "60"
    arguments = [f"-max_total_time={seconds}", "-max_len=96", "-len_control=0", "-artifact_prefix=build/", str(corpus)]
    session.run(str(build / "tests_cpp/fuzz"), *arguments, external=True)


# What reads and writes memory of others.
FOREIGN_TESTS = [
    "tests_py/_memory/test_memory.py",
    *(f"tests_py/_containers/test_{name}.py" for name in ("foreign", "containers", "lists", "buffers", "numpy")),
]


@nox.session
def sanitize_py(session: nox.Session) -> None:
    """The Python tests of what comes from outside, under the sanitizers. Further arguments go to pytest."""
    names = (f"libclang_rt.asan-{platform.machine()}.so", "libclang_rt.asan.so")
    ask = "clang -print-file-name="  # which says the name alone of what it does not find
    answers = [subprocess.getoutput(ask + name) for name in names] if shutil.which("clang") else []
    runtime = next(filter(os.path.isabs, answers), None)
    if runtime is None:
        session.skip("clang has no address sanitizer that is a shared library (libclang-rt-14-dev on Debian 12)")
    session.install("Cython>=3.1", "setuptools>=77", "numpy", "hypothesis", "pytest", "pytest-timeout", *CONTAINERS)
    session.install(TORCH, success_codes=[0, 1])
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -shared-libasan -fno-omit-frame-pointer -O1"
    env = {
        "CC": "clang",
        "CXX": "clang++",
        # What Cython makes adds 0 to null, which C forbids and C++ does not.
        "CFLAGS": f"{flags} -fno-sanitize=pointer-overflow",
        "CXXFLAGS": flags,
        "LDSHARED": f"clang -shared {flags}",
        **headers_of(session, NEW_XSIMD),
    }
    build = Path("build/sanitize_py")
    session.run("python", "setup.py", "-q", "build", "--build-base", str(build), env=env)
    (library,) = build.glob("lib.*")
    env = {
        "PYTHONPATH": str(library.resolve()),
        "LD_PRELOAD": runtime,
        "PYTHONMALLOC": "malloc",  # a block of its own for each object
        # Python leaves memory to its end. Tests ask for more memory than there is, and look at how much is in use.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    session.run("pytest", *(session.posargs or FOREIGN_TESTS), env=env)


def compiles(compiler: str, source: str, program: Path, *flags: str) -> bool:
    """Whether the compiler is there and makes `program` of `source`, with these flags."""
    if shutil.which(compiler) is None:
        return False
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, *flags, "-x", "c++", "-", "-o", str(program)]
    return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0


def runner(program: Path, *wrappers: str) -> str | None:
    """The first of the wrappers with which `program` runs; None if it does with none of them."""
    for wrapper in wrappers:
        with contextlib.suppress(OSError):
            if subprocess.run([*wrapper.split(), program], capture_output=True, check=False).returncode == 0:
                return wrapper
    return None


def headers_of(session: nox.Session, xsimd: str) -> dict[str, str]:
    """The environment in which that xsimd is found."""
    if xsimd is not NEW_XSIMD:
        return {}
    target = session.create_tmp()
    session.install("--no-deps", "--upgrade", "--target", target, NEW_XSIMD)
    return {"XSIMD_INCLUDE_DIR": os.path.join(target, "pythran")}


def meson_setup(session: nox.Session, name: str, env: dict[str, str], *options: str) -> str:
    """Makes a build directory of that name anew, and returns its path."""
    session.install(*MESON)
    build = f"build/{name}"
    wipe = ["--wipe"] if Path(build).exists() else []
    session.run("meson", "setup", *wipe, *options, build, env=env)
    return build


def meson_test(session: nox.Session, build: str, *arguments: str) -> None:
    """Builds what the tests need, and runs them one after another: helpers want the other cores."""
    session.run("meson", "test", "-C", build, "--print-errorlogs", "--num-processes", "1", *arguments)


# Other versions of xsimd that pythran has carried: 10.0, 11.0, 12.1 and 13.0.
MORE_XSIMDS = ["pythran==0.12.2", "pythran==0.13.1", "pythran==0.15.0", "pythran==0.18.1"]


@nox.session
def compilers(session: nox.Session) -> None:
    """Some C++ tests with each compiler, standard and xsimd here: docs/platforms.md. Arguments go to the script."""
    session.install("ziglang")
    given = []
    for xsimd in (*MORE_XSIMDS, NEW_XSIMD):
        target = Path(session.create_tmp(), xsimd).resolve()
        session.install("--no-deps", "--upgrade", "--target", str(target), xsimd)
        given += ["--xsimd", str(target / "pythran")]
    session.run("python", "scripts/compilers.py", *given, *session.posargs)


@nox.session
def mutate(session: nox.Session) -> None:
    """Known bugs put back: does a test go red for each? Further arguments go to scripts/mutate.py."""
    session.install(*PY_TESTS, *LIBRARIES)
    # Absolute, since the script works in other directories; Meson wants a path in its own tree to be relative.
    env = {name: os.path.abspath(path) for name, path in headers_of(session, NEW_XSIMD).items()}
    session.run("python", "scripts/mutate.py", *session.posargs, env=env)


# Whose containers the tests double. 120 MB to download; PyTorch, in the build for the CPU, is 190 MB more.
CONTAINERS = ["dask>=2026.8", "xarray>=2026.9", "pandas>=3.1", "polars>=2.1", "pyarrow>=26.0", "ml_dtypes>=0.6"]
TORCH = "torch==2.13.0"
# Whose workers the tests send arrays to, or whose threads have limits of their own, too.
LIBRARIES = [*CONTAINERS, "billiard", "cloudpickle", "distributed", "greenlet", "joblib", "loky", "mpire"]
LIBRARIES += ["cffi", "multiprocess", "scipy", "tqdm"]
# Where pip finds no such build, its tests are skipped.
NOT_EVERYWHERE = [TORCH, "numba>=0.65", "ray>=2.50"]
# Each test in four threads at once, but for those that have processes of their own or look at the whole of this one.
IN_FOUR_THREADS = [
    "--parallel-threads=4",
    "--skip-thread-unsafe=true",
    "--override-ini=thread_unsafe_functions=*.run_script\nsubprocess.*",
]


@nox.session
def py(session: nox.Session) -> None:
    """The Python tests, on the wheel that is built from the sdist. Further arguments go to pytest."""
    session.install(*PY_TESTS, *LIBRARIES)
    for library in NOT_EVERYWHERE:
        session.install(library, success_codes=[0, 1])
    dist = make_dist(session)  # the sdist, and from it the wheel
    session.install("--force-reinstall", "--no-deps", *map(str, dist.glob("*.whl")))
    # A file at a time on each CPU: so what a file builds is built once.
    session.run("pytest", "-n", "auto", "--dist", "loadfile", *session.posargs, env={"TWOFOLD_DIST": str(dist)})
    allowed = "tests_py/stubtest_allowlist.txt"
    session.run("stubtest", "twofold", "--allowlist", allowed, "--mypy-config-file", "pyproject.toml")


@nox.session(venv_backend="none")
def debian(session: nox.Session) -> None:
    """All the tests on another Debian, in a chroot, as root: sid, or `-- trixie`. `-- --help` says what else."""
    session.run(sys.executable, "scripts/debian.py", *session.posargs)


@nox.session
def parallel(session: nox.Session) -> None:
    """The Python tests, each in four threads at once, on the wheel. Further arguments go to pytest."""
    session.install(*PY_TESTS)
    session.install("--force-reinstall", "--no-deps", *map(str, make_dist(session).glob("*.whl")))
    session.run("pytest", *IN_FOUR_THREADS, *session.posargs)


@nox.session(venv_backend="none")
def free_threading(session: nox.Session) -> None:
    """The tests on a Python without a GIL, which is built if need be, and the C++ tests under the thread sanitizer."""
    if sys.platform != "linux":
        session.skip("it is built from Debian's source")
    options = [f"--parallel={option}" for option in IN_FOUR_THREADS]
    session.run(sys.executable, "scripts/free_threading.py", *options, *session.posargs)
    session.notify("sanitize(thread)", [])


@nox.session
def editable(session: nox.Session) -> None:
    """What is built on twofold, built on an editable install of it. Further arguments go to pytest."""
    session.install(*PY_TESTS)
    tree = Path(session.create_tmp()).resolve() / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (sdist,) = make_dist(session, "--sdist").glob("*.tar.gz")
    shutil.unpack_archive(sdist, tree, filter="data")
    (project,) = tree.iterdir()
    session.install("--no-build-isolation", "--no-deps", "-e", str(project), env=headers_of(session, NEW_XSIMD))
    session.run("pytest", "tests_py/test_consumer.py", "tests_py/test_cpp_consumer.py", *session.posargs)


def make_dist(session: nox.Session, *options: str) -> Path:
    """Makes the files to distribute, and returns the directory that they are in."""
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", *options, "--outdir", str(dist))
    return dist
