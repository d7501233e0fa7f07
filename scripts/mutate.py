#!/usr/bin/env python3
"""Puts known bugs back, one at a time, and looks whether a test goes red for each: do the tests see what they should?

The bugs stand in mutations.toml, which also says what its fields mean. They are put into a copy of the tree, never
into the tree itself. The exit status is 1 if a bug is not seen, or is out of date.
"""

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix("").with_name("mutations.toml")

# Compilers take most of the time. What a bug leaves unused is a warning, which is not what is to go red.
QUICK = ["-Ddebug=false", "-Dwerror=false"]
# As noxfile.py has them.
SANITIZERS = {"address": "address,undefined", "thread": "thread"}

STATIC_ASSERTIONS = ("static assertion failed", "static_assert failed", "static_assertion failed")


@dataclass(frozen=True)
class Mutation:
    """A row of the table."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...] = ()
    red_by: str = "test"
    sanitizer: str | None = None
    seconds: int = 60
    reason: str = ""  # why no test can see it; of rows under [[unseen]] alone

    @property
    def is_python(self) -> bool:
        """Whether pytest runs its tests, on the package that is built in the copy of the tree."""
        return bool(self.tests) and all(test.startswith("tests_py/") for test in self.tests)

    def fault(self) -> str | None:
        """What is out of date in this row, if anything."""
        path = ROOT / self.file
        count = path.read_text().count(self.old) if path.is_file() else 0
        if count != 1:
            return f"mutation out of date: {self.name}: its old text occurs {count} times in {self.file}"
        if self.old == self.new:
            return f"{self.name}: its new text is its old text"
        return None


@dataclass(frozen=True)
class Outcome:
    red: bool
    what: str
    seconds: float


def read_table() -> tuple[list[Mutation], list[Mutation]]:
    """The bugs that a test sees, and those that none can see."""
    table = tomllib.loads(TABLE.read_text())

    def rows(kind: str) -> list[Mutation]:
        return [Mutation(**{**row, "tests": tuple(row.get("tests", ()))}) for row in table.get(kind, [])]

    return rows("mutation"), rows("unseen")


def faults_of(mutations: Iterable[Mutation], unseen: Iterable[Mutation]) -> list[str]:
    """What is wrong with the table by itself."""
    mutations, unseen = list(mutations), list(unseen)
    rows = [*mutations, *unseen]
    faults = [fault for row in rows if (fault := row.fault())]
    names = [row.name for row in rows]
    faults += [f"two mutations are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
    faults += [f"{row.name}: names no test" for row in mutations if not row.tests]
    faults += [f"{row.name}: red_by is {row.red_by}" for row in mutations if row.red_by not in ("test", "compiler")]
    faults += [
        f"{row.name}: no sanitizer {row.sanitizer}" for row in mutations if row.sanitizer not in (None, *SANITIZERS)
    ]
    faults += [fault for row in mutations if row.is_python for fault in unknown_python_tests(row)]
    faults += [f"{row.name}: no reason why it is not seen" for row in unseen if not row.reason]
    return faults


def unknown_python_tests(mutation: Mutation) -> Iterator[str]:
    for test in mutation.tests:
        file, _, name = test.partition("::")
        path = ROOT / file
        if not path.is_file() or f"def {name.partition('[')[0]}(" not in path.read_text():
            yield f"{mutation.name}: there is no test {test}"


class PythonBuild:
    """The package, built where it stands, and the tests that pytest runs."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def compile(self) -> tuple[bool, str]:
        done = run([sys.executable, "setup.py", "-q", "build_clib", "build_ext", "--inplace"], cwd=self.tree)
        return done.returncode == 0, done.stdout

    def red(self, tests: Iterable[str], seconds: float) -> str:
        """What pytest said of the first of these tests that went red; nothing if all are green."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", *tests]
        environment = {**os.environ, "PYTHONPATH": str(self.tree / "pyx")}
        try:
            done = run(command, cwd=self.tree, env=environment, timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"more than {seconds} s"
        if done.returncode in (2, 3, 4, 5):  # an error of pytest or of its usage, or no tests
            sys.exit(f"pytest failed:\n{done.stdout[-5000:]}")
        return done.stdout if done.returncode else ""


class Build:
    """A build directory of Meson, and the tests that it has."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tests = self.introspected("tests")
        self.targets = {target["id"]: target for target in self.introspected("targets")}

    def introspected(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.directory / "meson-info" / f"intro-{what}.json").read_text())
        return found

    def tests_called(self, name: str) -> list[dict[str, Any]]:
        """The test of that name, or all tests that an executable of that name runs."""
        named = [test for test in self.tests if test["name"] == name]
        return named or [test for test in self.tests if Path(test["cmd"][0]).name == name]

    def tests_of(self, mutation: Mutation) -> list[dict[str, Any]]:
        return [test for name in mutation.tests for test in self.tests_called(name)]

    def unknown_tests(self, mutation: Mutation) -> list[str]:
        return [name for name in mutation.tests if not self.tests_called(name)]

    def compile(self, tests: Iterable[dict[str, Any]], jobs: int) -> tuple[bool, str]:
        """Builds what these tests need. Whether that went well, and what the compiler said."""
        wanted = {self.target_name(self.targets[i]) for test in tests for i in test["depends"] if i in self.targets}
        done = run(["meson", "compile", "-C", str(self.directory), "-j", str(jobs), *sorted(wanted)])
        return done.returncode == 0, done.stdout

    def target_name(self, target: dict[str, Any]) -> str:
        folder = Path(target["defined_in"]).parent.relative_to(self.directory.parent / "tree")
        return f"{folder / target['name']}:{target['type'].replace(' ', '_')}"

    def red_tests(self, tests: list[dict[str, Any]], seconds: float, setup: str | None, stop: bool) -> dict[str, str]:
        """Runs these tests, each for so many seconds at most; what became of those that went red."""
        factor = seconds / max(test["timeout"] for test in tests)
        command = ["meson", "test", "-C", str(self.directory), "--no-rebuild", "--num-processes", "1"]
        command += ["--timeout-multiplier", str(factor)]
        command += ["--setup", setup] if setup else []
        command += ["--maxfail", "1"] if stop else []
        done = run([*command, *(test["name"] for test in tests)])
        log = self.directory / "meson-logs" / ("testlog.json" if setup is None else f"testlog-{setup}.json")
        if not log.is_file():
            sys.exit(f"meson test failed:\n{done.stdout}")
        results = [json.loads(line) for line in log.read_text().splitlines()]
        log.unlink()
        ended = {"OK", "SKIP", "EXPECTEDFAIL", "INTERRUPT"}  # interrupted: by --maxfail
        return {r["name"].partition(":")[2] or r["name"]: r["result"] for r in results if r["result"] not in ended}


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace", **options
    )


