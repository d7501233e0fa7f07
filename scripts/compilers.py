#!/usr/bin/env python3
"""Builds and runs some of the C++ tests with each compiler, standard, standard library and xsimd that is found here.

Prints a row of docs/platforms.md for each: every standard with the newest xsimd, and every xsimd with C++20. A warning
is a failure. Needs Catch2, and no package of Python. (Version 3 of Catch2 is a library, which distributions build for
libstdc++. Version 2 is all in its header, and will do for any standard library.)
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests_cpp"
OLDEST = {"GCC": 12, "Clang": 14}
STANDARDS = {"C++20": ["c++20"], "C++23": ["c++2b", "c++23"], "C++26": ["c++2c", "c++26"]}  # the last that is known
FLAGS = ["-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pthread", f"-I{ROOT / 'include'}", f"-I{TESTS}"]
MOST_SECONDS = 120  # for one test
FORKS = {"TWOFOLD_TEST_FORKS": "100"}  # where the whole suite does thousands

# The sources of each program, below tests_cpp, and its flags.
VERSION = subprocess.check_output([sys.executable, str(ROOT / "scripts/version.py")], text=True).strip()
PROGRAMS = {
    "api": (["api_test.cpp"], [f'-DTWOFOLD_EXPECTED_VERSION="{VERSION}"']),
    "values": (["elements.cpp", "operation/values_test.cpp"], ["-march=native"]),
    "crew": (["parallel/crew_test.cpp"], []),
    "fork": (["parallel/fork_test.cpp"], []),
    "no_exceptions": (["no_exceptions_test.cpp"], ["-fno-exceptions"]),
    "no_warnings": (["simd/no_warnings_test.cpp"], ["-O2", "-march=native"]),
    "scale": (["../examples/scale.cpp"], ["-O2", "-march=native"]),
}
PRINTED = {"scale": "2.5 5 7.5 10 12.5 15 17.5 20 20 20 400\n"}


def run(command: list[str], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@dataclass(frozen=True)
class Compiler:
    """A compiler with a standard library."""

    command: list[str]
    name: str
    library: str

    def takes(self, *flags: str) -> bool:
        source = "#include <vector>\nint main() {}"
        return run([*self.command, *flags, "-x", "c++", "-", "-o", os.devnull], input=source).returncode == 0

    def says(self, *arguments: str | Path) -> str:
        """What it says if it fails; nothing if it does not."""
        done = run([*self.command, *map(str, arguments)])
        return done.stdout + done.stderr + f"exit status {done.returncode}\n" if done.returncode != 0 else ""


def compilers(given: list[str]) -> Iterator[Compiler]:
    """Those that are given, or those in the path, each version once, and the one of the package ziglang."""
    found = (str(path) for folder in os.get_exec_path() for path in sorted(Path(folder).glob("*g++*")))
    seen = set()
    for command in given or (path for path in found if re.fullmatch(r".*/(g|clang)\+\+(-\d+)?", path)):
        kind = "Clang" if "clang" in command else "GCC"
        version = run([command, "-dumpfullversion", "-dumpversion"]).stdout.strip()
        name = f"{kind} {version}"
        if name in seen or not version or int(version.split(".")[0]) < OLDEST[kind]:
            continue
        seen.add(name)
        yield Compiler([command], name, "libstdc++")
        libcxx = Compiler([command, "-stdlib=libc++"], name, "libc++")
        if kind == "Clang" and libcxx.takes():
            yield libcxx
    zig = [sys.executable, "-m", "ziglang"]
    if not given and (asked := run([*zig, "version"])).returncode == 0:
        target = ["c++", "-target", f"{platform.machine()}-linux-musl", "-static", "-fno-sanitize=all"]
        yield Compiler([*zig, *target], f"Clang of Zig {asked.stdout.strip()}", "libc++, musl")


def xsimds(given: list[Path], work: Path) -> dict[str, Path]:
    """A directory for each version of xsimd, the oldest first: those that are given, and the system's."""
    found = {}
    for directory in (*given, Path("/usr/include")):
        config = directory / "xsimd/config/xsimd_config.hpp"
        if config.is_file():
            version = re.findall(r"^#define XSIMD_VERSION_\w+ (\d+)", config.read_text(), re.MULTILINE)
            found.setdefault(tuple(map(int, version)), directory / "xsimd")
    versions = {".".join(map(str, version)): directory for version, directory in sorted(found.items())}
    return {version: alone(directory, work / f"xsimd-{version}") for version, directory in versions.items()}


