#!/usr/bin/env python3
"""C++ includes its own floor and lower ones, and never in a circle: the library's headers, always from the top, and the
wheel's C++, with what its Cython takes of both.

test_floors.py SOURCE_DIRECTORY
"""

import posixpath
import re
import sys
from pathlib import Path

# From below. A folder's floor is its place here. Files of no folder are the vocabulary, or public.
LIBRARY = ("vocabulary", "machine", "parallel", "simd", "nd", "operation", "public")
WHEEL = ("_memory", "_engine/kernels", "_engine", "_containers", "_processes", "public of the wheel")
FLOORS = LIBRARY + WHEEL
VOCABULARY = ("element.hpp", "element_types.def", "error.hpp", "flags.hpp", "options.hpp", "version.hpp")
CYTHON = (".pyx", ".pxd")
CPP = (".hpp", ".h", ".def", ".cpp")
MAX_HEADERS = 12  # of a folder

INCLUDE = re.compile(r'^ *#include ([<"])([^>"]+)[>"]|^cdef extern from (")<?([^>"]+)>?"', re.MULTILINE)


def floor_of(file: str) -> str:
    folder, _, name = file.rpartition("/")
    if Path(file).suffix in CYTHON:
        return folder or "public of the wheel"
    return folder or ("vocabulary" if name in VOCABULARY else "public")


def included(file: str, quote: str, path: str, files: dict[str, str]) -> str | None:
    """The file that is meant, which need not be there; None: it is of somebody else."""
    if path.startswith("twofold/"):
        return path.removeprefix("twofold/")
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
    if quote == '"' and beside in files:
        return beside
    is_ours = path.startswith("_") or (quote == '"' and Path(file).suffix in CPP)
    return path if is_ours else None


def faults_of(files: dict[str, str]) -> list[str]:
    """All that is wrong with files, given by their paths below include/twofold or pyx/twofold and their texts."""
    found = []
    graph: dict[str, list[str]] = {file: [] for file in files}
    for file, text in files.items():
        for quote, path, cython_quote, cython_path in INCLUDE.findall(text):
            if quote == '"' and floor_of(file) in LIBRARY:
                found.append(f'{file} includes "{path}" from where it stands itself, not from the top')
            elif other := included(file, quote or cython_quote, path or cython_path, files):
                graph[file].append(other)
    for file, others in graph.items():
        for other in others:
            if other not in files:
                found.append(f"{file} includes {other}, which is not there")
            elif FLOORS.index(floor_of(other)) > FLOORS.index(floor_of(file)):
                found.append(f"{file} includes {other}, which is higher")
    found += [f"{' -> '.join(circle)} is a circle" for circle in circles_in(graph)]
    for floor in FLOORS:
        count = sum(floor_of(file) == floor and Path(file).suffix in CPP[:-1] for file in files)
        if count > MAX_HEADERS:
            found.append(f"{floor} has {count} headers")
    return found


def circles_in(graph: dict[str, list[str]]) -> list[list[str]]:
    """The first circle from each file on, if there is one."""
    found = []
    done = set()

    def visit(file: str, way: list[str]) -> None:
        if file in way:
            found.append([*way[way.index(file) :], file])
        elif file not in done:
            for other in graph.get(file, []):
                visit(other, [*way, file])
            done.add(file)

    for file in graph:
        visit(file, [])
    return found


# What is wrong on purpose, and how many faults that is.
SELF_TESTS = (
    ({"simd/a.hpp": "#include <twofold/parallel/b.hpp>\n", "parallel/b.hpp": "#include <twofold/version.hpp>\n"}, 1),
    ({"parallel/b.hpp": "#include <twofold/simd/a.hpp>\n", "simd/a.hpp": ""}, 1),
    ({"nd/a.hpp": "#include <twofold/nd/b.hpp>\n", "nd/b.hpp": "#include <twofold/nd/a.hpp>\n"}, 1),
    ({"nd/a.hpp": '#include "b.hpp"\n', "nd/b.hpp": ""}, 1),
    (
        {
            "double.hpp": "#include <twofold/nd/b.hpp>\n",
            "nd/b.hpp": "#include <twofold/element.hpp>\n",
            "element.hpp": "",
        },
        0,
    ),
    ({f"nd/{name}.hpp": "" for name in "abcdefghijklm"}, 1),
    # Of the wheel: beside the file, from the top, and by Cython.
    ({"_engine/kernels/a.hpp": '#include "_engine/b.hpp"\n', "_engine/b.hpp": ""}, 1),
    ({"_engine/a.hpp": '#include "kernels/b.def"\n', "_engine/kernels/b.def": '  #include "../a.hpp"\n'}, 2),
    ({"_engine/a.hpp": '#include "b.hpp"\n', "_engine/b.hpp": '#include "a.hpp"\n'}, 1),
    ({"_memory/a.pyx": 'cdef extern from "_engine/b.hpp" nogil:\n', "_engine/b.hpp": ""}, 1),
    ({"_memory/a.pxd": 'cdef extern from *:\n    """\n    #include "_processes/b.hpp"\n', "_processes/b.hpp": ""}, 1),
    ({"_memory/a.cpp": '#include "b.hpp"\n'}, 1),
    ({"nd/a.hpp": "#include <_engine/b.hpp>\n", "_engine/b.hpp": ""}, 1),
    ({"libtwofold.pxd": 'cdef extern from "<twofold/double.hpp>":\n', "double.hpp": ""}, 0),
    (
        {
            "_processes/a.pyx": 'cdef extern from "_engine/b.hpp":\ncdef extern from "Python.h":\n',
            "_engine/b.hpp": '#include "kernels/c.hpp"\n#include <vector>\n',
            "_engine/kernels/c.hpp": '#include <twofold/nd/d.hpp>\n#include "e.hpp"\n',
            "_engine/kernels/e.hpp": "",
            "nd/d.hpp": "",
        },
        0,
    ),
)


def main(source: str) -> str | None:
    for files, expected in SELF_TESTS:
        if len(faults_of(files)) != expected:
            return f"{expected} faults expected in {files}, but found: {faults_of(files)}"
    library, wheel = Path(source, "include/twofold"), Path(source, "pyx/twofold")
    paths = {path.relative_to(library): path for path in library.rglob("*.*")}
    copied = wheel / "include"  # by an editable install
    found = {path.relative_to(wheel): path for path in wheel.rglob("*.*") if copied not in path.parents}
    paths |= {name: path for name, path in found.items() if path.suffix in CPP + CYTHON}
    files = {str(name): path.read_text() for name, path in paths.items() if path.name != "README.md"}
    floors = {floor_of(file) for file in files}
    if floors != set(FLOORS):
        return f"the floors are not those that are there: {sorted(floors ^ set(FLOORS))}"
    return "\n".join(faults_of(files)) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
