"""A package that uses both Cython doors is really built, against the installed package, and used in a fresh process."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import twofold
from conftest import needs_wheel
from twofold import cython_api
from twofold._engine import twofold_engine

SOURCE = Path(__file__).with_name("consumer")
INSTALLED = Path(twofold.__file__).parent
CYTHON_DOORS = ["__init__.pxd", "cython_api.pxd", "libtwofold.pxd"]
HEADERS = sorted(
    str(path.relative_to(INSTALLED)) for path in (INSTALLED / "include/twofold").rglob("*.*") if path.suffix != ".md"
)


def build(directory: Path, site: Path | None = None, *, alone: bool = True) -> subprocess.CompletedProcess[str]:
    """Builds the consumer in `directory`, against the installed packages or those in `site`, alone or first."""
    no_site = ["-S"] if site and alone else []
    return subprocess.run(
        [sys.executable, *no_site, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(site)} if site else None,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def use(directory: Path, env: dict[str, str] | None = None) -> None:
    """Uses the consumer that was built there, in a fresh process."""
    subprocess.run([sys.executable, str(SOURCE / "use.py"), str(directory)], env=env, timeout=120, check=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    directory = tmp_path_factory.mktemp("consumer") / "consumer"
    shutil.copytree(SOURCE, directory)
    done = build(directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_both_doors_work(built):
    use(built)


def test_the_signatures_of_the_header_free_door():
    """Compiled consumers hold these names and signatures, and do not import if one has changed: new ones may come, none
    may go. What other modules export is for twofold's own ones alone."""
    frozen = (Path(__file__).with_name("cython_abi.txt")).read_text().splitlines()
    assert sorted(signatures(cython_api)) == sorted(frozen)


def signatures(module) -> list[str]:
    """Of the functions that a module exports: as Cython finds them at import, and compares them."""
    return [
        re.sub(r"<capsule object \"(.*)\" at .*>", rf"{module.__name__}.{name}: \1", repr(capsule))
        for name, capsule in module.__pyx_capi__.items()
    ]


def test_a_consumer_asks_for_the_door_alone(built):
    made = (built / "header_free_door.c").read_text()
    assert set(re.findall(r'ImportModule\("(twofold[\w.]*)"\)', made)) == {"twofold.cython_api"}


def test_every_element_type_of_the_table_has_a_function():
    """But for the wheel's own, whose functions would mean something else on another machine, or be double_i64 but for
    one value. The door is written out, since it is frozen."""
    kinds = {ord("b"): "bf"}
    rows = [row for row in twofold_engine.element_rows() if row["in_library"]]
    names = {f"double_{kinds.get(row['kind'], chr(row['kind']))}{row['bits']}" for row in rows}
    assert set(cython_api.__pyx_capi__) == names | {"parallel_for", "map_chunks"}


def test_all_headers_come_from_the_package(built):
    """No header of ours or of xsimd is found elsewhere on this machine by accident."""
    include = twofold.get_include()
    command = ["c++", "-std=c++20", "-M", "-x", "c++", f"-I{include}", "-"]
    asked = subprocess.run(
        command, input="#include <twofold/twofold.hpp>", capture_output=True, text=True, timeout=60, check=True
    )
    used = [path for path in asked.stdout.split() if "twofold/" in path or "xsimd" in path]
    assert used
    assert [path for path in used if not path.startswith(include)] == []


def all_but_the_template_door(built: Path, directory: Path) -> None:
    """A copy of what was built, in which only the module that includes headers has to be compiled again."""
    shutil.copytree(built, directory)
    for made in [*directory.rglob("template_door.*.so"), *directory.rglob("template_door.o")]:
        made.unlink()


@needs_wheel
@pytest.mark.parametrize("missing", CYTHON_DOORS + HEADERS)
def test_a_file_left_out_is_noticed(built, tmp_path, missing):
    """The proof that the build above can fail: without any one of these files it does."""
    site = tmp_path / "site"
    shutil.copytree(INSTALLED, site / "twofold", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "twofold" / missing).unlink()
    for other in Path(sysconfig.get_path("purelib")).iterdir():
        if other.name != "twofold":
            (site / other.name).symlink_to(other)
    directory = tmp_path / "consumer"
    if missing in HEADERS:
        all_but_the_template_door(built, directory)
    else:
        shutil.copytree(SOURCE, directory)
    done = build(directory, site)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    wanted = Path(missing).name if missing in HEADERS else "not found"
    assert wanted in said, said


@needs_wheel
def test_with_all_files_a_copy_of_the_package_will_do(built, tmp_path):
    """The proof that it is the missing file that is noticed above, and not the copy."""
    assert HEADERS
    site = tmp_path / "site"
    site.mkdir()
    for other in Path(sysconfig.get_path("purelib")).iterdir():
        (site / other.name).symlink_to(other)
    directory = tmp_path / "consumer"
    all_but_the_template_door(built, directory)
    done = build(directory, site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(directory.glob("template_door.*.so"))


# What setuptools does in an editable install, besides building the modules, which are those of the installed package.
PREPARE_TREE = """
import setuptools
from distutils.core import run_setup
import Cython.Build
Cython.Build.cythonize = lambda modules, **_: modules
build_py = run_setup("setup.py", stop_after="init").get_command_obj("build_py")
build_py.editable_mode = True
build_py.ensure_finalized()
build_py.run()
"""


def test_both_doors_work_with_a_source_tree(tmp_path):
    """As an editable install puts it on the path. `nox -s editable` makes a real one, which takes minutes."""
    project = Path(__file__).parent.parent
    tree = tmp_path / "tree"
    generated = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    for folder in ("pyx", "include", "scripts"):
        shutil.copytree(project / folder, tree / folder, ignore=generated)
    shutil.rmtree(tree / "pyx/twofold/include", ignore_errors=True)
    for file in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(project / file, tree / file)
    modules = list(INSTALLED.rglob("*.so"))
    assert modules
    for module in modules:
        shutil.copy2(module, tree / "pyx/twofold" / module.relative_to(INSTALLED))
    xsimd = {"XSIMD_INCLUDE_DIR": twofold.get_include()}
    subprocess.run([sys.executable, "-c", PREPARE_TREE], cwd=tree, env={**os.environ, **xsimd}, timeout=120, check=True)

    directory = tmp_path / "consumer"
    shutil.copytree(SOURCE, directory)
    done = build(directory, tree / "pyx", alone=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(tree / "pyx") in (directory / "template_door.cpp").read_text()
    use(directory, {**os.environ, "PYTHONPATH": str(tree / "pyx")})
    header = tree / "include/twofold/version.hpp"
    assert (tree / "pyx/twofold/include/twofold/version.hpp").samefile(header), "an edit would not be seen"