def alone(directory: Path, place: Path) -> Path:
    """A place to search in for that directory and nothing else: its neighbours may be those of another C library."""
    place.mkdir(parents=True, exist_ok=True)
    (place / directory.name).unlink(missing_ok=True)
    (place / directory.name).symlink_to(directory.resolve())
    return place


def names_of_tests(program: str) -> list[str]:
    """The names of its tests as Catch wants them; none of a program without Catch."""
    source = (TESTS / PROGRAMS[program][0][-1]).read_text()
    names = re.findall(r'^(?:TEMPLATE_)?TEST_CASE\("([^"]+)"', source, re.MULTILINE)
    # A plain comma would begin a second pattern, and the name of a template goes on with its type.
    return [name.replace(",", "\\,") + "*" for name in names]


def passes(program: Path, *arguments: str) -> bool:
    try:
        done = run([str(program), *arguments], timeout=MOST_SECONDS, env=os.environ | FORKS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and done.stdout == PRINTED.get(program.name, done.stdout)


def result_of(compiler: Compiler, flags: list[str | Path], catch2: list[str | Path], work: Path) -> str:
    """Builds the programs there and runs their tests, each in a process of its own, since some could hang."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    def build(program: str) -> str:
        sources, further = PROGRAMS[program]
        files = [*(TESTS / source for source in sources), *(catch2 if names_of_tests(program) else [])]
        said = compiler.says(*FLAGS, *flags, *further, *files, "-o", work / program)
        (work / f"{program}.log").write_text(said)
        return said

    with ThreadPoolExecutor(os.cpu_count()) as jobs:
        said = dict(zip(PROGRAMS, jobs.map(build, PROGRAMS), strict=True))
    built = [program for program in PROGRAMS if not said[program]]
    tests = [(program, *name) for program in built for name in [[n] for n in names_of_tests(program)] or [[]]]
    failed = [" ".join(test) for test in tests if not passes(work / test[0], *test[1:])]
    faults = [f"does not build: {work / program}.log" for program in PROGRAMS if said[program]]
    faults += [f"failed: {test}" for test in failed]
    return "; ".join([f"{len(tests) - len(failed)} passed", *(faults or ["no warning"])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xsimd", type=Path, action="append", default=[], help="a directory with xsimd/; repeatable")
    parser.add_argument("--compiler", action="append", default=[], help="as g++-14; repeatable; or else, all")
    parser.add_argument("--standard", choices=STANDARDS, action="append", default=[], help="repeatable; or else, all")
    parser.add_argument("--catch2", type=Path, default=Path("/usr/include"), help="a directory with catch2/")
    given = parser.parse_args()
    work = ROOT / "build/compilers"
    headers = xsimds(given.xsimd, work)
    if not headers or not (given.catch2 / "catch2").is_dir():
        sys.exit("twofold: xsimd and Catch2 are needed (on Debian: libxsimd-dev, catch2)")
    search_catch2 = ["-isystem", alone(given.catch2 / "catch2", work / "catch")]
    library = ["-lCatch2"] if (given.catch2 / "catch2/catch_session.hpp").is_file() else []
    newest = list(headers)[-1]
    results = []
    print("| compiler | standard | libraries | xsimd | tests |\n|---|---|---|---|---|", flush=True)
    for compiler in compilers(given.compiler):
        if library and compiler.library != "libstdc++":
            print(f"left out: {compiler.name} with {compiler.library}, for which Catch2 is not made", file=sys.stderr)
            continue
        place = work / re.sub(r"\W+", "_", f"{compiler.name} {compiler.library}")
        place.mkdir(exist_ok=True)
        main_program = place / "catch_main.o"
        if said := compiler.says("-std=c++20", *search_catch2, "-c", TESTS / "catch_main.cpp", "-o", main_program):
            sys.exit(said)
        for standard in given.standard or STANDARDS:
            known = [f"-std={spelling}" for spelling in STANDARDS[standard] if compiler.takes(f"-std={spelling}")]
            if not known:
                continue
            for xsimd in headers if standard == "C++20" else [newest]:
                flags = [known[-1], "-I", headers[xsimd], *search_catch2]
                results.append(result_of(compiler, flags, [main_program, *library], place / f"{standard}_{xsimd}"))
                print("|", " | ".join((compiler.name, standard, compiler.library, xsimd, results[-1])), "|", flush=True)
    return 0 if results and all(result.endswith("; no warning") for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
