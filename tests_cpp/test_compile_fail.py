#!/usr/bin/env python3
"""Compiles calls that must not compile, and looks for the library's own message in what the compiler says.

test_compile_fail.py COMPILER FLAG...
"""

import subprocess
import sys

PROGRAM = """
#include <array>
#include <span>
#include <twofold/twofold.hpp>
#include <vector>

void test({input} in, {output} out) {{
    {call};
    (void)in;
    (void)out;
}}
"""

INTO = "twofold::double_into(in, out)"
IN_PLACE = "twofold::double_in_place(out)"
DOUBLED = "(void)twofold::doubled(in)"

BOOL = "twofold: bool cannot be doubled"
NO_ELEMENT = "twofold: only signed and unsigned integers of 8 to 64 bits, float and double can be doubled"
CONST = "twofold: the output's elements are const"
TYPES = "twofold: input and output must have the same element type"

# Call, input, output, the message. None: it compiles, which shows that the program around the call is all right.
CASES = (
    (INTO, "std::vector<int> const&", "std::vector<int>&", None),
    (IN_PLACE, "int", "std::array<double, 3>&", None),
    (DOUBLED, "std::span<long const>", "int", None),
    (INTO, "std::array<bool, 3> const&", "std::array<bool, 3>&", BOOL),
    (IN_PLACE, "int", "std::span<bool>", BOOL),
    (DOUBLED, "std::array<bool, 3> const&", "int", BOOL),
    (INTO, "std::vector<char> const&", "std::vector<char>&", NO_ELEMENT),
    (IN_PLACE, "int", "std::vector<long double>&", NO_ELEMENT),
    (DOUBLED, "std::vector<int*> const&", "int", NO_ELEMENT),
    (INTO, "std::vector<int> const&", "std::vector<int> const&", CONST),
    (INTO, "std::vector<int> const&", "std::span<int const>", CONST),
    (IN_PLACE, "int", "std::span<int const>", CONST),
    (IN_PLACE, "int", "std::array<int, 3> const&", CONST),
    (INTO, "std::vector<int> const&", "std::vector<unsigned>&", TYPES),
    (INTO, "std::vector<float> const&", "std::vector<double>&", TYPES),
)


def fault_in(compiler: list[str], call: str, types: tuple[str, str], message: str | None) -> str | None:
    program = PROGRAM.format(call=call, input=types[0], output=types[1])
    command = [*compiler, "-x", "c++", "-fsyntax-only", "-"]
    compiled = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    case = f"{call}, in: {types[0]}, out: {types[1]}"
    if message is None:
        return None if compiled.returncode == 0 else f"{case}: does not compile\n{compiled.stderr}"
    if compiled.returncode == 0:
        return f"{case}: compiles, but should say {message!r}"
    return None if message in compiled.stderr else f"{case}: does not say {message!r}, but\n{compiled.stderr}"


faults = [fault_in(sys.argv[1:], call, types, message) for call, *types, message in CASES]
sys.exit("\n".join(fault for fault in faults if fault is not None) or 0)
