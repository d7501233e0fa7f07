#!/usr/bin/env python3
"""Runs the Python tests on a Python without a GIL: `nox -s free_threading`.

Needs Linux. Takes the interpreter that is given, else a free-threaded one on PATH, else builds one from Debian's source
below build/, which takes some minutes and is kept. There come the tests as they are, the tests in four threads at once,
and the stress; at the end a row of the table of platforms for each. The exit status is 1 if anything failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / "build/free_threading"

# What Debian may serve the source of, best first; suites list sources for a while that are no longer there.
NAMES = ["python3.14t", "python3.13t", "python3.15t"]
SOURCES = [("sid", "python3.14"), ("sid", "python3.13"), ("trixie", "python3.13")]

# pip must not build any of these: what has no wheel for such a Python is named, and its tests are skipped. Not torch:
# what pip has for Linux comes with CUDA, gigabytes of it.
NEEDED = ["Cython>=3.1", "setuptools>=77", "numpy", "hypothesis", "threadpoolctl", "meson", "ninja", "cmake", "pkgconf"]
NEEDED += ["pytest", "pytest-timeout", "pytest-run-parallel", "pytest-xdist"]
WANTED = ["mypy", "ml_dtypes", "pandas>=3", "pyarrow", "polars", "dask[array]>=2026.8", "xarray", "billiard"]
WANTED += ["cloudpickle", "distributed>=2026.8", "joblib", "loky", "mpire", "multiprocess", "tqdm"]

HEAD = ["Python", "NumPy", "compiler", "xsimd", "tests", "run on"]  # of docs/platforms.md


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="?", help="a free-threaded Python")
    parser.add_argument("--stress", type=int, default=60, metavar="SECONDS", help="how long the stress takes")
    parser.add_argument("--parallel", action="append", default=[], metavar="OPTION", help="one of pytest-run-parallel")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    given = [arguments.python] if arguments.python else [*map(shutil.which, NAMES), *built()]
    python = next(filter(None, given), None) or build_one()
    if answer(python, "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))") != "1":
        sys.exit(f"{python} is no free-threaded Python")
    venv, missing = make_venv(python)
    xsimd = install_twofold(venv)
    stress = ["tests_py/_engine/test_free_threading.py", "-o", "timeout=0"]
    results = [
        run_tests(venv, "tests", "-n", "auto", "--dist", "loadfile"),
        run_tests(venv, "in four threads", *arguments.parallel),
        run_tests(venv, "stress", *stress, env={"TWOFOLD_TEST_SECONDS": str(arguments.stress)}),
    ]
    version, numpy = answer(venv, "import platform, numpy; print(platform.python_version(), numpy.__version__)").split()
    compiler = "GCC " + subprocess.check_output(["g++", "-dumpfullversion"], text=True).strip()
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=TOP, text=True).strip()
    print(f"no wheels for this Python: {', '.join(missing) or 'none are missing'}")
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for what, counts, _ in results:
        tests = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "none"
        row = [f"{version}t, {what}", numpy, compiler, xsimd, tests, f"{date.today()}, {commit}"]
        print(f"| {' | '.join(row)} |")
    return 0 if all(done for _, _, done in results) else 1


# ---- an interpreter


def built() -> list[str]:
    return sorted(map(str, FOLDER.glob("python/bin/python3.*t")))


def build_one() -> str:
    mirror = mirror_of_this_machine()
    failures = []
    for suite, name in SOURCES:
        source = FOLDER / f"{suite}_{name}"
        try:
            if not (source / "Makefile").exists():
                download(mirror, suite, name, source)
            break
        except subprocess.CalledProcessError:
            failures.append(f"{name} of {suite}")
    else:
        sys.exit(f"Debian's mirror does not serve the source of {', '.join(failures)}: give a free-threaded Python")
    if failures:
        print(f"not served: the source of {', '.join(failures)}; building {name} of {suite}", flush=True)
    options = ["--disable-gil", "--without-static-libpython", "OPT=-O2 -DNDEBUG -g0", f"--prefix={FOLDER}/python"]
    if not (source / "Makefile").exists():
        subprocess.run(["./configure", "-q", *options], cwd=source, check=True)
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}"], cwd=source, check=True)
    subprocess.run(["make", "-s", "install"], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return built()[0]


def mirror_of_this_machine() -> str:
    of_debian = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *of_debian]
    found = subprocess.check_output(command, text=True).split() if shutil.which("apt-get") else []
    if not found:
        sys.exit("apt knows no mirror of Debian here (apt-get update?): give a free-threaded Python")
    return found[0]


def download(mirror: str, suite: str, name: str, source: Path) -> None:
    """The source as Debian has it from Python's authors, unpacked; apt checks signatures and sums."""
    apt = FOLDER / f"apt_{suite}"
    (apt / "lists").mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb-src {mirror} {suite} main\n")
    settings = {"Dir::State::lists": apt / "lists", "Dir::Cache": apt, "Dir::Etc::sourcelist": apt / "sources.list"}
    settings |= {"Dir::Etc::sourceparts": "-", "APT::Sandbox::User": "", "Acquire::Check-Valid-Until": "false"}
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", *options, "-q", "update"], check=True)
    subprocess.run(["apt-get", *options, "-q", "--only-source", "--download-only", "source", name], cwd=apt, check=True)
    (archive,) = apt.glob(f"{name}_*.orig.tar.*[!c]")
    with tarfile.open(archive) as files:
        files.extractall(apt / "unpacked", filter="data")
    (unpacked,) = (apt / "unpacked").iterdir()
    shutil.rmtree(source, ignore_errors=True)
    unpacked.rename(source)


