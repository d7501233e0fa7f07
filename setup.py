"""What setup.cfg cannot say: the modules, the kernels and their flags, and what C++ users find in the wheel."""

import os
import platform
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from runpy import run_path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "pyx/twofold"
ENGINE, KERNELS = f"{PACKAGE}/_engine", f"{PACKAGE}/_engine/kernels"

VERSION = run_path(str(ROOT / "scripts/version.py"))["version"]
XSIMD = run_path(str(ROOT / "scripts/xsimd_include.py"))["xsimd_include"]()


def files(folder, pattern):
    """The files of that folder, and of those in it, whose names match the pattern; there has to be one."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder} has no {pattern}")
    return found


# What every object is built from, besides its own source. The build says so itself, since a stale object would have
# kernels and callers that disagree. `setup.py` stands for the flags and for the place of xsimd.
SHARED_SOURCES = [
    "setup.py",
    *files("include/twofold", "*.hpp"),
    *files("include/twofold", "*.def"),
    *files(ENGINE, "*.hpp"),
    *files(ENGINE, "*.def"),
]

INCLUDE_DIRS = ["include", PACKAGE, str(XSIMD)]
# Debug information, which Python asks for by itself, would be two thirds of the wheel.
# Aligned, since where a loop lies can cost it a tenth of its speed, which the next change would bring or take.
CXX_FLAGS = ["-std=c++20", "-fvisibility=hidden", "-g0", "-falign-loops=32", "-falign-functions=64"]


def kernel_libraries():
    """One static library for each row of the table of instruction sets; nothing else is built with its flags."""
    rows = re.findall(r"^TWOFOLD_INSTRUCTION_SET\((.*)\)$", (ROOT / KERNELS / "instruction_sets.def").read_text(), re.M)
    this_machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    for name, machine, _, *features in (row.split(", ") for row in rows):
        if machine == this_machine:
            yield (
                f"twofold_kernels_{name}",
                {
                    "sources": [f"{KERNELS}/kernels_{name}.cpp"],
                    "include_dirs": INCLUDE_DIRS,
                    "obj_deps": {"": SHARED_SOURCES},
                    # -O2 in every build: without inlining, code for this instruction set would get into functions
                    # that the linker shares with other files.
                    "cflags": [*CXX_FLAGS, "-O2", *(f"-m{feature}" for feature in features)],
                },
            )


class BuildKernels(build_clib):
    """Builds the libraries side by side: each is one file that takes long to compile."""

    def build_libraries(self, libraries):
        build = super().build_libraries
        with ThreadPoolExecutor(os.cpu_count()) as builds:
            list(builds.map(lambda library: build([library]), libraries))


# Its place, twofold/lib/pkgconfig, tells where the headers are, wherever the package is installed.
PKG_CONFIG_FILE = f"""\
prefix=${{pcfiledir}}/../..
includedir=${{prefix}}/include

