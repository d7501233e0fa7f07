"""What `double` promises on every route where NumPy drives, or a library on top of it, in Python's exact arithmetic.

An overflow is an error and nothing else, and nothing has been written then; `dtype=` that narrows is checked as the
policy says; and what stands under a mask, or where `where=` says no, does not count.
"""

import contextvars
import math
import pickle
import warnings
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import twofold
from conftest import run_script

library = pytest.importorskip

pytestmark = pytest.mark.filterwarnings(
    "ignore:the matrix subclass", "ignore:.*encountered in", "ignore:'where' used without 'out'"
)


class Own(np.ndarray):
    pass


class Units(np.ndarray):
    """A class that decides itself what a ufunc is to it."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **keywords):
        plain = [np.asarray(x) for x in inputs]
        if out:
            keywords["out"] = tuple(np.asarray(x) for x in out)
        return getattr(ufunc, method)(*plain, **keywords).view(Units)


# ---- arrays of NumPy, in place and not

# What is done to values and out, and the keywords of the call.
ROUTES: dict[str, tuple[Callable[[np.ndarray], Any], dict[str, Any]]] = {
    "exact": (lambda x: x, {}),
    "where": (lambda x: x, {"where": True}),
    "an array as where": (lambda x: x, {"where": np.ones((1, 1), bool)}),
    "casting": (lambda x: x, {"casting": "unsafe"}),
    "order": (lambda x: x, {"order": "F"}),
    "subok": (lambda x: x.view(Own), {"subok": False}),
    "signature": (lambda x: x, {"signature": "b->b"}),
    "dtype": (lambda x: x, {"dtype": "int8", "where": True}),
    "subclass": (lambda x: x.view(Own), {}),
    "subclass with where": (lambda x: x.view(Own), {"where": True}),
    "class with ufuncs of its own": (lambda x: x.view(Units), {}),
    "matrix": (np.asmatrix, {}),
    "masked": (np.ma.asarray, {}),
    "masked in part": (lambda x: np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) == 5, copy=False), {}),
}

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda x: x,
    "several pieces": lambda x: x[:, :-1],
    "every second": lambda x: x[:, ::2],
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
}

# values and out, of one memory or not.
OUTS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]] = {
    "none": lambda memory: (memory[1:], None),
    "itself": lambda memory: (memory[1:], memory[1:]),
    "the same memory": lambda memory: (memory[1:], memory[1:].view()),
    "ahead": lambda memory: (memory[:-1], memory[1:]),
    "behind": lambda memory: (memory[1:], memory[:-1]),
    "another": lambda memory: (memory[1:], np.zeros_like(memory[1:])),
}

OVERFLOWS = ["wrap", "saturate", "raise"]

# The types, and a number of each whose double does not fit.
TYPES = {"int8": 127, "uint16": 40_000, ">i4": 2**30, "float32": 3e38, "timedelta64[s]": 2**62, "object": 1e308}


def memory_of(dtype: str) -> np.ndarray:
    return (np.arange(6 * 7).reshape(6, 7) % 50).astype(dtype)


def operands(route: str, layout: str, out: str, memory: np.ndarray, special: object = None) -> tuple[Any, Any]:
    """values and out, or None; the last one of the values is `special`."""
    values, target = (x if x is None else LAYOUTS[layout](x) for x in OUTS[out](memory))
    if special is not None:
        values[-1, -1] = special
    wrap = ROUTES[route][0]
    wrapped = wrap(values)
    return wrapped, wrapped if target is values else target if target is None else wrap(target)


def types_for(route: str) -> list[str]:
    return [
        dtype
        for dtype in TYPES
        if not (dtype != "int8" and {"signature", "dtype"} & ROUTES[route][1].keys())
        and not (dtype == "object" and route == "class with ufuncs of its own")  # whose ufunc knows no floats there
    ]


def check_that_nothing_is_written(route: str) -> None:
    for layout, out, dtype in product(LAYOUTS, OUTS, types_for(route)):
        if route == "exact" and out not in {"none", "itself"}:
            continue  # a plain call writes to another `out` until it meets the overflow
        memory = memory_of(dtype)
        values, target = operands(route, layout, out, memory, TYPES[dtype])
        before = memory.tolist()
        with pytest.raises(OverflowError, match="does not fit") as error:
            twofold.double(values, out=target, overflow="raise", **ROUTES[route][1])
        assert type(error.value) is OverflowError
        assert memory.tolist() == before, (layout, out, dtype)


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_is_written_where_something_overflows(route):
    check_that_nothing_is_written(route)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("route", ROUTES)
def test_the_doubles(route, overflow):
    keywords = ROUTES[route][1]
    for layout, out, dtype in product(LAYOUTS, OUTS, types_for(route)):
        values, target = operands(route, layout, out, memory_of(dtype))
        expected = [[item if item is None else item + item for item in row] for row in values.tolist()]
        like = np.positive(values, **{name: value for name, value in keywords.items() if name != "dtype"})
        result = twofold.double(values, out=target, overflow=overflow, **keywords)
        assert result.tolist() == expected, (layout, out, dtype)
        assert result is target if target is not None else type(result) is type(like)
        if target is None:
            assert result.dtype.newbyteorder("=") == like.dtype
            assert result.strides == like.strides, (layout, dtype)


def test_other_errors_leave_out_as_it_was():
    """Objects that are no numbers, and time differences, whatever the policy; also where NumPy meets them in pieces."""
    objects = np.array([[1, 2, 0], [3, "a", 0]], object)[:, :2]
    times = np.array([[1, 2, 0], [3, 2**62, 0]], "m8[s]")[:, :2]
    for values, error in ((objects, TypeError), (times, OverflowError)):
        before = values.tolist()
        for overflow in ("wrap", "raise"):
            for wrap, keywords in ROUTES.values():
                if "signature" not in keywords and "dtype" not in keywords:
                    wrapped = wrap(values)
                    with pytest.raises(error):
                        twofold.double(wrapped, out=wrapped, overflow=overflow, **keywords)
                    assert values.tolist() == before


def test_a_subclass_of_memmap(tmp_path):
    class Mapped(np.memmap):
        pass

    values = np.memmap(tmp_path / "values", np.int8, "w+", shape=(2, 3)).view(Mapped)[:, :2]
    values[...] = [[1, 2], [3, 100]]
    with pytest.raises(OverflowError, match=r"values\[1, 1\] is 100, whose double does not fit int8"):
        twofold.double(values, out=values, overflow="raise")
    assert values.tolist() == [[1, 2], [3, 100]]


def test_where_decides_what_counts():
    x = np.array([[1, 100], [2, 3]], np.int8)
    chosen = np.array([[True, False], [True, True]])
    for wrap in (np.asarray, np.asmatrix, np.ma.asarray):
        out = wrap(np.full((2, 2), 7, np.int8))
        assert twofold.double(wrap(x), out=out, where=chosen, overflow="raise").tolist() == [[2, 7], [4, 6]]
        assert twofold.double(wrap(x.copy()), where=chosen, overflow="raise")[1].tolist() in ([4, 6], [[4, 6]])
    rows = np.array([1, 100], np.int8)  # of which `where` selects the second one once
    out = np.zeros((3, 2), np.int8)
    assert twofold.double(rows, out=out, where=[True, False], overflow="raise").tolist() == [[2, 0]] * 3
    with pytest.raises(OverflowError, match=r"values\[1\] is 100"):
        twofold.double(rows, out=out, where=[[True, False], [True, True], [True, False]], overflow="raise")
    assert twofold.double(rows, where=np.ones((0, 2), bool), overflow="raise").shape == (0, 2)  # which selects none
    with pytest.raises(TypeError, match="bool"):
        twofold.double(x, where=np.array([1, 0]), overflow="raise")
    with pytest.raises(ValueError, match="broadcast"):
        twofold.double(x, where=[True, False, True], overflow="raise")


# ---- dtype= and out= that narrow


def in_type(value: int | float, dtype: str, overflow: str) -> int | float:
    """A number as a type has it, by Python's arithmetic; OverflowError."""
    if np.dtype(dtype).kind in "iu":
        lowest, highest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if overflow == "wrap":
            return (int(value) - lowest) % (highest - lowest + 1) + lowest
        if overflow == "raise" and not (math.isfinite(value) and lowest <= int(value) <= highest):
            raise OverflowError
        return int(value) if lowest <= value <= highest else lowest if value < lowest else highest
    with np.errstate(over="ignore"):
        result = float(np.float64(value).astype(dtype))
    if overflow == "raise" and math.isinf(result) and math.isfinite(value):
        raise OverflowError
    return result


