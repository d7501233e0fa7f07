"""The map in CONTRIBUTING.md is true: its ways are those that calls take, and the files that it names are there.

A step of a way names a function and its file. That function is there, and the step above calls it, or one above names
what it is handed down `by`. A call enters a module again as often as the way says.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import twofold

TOP = Path(__file__).resolve().parents[1]
TEXT = (TOP / "CONTRIBUTING.md").read_text()
# What the map's paths begin at.
ROOTS = [TOP / "pyx/twofold", TOP / "include/twofold"]


class Step(NamedTuple):
    function: str
    file: str
    by: str  # what hands it down; empty where it is called by its name
    returns: bool  # and the next one is called by the step above it


WAY = re.compile(
    r"^the way of (?P<what>[^,\n]+), which enters (?P<again>\w+) modules? again.*\n(?P<steps>(?:  .+\n)+)", re.M
)
STEP = re.compile(r"^  (?P<function>[\w.]+) +(?P<file>[\w/]+\.\w+)(?: +(?P<returns>returns)\b| +by (?P<by>\w+))?", re.M)


def ways_in(text: str) -> dict[str, tuple[int, list[Step]]]:
    """By name: how often a module is entered again, and the steps."""
    found = {}
    for way in WAY.finditer(text):
        steps = [
            Step(step["function"], step["file"], step["by"] or "", bool(step["returns"]))
            for step in STEP.finditer(way["steps"])
        ]
        assert len(steps) == way["steps"].count("\n"), way["steps"]
        found[way["what"]] = int(way["again"].replace("no", "0")), steps
    return found


WAYS = ways_in(TEXT)


def source_of(file: str) -> str:
    (path,) = [root / file for root in ROOTS if (root / file).is_file()]
    return re.sub(r"//.*|(?<!['\"])#(?!include).*", "", path.read_text())  # without comments


def bodies(function: str, file: str) -> list[str]:
    """The definitions of that name in a file, with what belongs to them."""
    text = source_of(file)
    *classes, name = function.split(".")
    for outer in classes:
        text = "".join(blocks_by_indent(text, rf"class {outer}\b"))
    if Path(file).suffix in {".hpp", ".cpp"}:
        return blocks_by_braces(text, name)
    return blocks_by_indent(text, rf"(?:cdef|cpdef|def)\b[^=\n]*\b{name}\(")


def blocks_by_indent(text: str, head: str) -> list[str]:
    found = []
    for match in re.finditer(rf"^( *)(?:cdef |async )?{head}", text, re.M):
        block = re.match(rf".*\n(?:(?:{match[1]}[ )].*)?\n)*", text[match.start() :])
        assert block is not None
        if re.search(r":\s*$", block[0].splitlines()[0]) or "\n" in block[0].strip():  # else it is only declared
            found.append(block[0])
    return found


def blocks_by_braces(text: str, name: str) -> list[str]:
    found = []
    for match in re.finditer(rf"\b{name}\(|struct [\w:]*\b{name} \{{", text):
        end = match.end() if match[0].endswith("{") else end_of(text, match.end(), "()")
        opened = re.match(r"[\w\s:&<>*]*\{|", text[end:]) if not match[0].endswith("{") else re.match("", "")
        assert opened is not None
        if opened[0] or match[0].endswith("{"):
            end += len(opened[0])
            found.append(text[match.start() : end_of(text, end, "{}")])
    return found


def end_of(text: str, start: int, brackets: str) -> int:
    """Where what was opened just before `start` is closed."""
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] == brackets[0]) - (text[i] == brackets[1])
        if depth == 0:
            return i + 1
    raise ValueError(f"no {brackets[1]}")


def again_in(steps: list[Step]) -> int:
    """How often a module is entered that was left before."""
    modules = [Path(step.file).with_suffix("") if step.file.endswith((".pyx", ".pxd")) else step.file for step in steps]
    entered = [module for i, module in enumerate(modules) if i == 0 or module != modules[i - 1]]
    return len(entered) - len(set(entered))


def faults_of(steps: list[Step]) -> list[str]:
    found = []
    before: list[tuple[str, str]] = []  # file and text
    for step in steps:
        own = bodies(step.function, step.file)
        if not own:
            found.append(f"{step.file} has no function {step.function}")
        # By its name: the step above, or another one of that file since it was entered.
        entered = max((i for i, (file, _) in enumerate(before) if file != before[-1][0]), default=-1) + 1
        callers = before if step.by else before[entered:]
        wanted = rf"\b{step.by or step.function.rpartition('.')[2]}\b"
        if before and not any(re.search(wanted, text) for _, text in callers):
            found.append(f"nobody above calls {step.function} of {step.file}")
        if not step.returns:
            before.append((step.file, "\n".join(own)))
    return found


def test_the_map_has_the_ways():
    assert len(WAYS) == 4


@pytest.mark.parametrize("what", WAYS)
def test_each_step_of_a_way_is_there_and_is_called(what):
    assert faults_of(WAYS[what][1]) == []


@pytest.mark.parametrize("what", WAYS)
def test_a_way_enters_a_module_again_as_often_as_it_says(what):
    said, steps = WAYS[what]
    assert again_in(steps) == said
    assert said <= (0 if "NumPy" in what else 2)


@pytest.mark.parametrize("what", WAYS)
def test_a_way_that_is_not_so_is_noticed(what):
    """Each step left out, under another name, and in another file; and the first module entered again."""
    steps = WAYS[what][1]
    for i, step in enumerate(steps):
        renamed, moved = step._replace(function="nobody"), step._replace(file="_memory/numpy_handler.pyx", by="")
        assert f"{step.file} has no function nobody" in faults_of([*steps[:i], renamed, *steps[i + 1 :]])
        assert faults_of([*steps[:i], moved, *steps[i + 1 :]])
    assert again_in([*steps, steps[0]]) == again_in(steps) + 1


def test_a_step_that_is_left_out_is_noticed():
    steps = WAYS["a contiguous array of NumPy"][1]
    files = [step.file for step in steps]
    for i, file in enumerate(files[1:-1], 1):
        if files.count(file) == 1 and not steps[i + 1].by:
            assert faults_of([*steps[:i], *steps[i + 1 :]]), steps[i]


def test_a_shared_array_goes_that_way():
    """The functions in Python, which a profile sees, are called in that order; the worker is this process."""

    class Pool:
        _max_workers = 1

        def submit(self, work, *order):
            work(*order)

    values = twofold.share(np.arange(100_000))
    called = []

    def note(frame, event, _):
        if event == "call":
            called.append((frame.f_code.co_qualname, Path(frame.f_code.co_filename).name))

    sys.setprofile(note)
    try:
        result = twofold.double_in_processes(values, Pool(), chunk_bytes=4096)
    finally:
        sys.setprofile(None)
    np.testing.assert_array_equal(result, np.asarray(values) * 2)
    remaining = iter(called)
    for step in WAYS["a shared array through a pool"][1]:
        if step.file.endswith(".py"):
            assert (step.function, Path(step.file).name) in remaining, step


def test_the_files_that_are_named_are_there():
    skipped = {"build", ".git", ".nox"}
    files = [
        str(path.relative_to(TOP)) for path in TOP.rglob("*") if not skipped & set(path.relative_to(TOP).parts[:1])
    ]
    named = set(re.findall(r"(?<![\w/.])(?:\w+/)*\w+\.(?:py|pyx|pxd|hpp|cpp|h|def|txt|toml|md)\b", TEXT))
    assert len(named) > 40
    assert [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)] == []
