#!/usr/bin/env python3
"""Searches the sources for what may stand in one place only.

test_one_place.py SOURCE_DIRECTORY
"""

import re
import sys
from pathlib import Path

# What, and the file that may hold it, or the files; None: no file, since it is made from the features in
# instruction_sets.def.
PLACES = {
    r"pthread_create|std::j?thread\b|std::async|#pragma omp": "include/twofold/parallel/crew.hpp",
    r"pthread_atfork": (
        "pyx/twofold/_engine/loaded_modules.h",
        "include/twofold/parallel/crew.hpp",
        "pyx/twofold/_memory/recycled_memory.cpp",
        "pyx/twofold/_processes/segment.cpp",
    ),
    r"^#include <xsimd/": "include/twofold/simd/xsimd.hpp",
    r"(?<![\w-])-m(sse|avx|fma|bmi|arch=(?!native)|cpu=|tune=)": None,
    r"^TWOFOLD_INSTRUCTION_SET\(": "pyx/twofold/_engine/kernels/instruction_sets.def",
    r"^TWOFOLD_(WHEEL_)?ELEMENT_TYPE\(": "include/twofold/element_types.def",
    r"#define TWOFOLD_VERSION_(MAJOR|MINOR|PATCH)": "include/twofold/version.hpp",
}
SEARCHED = (
    "include/twofold/**/*.hpp",
    "include/twofold/*.def",
    *(f"pyx/twofold/**/*.{suffix}" for suffix in ("py", "pyi", "pyx", "pxd")),
    *(f"pyx/twofold/_*/**/*.{suffix}" for suffix in ("h", "hpp", "cpp", "def")),
    "meson.build",
    "tests_cpp/meson.build",
    "setup.py",
    "setup.cfg",
    "scripts/*.py",
)

root = Path(sys.argv[1])
found = {pattern: [file for file in root.glob(pattern) if file.is_file()] for pattern in SEARCHED}
files = {file for some in found.values() for file in some}
faults = [f"there is no {pattern}" for pattern, some in found.items() if not some]
for what, place in PLACES.items():
    places = {place} if isinstance(place, str) else set(place or ())
    holders = {str(file.relative_to(root)) for file in files if re.search(what, file.read_text(), re.MULTILINE)}
    faults += [f"{lost} no longer holds {what}: the test has lost its subject" for lost in sorted(places - holders)]
    belongs = " or ".join(sorted(places)) or "no file"
    faults += [f"{other} holds {what}, which belongs into {belongs}" for other in sorted(holders - places)]
sys.exit("\n".join(faults) or 0)
