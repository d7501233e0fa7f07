"""Lists and other sequences: [v + v for v in values], exactly; with dtype, a native array of that type."""

import gc
import math
import numbers
import uuid
from collections import UserString, deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import twofold
from conftest import ELEMENTS, expected_double, lowest_and_highest, run_script, sample

INTEGERS = [element for element in ELEMENTS if "int" in element]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, 2, 3, 4, 5],
        [0, -1, 2**30 - 1, 2**30, 2**62 - 1, 2**62, -(2**62), -(2**62) - 1, 2**63, 2**64, -(2**200), 10**400],
        [1.5, -0.0, math.inf, 5e-324, 1.7e308],
        [True, False],
        [1 + 2j, Decimal("1.1"), Fraction(1, 3)],
        list(range(100_000)),
    ],
    ids=lambda values: f"{len(values)} items",
)
@pytest.mark.parametrize("container", [list, tuple, deque])
def test_doubles_numbers_exactly(container, values):
    result = twofold.double(container(values))
    assert type(result) is list
    assert result == [v + v for v in values]
    assert [type(v) for v in result] == [type(v + v) for v in values]
    assert [math.copysign(1, v) for v in result if isinstance(v, float)] == [
        math.copysign(1, v) for v in values if isinstance(v, float)
    ]


def test_doubles_a_range():
    assert twofold.double(range(5, 50, 7)) == [2 * v for v in range(5, 50, 7)]


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


def test_a_fixed_width_wraps(element):
    values = sample(element, 1000)
    assert twofold.double(values, dtype=element) == expected_double(element, values)


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


@pytest.mark.parametrize("dtype", ["uint128", "bool", "complex128", "", 5, None.__class__])
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
    assert seen == [1]  # the items of the tuple as a list, not the result


def test_an_exception_of_an_item_comes_through():
    class Angry(numbers.Number):
        def __float__(self):
            raise ZeroDivisionError("angry")

        def __add__(self, other):
            raise ZeroDivisionError("angry")

    for dtype in (None, "float64"):
        with pytest.raises(ZeroDivisionError, match="angry"):
            twofold.double([1, Angry()], dtype=dtype)