class Workplace:
    """A copy of the tree, and its builds: one for each sanitizer, and one without."""

    def __init__(self, directory: Path, jobs: int) -> None:
        self.directory = directory
        self.jobs = jobs
        self.builds: dict[str | None, Build] = {}
        self.red_anyway: dict[str | None, dict[str, str]] = {}
        copy_tree(directory / "tree")

    def build(self, sanitizer: str | None) -> Build:
        if sanitizer not in self.builds:
            directory = self.directory / (sanitizer or "plain")
            options, environment = list(QUICK), dict(os.environ)
            if sanitizer is not None:
                options += [f"-Db_sanitize={SANITIZERS[sanitizer]}", "-Db_lundef=false"]
                options += ["-Doptimization=1"]
                options += ["-Dcpp_args=-gline-tables-only -fno-omit-frame-pointer -fno-sanitize-recover=all"]
                environment["CXX"] = "clang++"
            if not (directory / "meson-info").exists():
                done = run(["meson", "setup", *options, str(directory), str(self.directory / "tree")], env=environment)
            else:
                done = run(["ninja", "-C", str(directory), "build.ninja"])  # where the tree has other tests than before
            if done.returncode != 0:
                sys.exit(f"meson setup failed:\n{done.stdout}")
            self.builds[sanitizer] = Build(directory)
        return self.builds[sanitizer]

    @property
    def package(self) -> PythonBuild:
        return PythonBuild(self.directory / "tree")

    def prepare_python(self, mutations: list[Mutation]) -> None:
        """Builds the package as it is and runs the tests, none of which may be red."""
        started = time.monotonic()
        compiled, output = self.package.compile()
        if not compiled:
            sys.exit(f"does not compile as it is:\n{output[-5000:]}")
        tests = list(dict.fromkeys(test for m in mutations for test in m.tests))
        if red := self.package.red(tests, sum(m.seconds for m in mutations)):
            sys.exit(f"red as it is:\n{red[-5000:]}")
        report("as it is, in Python", f"0 of {len(tests)} tests red", time.monotonic() - started)

    def outcome_of_python(self, mutation: Mutation) -> Outcome:
        started = time.monotonic()
        with self.mutated(mutation):
            compiled, output = self.package.compile()
            red = self.package.red(mutation.tests, mutation.seconds) if compiled else ""
        what = f"DOES NOT COMPILE\n{output[-3000:]}" if not compiled else "pytest" if red else "SURVIVED"
        return Outcome(bool(red), what, time.monotonic() - started)

    def prepare(self, mutations: list[Mutation]) -> None:
        """Builds the tests as they are and runs them: one that is red anyway shows nothing."""
        for sanitizer in dict.fromkeys(m.sanitizer for m in mutations):
            build = self.build(sanitizer)
            rows = [m for m in mutations if m.sanitizer == sanitizer]
            for name in [f"{m.name}: there is no test {name}" for m in rows for name in build.unknown_tests(m)]:
                sys.exit(name)
            tests = list({test["name"]: test for m in rows for test in build.tests_of(m)}.values())
            if red_by_test := [m for m in rows if m.red_by != "compiler"]:
                started = time.monotonic()
                done, output = build.compile(tests, self.jobs)
                if not done:
                    sys.exit(f"does not compile as it is:\n{output[-5000:]}")
                run_tests = list({t["name"]: t for m in red_by_test for t in build.tests_of(m)}.values())
                red = build.red_tests(run_tests, max(test["timeout"] for test in run_tests), sanitizer, False)
                self.red_anyway[sanitizer] = red
                what = f"{len(red)} of {len(run_tests)} tests red"
                report(f"as it is, {sanitizer or 'no'} sanitizer", what, time.monotonic() - started)
                for name in red:
                    print(f"    {name}")

    def outcome(self, mutation: Mutation) -> Outcome:
        """What becomes of the tests when this bug is there."""
        started = time.monotonic()
        build = self.build(mutation.sanitizer)
        tests = build.tests_of(mutation)
        with self.mutated(mutation):
            red, what = self.look(build, mutation, tests)
        return Outcome(red, what, time.monotonic() - started)

    def look(self, build: Build, mutation: Mutation, tests: list[dict[str, Any]]) -> tuple[bool, str]:
        compiled, output = build.compile(tests, self.jobs)
        if not compiled:
            if not any(text in output for text in STATIC_ASSERTIONS):
                return False, f"DOES NOT COMPILE\n{output[-3000:]}"
            return (
                mutation.red_by == "compiler",
                "compiler" if mutation.red_by == "compiler" else "COMPILER, not a test",
            )
        if mutation.red_by == "compiler":
            return False, "SURVIVED the compiler"
        red = build.red_tests(tests, mutation.seconds, mutation.sanitizer, True)
        anyway = self.red_anyway.get(mutation.sanitizer, {})
        by_bug = {name: how for name, how in red.items() if name not in anyway}
        if not by_bug:
            return False, f"SURVIVED ({len(red)} red, but red without it, too)" if red else "SURVIVED"
        return True, "; ".join(f"{name} (timeout)" if how == "TIMEOUT" else name for name, how in by_bug.items())

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        file = self.directory / "tree" / mutation.file
        before = file.read_text()
        file.write_text(before.replace(mutation.old, mutation.new))
        try:
            yield
        finally:
            file.write_text(before)  # with a new time: what was built of the bug is old


