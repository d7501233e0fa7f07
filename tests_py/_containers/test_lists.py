"""Lists and other sequences: [v + v for v in values], exactly; with dtype, a native array of that type."""

import contextlib
import functools
import gc
import math
import numbers
import os
import random
import re
import struct
import sys
import threading
import tracemalloc
import uuid
from collections import UserString, deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import twofold
from conftest import ELEMENTS, ROWS, expected_double, lowest_and_highest, native, run_script, sample
from hypothesis import given, settings
from hypothesis import strategies as st

INTEGERS = [element for element in ELEMENTS if "int" in element]

# The bits of the mantissa of each float type, with the one that is not stored, and the exponent of its least normal
# number.
FLOATS = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126), "float64": (53, -1022)}
COMPLEXES = {"complex64": "float32", "complex128": "float64"}

# A list is processed in slices of 2**16 items, between which other threads may run; this is several of them.
SEVERAL_SLICES = 3 * 2**16 + 5


def rounded(value: float, element: str) -> float:
    """The nearest number of a float type, and of two the even one; infinite beyond the greatest."""
    mantissa_bits, min_exponent = FLOATS[element]
    if value == 0 or not math.isfinite(value):
        return value
    exponent = max(math.frexp(value)[1] - 1, min_exponent)
    unit = Fraction(2) ** (exponent - mantissa_bits + 1)
    nearest = round(Fraction(value) / unit) * unit  # `round` prefers the even one
    beyond = Fraction(2) ** (2 - min_exponent)
    return math.copysign(math.inf if abs(nearest) >= beyond else float(nearest), value)


