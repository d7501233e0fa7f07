#!/usr/bin/env python3
"""Compiles calls that must not compile, and looks for the library's own message in what the compiler says.

test_compile_fail.py COMPILER FLAG...
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HEADERS = """
#include <array>
#include <complex>
#include <span>
#include <twofold/twofold.hpp>
#include <vector>
"""

PROGRAM = """
void test({input} in, {output} out) {{
    {call};
    (void)in;
    (void)out;
}}
"""

INTO = "twofold::double_into(in, out)"
IN_PLACE = "twofold::double_in_place(out)"
DOUBLED = "(void)twofold::doubled(in)"
FIRST_OVERFLOW = "(void)twofold::first_overflow(in)"
STRIDED = "twofold::double_strided(in, 1, out, 1, 3)"
TRANSFORM = "twofold::transform(in, out, [](auto x) noexcept { return x + x; })"
TRANSFORM_THROWING = "twofold::transform(in, out, [](auto x) { return x + x; })"
TRANSFORM_SCALARS = "twofold::transform(in, out, [](float x) noexcept { return x + x; })"
TRANSFORM_TO_OTHERS = "twofold::transform(in, out, [](auto) noexcept { return nullptr; })"
TRANSFORM_MUTABLE = "twofold::transform(in, out, [i = 0](auto x) mutable noexcept { ++i; return x + x; })"

BOOL = "twofold: bool cannot be doubled"
NO_ELEMENT = (
    "twofold: only integers of 8 to 64 bits, float, double, std::complex of these two, twofold::float16 and "
    "twofold::bfloat16 can be doubled"
)
NO_KERNEL = "twofold: a kernel must be callable when const, noexcept, and map"
NO_HALF_FLOATS = "twofold: there is no SIMD arithmetic for 16-bit floats"
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
    (INTO, "std::vector<std::complex<long double>> const&", "std::vector<std::complex<long double>>&", NO_ELEMENT),
    (INTO, "std::vector<std::complex<int>> const&", "std::vector<std::complex<int>>&", NO_ELEMENT),
    (FIRST_OVERFLOW, "std::vector<std::complex<float>> const&", "int", None),
    (FIRST_OVERFLOW, "std::array<bool, 3> const&", "int", BOOL),
    (FIRST_OVERFLOW, "std::vector<char8_t> const&", "int", NO_ELEMENT),
    (STRIDED, "twofold::float16 const*", "twofold::float16*", None),
    (STRIDED, "bool const*", "bool*", BOOL),
    (STRIDED, "long double const*", "long double*", NO_ELEMENT),
    (TRANSFORM, "std::span<float const>", "std::span<float>", None),
    (TRANSFORM, "std::span<std::complex<double> const>", "std::span<std::complex<double>>", None),
    (TRANSFORM_THROWING, "std::vector<float> const&", "std::vector<float>&", NO_KERNEL),
    (TRANSFORM_SCALARS, "std::vector<float> const&", "std::vector<float>&", NO_KERNEL),
    (TRANSFORM_TO_OTHERS, "std::vector<float> const&", "std::vector<float>&", NO_KERNEL),
    (TRANSFORM_MUTABLE, "std::vector<float> const&", "std::vector<float>&", NO_KERNEL),
    (TRANSFORM, "std::span<twofold::float16 const>", "std::span<twofold::float16>", NO_HALF_FLOATS),
    (TRANSFORM, "std::span<twofold::bfloat16 const>", "std::span<twofold::bfloat16>", NO_HALF_FLOATS),
    (TRANSFORM, "std::array<bool, 3> const&", "std::array<bool, 3>&", BOOL),
    (TRANSFORM, "std::vector<int> const&", "std::vector<unsigned>&", TYPES),
    (TRANSFORM, "std::vector<int> const&", "std::vector<int> const&", CONST),
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


with tempfile.TemporaryDirectory() as directory:
    # Compiled once: the headers are most of each program.
    headers = Path(directory, "headers.hpp")
    headers.write_text(HEADERS)
    compiler = sys.argv[1:]
    subprocess.run([*compiler, "-x", "c++-header", headers, "-o", f"{headers}.gch"], check=True)
    compiler += ["-include", str(headers)]
    faults = [fault_in(compiler, call, types, message) for call, *types, message in CASES]
sys.exit("\n".join(fault for fault in faults if fault is not None) or 0)