NARROWING = {  # from a type to another: numbers
    ("u4", "uint8"): [0, 1, 127, 128, 255, 256, 300, 2**31, 2**32 - 1],
    ("u4", "int8"): [0, 63, 64, 127, 128, 200, 2**32 - 1],
    ("i8", "int8"): [0, 63, 64, -64, -65, -128, -129, 128, 2**62, -(2**63), 2**63 - 1],
    ("u8", "uint32"): [0, 2**31 - 1, 2**31, 2**32, 2**64 - 1],
    ("u8", "int64"): [2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1],
    ("i8", "uint64"): [0, -1, 2**62, -(2**63), 2**63 - 1],
    ("i2", "uint16"): [0, -1, 2**15 - 1],
    ("i8", "float16"): [0, 1, -3, 32752, 32759, 40000, 65504, 65520, -(2**63)],
    ("f8", "float32"): [0.0, 1.5, 1e38, 2e38, 3.4e38, 1e39, -1e300, float("inf")],
    ("f4", "float16"): [1.0, 32752.0, 40000.0, -1e30, float("-inf")],
    ("f8", "int32"): [0.0, 1.75, -1.75, 2.0**30, 2.0**30 - 1, -(2.0**30), -(2.0**31), 2.0**31, 1e300, -1e300],
    ("f2", "int64"): [1.5, -65504.0],
    ("f8", "int64"): [2.0**61, 2.0**62, 2.0**63, -(2.0**63), -(2.0**62)],
    ("f8", "uint64"): [2.0**62, 2.0**63, 2.0**64, -1.0, -0.5],
}