def copy_tree(target: Path) -> None:
    """Makes `target` what git has, or would have, of the tree. Files that are the same keep their time."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    wanted = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in wanted:
        file = target / name
        if not file.exists() or not filecmp.cmp(ROOT / name, file, shallow=False):
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, file)
            file.touch()
    for file in [file for file in target.rglob("*") if file.is_file()]:
        if str(file.relative_to(target)) not in wanted:
            file.unlink()


def report(name: str, what: str, seconds: float) -> None:
    print(f"{name:52} {seconds:6.1f} s  {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutations only")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    parser.add_argument("--check", action="store_true", help="only look whether the table is up to date")
    parser.add_argument("--build", type=Path, help="for --check: a build directory, whose tests must be those named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    parser.add_argument("--work", type=Path, help="a directory for the copy and its builds, used again next time")
    arguments = parser.parse_args()

    mutations, unseen = read_table()
    if arguments.list:
        for row in [*mutations, *unseen]:
            print(f"{row.name}: {row.why}" + (f" NOT SEEN: {row.reason}" if row.reason else ""))
        return 0
    faults = faults_of(mutations, unseen)
    if arguments.build is not None:
        build = Build(arguments.build)
        of_meson = (m for m in mutations if not m.is_python)
        missing = [(m.name, test) for m in of_meson for test in build.unknown_tests(m)]
        # Those tests are there where xsimd emulates vectors, which old versions do not: Meson says so.
        faults += [f"{name}: there is no test {test}" for name, test in missing if not test.endswith("emulated512")]
    if faults or arguments.check:
        print("\n".join(faults) or f"{len(mutations)} mutations are up to date, {len(unseen)} more are unseen")
        return 1 if faults else 0

    names = arguments.only or [m.name for m in mutations]
    if unknown := set(names) - {m.name for m in mutations}:
        parser.error(f"no mutation is called {', '.join(sorted(unknown))}")
    chosen = [m for m in mutations if m.name in names]
    # One build after the other, and in each file after file, so that little is compiled twice.
    chosen.sort(key=lambda m: (m.sanitizer or "", m.tests, m.file))
    with tempfile.TemporaryDirectory(prefix="twofold-mutate-") as temporary:
        place = Workplace((arguments.work or Path(temporary)).resolve(), arguments.jobs)
        if of_meson := [m for m in chosen if not m.is_python]:
            place.prepare(of_meson)
        if of_python := [m for m in chosen if m.is_python]:
            place.prepare_python(of_python)
        outcomes = []
        for mutation in chosen:
            outcome = place.outcome_of_python(mutation) if mutation.is_python else place.outcome(mutation)
            outcomes.append(outcome)
            report(mutation.name, outcome.what, outcome.seconds)
    missed = sum(not outcome.red for outcome in outcomes)
    print(f"{len(outcomes)} bugs put back, {missed} of them not seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
