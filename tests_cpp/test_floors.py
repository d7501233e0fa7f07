#!/usr/bin/env python3
"""Headers include their own floor and lower ones, always from the top, and never in a circle.

test_floors.py SOURCE_DIRECTORY
"""

import re
import sys
from pathlib import Path

# From below. A folder's floor is its place here; headers of no folder are the vocabulary, or public.
FOLDERS = ("vocabulary", "machine", "parallel", "simd", "nd", "operation", "public")
VOCABULARY = ("element.hpp", "element_types.def", "error.hpp", "flags.hpp", "options.hpp", "version.hpp")
MAX_HEADERS = 12  # of a folder

INCLUDE = re.compile(r'^#include ([<"])([^>"]+)[>"]', re.MULTILINE)


def folder_of(header: str) -> str:
    folder, _, name = header.rpartition("/")
    return folder or ("vocabulary" if name in VOCABULARY else "public")


def faults_of(headers: dict[str, str]) -> list[str]:
    """All that is wrong with headers, given by their paths below include/twofold and their texts."""
    found = []
    graph = {}
    for header, text in headers.items():
        graph[header] = []
        for quote, path in INCLUDE.findall(text):
            if quote == '"':
                found.append(f'{header} includes "{path}" from where it stands itself, not from the top')
            elif path.startswith("twofold/"):
                graph[header].append(path.removeprefix("twofold/"))
    for header, included in graph.items():
        for other in included:
            if other not in headers:
                found.append(f"{header} includes {other}, which is not there")
            elif FOLDERS.index(folder_of(other)) > FOLDERS.index(folder_of(header)):
                found.append(f"{header} includes {other}, which is higher")
    found += [f"{' -> '.join(circle)} is a circle" for circle in circles_in(graph)]
    for folder in FOLDERS:
        count = sum(folder_of(header) == folder for header in headers)
        if count > MAX_HEADERS:
            found.append(f"{folder} has {count} headers")
    return found


def circles_in(graph: dict[str, list[str]]) -> list[list[str]]:
    """The first circle from each header on, if there is one."""
    found = []
    done = set()

    def visit(header: str, way: list[str]) -> None:
        if header in way:
            found.append([*way[way.index(header) :], header])
        elif header not in done:
            for other in graph.get(header, []):
                visit(other, [*way, header])
            done.add(header)

    for header in graph:
        visit(header, [])
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
)


def main(source: str) -> str | None:
    for headers, expected in SELF_TESTS:
        if len(faults_of(headers)) != expected:
            return f"{expected} faults expected in {headers}, but found: {faults_of(headers)}"
    top = Path(source, "include/twofold")
    headers = {str(file.relative_to(top)): file.read_text() for file in top.rglob("*.*")}
    folders = {folder_of(header) for header in headers}
    if folders != set(FOLDERS):
        return f"the floors are not those that are there: {sorted(folders ^ set(FOLDERS))}"
    return "\n".join(faults_of(headers)) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