def strided(x: np.ndarray) -> np.ndarray:
    return np.repeat(x, 2)[::2]


def misaligned(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1)


def first(result: Any) -> Any:
    return np.asarray(result).reshape(-1)[0]


def to_out(x: np.ndarray, dtype: str, **keywords: Any) -> Any:
    return first(twofold.double(x, out=np.zeros(x.shape, dtype), casting="unsafe", **keywords))


def of_numpy(wrap: Callable[[np.ndarray], Any], **more: Any) -> Callable[..., Any]:
    return lambda x, dtype, **keywords: first(
        twofold.double(wrap(x), dtype=dtype, casting="unsafe", **keywords, **more)
    )


def of_library(name: str, wrap: Callable[[Any, np.ndarray], Any]) -> Callable[..., Any]:
    return lambda x, dtype, **keywords: first(twofold.double(wrap(library(name), x), dtype=dtype, **keywords))


# The double, in a type, of an array of one number.
NARROWING_ROUTES: dict[str, Callable[..., Any]] = {
    "array": of_numpy(np.asarray),
    "scalar": of_numpy(lambda x: x[0]),
    "no dimensions": of_numpy(lambda x: x.reshape(())),
    "byte-swapped": of_numpy(lambda x: x.astype(x.dtype.newbyteorder("S"))),
    "strided": of_numpy(strided),
    "unaligned": of_numpy(misaligned),
    "where": of_numpy(np.asarray, where=True),
    "order": of_numpy(np.asarray, order="F"),
    "subclass": of_numpy(lambda x: x.view(Own)),
    "matrix": of_numpy(np.asmatrix),
    "masked": of_numpy(lambda x: np.ma.array(np.append(x, x), mask=[False, True])),
    "out": to_out,
    "out of a matrix": lambda x, dtype, **keywords: to_out(np.asmatrix(x), dtype, **keywords),
    "Series": of_library("pandas", lambda pd, x: pd.Series(x)),
    "Index": of_library("pandas", lambda pd, x: pd.Index(x)),
    "DataFrame": of_library("pandas", lambda pd, x: pd.DataFrame({"a": x})),
    "dask": of_library("dask.array", lambda da, x: da.from_array(x)),
    "xarray": of_library("xarray", lambda xr, x: xr.DataArray(x)),
}


def check_narrowing(route: str, source: str, dtype: str, overflow: str) -> None:
    double = NARROWING_ROUTES[route]
    of_a_library = route in {"Series", "Index", "DataFrame", "dask", "xarray"}
    if (of_a_library and not np.can_cast(source, dtype, "same_kind")) or (route == "Index" and dtype == "float16"):
        return  # their casting is the default one; and an Index has no such type
    for value in NARROWING[source, dtype]:
        if overflow == "wrap" and source[0] == "f" and dtype[0] != "f":
            continue  # as the processor has it
        x = np.array([value], source)
        try:
            if route.startswith("out"):
                expected = in_type(in_type(2 * value, source, overflow), dtype, overflow)
            else:
                expected = in_type(2 * in_type(value, dtype, overflow), dtype, overflow)
        except OverflowError:
            with pytest.raises(OverflowError, match="does not fit") as error:
                double(x, dtype, overflow=overflow)
            assert type(error.value) is OverflowError
            continue
        result = double(x, dtype, overflow=overflow)
        assert (result, result.dtype) == (expected, np.dtype(dtype)), (value, route)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("route", NARROWING_ROUTES)
def test_a_type_that_narrows(route, overflow):
    for source, dtype in NARROWING:
        check_narrowing(route, source, dtype, overflow)


def test_what_has_no_place_in_a_type():
    x = np.array([1.5, np.nan, np.inf])
    for overflow in ("saturate", "raise"):  # a NaN cannot be clamped
        with pytest.raises(OverflowError, match=r"values\[1\] is nan, which does not fit int8"):
            twofold.double(x, dtype="int8", casting="unsafe", overflow=overflow)
    assert twofold.double(x[::2], dtype="int8", casting="unsafe", overflow="saturate").tolist() == [2, 127]
    assert math.isnan(twofold.double(x, dtype="float32", overflow="raise")[1])
    with pytest.raises(OverflowError, match=r"values\[0\] is \(1\+1e\+300j\)"):
        twofold.double(np.array([1 + 1e300j]), dtype="complex64", overflow="raise")
    infinite = np.array([complex(math.inf, 1e300)])
    with pytest.raises(OverflowError):
        twofold.double(infinite, dtype="complex64", overflow="raise")
    with pytest.raises(TypeError, match="Cannot cast"):  # as casting= has it
        twofold.double(np.array([-1]), dtype="uint8", overflow="saturate")
    chosen = np.array([True, False])
    out = np.zeros(2, "u1")
    assert (
        twofold.double(np.array([3, 300]), dtype="u4", out=out, where=chosen, casting="unsafe", overflow="raise") is out
    )
    assert out.tolist() == [6, 0]
    with pytest.raises(OverflowError, match=r"values\[1\] is 300, whose double does not fit uint8"):
        twofold.double(np.array([3, 300]), out=out, casting="unsafe", overflow="raise")
    assert out.tolist() == [6, 0]
    with pytest.raises(TypeError, match="values holds int64, and dtype is 'int8'; convert values first"):
        twofold.double(np.array([3]).view(Units), dtype="int8", overflow="saturate")


