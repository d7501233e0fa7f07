#!/usr/bin/env python3
"""Reads object files that were built for different instruction sets, and reports what the linker could mix up.

Of two copies of an inline function the linker keeps one, for the whole program. If that is the copy that was compiled
for AVX2, the program crashes on a machine without AVX2. So no object with kernels may define an external function. One
that was compiled without flags may have inline functions that others could get: they run on every machine.

    test_kernel_symbols.py check NM BASELINE_OBJECT TABLE=KERNEL_OBJECT=FLAGS...
    test_kernel_symbols.py one-crew NM PROGRAM
    test_kernel_symbols.py self-test NM COMPILER...

The first form checks the objects (or archives) of the wheel, each of which defines a table. The second checks that a
program with several operations has one crew of helpers. The third shows that the first can fail, on files that leak on
purpose.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Symbol:
    kind: str  # as nm has it: upper case is external, V and W are weak
    name: str

    @property
    def is_external(self) -> bool:
        # u is a GNU unique symbol; v and w, weak ones that are not defined, do not come with --defined-only.
        return self.kind.isupper() or self.kind == "u"

    @property
    def is_mergeable(self) -> bool:
        return self.kind in "VWu"


def defined_symbols(nm: str, file: str) -> set[Symbol]:
    listing = subprocess.run([nm, "--defined-only", "-P", file], capture_output=True, text=True, check=True).stdout
    # A row: name, kind, value, size. The rows between are names of an archive's members.
    rows = (line.split() for line in listing.splitlines())
    return {Symbol(row[1], row[0]) for row in rows if len(row) >= 3 and len(row[1]) == 1}


def faults(nm: str, baseline: str, kernels: dict[str, str], without_flags: frozenset[str] = frozenset()) -> list[str]:
    """All that is wrong with the objects; `kernels` maps the name of a table to its object."""
    found = []
    mergeable = {baseline: {s for s in defined_symbols(nm, baseline) if s.is_mergeable}}
    for table, file in kernels.items():
        symbols = defined_symbols(nm, file)
        dangerous = {s for s in symbols if not (table in without_flags and s.is_mergeable)}
        external = {s.name for s in dangerous if s.is_external and not s.name.startswith("DW.ref.")}
        if table not in external:
            found.append(f"{file} does not define {table}")
        found += [f"{file} defines {other}, which other files could get" for other in sorted(external - {table})]
        mergeable[file] = {s for s in dangerous if s.is_mergeable and not s.name.startswith("DW.ref.")}
    files = list(mergeable)
    for i, one in enumerate(files):
        for other in files[i + 1 :]:
            shared = {s.name for s in mergeable[one]} & {s.name for s in mergeable[other]}
            found += [f"{one} and {other} both define {name}" for name in sorted(shared)]
    return found


def check(nm: str, baseline: str, *named_objects: str) -> list[str]:
    rows = [named.split("=") for named in named_objects]
    without_flags = frozenset(table for table, _, flags in rows if not flags)
    return faults(nm, baseline, {table: file for table, file, _ in rows}, without_flags)


def one_crew(nm: str, program: str) -> list[str]:
    listing = subprocess.run([nm, "--defined-only", program], capture_output=True, text=True, check=True).stdout
    crews = [line for line in listing.splitlines() if "the_crew" in line]
    return [] if len(crews) == 1 else [f"{program} has {len(crews)} crews: {crews}"]


CLEAN = 'namespace { int hidden(int x) { return x + x; } } extern "C" int kernels_%s(int x) { return hidden(x); }'
BASELINE = "int baseline(int x) { return x; }"
INLINE = "__attribute__((noinline)) inline int merged(int x) { return x + x; } int (*use%s)(int) = merged;"
WEAK = "inline int merged(int x) { return x + x; } namespace { __attribute__((used)) int (*use)(int) = merged; }"
USE_WEAK = "int used%s() { return use(1); }"

# What is compiled, and how many faults are to be found: (baseline, {set: source}, faults). The set "none" has no flags.
SELF_TESTS = (
    (BASELINE, {"one": CLEAN, "two": CLEAN}, 0),
    (BASELINE, {"one": CLEAN, "two": CLEAN + "int leaked(int x) { return x; }"}, 1),
    (BASELINE, {"one": CLEAN.replace(" kernels_%s", " renamed_%s")}, 2),
    # merged, and the variable that uses it, are external in `one`; and merged is weak in both.
    (BASELINE + INLINE % "0", {"one": CLEAN + INLINE % "1"}, 3),
    (BASELINE, {"one": CLEAN + INLINE % "1", "two": CLEAN + INLINE % "2"}, 5),
    # Code without flags may be weak, but no more; code with flags must not be weak, even if other objects have it, too.
    (BASELINE + WEAK + USE_WEAK % "0", {"none": CLEAN + WEAK}, 0),
    (BASELINE, {"none": CLEAN + WEAK + USE_WEAK % "1"}, 1),
    (BASELINE, {"none": CLEAN + WEAK, "one": CLEAN + WEAK}, 1),
)


def self_test(nm: str, *compiler: str) -> list[str]:
    wrong = []
    with tempfile.TemporaryDirectory() as directory:

        def compiled(name: str, source: str) -> str:
            file = Path(directory, name + ".cpp")
            file.write_text(source)
            # Not optimised, so that inline functions stay.
            subprocess.run([*compiler, "-O0", "-c", file, "-o", file.with_suffix(".o")], check=True)
            return str(file.with_suffix(".o"))

        for baseline, kernels, expected in SELF_TESTS:
            objects = {
                f"kernels_{name}": compiled(name, source.replace("%s", name)) for name, source in kernels.items()
            }
            found = faults(nm, compiled("baseline", baseline), objects, frozenset({"kernels_none"}))
            if len(found) != expected:
                wrong.append(f"{expected} faults expected in {baseline} and {kernels}, but found: {found}")
    return wrong


if __name__ == "__main__":
    modes = {"check": check, "one-crew": one_crew, "self-test": self_test}
    sys.exit("\n".join(modes[sys.argv[1]](*sys.argv[2:])) or 0)