Name: twofold
Description: Doubles every element of an array at memory speed; with the headers of xsimd
Version: {VERSION}
Cflags: -I${{includedir}} -pthread
Libs: -pthread -ldl
"""


class BuildPyForCpp(build_py):
    """Puts the C++ headers into twofold/include, so that get_include() is all that a consumer needs; and a .pc file."""

    def run(self):
        super().run()
        package = (ROOT / "pyx" if self.editable_mode else Path(self.build_lib)) / "twofold"
        (package / "lib/pkgconfig").mkdir(parents=True, exist_ok=True)
        (package / "lib/pkgconfig/twofold.pc").write_text(PKG_CONFIG_FILE)
        include = package / "include"
        shutil.rmtree(include, ignore_errors=True)  # an earlier build may have had other headers, or another xsimd
        include.mkdir(parents=True)
        if self.editable_mode:
            # A link, so that an edited header is the one that consumers see.
            (include / "twofold").symlink_to(os.path.relpath(ROOT / "include/twofold", include))
        else:
            shutil.copytree(ROOT / "include/twofold", include / "twofold")
        # Copied in any case: those of an isolated build are gone when it ends.
        shutil.copytree(XSIMD / "xsimd", include / "xsimd")


C_FLAGS = ["-fvisibility=hidden", "-g0"]
# For modules that call others and have no loops over elements: they are no slower when they are small. (`ufunc_route`
# would be, by 30 ns for a scalar of NumPy: benchmarks/calls_before.py.)
SMALL = ["-Os"]
# Without the names of functions that only a debugger asks for, which would be a tenth of the wheel.
LINK_FLAGS = ["-Wl,--strip-all"] if sys.platform == "linux" else []


def module(name, *sources, depends=(), suffix="pyx", **arguments):
    """An extension module of the package, made of <name>.pyx; cythonize sees by itself which .pxd files that uses."""
    return Extension(
        f"twofold.{name.replace('/', '.')}",
        [f"{PACKAGE}/{name}.{suffix}", *sources],
        depends=["setup.py", *depends],
        extra_link_args=LINK_FLAGS,
        **arguments,
    )


# What processes share: memfd_create and futexes.
MODULES_FOR_LINUX = [
    module(
        "_processes/claims",
        include_dirs=[PACKAGE],
        depends=[f"{PACKAGE}/_processes/claims.hpp"],
        extra_compile_args=CXX_FLAGS,
        language="c++",
    ),
    module(
        "_processes/segments",
        f"{PACKAGE}/_processes/segment.cpp",
        include_dirs=["include", PACKAGE],
        depends=[f"{PACKAGE}/_processes/segment.hpp", *files("include/twofold/machine", "cgroup.hpp")],
        extra_compile_args=[*CXX_FLAGS, *SMALL],
        language="c++",
    ),
    module("_engine/signals", extra_compile_args=[*C_FLAGS, *SMALL]),
]


setup(
    version=VERSION,
    ext_modules=cythonize(
        [
            # The one that holds the engine; the others call it there.
            module(
                "_engine/twofold_engine",
                f"{ENGINE}/dispatch.cpp",
                f"{KERNELS}/doubling_operation.cpp",
                include_dirs=INCLUDE_DIRS,
                depends=[
                    *SHARED_SOURCES,
                    *files(KERNELS, "kernels_*.cpp"),
                    *files(ENGINE, "*.h"),
                    f"{PACKAGE}/_memory/os_environ.hpp",
                ],
                extra_compile_args=CXX_FLAGS,
                language="c++",
            ),
            *(
                module(
                    f"_containers/{name}",
                    include_dirs=INCLUDE_DIRS,
                    depends=[*SHARED_SOURCES, *files(f"{PACKAGE}/_containers", "*.hpp")],
                    extra_compile_args=CXX_FLAGS,
                    language="c++",
                )
                for name in ("double", "lists")
            ),
            *(
                module(name, extra_compile_args=C_FLAGS)
                for name in (
                    "_engine/arguments",
                    "cython_api",
                )
            ),
            *(
                module(
                    f"_containers/{name}",
                    include_dirs=[PACKAGE],
                    depends=[f"{PACKAGE}/_memory/checked.h", *files(f"{PACKAGE}/_containers", "*.h")],
                    extra_compile_args=[*C_FLAGS, *small],
                )
                for name, small in (("arrow", SMALL), ("buffers", []), ("dlpack", SMALL), ("view", []))
            ),
            module(
                "_engine/messages",
                include_dirs=[PACKAGE],
                depends=files(ENGINE, "*.h"),
                extra_compile_args=[*C_FLAGS, *SMALL],
            ),
            *(
                module(name, extra_compile_args=C_FLAGS, include_dirs=[numpy.get_include()])
                for name in (
                    "_containers/ndarray",
                    "_engine/parallel_ufunc",
                    "_engine/shared_loop",
                    "_engine/ufunc_loops",
                )
            ),
            *(
                module(
                    name,
                    extra_compile_args=[*C_FLAGS, *SMALL],
                    include_dirs=[PACKAGE, numpy.get_include()],
                    depends=files(ENGINE, "*.h"),
                )
                for name in ("_engine/kernel_source", "_engine/user_kernel")
            ),
            # Python, but compiled: so that a warning of NumPy's is about the caller's line, not about one in there.
            module("_containers/ufunc_route", suffix="py", extra_compile_args=C_FLAGS),
            module(
                "_memory/numpy_handler",
                f"{PACKAGE}/_memory/recycled_memory.cpp",
                include_dirs=["include", PACKAGE, numpy.get_include()],
                depends=[
                    *files(f"{PACKAGE}/_memory", "*.hpp"),
                    f"{PACKAGE}/_memory/checked.h",
                    *files("include/twofold/machine", "*.hpp"),
                ],
                extra_compile_args=CXX_FLAGS,
                language="c++",
            ),
            *(MODULES_FOR_LINUX if sys.platform == "linux" else []),
        ],
        include_path=["pyx"],
        build_dir="build/cython",  # not among the sources, where it might replace one that is written by hand
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    ),
    libraries=list(kernel_libraries()),
    cmdclass={"build_clib": BuildKernels, "build_py": BuildPyForCpp},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