def test_python_numbers_of_an_array():
    """They have no limits, so nothing is checked on the way to them."""
    for overflow in OVERFLOWS:
        for x in (np.array([2**62]), np.array([2**62], object)):
            assert twofold.double(x, dtype=object, where=True, overflow=overflow).tolist() == [2**63]
        assert twofold.double(np.array([300], object), dtype="i8", casting="unsafe", overflow=overflow)[0] == 600
    objects = np.array([1, 300], object)
    assert twofold.double(objects, dtype="u1", casting="unsafe", overflow="saturate").tolist() == [2, 255]
    with pytest.raises(OverflowError):
        twofold.double(objects, dtype="u1", casting="unsafe", overflow="raise")


def test_bfloat16_with_keywords():
    """Also where its library was imported after the ufuncs."""
    run_script("""
        import numpy as np, twofold, sys
        from twofold import ufuncs
        try:
            import ml_dtypes
        except ImportError:
            sys.exit()
        x = np.array([1, 3e38], ml_dtypes.bfloat16)
        for overflow in ("wrap", "saturate"):
            assert twofold.double(x[:1], where=True, overflow=overflow).dtype == ml_dtypes.bfloat16
        out = np.zeros(2, np.int8)
        for keywords in ({"where": True}, {"out": out, "casting": "unsafe"}):
            try:
                twofold.double(x, overflow="raise", **keywords)
            except OverflowError as error:
                assert str(error).startswith("values[1] is 3.00406e+38, whose double does not fit"), error
            else:
                raise AssertionError(keywords)
    """)


def test_units_of_time_that_narrow():
    x = np.array([1, "NaT", 2**40, -(2**40)], "m8[s]")
    out = np.zeros(4, "m8[ns]")
    for overflow in ("wrap", "raise"):
        with pytest.raises(OverflowError, match=r"values\[2\] is 1099511627776 seconds, whose double does not fit"):
            twofold.double(x, out=out, casting="same_kind", overflow=overflow)
        assert not out.view(np.int64).any()
    twofold.double(x, out=out, casting="same_kind", overflow="saturate")
    assert out.view(np.int64).tolist() == [2 * 10**9, -(2**63), 2**63 - 1, -(2**63) + 1]
    coarser = np.zeros(4, "m8[h]")
    twofold.double(x[:2], out=coarser[:2], casting="same_kind", overflow="raise")
    assert coarser[:2].view(np.int64).tolist() == [0, -(2**63)]


@pytest.mark.parametrize("overflow", ["saturate", "raise"])
def test_objects_that_narrow(overflow):
    """Those that do not count are not cast either, and NaN fits no integer."""
    narrow = {"casting": "unsafe", "overflow": overflow}
    objects, chosen = np.array([3, 70_000, math.nan], object), np.array([True, False, False])
    for values, keywords in ((objects, {"where": chosen}), (np.ma.array(objects, mask=~chosen), {})):
        out = np.zeros(3, np.int16)
        assert twofold.double(values, out=out, dtype="int16", **narrow, **keywords).tolist() == [6, 0, 0]
    out = np.full(2, 7, np.int8)
    for values, dtype in ((np.array([1, math.nan], object), "int8"), (np.array([1, math.nan], "f4"), object)):
        with pytest.raises(OverflowError, match=r"values\[1\] is nan"):
            twofold.double(values, out=out, dtype=dtype, **narrow)
    assert out.tolist() == [7, 7]


def test_by_way_of_objects():
    """Those that an integer type cannot hold are an error, whatever the policy."""
    out = np.full(2, 7, np.int8)
    for keywords in ({"dtype": object}, {"signature": "O->O"}):
        with pytest.raises(OverflowError):
            twofold.double(np.array([1, 100], np.int8), out=out, casting="unsafe", **keywords)
        assert out.tolist() == [7, 7]
        twofold.double(np.array([1, 2], np.int8), out=out, casting="unsafe", **keywords)
        assert out.tolist() == [2, 4]
        out[:] = 7


UNITS = {"W": 604_800, "h": 3600, "s": 1, "ms": Fraction(1, 1000), "3us": Fraction(3, 10**6), "ns": Fraction(1, 10**9)}


def test_every_unit_of_time():
    most = 2**63 - 1
    for (old, other), byte_order in product(product(UNITS, UNITS), "<>"):
        ratio = UNITS[old] / Fraction(UNITS[other])
        limit = min(most, int(most / ratio)) // 2
        numbers = [0, 1, -1, most, -most, *(sign * limit + i for sign in (1, -1) for i in (-1, 0, 1))]
        x = np.array([*numbers, -(2**63)]).view(f"m8[{old}]").astype(f"{byte_order}m8[{old}]")
        out = np.zeros(len(x), f"m8[{other}]")
        twofold.double(x, out=out, casting="unsafe", overflow="saturate")
        doubles = (max(-most, min(most, 2 * i)) for i in numbers)
        expected = [max(-most, min(most, math.floor(i * ratio))) for i in doubles]
        assert out.view(np.int64).tolist() == [*expected, -(2**63)], (old, other)


