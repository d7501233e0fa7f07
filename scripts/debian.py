#!/usr/bin/env python3
"""Runs the tests on another Debian, with its compilers, its xsimd and its Pythons: `nox -s debian`.

Needs Linux, root, and a checkout. debootstrap makes that Debian in a folder below build/, from the mirror of this
machine's apt. It is kept, so the next run only builds what has changed. At the end come rows of the table of
platforms, one for each compiler and each Python; the exit status is 1 if anything failed.

What is mounted and started for a command lives in namespaces of the command's own, which end with it. So nothing is
left behind, even if this script is killed.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parent.parent

# The Pythons of each suite.
PYTHONS = {"sid": ["3.14", "3.15"], "trixie": ["3.13"]}
COMPILERS = ["g++", "clang++"]
PACKAGES = ["g++", "clang", "libxsimd-dev", "catch2", "meson", "ninja-build", "pkg-config", "python3-dev"]
PACKAGES += ["git", "procps", "make"]

# Of the table of platforms.
HEAD = ["system", "compiler", "xsimd", "Python", "NumPy", "passed", "skipped", "failed"]
Row = list[str]

# Paths in the chroot. The tree is a copy of this one; what is built lies beside it.
WORK = "/srv/twofold"
TREE = f"{WORK}/tree"
CONSTRAINTS = f"{WORK}/constraints.txt"

# What commands in there need of this machine's environment to reach the network.
NETWORK = re.compile(r"(?i)(https?|ftp|all|no)_proxy|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)},
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    "PIP_CONSTRAINT": CONSTRAINTS,
    "XSIMD_INCLUDE_DIR": "/usr/include",
}

# setpriv ends unshare with this script, and unshare what it has started: process 1 of a namespace, with which all
# processes and all mounts of that namespace end. This one is the shell, which also waits for orphans.
CONTAINED = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
ENTER = """
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
chroot . env --chdir="$@" || exit
"""


Done = subprocess.CompletedProcess[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", nargs="?", choices=PYTHONS, default="sid")
    parser.add_argument("what", nargs="*", help="some of its Pythons and compilers, as 3.15 or g++, instead of all")
    parser.add_argument("--remove", action="store_true", help="only remove that Debian, which is kept otherwise")
    parser.add_argument("--root", type=Path, help="a folder with that Debian, to use instead of the one below build/")
    arguments = parser.parse_intermixed_args()
    if sys.platform != "linux" or os.geteuid() != 0:
        sys.exit("this needs Linux, and root")
    if arguments.remove and arguments.root:
        sys.exit("only the folder below build/ is removed")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does: the command that runs is killed
    debian = Debian(arguments.suite, (arguments.root or TOP / f"build/debian/{arguments.suite}").resolve())
    if arguments.remove:
        debian.remove()
        return 0
    what = arguments.what or [*COMPILERS, *PYTHONS[arguments.suite]]
    pythons = [name for name in what if name not in COMPILERS]
    debian.make()
    debian.install(pythons)
    debian.copy_tree()
    results = [debian.test_cpp(name) if name in COMPILERS else debian.test_python(name) for name in what]
    for row in [HEAD, ["---"] * len(HEAD), *(row for row, _ in results)]:
        print(f"| {' | '.join(row)} |")
    return 0 if all(done for _, done in results) else 1


class Debian:
    def __init__(self, suite: str, root: Path) -> None:
        self.suite = suite
        self.root = root

    # ---- the folder

    def make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.lock()
        # While debootstrap is not done, there is a folder of its own.
        if not self.path("/etc/debian_version").exists() or self.path("/debootstrap").exists():
            if shutil.which("debootstrap") is None:
                subprocess.run(["apt-get", "update"], check=True)
                subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"], check=True)
            self.refuse_if_mounted()
            for path in self.root.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            bootstrap = ["debootstrap", "--variant=minbase", "--include=ca-certificates", self.suite, str(self.root)]
            subprocess.run([*CONTAINED, *bootstrap, mirror_of_this_machine()], check=True)
        shutil.copy("/etc/resolv.conf", self.path("/etc"))
        certificates = "/usr/local/share/ca-certificates"  # those that this machine trusts besides Debian's
        shutil.copytree(certificates, self.path(certificates), dirs_exist_ok=True)
        # A mirror may be a snapshot, of a date at which its index was valid.
        self.path("/etc/apt/apt.conf.d/snapshot").write_text('Acquire::Check-Valid-Until "false";\n')
        self.path(WORK).mkdir(parents=True, exist_ok=True)
        # What pip has for Linux comes with CUDA, gigabytes of it.
        self.path(CONSTRAINTS).write_text("torch<0\n")
        self.call("update-ca-certificates")

    def lock(self) -> None:
        """Until this script ends."""
        self._lock = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{self.root} is in use by another run")

    def remove(self) -> None:
        if self.root.exists():
            self.lock()
            self.refuse_if_mounted()
            shutil.rmtree(self.root)

    def refuse_if_mounted(self) -> None:
        """Nothing of this script is ever mounted there outside of its namespaces, but something else may be."""
        mounts = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        if mounted := [str(path) for path in mounts if self.root in path.parents]:
            sys.exit(f"not removed, since these are mounted there: {', '.join(mounted)}")

    def install(self, pythons: list[str]) -> None:
        packages = [*PACKAGES, *(f"python{version}{part}" for version in pythons for part in ("", "-venv", "-dev"))]
        if self.call("dpkg", "--status", *packages, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            self.call("apt-get", "update")
            self.call("apt-get", "install", "-y", "--no-install-recommends", *packages)

    def copy_tree(self) -> None:
        """Copies what git does not ignore, with its dates: Ninja builds what is newer than its last result."""
        shutil.rmtree(self.path(TREE), ignore_errors=True)
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.check_output(listed, cwd=TOP, text=True).split("\0"):
            if (TOP / name).is_file():  # else it is deleted, or the end of the list
                copy = self.path(f"{TREE}/{name}")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, copy)

    # ---- the tests; each returns its row of the table, and whether all went well

    def test_cpp(self, compiler: str) -> tuple[Row, bool]:
        build = f"{WORK}/{compiler}"
        log = self.path(f"{build}/meson-logs/testlog.json")
        log.unlink(missing_ok=True)
        commands = [
            ["meson", "setup", "-Ddebug=false", build],  # does nothing if it has been done
            ["meson", "compile", "-C", build],  # the examples, too
            ["meson", "compile", "-C", build, "thresholds", "peers"],
            ["meson", "test", "-C", build, "--print-errorlogs", "--num-processes", "1"],
        ]
        done = all(
            self.call(*command, at=TREE, env={"CXX": compiler}, check=False).returncode == 0 for command in commands
        )
        results = [json.loads(line)["result"] for line in log.read_text().splitlines()] if log.exists() else []
        outcomes = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
        return self.row(compiler, "", "", Counter(outcomes.get(result, "failed") for result in results), done)

    def test_python(self, version: str) -> tuple[Row, bool]:
        nox, environments, report = (f"{WORK}/{version}{part}" for part in ("/nox", "/environments", "/report.xml"))
        self.path(report).unlink(missing_ok=True)
        if not self.path(f"{nox}/bin/nox").exists():
            self.call(f"python{version}", "-m", "venv", nox)
            self.call(f"{nox}/bin/pip", "install", "nox")
        options = ["--default-venv-backend", "venv", "--reuse-existing-virtualenvs", "--envdir", environments]
        session = ["--session", "py", "--force-python", version, *options, "--", "-rs", f"--junitxml={report}"]
        done = self.call(f"{nox}/bin/nox", *session, at=TREE, check=False).returncode == 0
        counts: Counter[str] = Counter()
        for case in ElementTree.parse(self.path(report)).iter("testcase") if self.path(report).exists() else []:
            tags = {child.tag for child in case}
            counts["failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"] += 1
        say = "import platform, numpy; print(platform.python_version(), numpy.__version__)"
        pythons = self.path(environments).glob("*/bin/python")
        found = [self.answer(f"/{python.relative_to(self.root)}", "-c", say) for python in pythons]
        python, numpy = found[0].split() if found else (version, "")
        return self.row("g++", python, numpy, counts, done)

    def row(self, compiler: str, python: str, numpy: str, counts: Counter[str], done: bool) -> tuple[Row, bool]:
        compiler = f"{compiler} {self.answer(compiler, '-dumpfullversion', '-dumpversion')}"
        xsimd = self.answer("pkg-config", "--modversion", "xsimd")
        failed = str(counts["failed"]) if done or counts["failed"] else "not a test"
        passed, skipped = str(counts["passed"]), str(counts["skipped"])
        return [f"Debian {self.suite}", compiler, xsimd, python, numpy, passed, skipped, failed], done

    # ---- commands in there

    def path(self, inside: str) -> Path:
        """Where a path in there is, seen from here."""
        return self.root / inside.lstrip("/")

    def call(self, *command: str, at: str = "/", check: bool = True, **options: Any) -> Done:
        contained = [*CONTAINED, "sh", "-ec", ENTER, "sh", at, *command]
        environment = {**ENVIRONMENT, **options.pop("env", {})}
        return subprocess.run(contained, cwd=self.root, env=environment, check=check, text=True, **options)

    def answer(self, *command: str) -> str:
        return self.call(*command, stdout=subprocess.PIPE).stdout.strip()


def mirror_of_this_machine() -> str:
    of_debian = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    found = subprocess.check_output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", *of_debian], text=True
    ).split()
    if not found:
        sys.exit("apt knows no mirror of Debian here (apt-get update?)")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
