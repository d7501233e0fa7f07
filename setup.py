"""What setup.cfg cannot say: the extension module, the kernels and their flags, and the headers in the wheel."""

import os
import platform
import re
import shutil
from pathlib import Path
from runpy import run_path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
KERNELS = "pyx/twofold/_kernels"

VERSION = run_path(str(ROOT / "scripts/version.py"))["version"]
XSIMD = run_path(str(ROOT / "scripts/xsimd_include.py"))["xsimd_include"]()

# What every object is built from, besides its own source. The build says so itself, since a stale object would have
# kernels and callers that disagree. `setup.py` stands for the flags and for the place of xsimd.
SHARED_SOURCES = [
    "setup.py",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("include/twofold/*.hpp"))),
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(f"{KERNELS}/*.hpp"))),
    f"{KERNELS}/instruction_sets.def",
]

INCLUDE_DIRS = ["include", "pyx/twofold", str(XSIMD)]
# Debug information, which Python asks for by itself, would be two thirds of the wheel.
CXX_FLAGS = ["-std=c++20", "-fvisibility=hidden", "-g0"]


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


class BuildPyWithHeaders(build_py):
    """Puts the C++ headers into twofold/include, so that get_include() is all that a consumer needs."""

    def run(self):
        super().run()
        include = (ROOT / "pyx" if self.editable_mode else Path(self.build_lib)) / "twofold/include"
        shutil.rmtree(include, ignore_errors=True)  # an earlier build may have had other headers, or another xsimd
        include.mkdir(parents=True)
        if self.editable_mode:
            # A link, so that an edited header is the one that consumers see.
            (include / "twofold").symlink_to(os.path.relpath(ROOT / "include/twofold", include))
        else:
            shutil.copytree(ROOT / "include/twofold", include / "twofold")
        # Copied in any case: those of an isolated build are gone when it ends.
        shutil.copytree(XSIMD / "xsimd", include / "xsimd")


setup(
    version=VERSION,
    ext_modules=cythonize(
        [
            Extension(
                "twofold._core",
                ["pyx/twofold/_core.pyx", f"{KERNELS}/wheel.cpp", f"{KERNELS}/arrays.cpp"],
                include_dirs=INCLUDE_DIRS,
                depends=[*SHARED_SOURCES, *map(str, ROOT.glob(f"{KERNELS}/kernels_*.cpp"))],
                extra_compile_args=CXX_FLAGS,
                language="c++",
            ),
            Extension("twofold._array", ["pyx/twofold/_array.pyx"], extra_compile_args=["-fvisibility=hidden", "-g0"]),
        ],
        include_path=["pyx"],
        compiler_directives={"language_level": 3},
    ),
    libraries=list(kernel_libraries()),
    cmdclass={"build_py": BuildPyWithHeaders},
)
