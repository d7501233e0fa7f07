"""Runs another scenario with a mechanism disabled: mutated.py STATEMENT SCENARIO ARGUMENTS."""

import runpy
import sys
from pathlib import Path

from twofold._processes import jobs  # which the statement changes

if __name__ == "__main__":
    _, statement, name, *arguments = sys.argv
    exec(statement, {"jobs": jobs})
    sys.argv = [name, *arguments]
    runpy.run_path(str(Path(__file__).with_name(f"{name}.py")), run_name="__main__")
