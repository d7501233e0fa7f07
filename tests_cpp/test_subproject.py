#!/usr/bin/env python3
"""Builds and runs a Meson project that has twofold in its folder `subprojects`.

    test_subproject.py MESON SOURCE_DIRECTORY XSIMD_DIRECTORY COMPILER...

MESON is a command line.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = """
project('consumer', 'cpp', default_options: ['cpp_std=c++20', 'optimization=1'])
subproject('twofold')
executable('consumer', 'consumer.cpp', dependencies: dependency('twofold'))
"""

PROGRAM = """
#include <cstdio>
#include <twofold/twofold.hpp>
#include <vector>

int main() {
    std::vector<unsigned> values(1'000'000, 21);
    twofold::double_in_place(values, {.threads = 2});
    std::printf("%u\\n", values.back());
}
"""


def main(meson: str, source: str, xsimd: str, *compiler: str) -> str | None:
    environment = os.environ | {"XSIMD_INCLUDE_DIR": xsimd, "CXX": shlex.join(compiler)}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    with tempfile.TemporaryDirectory() as directory:
        consumer = Path(directory, "consumer")
        (consumer / "subprojects").mkdir(parents=True)
        # As a symbolic link: a checkout may hold builds of gigabytes.
        (consumer / "subprojects" / "twofold").symlink_to(source, target_is_directory=True)
        (consumer / "meson.build").write_text(PROJECT)
        (consumer / "consumer.cpp").write_text(PROGRAM)
        build = Path(directory, "build")
        run(*shlex.split(meson), "setup", build, consumer)
        run(*shlex.split(meson), "compile", "-C", build)
        said = run(build / "consumer").strip()
        return None if said == "42" else f"the program said {said!r}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
