"""Builds `halving` where it is run: the module, and its kernels once for each row of the table of instruction sets.

setup.py TOP_OF_THE_PROJECT DIRECTORY_OF_XSIMD ARGUMENTS_OF_SETUPTOOLS...
"""

import platform
import re
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

top, xsimd = (Path(argument) for argument in sys.argv[1:3])
kernels = top / "pyx/twofold/_engine/kernels"
include_dirs = [str(path) for path in (top / "include", top / "pyx/twofold", top / "tests_cpp", xsimd)]
flags = ["-std=c++20", "-fvisibility=hidden", "-g0", "-O2"]
operation = {
    "TWOFOLD_OPERATION": "more_operations::halving",
    "TWOFOLD_OPERATION_HEADER": '"_engine/halving_operation.hpp"',
    "TWOFOLD_TABLES": "halving_kernels",
}


def libraries():
    for row in re.findall(r"^TWOFOLD_INSTRUCTION_SET\((.*)\)$", (kernels / "instruction_sets.def").read_text(), re.M):
        name, machine, _, *features = row.split(", ")
        if machine == platform.machine():
            yield (
                f"halving_kernels_{name}",
                {
                    "sources": [str(kernels / f"kernels_{name}.cpp")],
                    "include_dirs": include_dirs,
                    "macros": list(operation.items()),
                    "cflags": [*flags, *(f"-m{feature}" for feature in features)],
                },
            )


setup(
    name="halving",
    script_args=sys.argv[3:],
    libraries=list(libraries()),
    ext_modules=cythonize(
        [Extension("halving", ["halving.pyx"], include_dirs=include_dirs, extra_compile_args=flags, language="c++")],
        include_path=[str(top / "pyx")],
        compiler_directives={"language_level": 3},
    ),
)