def same(a: object, b: object) -> bool:
    """Of the same type and value; a NaN is the same as another, and -0.0 not the same as 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex) and isinstance(b, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return a == b


def assert_same(result: list, expected: list) -> None:
    assert type(result) is list
    assert len(result) == len(expected)
    for i, (a, b) in enumerate(zip(result, expected, strict=True)):
        assert same(a, b), f"item {i}: {a!r}, not {b!r}"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, 2, 3, 4, 5],
        [0, -1, 2**30 - 1, 2**30, 2**62 - 1, 2**62, -(2**62), -(2**62) - 1, 2**63, 2**64, -(2**200), 10**400],
        [1.5, -0.0, math.inf, 5e-324, 1.7e308],
        [True, False],
        [1 + 2j, Decimal("1.1"), Fraction(1, 3)],
        [*range(-300, 300), *(s * (2**k + d) for k in range(28, 66) for d in (-1, 0, 1) for s in (1, -1))],
        [1, 1.5, 2, 2.5, True, 2**70, 1j, Fraction(1, 7), 3, 3.5] * 300,
        list(range(SEVERAL_SLICES)),
        [True] * SEVERAL_SLICES,
    ],
    ids=lambda values: f"{len(values)} items",
)
@pytest.mark.parametrize("container", [list, tuple, deque])
def test_doubles_numbers_exactly(container, values):
    assert_same(twofold.double(container(values)), [v + v for v in values])


NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.complex_numbers(),
    st.booleans(),
    st.fractions(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
)


@settings(deadline=None, database=None, derandomize=True, max_examples=300)
@given(st.lists(st.one_of(NUMBERS, st.integers(0, 300)), max_size=300))
def test_doubles_any_numbers_exactly(values):
    assert_same(twofold.double(values), [v + v for v in values])


@pytest.mark.parametrize(
    "values", [range(0), range(5), range(5, 50, 7), range(50, 5, -7), range(2**70, 2**70 + 9, 2), range(9, 3)], ids=str
)
def test_doubles_a_range(values):
    assert_same(twofold.double(values), [2 * v for v in values])
    assert_same(twofold.double(values, dtype="float64"), [2.0 * v for v in values])


def test_leaves_the_input_as_it_was():
    values = [1, 2.5, 3]
    twofold.double(values)
    assert values == [1, 2.5, 3]


@pytest.mark.parametrize("value", [7, 2**70, 1.5, 3 - 4j, True])
def test_doubles_a_single_number(value):
    result = twofold.double(value)
    assert result == value + value
    assert type(result) is type(value + value)


def test_doubles_a_single_number_in_a_fixed_width():
    assert twofold.double(2**31 + 1, dtype="uint32") == 2


NO_NUMBERS = ["x", None, [1], (1,), {1}, {}, b"1", object(), UserString("12"), uuid.uuid4(), np.arange(2), np.True_]


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=lambda bad: type(bad).__name__)
@pytest.mark.parametrize("dtype", [None, "uint32", "float64"])
def test_names_the_index_of_an_item_that_is_no_number(bad, dtype):
    with pytest.raises(TypeError, match=r"values\[3\]"):
        twofold.double([1, 2, 3, bad, 5], dtype=dtype)


@pytest.mark.parametrize("n", [0, 1, 1000, SEVERAL_SLICES])
def test_a_fixed_width_wraps(element, n):
    values = sample(element, n)
    assert_same(twofold.double(values, dtype=element), expected_double(element, values))


@pytest.mark.parametrize("element", INTEGERS)
def test_a_fixed_width_clamps(element):
    lowest, highest = lowest_and_highest(element)
    values = sample(element, 1000)
    result = twofold.double(values, dtype=element, overflow="saturate")
    assert_same(result, [min(max(2 * v, lowest), highest) for v in values])


@pytest.mark.parametrize("element", INTEGERS)
def test_a_fixed_width_raises(element):
    lowest, highest = lowest_and_highest(element)
    fits = [lowest // 2 + lowest % 2, 0, highest // 2] * 100
    assert_same(twofold.double(fits, dtype=element, overflow="raise"), [2 * v for v in fits])
    for value in {highest // 2 + 1, highest, lowest or highest}:
        with pytest.raises(OverflowError, match=rf"values\[300\] is {value}, whose double does not fit {element}"):
            twofold.double([*fits, value, highest], dtype=element, overflow="raise")


@pytest.mark.parametrize("element", FLOATS)
def test_a_float_type_raises_where_its_numbers_become_infinite(element):
    mantissa_bits, min_exponent = FLOATS[element]
    highest = float((2 - Fraction(2) ** (1 - mantissa_bits)) * Fraction(2) ** (1 - min_exponent))
    values = [highest / 2, -highest / 2, math.inf, -math.inf, 0.0]
    assert_same(twofold.double(values, dtype=element, overflow="raise"), [2 * v for v in values])
    assert_same(twofold.double([highest], dtype=element), [math.inf])
    with pytest.raises(OverflowError, match=rf"values\[5\] is .* whose double does not fit {element}"):
        twofold.double([*values, -highest], dtype=element, overflow="raise")


def test_floats_of_python_raise_where_they_become_infinite():
    values = [1.5, 1j, math.inf, complex(1, -math.inf), 2**2000, np.float64(-math.inf)]
    assert_same(twofold.double(values, overflow="raise"), [v + v for v in values])
    for value in (1e308, -1e308, 1e308j, complex(-1e308, 0), np.float64(1e308)):
        with np.errstate(over="ignore"):
            assert_same(twofold.double([value]), [value + value])
        with pytest.raises(OverflowError, match=r"values\[6\] is .*, whose double does not fit float64"):
            twofold.double([*values, value], overflow="raise")
    with pytest.raises(OverflowError, match=r"1e.308, whose double does not fit float64"):
        twofold.double(1e308, overflow="raise")


def floats_round(element: str) -> list[float]:
    """Numbers that are hard to round to a float type."""
    mantissa_bits, min_exponent = FLOATS[element]
    exponents = [min_exponent - mantissa_bits - 1, min_exponent - 2, min_exponent - 1, min_exponent, -1, 0, 5]
    ones = (2**mantissa_bits - 1, 2 ** (mantissa_bits - 1), 2 ** (mantissa_bits - 1) + 1, 1, 3)
    # Halfway between two, and as near to it as Python's floats come.
    near = [math.ldexp(one + half, e - mantissa_bits + 1) for one in ones for half in (0, 0.5) for e in exponents]
    near += [math.nextafter(v, w) for v in near for w in (0.0, math.inf)]
    drawn = random.Random(0)
    near += [math.ldexp(drawn.random(), drawn.randint(min_exponent - 30, 1 - min_exponent)) for _ in range(2000)]
    return [*near, *(-v for v in near), 0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324]


@pytest.mark.parametrize("element", FLOATS)
def test_a_float_is_rounded_once(element):
    values = floats_round(element)
    halves = [rounded(v, element) for v in values]
    # The double has one bit more below the least normal number than its half.
    assert_same(twofold.double(values, dtype=element), [rounded(2 * v, element) for v in halves])


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_a_16_bit_float_takes_each_of_its_values(element):
    bits = np.arange(2**16, dtype=np.uint32)
    values = bits.astype(np.uint16).view(np.float16) if element == "float16" else (bits << 16).view(np.float32)
    with np.errstate(all="ignore"):
        doubled = values.astype(np.float64) * 2
        expected = [rounded(v, element) for v in doubled.tolist()]
    assert_same(twofold.double(values.tolist(), dtype=element), expected)


@pytest.mark.parametrize("element", COMPLEXES)
def test_a_complex_type(element):
    part = COMPLEXES[element]
    values = [1, -2.5, True, 1 + 2j, complex(-0.0, -0.0), complex(math.inf, math.nan), 0.1 + 0.3j, np.complex64(2j)]
    values += [Fraction(1, 4), Decimal("0.5"), np.float32(0.5)]
    halves = [complex(v) for v in values]
    expected = [complex(2 * rounded(v.real, part), 2 * rounded(v.imag, part)) for v in halves]
    assert_same(twofold.double(values, dtype=element), expected)
    with pytest.raises(OverflowError, match=rf"values\[1\] is 1000.*, which does not fit {element}"):
        twofold.double([1j, 10**400], dtype=element)
    with pytest.raises(OverflowError, match=rf"values\[1\] is .*, whose double does not fit {element}"):
        twofold.double([1j, complex(0, 3e38 if part == "float32" else 1.7e308)], dtype=element, overflow="raise")


@pytest.mark.parametrize("element", [name for name, row in ROWS.items() if not row["in_library"]])
@pytest.mark.parametrize("values", [[], [1]])
def test_refuses_types_that_python_has_no_numbers_for(element, values):
    with pytest.raises(TypeError, match=f"a list cannot be doubled with dtype {element}"):
        twofold.double(values, dtype=element)


@pytest.mark.parametrize("element", INTEGERS)
@pytest.mark.parametrize("too_far", [1, 2**80])
def test_names_the_index_of_an_item_that_does_not_fit(element, too_far):
    lowest, highest = lowest_and_highest(element)
    for value in (lowest - too_far, highest + too_far):
        with pytest.raises(OverflowError, match=rf"values\[2\] is .* does not fit {element}"):
            twofold.double([lowest, highest, value], dtype=element)


@pytest.mark.parametrize("element", INTEGERS)
def test_names_the_index_of_an_item_that_is_no_integer(element):
    with pytest.raises(TypeError, match=r"values\[1\] is 1.5 \(float\), not an integer"):
        twofold.double([1, 1.5], dtype=element)


def test_names_the_index_of_a_float_that_does_not_fit():
    with pytest.raises(OverflowError, match=r"values\[1\] is 1e\+39, which does not fit float32"):
        twofold.double([1, 1e39], dtype="float32")
    with pytest.raises(OverflowError, match=r"values\[0\] is 1000.*\.\.\., which does not fit float64"):
        twofold.double([10**400], dtype="float64")
    for dtype, highest, ulp in (("float16", 65504.0, 2.0**5), ("bfloat16", 0xFF * 2.0**120, 2.0**120)):
        assert twofold.double([math.nextafter(highest + ulp / 2, 0)], dtype=dtype) == [math.inf]
        with pytest.raises(OverflowError, match=rf"values\[1\] is .*, which does not fit {dtype}"):
            twofold.double([highest, -(highest + ulp / 2)], dtype=dtype)
    with pytest.raises(OverflowError, match=r"values\[1\] is .*, which does not fit complex64"):
        twofold.double([1, complex(0, 1e39)], dtype="complex64")
    with pytest.raises(TypeError, match=r"values\[0\] is 1j \(complex\), not a real number"):
        twofold.double([1j], dtype="float64")


def test_an_item_too_long_to_print_is_named_by_its_index():
    for dtype in ("uint32", "int64", "float64"):
        with pytest.raises(OverflowError, match=rf"values\[1\] is <int>, which does not fit {dtype}"):
            twofold.double([1, 10**5000], dtype=dtype)
    assert twofold.double([10**5000]) == [2 * 10**5000]


def test_an_item_whose_repr_fails_is_named_by_its_index():
    class Nameless:
        def __repr__(self):
            raise ZeroDivisionError

    with pytest.raises(TypeError, match=r"values\[1\] is <.*Nameless>"):
        twofold.double([1, Nameless()])


def test_a_number_that_cannot_be_added_is_named_by_its_index():
    class Lonely(numbers.Number):
        pass

    with pytest.raises(TypeError, match=r"values\[1\] is .* not a number that can be added"):
        twofold.double([1, Lonely()])
    with pytest.raises(TypeError, match=r"values\[1\] is .* not a real number"):
        twofold.double([1, Lonely()], dtype="float64")


# NumPy's classes of numbers, a few of which are others' by another name.
KINDS_OF_NUMPY = {np.dtype(letter).type for letter in "bBhHiIlLqQefdgFDG"} | {np.timedelta64}


def greatest(kind: type) -> object:
    if kind is np.timedelta64:
        return kind(2**63 - 1, "s")
    return kind(np.iinfo(kind).max if issubclass(kind, np.integer) else np.finfo(kind).max)


@pytest.mark.parametrize("kind", sorted(KINDS_OF_NUMPY, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_scalars_of_numpy_wrap_only_where_that_is_asked_for(kind):
    """Which their own arithmetic always does."""
    highest = greatest(kind)
    objects = np.array([1, None], object)
    objects[1] = highest
    for call, items in (
        (twofold.double, [1, highest]),
        (twofold.double, (1, highest)),
        (twofold.double, objects),
        (functools.partial(twofold.double, where=[True, True], out=np.empty(2, object)), objects),
    ):
        with pytest.raises(OverflowError, match=r"^values\[1\] is .*, whose double does not fit"):
            call(items, overflow="raise")
        with np.errstate(over="ignore"):
            one, other = call(items, overflow="saturate")
        assert one == 2
        assert type(other) is kind
        assert other == (highest if issubclass(kind, np.integer) else np.inf)
    with pytest.raises(OverflowError, match="does not fit"):
        twofold.ufuncs.doubled_checked(objects)
    assert twofold.double([kind(3)], overflow="raise") == [kind(6)]


def test_a_type_has_the_names_that_numpy_knows_even_if_it_is_not_imported():
    run_script("""
        import sys
        import twofold
        assert twofold.double([1, 2**31], dtype="uint32") == [2, 0]
        assert "numpy" not in sys.modules
        for dtype in ("u4", "I", "<u4"):
            assert twofold.double([1, 2**31], dtype=dtype) == [2, 0]
        assert twofold.double([1], dtype=float) == [2.0]
        for dtype in (">u4", "no such", "str", 7, None.__class__):
            try:
                twofold.double([1], dtype=dtype)
            except TypeError as error:
                assert "is not supported; known are int8, " in str(error), error
            else:
                raise AssertionError(dtype)
    """)
    run_script("""
        import sys
        import twofold
        sys.modules["numpy"] = None  # not installed
        try:
            twofold.double([1], dtype="u4")
        except TypeError as error:
            assert "'u4' is not supported" in str(error)
        else:
            raise AssertionError
    """)


def test_numbers_of_numpy_keep_their_own_arithmetic():
    values = [np.uint8(200), np.float32(1.5), np.complex64(1j)]
    with np.errstate(over="ignore"):
        result = twofold.double(values)
    assert result == [np.uint8(144), np.float32(3), np.complex64(2j)]
    assert [type(v) for v in result] == [np.uint8, np.float32, np.complex64]
    assert twofold.double([np.uint8(200)], dtype="uint16") == [400]
    with pytest.raises(TypeError, match=r"values\[0\] is .* not a real number"):
        twofold.double([np.complex64(1j)], dtype="float64")


def test_subclasses_of_list_and_tuple():
    class OwnList(list):
        pass

    class OwnTuple(tuple):
        pass

    for values in (OwnList([1, 2]), OwnTuple([1, 2])):
        for dtype in (None, "uint32"):
            result = twofold.double(values, dtype=dtype)
            assert type(result) is list
            assert result == [2, 4]


def test_takes_whatever_has_an_index():
    class Five:
        def __index__(self):
            return 5

        def __int__(self):
            return 5

    assert twofold.double([Five(), True], dtype="int8") == [10, 2]


@pytest.mark.parametrize("dtype", ["uint128", "bool", "", 5, None.__class__])
def test_refuses_other_dtypes(dtype):
    with pytest.raises(TypeError, match=r"dtype|data type"):
        twofold.double([1], dtype=dtype)


@pytest.mark.parametrize(
    "values", ["12", {1, 2}, {1: 2}, (v for v in [1, 2]), None, object(), iter([1])], ids=lambda v: type(v).__name__
)
def test_refuses_what_is_no_sequence_of_numbers(values):
    with pytest.raises(TypeError, match=f"not .*{type(values).__name__}"):
        twofold.double(values)


@pytest.mark.parametrize(("dtype", "method"), [(None, "__add__"), ("int32", "__index__"), ("float64", "__float__")])
@pytest.mark.parametrize("change", [list.clear, lambda values: values.extend(range(10_000))], ids=["empty", "longer"])
def test_survives_an_item_that_changes_its_list(dtype, method, change):
    values = []

    class Evil(numbers.Number):
        pass

    def change_it(self, other=None):
        change(values)
        return 1.0 if method == "__float__" else 1

    setattr(Evil, method, change_it)
    values.extend([1, Evil(), *range(1000)])
    with pytest.raises(RuntimeError, match="values changed its length from 1002 to"):
        twofold.double(values, dtype=dtype)


ROUTES_OF_LISTS = {
    "dtype": "twofold.double(values, dtype=D())",
    "out and dtype": "twofold.double(values, out=out, dtype=D())",
    "processes": "twofold.double_in_processes(values, dtype=D(), processes=1)",
    "processes, out and dtype": "twofold.double_in_processes(values, out=out, dtype=D(), processes=1)",
}


@pytest.mark.parametrize("change", ["values.extend([7] * 100_000)", "values.clear()", "values.pop()"])
@pytest.mark.parametrize("route", ROUTES_OF_LISTS)
def test_survives_a_dtype_that_changes_the_list(route, change):
    """Either it is doubled as it is then, or refused."""
    pytest.importorskip("numpy")  # which looks at the attribute
    run_script(f"""
        import numpy as np, twofold
        class D:
            @property
            def dtype(self):
                {change}
                return np.dtype("int64")
        for _ in range(3):
            values = [1] * 10
            out = np.zeros(10, "int64")
            try:
                result = {ROUTES_OF_LISTS[route]}
            except ValueError as error:
                assert "out has shape (10,), but values has" in str(error), error
            else:
                assert list(result) == [2 * v for v in values]
        """)


@pytest.mark.parametrize("into", [True, False])
@pytest.mark.parametrize(("element", "method"), [("int32", "__index__"), ("float64", "__float__")])
def test_an_item_that_overflows_is_the_one_that_was_read(element, method, into):
    """Though the last one to be read has emptied the list."""
    values = []

    class Last(numbers.Number):
        pass

    def clear(self):
        values.clear()
        return 1 if method == "__index__" else 1.0

    setattr(Last, method, clear)
    largest = 2**31 - 1 if method == "__index__" else 1.5e308
    values += [0, largest, Last()]
    out = native(element, [0, 0, 0]) if into else None
    with pytest.raises(OverflowError, match=re.escape(f"values[1] is {largest}")):
        twofold.double(values, out=out, dtype=None if into else element, overflow="raise")


def test_other_threads_change_the_list_while_its_dtype_is_read():
    run_script("""
        import sys, threading, time
        from array import array
        import twofold
        sys.setswitchinterval(1e-6)
        values = [1] * 10
        goes_on = True
        def change():
            while goes_on:
                values.extend([1] * 10_000)
                del values[10:]
        thread = threading.Thread(target=change)
        thread.start()
        out = array("q", [0] * 10)
        end = time.monotonic() + 0.5
        try:
            while time.monotonic() < end:
                try:
                    twofold.double(values, out=out, dtype="int64")
                except (ValueError, RuntimeError):
                    continue
                assert out.tolist() == [2] * 10
        finally:
            goes_on = False
            thread.join()
        """)


def test_survives_garbage_that_changes_the_list():
    """The collector may run a __del__ wherever an object is made, also between the look at the length and the items."""
    run_script("""
        import gc, twofold
        class Garbage:
            def __init__(self):
                self.cycle = self
            def __del__(self):
                values.extend([1] * 100_000)
        for threshold in range(1, 60):
            for dtype in ("uint32", "float64", None):
                values = [1, 2, 3] * 10
                gc.collect()
                Garbage()
                gc.set_threshold(threshold)
                try:
                    twofold.double(values, dtype=dtype)
                except RuntimeError as error:
                    assert "changed its length" in str(error)
                gc.set_threshold(700)
    """)


@pytest.mark.thread_unsafe(reason="looks at all objects there are")
def test_a_result_is_not_seen_before_it_is_full():
    """Items can look round among the objects of the garbage collector; a list with holes would crash them."""
    seen = []

    class Curious(numbers.Number):
        def __add__(self, other):
            seen.append(sum(type(found) is list and len(found) == 54_321 for found in gc.get_objects()))
            return 0

    twofold.double((*[1] * 54_320, Curious()))
    assert seen == [0]


def test_an_exception_of_an_item_comes_through():
    class Angry(numbers.Number):
        def __float__(self):
            raise ZeroDivisionError("angry")

        def __add__(self, other):
            raise ZeroDivisionError("angry")

    for dtype in (None, "float64"):
        with pytest.raises(ZeroDivisionError, match="angry"):
            twofold.double([1, Angry()], dtype=dtype)


def test_numbers_of_subclasses_have_their_own_arithmetic():
    class OwnInt(int):
        def __add__(self, other):
            return "added"

        def __index__(self):
            raise AssertionError("an int is its own index")

    class OwnFloat(float):
        def __float__(self):
            raise AssertionError("a float is its own float")

    assert twofold.double([1, OwnInt(5), OwnFloat(1.5), 2]) == [2, "added", 3.0, 4]
    assert_same(twofold.double([OwnInt(5), True], dtype="int8"), [10, 2])
    assert_same(twofold.double([OwnInt(5), OwnFloat(1.5)], dtype="float64"), [10.0, 3.0])


def test_a_list_that_contains_itself():
    values = [1, 2]
    values.append(values)
    for dtype in (None, "int8", "float16", "complex64"):
        with pytest.raises(TypeError, match=r"values\[2\] is \[1, 2, \[\.\.\.\]\] \(list\)"):
            twofold.double(values, dtype=dtype)


def test_a_result_is_a_list_that_the_garbage_collector_sees():
    for dtype in (None, "uint32"):
        result = twofold.double([1, 2], dtype=dtype)
        assert gc.is_tracked(result)
        result.append(result)


WITHOUT_LEAKS = {
    "ints": ([2**40 + i for i in range(1000)], {}),
    "small ints": ([3] * 1000, {}),
    "floats": ([1.5] * 1000, {}),
    "others": ([Fraction(1, 3), 2**100, 1j, True] * 250, {}),
    "uint32": ([2**31] * 1000, {"dtype": "uint32"}),
    "complex64": ([1j] * 1000, {"dtype": "complex64"}),
    "an index": ([np.int64(3)] * 1000, {"dtype": "int8"}),
    "no number": ([2**40, 1.5] * 500 + ["x"], {}),
    "no number of a type": ([7, "x"], {"dtype": "float32"}),
    "one that does not fit": ([7, 300], {"dtype": "uint8"}),
    "a double that does not fit": ([7, 200], {"dtype": "uint8", "overflow": "raise"}),
}


@pytest.mark.parametrize("case", WITHOUT_LEAKS)
def test_leaves_nothing_behind(case):
    values, arguments = WITHOUT_LEAKS[case]

    def call():
        with contextlib.suppress(TypeError, OverflowError):
            twofold.double(values, **arguments)

    call()
    counts = [sys.getrefcount(v) for v in values[-4:]]
    tracemalloc.start()
    try:
        call()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            call()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20 * 32  # the least object, once a call
    assert [sys.getrefcount(v) for v in values[-4:]] == counts


def test_an_error_drops_what_was_made():
    class Seen(numbers.Number):
        alive = 0

        def __add__(self, other):
            return Made()

    class Made:
        def __init__(self):
            Seen.alive += 1

        def __del__(self):
            Seen.alive -= 1

    with pytest.raises(TypeError, match=r"values\[2\]"):
        twofold.double([Seen(), Seen(), None])
    assert Seen.alive == 0


def test_memory_that_is_not_there_is_a_memory_error():
    """Whichever allocation fails, the call ends with MemoryError, and the next one is as ever."""
    pytest.importorskip("_testcapi")
    run_script("""
        import _testcapi, twofold
        values = [2**40 + i for i in range(100)] + [2**100, 1.5, 1j]
        for arguments in ({}, {"dtype": "complex128"}):
            expected = twofold.double(values, **arguments)
            failures = 0
            for start in range(150):
                # Python keeps the memory of some numbers that are gone, of complex ones since 3.15: these take it.
                others = [number for i in range(300) for number in (2**41 + i, i * 1j)]
                _testcapi.set_nomemory(start, start + 1)
                try:
                    result = twofold.double(values, **arguments)
                except MemoryError:
                    failures += 1
                    result = expected
                finally:
                    _testcapi.remove_mem_hooks()
                assert result == expected
                del others
            assert failures > 100, failures  # one for each new object at least
    """)


def test_a_list_too_large_for_memory_is_a_memory_error():
    run_script(
        """
        import resource, twofold
        values = [7] * 20_000_000
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (32 << 20), -1))
        for dtype in (None, "uint32", "complex128"):
            try:
                twofold.double(values, dtype=dtype)
            except MemoryError:
                pass
            else:
                raise AssertionError(dtype)
        assert twofold.double([1, 2]) == [2, 4]
    """,
        # A free-threaded Python would reserve a gigabyte of address space, and have that memory.
        env={**os.environ, "MIMALLOC_ARENA_RESERVE": "0"},
    )


def test_other_threads_get_their_turn():
    """Another thread empties the list in the middle of the call, which it could not do if the call kept the GIL."""
    run_script("""
        import sys, threading, twofold
        sys.setswitchinterval(1e-6)
        for dtype in (None, "uint32"):
            for _ in range(100):
                values = [1] * 3_000_000
                begun = threading.Event()
                def empty():
                    begun.wait()
                    values.clear()
                thread = threading.Thread(target=empty)
                thread.start()
                begun.set()
                try:
                    twofold.double(values, dtype=dtype)
                except RuntimeError as error:
                    assert "values changed its length from 3000000 to 0" in str(error)
                    break
                finally:
                    thread.join()
            else:
                raise AssertionError(f"{dtype}: no call was interrupted")
    """)


def test_signals_are_seen_to_in_the_middle():
    run_script("""
        import signal, twofold
        values = [1.5] * 5_000_000
        def interrupt(number, frame):
            raise ZeroDivisionError
        for dtype in (None, "float16"):
            signal.signal(signal.SIGVTALRM, interrupt)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.005)
            try:
                result = twofold.double(values, dtype=dtype)
            except ZeroDivisionError:
                continue
            raise AssertionError("the handler ran after the call")
    """)


def test_several_threads_double_one_list():
    values = list(range(SEVERAL_SLICES))
    results = []
    threads = [threading.Thread(target=lambda: results.append(twofold.double(values))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[2 * v for v in values]] * 4