# ---- what stands under a mask

MASKS = {
    "hard": lambda x: np.ma.array(x, mask=x == 100, hard_mask=True),
    "soft": lambda x: np.ma.array(x, mask=x == 100),
    "with a fill value": lambda x: np.ma.array(x, mask=x == 100, fill_value=5),
    "shared": lambda x: np.ma.array(x, mask=x == 100)[:],
    "in several pieces": lambda x: np.ma.array(np.pad(x, ((0, 0), (0, 1))), mask=np.pad(x, ((0, 0), (0, 1))) == 100)[
        :, :-1
    ],
    "in Fortran's order": lambda x: np.ma.array(np.asfortranarray(x), mask=x == 100),
}


def check_masked(kind: str, **keywords: Any) -> None:
    x = np.array([[1, 100, 3], [4, 5, 100]], np.int8)
    masked, twin = MASKS[kind](x), MASKS[kind](x)
    expected = np.add(twin, twin)
    result = twofold.double(masked, overflow="raise", **keywords)
    assert result.tolist() == [[2, None, 6], [8, 10, None]]
    assert (result.dtype, result.strides, result.fill_value, result.hardmask, result.sharedmask) == (
        expected.dtype,
        expected.strides,
        expected.fill_value,
        expected.hardmask,
        expected.sharedmask,
    )
    assert masked.tolist() == twin.tolist()
    out = np.ma.array(np.full((2, 3), 7, np.int8), mask=[[0, 0, 1], [0, 0, 0]])
    assert twofold.double(masked, out=out, overflow="raise", **keywords) is out
    assert out.tolist() == result.tolist()
    assert out.data[0, 1] == 7  # what stands under the mask is nobody's business
    plain = np.full((2, 3), 7, np.int8)
    twofold.double(masked, out=plain, overflow="raise", **keywords)
    assert plain.tolist() == [[2, 7, 6], [8, 10, 7]]
    assert twofold.double(masked, out=masked, overflow="raise", **keywords) is masked
    assert masked.tolist() == result.tolist()
    assert masked.data.tolist() == [[2, 100, 6], [8, 10, 100]]


@pytest.mark.parametrize("kind", MASKS)
def test_masked_arrays(kind):
    check_masked(kind)
    check_masked(kind, where=True)
    check_masked(kind, dtype="int8", casting="unsafe")


def test_masked_arrays_with_where_and_dtype():
    x = np.ma.array([1, 100, 120], mask=[0, 1, 0], dtype=np.int8)
    out = np.ma.zeros(3, np.int8)
    assert twofold.double(x, out=out, where=[True, True, False], overflow="raise").tolist() == [2, None, 0]
    with pytest.raises(OverflowError, match=r"values\[2\] is 120"):
        twofold.double(x, overflow="raise")
    wide = np.ma.array([1, 2**40, 3], mask=[0, 1, 0])
    for overflow in OVERFLOWS:
        result = twofold.double(wide, dtype="int16", overflow=overflow)
        assert (result.tolist(), result.dtype) == ([2, None, 6], np.int16)
    assert twofold.double(np.ma.array([1, 2]), overflow="raise").mask.tolist() == [False, False]  # as np.add has it


def test_masked_arrays_without_dimensions():
    for overflow in OVERFLOWS:
        assert twofold.double(np.ma.masked, overflow=overflow) is np.ma.masked
        assert twofold.double(np.ma.array(100, mask=True, dtype=np.int8), overflow=overflow) is np.ma.masked
        assert twofold.double(np.ma.array(5), overflow=overflow) == 10


def test_masked_time_differences_and_objects():
    times = np.ma.array([1, 2**62, "NaT"], "m8[s]", mask=[0, 1, 0])
    objects = np.ma.array([1, "a", 2.5], mask=[0, 1, 0], dtype=object)
    for overflow in OVERFLOWS:
        result = twofold.double(times, overflow=overflow)
        assert result.mask.tolist() == [False, True, False]
        assert result.data.view(np.int64)[[0, 2]].tolist() == [2, -(2**63)]
        assert twofold.double(objects, overflow=overflow).tolist() == [2, None, 5.0]
        assert twofold.double(times, out=times.copy(), overflow=overflow).tolist() == result.tolist()


# ---- what stands where a library has no value


@pytest.fixture
def pd():
    return library("pandas")


def missing(pd: Any, items: list[int], dtype: str) -> Any:
    """An array of pandas in which the last item is missing, but still there."""
    if "pyarrow" in dtype:
        pa = library("pyarrow")
        valid = pa.array([True] * (len(items) - 1) + [False]).buffers()[1]
        data = pa.py_buffer(np.array(items, np.int64).tobytes())
        return pd.arrays.ArrowExtensionArray(pa.Array.from_buffers(pa.int64(), len(items), [valid, data]))
    array = pd.array(items, dtype=dtype)
    array[-1] = pd.NA
    return array


