#!/usr/bin/env python3
"""Prints the version, which is written in include/twofold/version.hpp. Used by setup.py and meson.build."""

import re
from pathlib import Path

header = Path(__file__).resolve().parent.parent / "include" / "twofold" / "version.hpp"
numbers = dict(re.findall(r"^#define TWOFOLD_VERSION_(MAJOR|MINOR|PATCH) (\d+)$", header.read_text(), re.MULTILINE))
version = ".".join(numbers[part] for part in ("MAJOR", "MINOR", "PATCH"))

if __name__ == "__main__":
    print(version)
