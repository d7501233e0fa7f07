#!/usr/bin/env python3
"""Installs the headers into an empty directory, and builds and runs a program with what pkg-config says about them.

    test_installed_package.py MESON BUILD_DIRECTORY VERSION XSIMD_DIRECTORY COMPILER...

MESON is a command line. Needs pkg-config.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
#include <cstdio>
#include <twofold/twofold.hpp>
#include <vector>

int main() {
    std::vector<float> values(5'000'000, 21);
    twofold::double_in_place(values, {.threads = 2});
    std::printf("%s: %g\\n", TWOFOLD_VERSION, static_cast<double>(values.back()));
}
"""


def output_of(*command: str | Path, **environment: str) -> str:
    env = os.environ | environment
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.strip()


def main(meson: str, build: str, version: str, xsimd: str, *compiler: str) -> str | None:
    standard = ("/usr/include", "/usr/local/include")
    with tempfile.TemporaryDirectory() as directory:
        output_of(*shlex.split(meson), "install", "-C", build, "--no-rebuild", "--destdir", directory)
        (package,) = Path(directory).rglob("twofold.pc")
        for place in (build, directory, xsimd):
            if place not in standard and place in package.read_text():
                return f"{package.name} cannot be moved: it names {place}"

        def asked(*what: str) -> str:
            return output_of("pkg-config", *what, "twofold", PKG_CONFIG_PATH=str(package.parent))

        if asked("--modversion") != version:
            return f"pkg-config says version {asked('--modversion')}, but it is {version}"
        include = Path(asked("--variable=includedir"), "twofold")
        source = Path(__file__).resolve().parent.parent / "include" / "twofold"
        installed, wanted = ({str(file.relative_to(top)) for file in top.rglob("*")} for top in (include, source))
        if installed != wanted:
            return f"not the headers that should be there: {sorted(installed)}"

        needs_xsimd = "xsimd" not in asked("--print-requires") and xsimd not in standard
        flags = shlex.split(asked("--cflags", "--libs")) + (["-isystem", xsimd] if needs_xsimd else [])
        program = Path(directory, "consumer")
        program.with_suffix(".cpp").write_text(PROGRAM)
        output_of(*compiler, "-std=c++20", "-O1", program.with_suffix(".cpp"), "-o", program, *flags)
        said = output_of(program)
        return None if said == f"{version}: 42" else f"the program said {said!r}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