# Largest powers of two of the type, whose doubles do not fit.
LARGE = {"Int64": 2**62, "UInt8": 128, "Float32": 2.0**127, "int64[pyarrow]": 2**62}


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("dtype", LARGE)
def test_pandas(pd, dtype, overflow):
    array = missing(pd, [1, 3, LARGE[dtype]], dtype)
    expected = pd.array([2, 6, None], dtype=dtype)
    pd.testing.assert_extension_array_equal(twofold.double(array, overflow=overflow), expected)
    index = pd.Index(["a", "b", "c"])
    series = pd.Series(array, index, name="n")
    series.attrs["unit"] = "m"
    result = twofold.double(series, overflow=overflow)
    pd.testing.assert_series_equal(result, pd.Series(expected, index, name="n"))
    assert result.attrs == {"unit": "m"}
    pd.testing.assert_index_equal(twofold.double(pd.Index(array), overflow=overflow), pd.Index(expected))
    columns = {"n": array, "t": pd.to_timedelta(["1s", None, "3s"]), "f": [1.5, np.nan, 2.5], "i": np.arange(3)}
    frame = pd.DataFrame(columns, index)
    doubled = {"n": expected, "t": pd.to_timedelta(["2s", None, "6s"]), "f": [3.0, np.nan, 5.0], "i": [0, 2, 4]}
    pd.testing.assert_frame_equal(twofold.double(frame, overflow=overflow), pd.DataFrame(doubled, index))
    frame.columns = ["x", "x", "y", "z"]
    assert list(twofold.double(frame, overflow=overflow).columns) == ["x", "x", "y", "z"]
    empty = twofold.double(frame[:0], overflow=overflow)
    assert (empty.shape, list(empty.dtypes)) == ((0, 4), list(frame.dtypes))


@pytest.mark.parametrize("dtype", LARGE)
def test_pandas_with_keywords(pd, dtype):
    """out=, dtype= and where= beside what is missing."""
    array = missing(pd, [1, 3, LARGE[dtype]], dtype)
    narrow = twofold.double(pd.Series(array), dtype="int8", casting="unsafe", overflow="raise")
    assert narrow.isna().tolist() == [False, False, True]
    assert narrow[:2].tolist() == [2, 6]
    assert narrow.dtype in ("Int8", "int8[pyarrow]")
    chosen = np.array([True, False, True])
    array[1] = LARGE[dtype]
    series = pd.Series(array)
    out = pd.Series(missing(pd, [7, 7, 7], dtype))
    assert twofold.double(series, out=out, where=chosen, overflow="raise") is out
    assert (out[0], out[1], out[2]) == (2, 7, pd.NA)
    with pytest.raises(OverflowError):
        twofold.double(series, out=out, overflow="raise")
    assert (out[0], out[1], out[2]) == (2, 7, pd.NA)
    frame = pd.DataFrame({"a": series, "b": [1.0, 2.0, 1e308]})
    where = [[True, True], [False, True], [True, False]]
    result = twofold.double(frame, where=where, overflow="raise")
    assert (result.loc[0, "a"], result.loc[2, "a"], result["b"].tolist()[:2]) == (2, pd.NA, [2.0, 4.0])
    assert list(result.dtypes) == list(frame.dtypes)
    with warnings.catch_warnings(action="error"):  # NumPy warns of `where` without `out`; there is neither
        assert twofold.double(frame[:2], dtype="float64", casting="unsafe")["b"].tolist() == [2.0, 4.0]


def test_frames_as_out(pd):
    frame = pd.DataFrame({"a": pd.Series([2**60 + 1, None], dtype="Int64"), "b": [1.5, 1e308]})
    out = pd.DataFrame({"a": pd.Series([7, 7], dtype="Int64"), "b": [7.0, 7.0]})
    with pytest.raises(OverflowError):
        twofold.double(frame, out=out, overflow="raise")
    assert out.to_numpy().tolist() == [[7, 7], [7, 7]]
    chosen = np.array([[True, False], [True, False]])
    assert twofold.double(frame, out=out, where=chosen, overflow="raise") is out
    assert (out["a"][0], out["a"][1], out["b"].tolist()) == (2**61 + 2, pd.NA, [7.0, 7.0])
    assert list(out.dtypes) == list(frame.dtypes)
    assert twofold.double(frame[:1], out=out[:1].copy(), overflow="raise")["a"].tolist() == [2**61 + 2]


