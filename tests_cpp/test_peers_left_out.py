#!/usr/bin/env python3
"""What happens to be installed does not stop the benchmarks: a peer that does not build is left out, and named.

    test_peers_left_out.py MESON SOURCE_DIRECTORY XSIMD_DIRECTORY COMPILER...

MESON is a command line. Needs pkg-config.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

# A library that does not compile, as Highway 1.0 on new processors, and one that cannot be linked.
BROKEN_TBB = ("tbb", "-lno_such_library_of_twofold")
PACKAGES = {"highway": ("libhwy", ""), "par_unseq": BROKEN_TBB, "tbb": BROKEN_TBB}
HEADER = "hwy/highway.h"


def main(meson: str, source: str, xsimd: str, *compiler: str) -> str | None:
    with tempfile.TemporaryDirectory() as directory:
        include = Path(directory, "include")
        (include / HEADER).parent.mkdir(parents=True)
        (include / HEADER).write_text('#error "Logic error: best baseline should be included in dynamic targets"\n')
        for package, library in PACKAGES.values():
            lines = (
                f"Name: {package}",
                "Description: broken",
                "Version: 9",
                f"Cflags: -I{include}",
                f"Libs: {library}",
            )
            Path(directory, f"{package}.pc").write_text("\n".join(lines) + "\n")
        environment = os.environ | {
            "XSIMD_INCLUDE_DIR": xsimd,
            "CXX": shlex.join(compiler),
            "PKG_CONFIG_PATH": directory,
        }
        build = Path(directory, "build")
        command = [*shlex.split(meson), "setup", "-Dtests=false", build, source]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stdout + done.stderr
        targets = json.loads((build / "meson-info" / "intro-targets.json").read_text())
        built = {target["name"] for target in targets}
        if "peers_plain" not in built:
            return f"no benchmark at all: {sorted(built)}"
        summary = [" ".join(line.split()).replace(" :", ":") for line in done.stdout.splitlines()]
        for peer in PACKAGES:
            if f"peers_{peer}" in built:
                return f"{peer} is to be built, which cannot be"
            if f"{peer}: left out, since it does not build here" not in summary:
                return f"nobody says that {peer} is left out:\n{done.stdout}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
