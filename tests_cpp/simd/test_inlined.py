#!/usr/bin/env python3
"""Reads an object file that is compiled without optimisation. The loop of a reduction and what it calls for each vector
must not be functions there: in a large program GCC would not inline them with optimisation, either.

    test_inlined.py NM OBJECT
"""

import subprocess
import sys

INLINED = ("reduce_rows", "map_lanes")

nm, file = sys.argv[1:]
symbols = subprocess.run([nm, file], capture_output=True, text=True, check=True).stdout.splitlines()
if not any("reduce_chunk" in symbol for symbol in symbols):
    sys.exit(f"no reduction is left in {file}: the test has lost its subject")
sys.exit("\n".join(symbol for symbol in symbols if any(name in symbol for name in INLINED)) or 0)