def test_pandas_in_place(pd):
    for series in (pd.Series([1, 2**62]), pd.Series([1, 2**62], dtype="Int64"), pd.Series([1, 1e308])):
        before = series.copy()
        with pytest.raises(OverflowError):
            twofold.double(series, out=series, overflow="raise")
        pd.testing.assert_series_equal(series, before)
    out = np.zeros(2, np.uint8)
    with pytest.raises(OverflowError):
        twofold.double(pd.Series([1, 300]), out=out, overflow="raise")
    assert not out.any()
    with pytest.raises((TypeError, ValueError)):  # for which an array of NumPy has no place
        twofold.double(pd.Series([1, None], dtype="Int64"), out=out, overflow="raise")
    assert not out.any()
    for other in (pd.Series([1.25, 2.0]), pd.Series(pd.to_timedelta([1, None], unit="s"))):
        for into in (out, np.zeros(2, np.int64)):
            with pytest.raises(TypeError, match="is not cast"):  # as NumPy has it
                twofold.double(other, out=into)
            assert not into.any()
    assert twofold.double(pd.Series([1.25, 2.0]), out=out, casting="unsafe").tolist() == [2, 4]
    out[:] = 0
    assert twofold.double(pd.Series([1, 300]), out=out, overflow="saturate").tolist() == [2, 255]


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_sparse_arrays_of_pandas(pd, overflow):
    """The number that stands for all others is of the array's type."""
    array = pd.arrays.SparseArray([10, 1, 10], fill_value=10, dtype=pd.SparseDtype("int8", 10))
    result = twofold.double(array, overflow=overflow)
    assert (result.dtype.subtype, np.asarray(result).tolist()) == (np.int8, [20, 2, 20])
    assert twofold.double(pd.Series(array), overflow=overflow).dtype == result.dtype
    large = pd.arrays.SparseArray([100, 1], fill_value=100, dtype=pd.SparseDtype("int8", 100))
    if overflow == "raise":
        with pytest.raises(OverflowError):
            twofold.double(large, overflow=overflow)
    else:
        assert np.asarray(twofold.double(large, overflow=overflow)).tolist() == [-56 if overflow == "wrap" else 127, 2]
    unused = pd.arrays.SparseArray([1, 2], fill_value=100, dtype=pd.SparseDtype("int8", 100))
    assert np.asarray(twofold.double(unused, overflow=overflow)).tolist() == [2, 4]
    unsigned = twofold.double(array, dtype="uint16", casting="unsafe", overflow=overflow)
    assert (unsigned.dtype, np.asarray(unsigned).tolist()) == (pd.SparseDtype("uint16", 20), [20, 2, 20])
    floats = pd.arrays.SparseArray([1.5, np.nan])
    assert np.asarray(twofold.double(floats, overflow=overflow))[0] == 3


def test_objects_of_pandas(pd):
    for overflow in OVERFLOWS:
        assert twofold.double(pd.NA, overflow=overflow) is pd.NA
        assert twofold.double(pd.Series([1, pd.NA], dtype=object), overflow=overflow)[0] == 2
        with pytest.raises(TypeError):
            twofold.double(pd.Series([1, "a"], dtype=object), overflow=overflow)


def test_dask():
    da = library("dask.array")
    masked = da.from_array(np.ma.array([1, 100, 3, 4], mask=[0, 1, 0, 0], dtype=np.int8), chunks=2, asarray=False)
    result = twofold.double(masked, overflow="raise")
    assert isinstance(result, da.Array)
    assert (result.dtype, result.chunks) == (np.int8, masked.chunks)
    assert isinstance(result._meta, np.ma.MaskedArray)
    assert result.compute().tolist() == [2, None, 6, 8]
    assert result.name == twofold.double(masked, overflow="raise").name != twofold.double(masked).name
    values = da.from_array(np.array([1, 300], np.uint32), chunks=1)
    for overflow, expected in (("wrap", [2, 88]), ("saturate", [2, 255])):
        narrow = twofold.double(values, dtype="uint8", overflow=overflow)
        assert (narrow.dtype, narrow.compute().dtype, narrow.compute().tolist()) == (np.uint8, np.uint8, expected)
    chosen = np.array([True, False])
    out = da.zeros(2, dtype=np.uint8, chunks=1)
    twofold.double(values.astype(np.uint8), out=out, where=chosen, overflow="raise")
    assert out.compute().tolist() == [2, 0]
    assert twofold.double(da.ones((), dtype=np.int8), overflow="raise").compute() == 2
    # What a worker receives has public names only.
    key, *_ = result.__dask_keys__()
    assert b"ufunc_route" not in pickle.dumps(dict(result.__dask_graph__())[key])


def test_frames_of_dask(pd):
    dd = library("dask.dataframe")
    array = missing(pd, [1, 3, 2**62], "Int64")
    series = dd.from_pandas(pd.Series(array), npartitions=2)
    assert twofold.double(series, overflow="raise").compute()[:2].tolist() == [2, 6]
    assert twofold.double(series, overflow="raise").dtype == "Int64"
    with pytest.raises(OverflowError):
        twofold.double(
            dd.from_pandas(pd.Series([1, 300], dtype="u4"), npartitions=2), dtype="uint8", overflow="raise"
        ).compute()


def test_xarray():
    xr, da = library("xarray"), library("dask.array")
    masked = np.ma.array([1, 100, 3, 4], mask=[0, 1, 0, 0], dtype=np.int8)
    chunks = da.from_array(masked, chunks=2, asarray=False)
    assert twofold.double(xr.DataArray(chunks), overflow="raise").compute().data.tolist()[0] == 2
    assert np.isnan(twofold.double(xr.DataArray(np.array([1.0, np.nan])), overflow="raise"))[1]
    array = xr.DataArray(np.array([1, 100], np.int8), dims="x", attrs={"unit": "m"}, name="n")
    before = array.copy(deep=True)
    with pytest.raises(OverflowError):
        twofold.double(array, out=array.data, overflow="raise")
    with pytest.raises(OverflowError):
        twofold.double(xr.Dataset({"a": array}), overflow="raise")
    with pytest.raises(NotImplementedError, match="out"):  # in xarray's words
        twofold.double(array, out=array)
    assert array.identical(before)
    assert twofold.double(array, dtype="int16", overflow="raise").identical(np.add(array, array, dtype="int16"))
    assert twofold.double(array, where=[True, False], overflow="raise")[0] == 2


