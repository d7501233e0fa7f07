"""README.md and the pages in docs/: their blocks are run as they stand there, and their links lead somewhere.

The blocks of a page are run in its order, in a directory of its own:

- a block below a line that ends with a file's name, `example.pyx`:, is that file;
- a block of `sh` is run there, and a block of `text` below it is what it prints;
- the other blocks of `python` are one script; but one that asks for `__name__`, as the workers of a pool require, is a
  script of its own. A comment behind an expression, or in the lines below, is what it gives, or the error it raises.
"""

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Mapping
from itertools import count, takewhile
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
import twofold
from conftest import without_thread_variables

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"
INDEX = TOP / "docs/README.md"
PAGES = [README, *sorted((TOP / "docs").glob("*.md"))]

# What is not run here, and what runs it.
RUN_ELSEWHERE = {
    "apt-get update && apt-get install -y g++ python3-dev": "by hand, on a fresh machine: it takes minutes",
    "apt-get update && apt-get install -y g++ clang": ".ci/run, which reads it in README.md",
    "pip install": "nox: what runs these tests was installed so",
    "meson setup build -Dtests=false": "tests_cpp/test_installed_package.py",
}

# Libraries whose objects are shown.
OPTIONAL = {"dask", "numba", "pandas", "polars", "threadpoolctl"}

# The reader's: `python` is the one in which twofold is installed.
ENVIRONMENT = {
    **without_thread_variables(),
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
}


class Block(NamedTuple):
    language: str
    file: str  # empty where it has no name
    text: str


BLOCK = re.compile(r"(?:`(?P<file>[\w./-]+)`:\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks_of(page: Path) -> list[Block]:
    found = [Block(block["language"], block["file"] or "", block["text"]) for block in BLOCK.finditer(page.read_text())]
    assert 2 * len(found) == len(re.findall(r"^ *```", page.read_text(), re.M))
    return found


def scripts_of(page: Path) -> list[str]:
    """The Python of a page: one script of all blocks, and each that is one by itself."""
    texts = [block.text for block in blocks_of(page) if block.language == "python" and not block.file]
    alone = [text for text in texts if "__name__" in text]
    return [*filter(None, ["\n".join(text for text in texts if text not in alone)]), *alone]


SHOWS = """
def shows(call, comment):
    try:
        shown = repr(call())
    except Exception as error:
        shown = " ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    assert shown == comment, f"it gives {shown}"
"""


def shown_in(script: str) -> list[tuple[ast.Expr, str]]:
    """The expressions that have a comment, at their end or in the lines below, and what it says."""
    tokens = tokenize.generate_tokens(io.StringIO(script).readline)
    comments = {token.start[0]: token.string[2:] for token in tokens if token.type == tokenize.COMMENT}
    lines = ["", *script.splitlines(), ""]
    found = []
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Expr):
            below = list(takewhile(lambda i: lines[i].lstrip().startswith("#"), count(node.end_lineno + 1)))
            said = [comments[i] for i in ([node.end_lineno] if node.end_lineno in comments else below)]
            if said:
                found.append((node, " ".join(said)))
    return found


def with_checks(script: str) -> str:
    """The script, in which each expression with a comment is compared with that."""
    lines = script.splitlines()
    for node, comment in shown_in(script):
        lines[node.lineno - 1] = f"{' ' * node.col_offset}shows(lambda: ({ast.unparse(node)}), {comment!r})"
        lines[node.lineno : node.end_lineno] = [""] * (node.end_lineno - node.lineno)
    return SHOWS + "\n".join(lines)


def without_errors(script: str) -> str:
    """The script without what is said to raise an error."""
    lines = script.splitlines()
    for node, comment in shown_in(script):
        if re.match(r"\w+Error: ", comment):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)


def run(command: list[str], directory: Path, env: Mapping[str, str] = MappingProxyType({})) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**ENVIRONMENT, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def name_of(page: Path) -> str:
    return str(page.relative_to(TOP))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_blocks_of_a_page(page, tmp_path):
    printed = ""
    for block in blocks_of(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "sh" and not block.text.startswith(tuple(RUN_ELSEWHERE)):
            printed = run(["bash", "-euo", "pipefail", "-c", block.text], tmp_path)
        elif block.language == "text":
            assert printed.split() == block.text.split()
        else:
            assert block.language in {"python", "sh"}, f"nobody runs {block.text}"
    for i, script in enumerate(scripts_of(page)):
        for library in OPTIONAL & set(re.findall(r"^(?:import|from) (\w+)", script, re.M)):
            pytest.importorskip(library)
        (tmp_path / f"script_{i}.py").write_text(with_checks(script))
        run([sys.executable, f"script_{i}.py"], tmp_path)


def test_what_runs_elsewhere_stands_somewhere():
    texts = [block.text for page in PAGES for block in blocks_of(page) if block.language == "sh"]
    assert [start for start in RUN_ELSEWHERE if not any(text.startswith(start) for text in texts)] == []


def test_a_comment_that_is_not_so_is_noticed(tmp_path):
    for line, passes in (
        ("1 + 1  # 2", True),
        ("1 + 1  # 3", False),
        ("1 + 1\n    # 2", True),
        ("1 + 1\n    # 3", False),
        ("(1,\n    1)\n    # (1,\n    # 1)", True),
        ("int('a')  # 2", False),
        ("1 / 0  # ZeroDivisionError: division by zero", True),
        ("x = 1  # 2", True),
    ):
        (tmp_path / "script.py").write_text(with_checks(f"if True:\n    {line}\n"))
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is passes, line


# What has no types, or takes long to read, or is built on its page. Decorators of numba's are among that.
MYPY_INI = """
[mypy]
strict = True
disallow_untyped_decorators = False
[mypy-dask.*,numba.*,pandas.*,polars.*,threadpoolctl.*,doubling,norms,templates]
follow_imports = skip
ignore_missing_imports = True
"""


@pytest.mark.parametrize("version", ["3.11", "3.12"])  # since 3.12 Python's types know what a buffer is
def test_types_of_the_examples(tmp_path, version):
    """As mypy sees them in its strictest mode: all but what the page says to be an error. And typed_calls.py."""
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text(MYPY_INI)
    files = [str(TOP / "tests_py/typed_calls.py")]
    for page in PAGES:
        for i, script in enumerate(scripts_of(page)):
            file = tmp_path / (re.sub(r"\W", "_", name_of(page)) + f"_{i}.py")
            file.write_text(without_errors(script))
            files.append(file.name)
    package = Path(twofold.__file__).parents[1]
    built_in_place = {} if "site-packages" in package.parts else {"MYPYPATH": str(package)}
    run([sys.executable, "-m", "mypy", "--python-version", version, *files], tmp_path, built_in_place)


# ---- links


def prose_of(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def anchors_of(page: Path) -> set[str]:
    """Of its headings, as GitHub and most makers of sites name them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKED = [*PAGES, *(TOP / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]


def links_of(page: Path) -> list[tuple[Path, str]]:
    """File and anchor of each link that leads to a place in this tree."""
    text = re.sub(r"`[^`]*`", "", prose_of(page))
    links = re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", text)
    return [((page.parent / file).resolve() if file else page, anchor) for file, anchor in links]


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_the_links_of_a_page(page):
    for file, anchor in links_of(page):
        assert file.exists(), f"{page.name} leads to {file}"
        assert not anchor or anchor in anchors_of(file), f"{page.name} leads to {file.name}#{anchor}"


def test_the_index_has_every_page():
    assert {file for file, _ in links_of(INDEX)} >= set(PAGES) - {README, INDEX}
    assert INDEX in {file for file, _ in links_of(README)}


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150
