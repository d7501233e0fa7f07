#!/usr/bin/env python3
"""Compiles calls that must not compile, and looks for the library's own message in what the compiler says.

test_compile_fail.py COMPILER FLAG...
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HEADERS = """
#include <array>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstdint>
#include <functional>
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
TRANSFORM_TWO = "twofold::transform(in, out, out, {})"  # the second input is the output
TRANSFORM_THREE = "twofold::transform(in, out, in, out, {})"

REDUCE = "(void)twofold::transform_reduce(in, {init}, {reduce}, {map})"
REDUCE_TWO = "(void)twofold::transform_reduce(in, out, {init}, {reduce}, {map})"

BOOL = "twofold: elements cannot be bool"
NO_ELEMENT = (
    "twofold: only integers of 8 to 64 bits, float, double, std::complex of these two, twofold::float16 and "
    "twofold::bfloat16 can be elements"
)
NOT_ON_ELEMENT = "twofold: a kernel must be callable with an element"
NOT_ON_BATCH = "twofold: a kernel must be callable with an xsimd::batch"
THROWS_ON_ELEMENT = "twofold: a kernel must be noexcept with an element"
THROWS_ON_BATCH = "twofold: a kernel must be noexcept with an xsimd::batch"
OTHER_ELEMENT = "twofold: a kernel must map an element to one of the same type"
OTHER_BATCH = "twofold: a kernel must map an xsimd::batch of elements to a batch of the same type"
NOT_OF_OUTPUT = "twofold: a kernel must return exactly the type of the output's elements"
INIT = "twofold: the type of init, in which values are reduced, must be"
REDUCE_NOT_ON_ELEMENTS = "twofold: reduce must be callable with two elements of the type of init"
REDUCE_NOT_ON_BATCHES = "twofold: reduce must be callable with two xsimd::batches of the type of init"
REDUCE_THROWS_ON_ELEMENTS = "twofold: reduce must be noexcept with elements"
REDUCE_THROWS_ON_BATCHES = "twofold: reduce must be noexcept with xsimd::batches"
REDUCE_OTHER_ELEMENT = "twofold: reduce must return the type of init"
REDUCE_OTHER_BATCH = "twofold: reduce must return an xsimd::batch of the type of init"
REDUCE_NOT_COPYABLE = "twofold: reduce must be copyable"
NOT_A_BODY = "twofold: a body must be callable with two std::size_t"
THROWING_BODY = "twofold: a body must be noexcept"
NO_CODE = "twofold: a body must return void, or a code that is an int"
LOOP_OF = "twofold::parallel_for(3, 8, {})"
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
    (TRANSFORM, "std::vector<int> const&", "std::vector<unsigned>&", NOT_OF_OUTPUT),
    (TRANSFORM, "std::vector<int> const&", "std::vector<int> const&", CONST),
    (TRANSFORM, "std::vector<int> const&", "std::vector<bool*>&", NO_ELEMENT),
    (TRANSFORM, "std::vector<int> const&", "std::span<bool>", BOOL),
    (TRANSFORM, "std::vector<long double> const&", "std::vector<int>&", NO_ELEMENT),
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
struct two_kinds {  // of batches only those of this instruction set
    float operator()(float x) const noexcept { return x; }
    xsimd::batch<float> operator()(xsimd::batch<float> x) const noexcept { return x; }
};
struct returns_const {
    template <class T> T const operator()(T x) const noexcept { return x; }
};
struct other_type_when_not_const {  // which it never is
    template <class T> T operator()(T x) const noexcept { return x; }
    template <class T> double* operator()(T) noexcept { return nullptr; }
};
struct says_where_batches_are_smaller {
    float operator()(float a, float) const noexcept { return a; }
    template <class Arch> auto operator()(xsimd::batch<float, Arch> a, xsimd::batch<float, Arch> b) const noexcept {
        return a < b;
    }
};
struct takes_two_when_moved {
    takes_two_when_moved() = default;
    takes_two_when_moved(takes_two_when_moved&&) = default;
    template <class T> T operator()(T a, T) const noexcept { return a; }
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

# A kernel with two inputs or with three, the elements of the first and of the output, the message.
WIDER_CASES = (
    (TRANSFORM_TWO, "[](auto x, auto y) noexcept { return x + y; }", "float", "float", None),
    (TRANSFORM_TWO, "[](auto x) noexcept { return x; }", "float", "float", NOT_ON_ELEMENT),
    (TRANSFORM_TWO, "[](float x, float) noexcept { return x; }", "float", "float", NOT_ON_BATCH),
    (TRANSFORM_TWO, "[](auto x, auto y) { return x + y; }", "float", "float", THROWS_ON_ELEMENT),
    (TRANSFORM_TWO, "[](auto x, auto y) noexcept { return x * y; }", "short", "short", OTHER_ELEMENT),
    (TRANSFORM_TWO, "[](auto x, auto) noexcept { return x; }", "float", "int", NOT_OF_OUTPUT),
    (TRANSFORM_TWO, "[](auto, auto y) noexcept { return y; }", "float", "int", None),
    (TRANSFORM_TWO, "[](float, int y) noexcept { return y; }", "float", "int", NOT_ON_BATCH),
    # Where sizes differ there are no batches, and so there may be 16-bit floats.
    (TRANSFORM_TWO, "[](double, float y) noexcept { return y; }", "double", "float", None),
    (TRANSFORM_TWO, "[](double x, float) noexcept { return x; }", "double", "float", NOT_OF_OUTPUT),
    (TRANSFORM_TWO, "[](auto, auto y) noexcept { return y; }", "twofold::float16", "float", None),
    (TRANSFORM_TWO, "[](auto, auto y) noexcept { return y; }", "twofold::float16", "short", NO_HALF_FLOATS),
    # Of complex numbers the components count.
    (TRANSFORM_TWO, "[](auto, auto y) noexcept { return y; }", "std::complex<float>", "float", None),
    (TRANSFORM_TWO, "[](std::complex<float>, float y) noexcept { return y; }", "std::complex<float>", "float",
     NOT_ON_BATCH),
    (TRANSFORM_TWO, "[](std::complex<float>, double y) noexcept { return y; }", "std::complex<float>", "double", None),
    (TRANSFORM_THREE, "[](auto x, auto y, auto z) noexcept { return x * y + z; }", "double", "double", None),
    (TRANSFORM_THREE, "[](auto x, auto y) noexcept { return x * y; }", "double", "double", NOT_ON_ELEMENT),
    (TRANSFORM_THREE, "[](auto x, auto y, auto z) noexcept { return x * y + z; }", "double", "bool", BOOL),
)  # fmt: skip
CASES += tuple(
    (call.format(kernel), f"std::span<{of_in} const>", f"std::span<{of_out}>", message)
    for call, kernel, of_in, of_out, message in WIDER_CASES
)

SUM = "[](auto a, auto b) noexcept { return a + b; }"
SAME = "[](auto x) noexcept { return x; }"

# init, reduce and map, the elements of the input, the message.
REDUCE_CASES = (
    ("0.0", SUM, SAME, "double", None),
    ("0.0", "std::plus<>{}", SAME, "double", None),
    ("std::complex<float>{}", SUM, SAME, "std::complex<float>", None),
    ("0", SUM, SAME, "double", NOT_OF_OUTPUT),
    ("0.0F", SUM, SAME, "double", NOT_OF_OUTPUT),
    ("0.0", SUM, "[](float x) noexcept { return double(x); }", "float", None),
    ("true", SUM, SAME, "int", INIT),
    ("'a'", SUM, SAME, "int", INIT),
    ("0.0L", SUM, SAME, "double", INIT),
    ("nullptr", SUM, SAME, "double", INIT),
    ("twofold::float16{}", SUM, SAME, "twofold::float16", INIT),
    ("0", SUM, "[](auto) noexcept { return 1; }", "bool", BOOL),
    # Sums of integers of 8 and 16 bits are ints: so they are reduced to those, or it is said that they wrap.
    ("std::int8_t{0}", SUM, SAME, "std::int8_t", REDUCE_OTHER_ELEMENT),
    ("std::uint16_t{0}", SUM, SAME, "std::uint16_t", REDUCE_OTHER_ELEMENT),
    ("std::int8_t{0}", "[](auto a, auto b) noexcept { return decltype(a)(a + b); }", SAME, "std::int8_t", None),
    ("0", SUM, "[](int x) noexcept { return x; }", "std::int8_t", None),
    ("0.0", "[](auto a) noexcept { return a; }", SAME, "double", REDUCE_NOT_ON_ELEMENTS),
    ("0.0", "[i = 0](auto a, auto) mutable noexcept { ++i; return a; }", SAME, "double", REDUCE_NOT_ON_ELEMENTS),
    ("0.0", "[](double a, double b) noexcept { return a + b; }", SAME, "double", REDUCE_NOT_ON_BATCHES),
    ("0.0", "[](double a, double b) noexcept { return a + b; }", "[](float x) noexcept { return double(x); }", "float",
     None),
    ("0.0", "[](auto a, auto b) { return a + b; }", SAME, "double", REDUCE_THROWS_ON_ELEMENTS),
    ("0.0", "[](auto a, auto b) { return a + b; }", SAME, "double", REDUCE_THROWS_ON_BATCHES),
    ("0.0F", "says_where_batches_are_smaller{}", SAME, "float", REDUCE_OTHER_BATCH),
    ("0.0", "takes_two_when_moved{}", SAME, "double", REDUCE_NOT_COPYABLE),
    ("0.0", SUM, "[](auto x) { return x; }", "double", THROWS_ON_ELEMENT),
    ("0.0", SUM, "[](double x) noexcept { return x; }", "double", NOT_ON_BATCH),
    ("0.0", SUM, "only_when_moved{}", "double", NOT_COPYABLE),
    ("0.0", SUM, "[](auto x, auto y) noexcept { return x * y; }", "double", NOT_ON_ELEMENT),
)  # fmt: skip
CASES += tuple(
    (REDUCE.format(init=init, reduce=reduce, map=map_each), f"std::span<{element} const>", "int", message)
    for init, reduce, map_each, element, message in REDUCE_CASES
)
CASES += tuple(
    (REDUCE_TWO.format(init="0.0", reduce=SUM, map=map_two), "std::span<double const>", f"std::span<{second}>", message)
    for map_two, second, message in (
        ("[](auto x, auto y) noexcept { return x * y; }", "double", None),
        ("[](double x, float y) noexcept { return x * double(y); }", "float", None),
        ("[](auto x) noexcept { return x; }", "double", NOT_ON_ELEMENT),
        ("[](double x, float y) noexcept { return float(x) * y; }", "float", NOT_OF_OUTPUT),
    )
)

BODY_CASES = (
    ("[](std::size_t, std::size_t) noexcept {}", None),
    ("[](std::size_t, std::size_t) noexcept { return 0; }", None),
    ("[](auto, auto) noexcept {}", None),
    ("[](std::size_t, std::size_t) {}", THROWING_BODY),
    ("[](std::size_t) noexcept {}", NOT_A_BODY),
    ("[i = 0](std::size_t, std::size_t) mutable noexcept { ++i; }", NOT_A_BODY),
    ("3", NOT_A_BODY),
    ("[](std::size_t, std::size_t) noexcept { return 0L; }", NO_CODE),
    ("[](std::size_t, std::size_t) noexcept { return true; }", NO_CODE),
)
CASES += tuple((f"(void){LOOP_OF.format(body)}", "int", "int", message) for body, message in BODY_CASES)

# A batch as a condition. With AVX-512, whose masks convert to bool, the compiler alone would say nothing.
NO_CONDITION = "batch_bool"
WIDE = ["-mavx512f", "-mavx512cd", "-mavx512dq", "-mavx512bw"]
CONDITIONS = (
    ("[](auto x) noexcept { return x < 1 ? x : decltype(x)(1); }", NO_CONDITION),
    ("[](auto x) noexcept { if (x == decltype(x)(1)) return x; return decltype(x)(x + x); }", NO_CONDITION),
    ("[](auto x) noexcept { return x; }", None),
    ("two_kinds{}", None),
)
CONDITION_CASES = [
    (TRANSFORM_BY.format(kernel), f"std::vector<{element}> const&", f"std::vector<{element}>&", message)
    for kernel, message in CONDITIONS
    for element in ("float", "double", "std::int32_t", "std::uint8_t")
    if kernel != "two_kinds{}" or element == "float"
]
LARGEST = "[](auto a, auto b) noexcept { return a < b ? b : a; }"
EACH = "[](auto x) noexcept { return x; }"
CONDITION_CASES += [
    (REDUCE.format(init="1.0F", reduce=LARGEST, map=EACH), "std::span<float const>", "int", NO_CONDITION),
]


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


def fault_in_an_older_standard(compiler: list[str]) -> str | None:
    """What is said there comes first, and alone: no header goes on to templates that such a compiler does not know."""
    command = [*compiler, "-std=c++17", "-x", "c++", "-fsyntax-only", "-"]
    said = subprocess.run(
        command, input="#include <twofold/twofold.hpp>", capture_output=True, text=True, check=False
    ).stderr
    errors = [line for line in said.splitlines() if "error:" in line]
    return None if len(errors) == 2 and "twofold needs C++20" in errors[0] else f"with -std=c++17:\n{said}"


def faults_in(compiler: list[str], cases: Sequence[tuple[str, str, str, str | None]]) -> list[str | None]:
    with tempfile.TemporaryDirectory() as directory:
        # Compiled once: the headers are most of each program.
        headers = Path(directory, "headers.hpp")
        headers.write_text(HEADERS + KERNELS)
        subprocess.run([*compiler, "-x", "c++-header", headers, "-o", f"{headers}.gch"], check=True)
        with_headers = [*compiler, "-include", str(headers)]
        return [fault_in(with_headers, call, types, message) for call, *types, message in cases]


compiler = sys.argv[1:]
faults = [fault_in_an_older_standard(compiler), *faults_in(compiler, (*CASES, *CONDITION_CASES))]
machine = subprocess.run([*compiler, "-dumpmachine"], capture_output=True, text=True, check=True).stdout
if machine.startswith("x86_64"):
    faults += faults_in([*compiler, *WIDE], CONDITION_CASES)
sys.exit("\n".join(fault for fault in faults if fault is not None) or 0)