def test_polars():
    pl, pa = library("polars"), library("pyarrow")
    valid = pa.array([True, False]).buffers()[1]
    data = pa.Array.from_buffers(pa.int8(), 2, [valid, pa.py_buffer(bytes([3, 100]))])
    series = pl.Series("a", data)
    for keywords in ({}, {"casting": "same_kind"}):
        result = twofold.double(series, overflow="raise", **keywords)
        assert (result.name, result.dtype, result.to_list()) == ("a", pl.Int8, [6, None])
    frame = pl.DataFrame([series])
    assert frame.select(twofold.double(pl.col("a"), overflow="raise"))["a"].to_list() == [6, None]
    lazy = pl.DataFrame({"a": pl.Series([100], dtype=pl.Int8)}).lazy()
    with pytest.raises(Exception, match="does not fit int8"):  # polars has errors of its own
        lazy.select(twofold.double(pl.col("a"), overflow="raise")).collect()


def check_polars(overflow: str, special: int, result: int | None) -> None:
    """`dtype=` that narrows: in a Series, and in an expression, which polars has errors of its own for."""
    pl = library("polars")
    series = pl.Series("a", [1, None, special], dtype=pl.Int16)
    keywords = {"dtype": "int8", "casting": "unsafe", "overflow": overflow}
    calls = {
        OverflowError: lambda: twofold.double(series, **keywords),
        Exception: lambda: pl.DataFrame([series]).select(twofold.double(pl.col("a"), **keywords))["a"],
    }
    for error, call in calls.items():
        if result is None:
            with pytest.raises(error, match=rf"values\[2\] is {special}, which does not fit int8"):
                call()
        else:
            doubled = call()
            assert (doubled.name, doubled.dtype, doubled.to_list()) == ("a", pl.Int8, [2, None, result])


@pytest.mark.parametrize(("overflow", "result"), [("wrap", 88), ("saturate", 127), ("raise", None)])
def test_polars_that_narrows(overflow, result):
    check_polars(overflow, 300, result)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_polars_with_keywords(overflow):
    """Neither keywords nor expressions double the integers that are behind dates and categories."""
    pl = library("polars")
    times = pl.Series("t", [1, None, 2**61], dtype=pl.Duration("ns"))
    for result in (
        twofold.double(times, casting="same_kind", overflow=overflow),
        pl.DataFrame([times]).select(twofold.double(pl.col("t"), overflow=overflow))["t"],
    ):
        assert (result.dtype, result.to_physical().to_list()) == (times.dtype, [2, None, 2**62])
    for other in (pl.Series([1], dtype=pl.Date), pl.Series(["a", None], dtype=pl.Categorical), pl.Series([None])):
        with pytest.raises(TypeError, match="cannot be doubled"):
            twofold.double(other, casting="same_kind", overflow=overflow)
        with pytest.raises(pl.exceptions.PolarsError):
            pl.DataFrame([other]).select(twofold.double(pl.col(""), overflow=overflow))
    out = np.zeros(3, np.int8)
    with pytest.raises(TypeError, match="out= does not go with polars"):
        twofold.double(pl.Series([1, None, 3], dtype=pl.Int8), out=out, overflow=overflow)
    assert not out.any()


# ---- proof that these tests can fail

WRONG: dict[str, tuple[str, Callable[..., Any], Callable[[], None]]] = {
    "writes at once": (
        "by_numpy",
        lambda operation, values, policy, keywords: operation.ufuncs[2](values, **keywords),
        lambda: check_that_nothing_is_written("matrix"),
    ),
    "casts whatever comes": (
        "as_type",
        lambda array, dtype, *_: array.astype(dtype),
        lambda: check_narrowing("strided", "u4", "uint8", "raise"),
    ),
    "counts what is masked": (
        "counting",
        lambda where, shape: np.ones(shape, bool),
        lambda: check_masked("soft"),
    ),
}


@pytest.mark.thread_unsafe(reason="changes a module")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_route_is_noticed(wrong, monkeypatch):
    from twofold._containers import ufunc_route  # noqa: PLC0415

    name, function, check = WRONG[wrong]
    check()
    monkeypatch.setattr(ufunc_route, name, function)
    with pytest.raises((AssertionError, OverflowError, pytest.fail.Exception)):
        check()


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "raise"])
def test_what_code_of_a_class_sets_in_the_context_stays(overflow):
    variable = contextvars.ContextVar("variable", default=0)

    class Sets(np.ndarray):
        def __array_wrap__(self, array, context=None, return_scalar=False):
            variable.set(1)
            return super().__array_wrap__(array, context, return_scalar)

    def call():
        with np.errstate(over="ignore"):
            twofold.double(np.arange(3.0).view(Sets), overflow=overflow)
            assert np.geterr()["over"] == "ignore"
        return variable.get()

    assert contextvars.copy_context().run(call) == 1
