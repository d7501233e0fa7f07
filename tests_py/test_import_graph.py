"""Folders are floors: a module imports its own floor and lower ones, and no circle.

Read off the sources, with what is imported inside functions, cimported, or looked up in sys.modules by its name.
"""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pyx/twofold"
pytestmark = pytest.mark.skipif(not PACKAGE.exists(), reason="there are no sources")

FLOORS = ["_memory", "_engine", "_containers", "_processes", "public", "__init__"]
MAX_MODULES = 12

STATEMENT = re.compile(
    r"""^[ \t]*from[ ]+(?P<origin>[\w.]+)[ ]+c?import[ ]+(?P<names>\([^)]*\)|[^\n#]+)
      |^[ \t]*c?import[ ]+(?P<plain>[\w.]+)""",
    re.MULTILINE | re.VERBOSE,
)
# But for a class, which is pickled by the public module that shows it.
LOOKED_UP = re.compile(r"""(?<!__module__[ ]=[ ])["'](twofold(?:\.\w+)+)["']""", re.VERBOSE)


def name_of(path: Path) -> str:
    return ".".join(("twofold", *path.relative_to(PACKAGE).with_suffix("").parts))


SOURCES = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"} and path.name[0] != "."]
MODULES = {name_of(path) for path in SOURCES if path.parent == PACKAGE or path.stem != "__init__"}


def imported(text: str) -> set[str]:
    """The modules of the package that a source imports."""
    found = set(LOOKED_UP.findall(text))
    for statement in STATEMENT.finditer(text):
        if statement["plain"]:
            found.add(statement["plain"])
            continue
        found.add(statement["origin"])
        for name in re.findall(r"\w+", re.sub(r" as \w+", "", statement["names"])):
            found.add(f"{statement['origin']}.{name}")
    return found & MODULES


def floor_of(module: str) -> int:
    _, *folders, name = module.split(".")
    return FLOORS.index(folders[0] if folders else "__init__" if name == "__init__" else "public")


def graph() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for path in SOURCES:
        module = name_of(path)
        if module in MODULES:
            found[module] |= imported(path.read_text()) - {module}
    return found


def test_no_arrow_goes_upwards():
    upwards = [(a, b) for a, others in graph().items() for b in others if floor_of(b) > floor_of(a)]
    assert upwards == []


def test_there_is_no_circle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_folder_has_more_modules_than_one_can_know():
    folders = {path.parent for path in SOURCES}
    for folder in folders:
        modules = {path.stem for path in SOURCES if path.parent == folder} - {"__init__"}
        assert len(modules) <= MAX_MODULES, (folder, sorted(modules))


def test_each_way_to_import_is_seen():
    seen = imported("""
def begin():
    from twofold._processes import (
        transit, places as where,
    )
    import twofold.shared
from twofold._engine.twofold_engine cimport run
cimport twofold.cython_api
segments = sys.modules.get("twofold._processes.segments")
""")
    assert seen == {
        "twofold._processes.transit",
        "twofold._processes.places",
        "twofold.shared",
        "twofold._engine.twofold_engine",
        "twofold.cython_api",
        "twofold._processes.segments",
    }