# ---- what the tests need


def answer(python: str | Path, script: str) -> str:
    return subprocess.check_output([python, "-c", script], text=True).strip()


def make_venv(python: str) -> tuple[Path, list[str]]:
    """The venv's interpreter, and what has no wheels for it."""
    folder = FOLDER / f"venv_{answer(python, 'import platform; print(platform.python_version())')}"
    subprocess.run([python, "-m", "venv", folder], check=True)  # does little if it has been done
    interpreter = folder / "bin/python"
    pip = [interpreter, "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    subprocess.run([*pip, *NEEDED], check=True)
    missing = [name for name in WANTED if subprocess.run([*pip, name], check=False).returncode != 0]
    return interpreter, missing


def install_twofold(python: Path) -> str:
    """The wheel, and the version of xsimd that it was built with."""
    pip = [python, "-m", "pip", "install", "-q", "--no-deps"]
    headers = FOLDER / "pythran"
    subprocess.run([*pip, "--upgrade", "--target", headers, "pythran==0.19.0"], check=True)
    env = {**os.environ, "XSIMD_INCLUDE_DIR": str(headers / "pythran")}
    shutil.rmtree(FOLDER / "wheel", ignore_errors=True)
    build = [python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", FOLDER / "wheel", TOP]
    subprocess.run(build, env=env, check=True)
    subprocess.run([*pip, "--force-reinstall", *(FOLDER / "wheel").glob("*.whl")], check=True)
    text = (headers / "pythran/xsimd/config/xsimd_config.hpp").read_text()
    return ".".join(re.findall(r"XSIMD_VERSION_M\w+ (\d+)", text)[:2])


def run_tests(
    python: Path, what: str, *options: str, env: dict[str, str] | None = None
) -> tuple[str, Counter[str], bool]:
    """What they are, how many passed, were skipped and failed, and whether all went well."""
    report = FOLDER / f"{what.replace(' ', '_')}.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", f"--junitxml={report}", *options]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    done = (
        subprocess.run(command, cwd=TOP, env={**os.environ, "PATH": path, **(env or {})}, check=False).returncode == 0
    )
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else []:
        tags = {child.tag for child in case}
        counts["failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"] += 1
    return what, counts, done


if __name__ == "__main__":
    sys.exit(main())
