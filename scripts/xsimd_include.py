#!/usr/bin/env python3
"""Prints the directory that holds xsimd/xsimd.hpp. Used by setup.py and meson.build.

The first of these that has it: $XSIMD_INCLUDE_DIR; the package pythran, which ships the headers (located, never
imported); pkg-config.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path


def candidates():
    """Yields pairs of a directory and where it comes from."""
    if "XSIMD_INCLUDE_DIR" in os.environ:
        # Said on purpose, so nothing else is tried: two versions of xsimd must not be mixed.
        yield Path(os.environ["XSIMD_INCLUDE_DIR"]), "XSIMD_INCLUDE_DIR"
        return
    pythran = importlib.util.find_spec("pythran")
    if pythran is not None and pythran.origin is not None:
        yield Path(pythran.origin).parent, "the package pythran"
    if shutil.which("pkg-config"):
        asked = ["pkg-config", "--variable=includedir", "xsimd"]
        found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if found:
            yield Path(found), "pkg-config"


def xsimd_include() -> Path:
    tried = []
    for directory, origin in candidates():
        if (directory / "xsimd" / "xsimd.hpp").is_file():
            return directory
        tried.append(f"{directory} (from {origin}) has no xsimd/xsimd.hpp")
    sys.exit(
        "twofold: the headers of xsimd (8.1 or later) were not found: "
        + ("; ".join(tried) or "no pythran package, no pkg-config entry")
        + ". Set XSIMD_INCLUDE_DIR, install the Python package pythran, or install libxsimd-dev and pkg-config."
    )


if __name__ == "__main__":
    print(xsimd_include())
