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
#include <cmath>
#include <complex>
#include <concepts>
#include <cstdint>
#include <span>
#include <twofold/twofold.hpp>
#include <type_traits>
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
ARRAY = "twofold::double_array(in, out)"
TRANSFORM = "twofold::transform(in, out, [](auto x) noexcept { return x + x; })"
TRANSFORM_BY = "twofold::transform(in, out, {})"

BOOL = "twofold: bool cannot be doubled"
NO_ELEMENT = (
    "twofold: only integers of 8 to 64 bits, float, double, std::complex of these two, twofold::float16 and "
    "twofold::bfloat16 can be doubled"
)
NOT_ON_ELEMENT = "twofold: a kernel must be callable with an element"
NOT_ON_BATCH = "twofold: a kernel must be callable with an xsimd::batch"
THROWS_ON_ELEMENT = "twofold: a kernel must be noexcept with an element"
THROWS_ON_BATCH = "twofold: a kernel must be noexcept with an xsimd::batch"
OTHER_ELEMENT = "twofold: a kernel must map an element to one of the same type"
OTHER_BATCH = "twofold: a kernel must map an xsimd::batch of elements to a batch of the same type"
NOT_COPYABLE = "twofold: a kernel must be copyable"
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
    (ARRAY, "twofold::array_view<int const>", "twofold::array_view<int>", None),
    (ARRAY, "twofold::array_view<bool const>", "twofold::array_view<bool>", BOOL),
    (ARRAY, "twofold::array_view<long double const>", "twofold::array_view<long double>", NO_ELEMENT),
    (TRANSFORM, "std::span<float const>", "std::span<float>", None),
    (TRANSFORM, "std::span<std::complex<double> const>", "std::span<std::complex<double>>", None),
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

# A kernel, the elements that it is to transform, the message. Those that are not one line stand in KERNELS.
KERNELS = """
template <class T> inline constexpr bool is_batch = !std::is_arithmetic_v<T>;
struct throws_with_batches {
    template <class T> T operator()(T x) const noexcept(!is_batch<T>) { return x; }
};
struct throws_with_elements {
    template <class T> T operator()(T x) const noexcept(is_batch<T>) { return x; }
};
struct says_where_batches_are_true {
    float operator()(float x) const noexcept { return x; }
    template <class Arch> auto operator()(xsimd::batch<float, Arch> x) const noexcept { return x < x; }
};
struct loses_the_type_of_batches {
    float operator()(float x) const noexcept { return x; }
    template <class Arch> float operator()(xsimd::batch<float, Arch>) const noexcept { return 0; }
};
struct proxy {
    float x;
    operator float() const noexcept { return x; }
};
struct returns_proxies {
    proxy operator()(float x) const noexcept { return {x}; }
    template <class Arch> auto operator()(xsimd::batch<float, Arch> x) const noexcept { return x; }
};
struct returns_const {
    template <class T> T const operator()(T x) const noexcept { return x; }
};
struct other_type_when_not_const {  // which it never is
    template <class T> T operator()(T x) const noexcept { return x; }
    template <class T> double* operator()(T) noexcept { return nullptr; }
};
struct only_when_moved {
    only_when_moved() = default;
    only_when_moved(only_when_moved&&) = default;
    template <class T> T operator()(T x) const noexcept { return x; }
};
"""

KERNEL_CASES = (
    ("[](auto x) noexcept { return x * 3u; }", "std::uint32_t", None),
    ("[](auto x) noexcept { return x * 0.1F; }", "float", None),
    ("[](auto x) noexcept { return x * 0.1; }", "double", None),
    ("[](auto x) noexcept { return x * 0.1; }", "float", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x * 2.5; }", "int", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x * 3u; }", "int", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x * 3LL; }", "int", OTHER_ELEMENT),
    # What C++ promotes to int.
    ("[](auto x) noexcept { return x + x; }", "std::int8_t", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x + x; }", "std::uint8_t", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x * 3u; }", "std::int16_t", OTHER_ELEMENT),
    ("[](auto x) noexcept { return ~x; }", "std::uint16_t", OTHER_ELEMENT),
    ("[](auto x) noexcept { return static_cast<decltype(x)>(x + x); }", "std::int8_t", None),
    ("[](auto x) noexcept { return static_cast<decltype(x)>(x * decltype(x)(3)); }", "std::uint16_t", None),
    ("[](auto x) noexcept { return x; }", "std::int8_t", None),
    ("[](auto x) noexcept { return x * 2.0F; }", "std::complex<float>", None),
    ("[](auto x) noexcept { return x.real(); }", "std::complex<float>", OTHER_ELEMENT),
    ("[](auto x) noexcept { return x < x; }", "float", OTHER_ELEMENT),
    ("[](auto) noexcept { return nullptr; }", "float", OTHER_ELEMENT),
    ("[](auto) noexcept {}", "float", OTHER_ELEMENT),
    ("returns_proxies{}", "float", OTHER_ELEMENT),
    ("[](xsimd::batch<float> x) noexcept { return x; }", "float", OTHER_ELEMENT),
    ("says_where_batches_are_true{}", "float", OTHER_BATCH),
    ("loses_the_type_of_batches{}", "float", OTHER_BATCH),
    ("[](auto const& x) noexcept -> auto const& { return x; }", "float", None),
    ("returns_const{}", "float", None),
    ("other_type_when_not_const{}", "float", None),
    ("[](auto x) { return x + x; }", "float", THROWS_ON_ELEMENT),
    ("[](auto x) { return x + x; }", "float", THROWS_ON_BATCH),
    ("throws_with_elements{}", "float", THROWS_ON_ELEMENT),
    ("throws_with_batches{}", "float", THROWS_ON_BATCH),
    ("[](float x) noexcept { return x + x; }", "float", NOT_ON_BATCH),
    ("[](std::floating_point auto x) noexcept { return x + x; }", "float", NOT_ON_BATCH),
    ("[i = 0](auto x) mutable noexcept { ++i; return x; }", "float", NOT_ON_ELEMENT),
    ("[i = 0](auto x) mutable noexcept { ++i; return x; }", "float", NOT_ON_BATCH),
    ("[](auto* x) noexcept { return *x; }", "float", NOT_ON_ELEMENT),
    ("3", "float", NOT_ON_ELEMENT),
    ("only_when_moved{}", "float", NOT_COPYABLE),
    # A body that does not compile is the compiler's to say; it names the concept that it looked at.
    ("[](auto x) noexcept { return x.no_such_member(); }", "float", "kernel_callable_with"),
    ("[](auto x) noexcept { return std::ilogb(x); }", "float", "kernel_callable_with"),
)
CASES += tuple(
    (TRANSFORM_BY.format(kernel), f"std::vector<{element}> const&", f"std::vector<{element}>&", message)
    for kernel, element, message in KERNEL_CASES
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
    headers.write_text(HEADERS + KERNELS)
    compiler = sys.argv[1:]
    subprocess.run([*compiler, "-x", "c++-header", headers, "-o", f"{headers}.gch"], check=True)
    compiler += ["-include", str(headers)]
    faults = [fault_in(compiler, call, types, message) for call, *types, message in CASES]
sys.exit("\n".join(fault for fault in faults if fault is not None) or 0)
