#!/usr/bin/env python3
"""Reads two object files that include twofold with different instruction-set flags. No function of the library may have
the same name in both: the linker would keep one copy for the whole program, and that could be the wrong one.

    test_shared_symbols.py NM OBJECT OBJECT
"""

import re
import subprocess
import sys


def functions_of_twofold(nm: str, file: str) -> dict[str, str]:
    """The external functions of namespace twofold: their symbols, and how they are written in C++."""

    def listed(*options: str) -> list[str]:
        asked = [nm, "--defined-only", "--no-sort", *options, file]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()

    # The destructor of overflow_error cannot have another name in each file, as all files must mean one class when
    # they throw and catch it. It calls that of its base, and has nothing that an instruction set could do otherwise.
    exempt = re.compile(r"_ZN7twofold\w+14overflow_errorD[012]Ev$")
    # A row: value, kind, name. T and W are functions; the library's data is meant to be one for the program.
    symbol = re.compile(r"\w+ [TW] (_ZZ?NK?7twofold\w+)$")
    rows = zip(listed(), listed("--demangle"), strict=True)
    return {
        found[1]: readable.split(maxsplit=2)[2]
        for row, readable in rows
        if (found := symbol.match(row)) and not exempt.match(found[1])
    }


nm, *files = sys.argv[1:]
one, other = (functions_of_twofold(nm, file) for file in files)
if not one or not other:
    sys.exit(f"no function of twofold is left in {files}: the test has lost its subject")
sys.exit("\n".join(f"both files define {one[name]}" for name in sorted(one.keys() & other.keys())) or 0)
