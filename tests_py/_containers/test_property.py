"""Whatever dtype, shape, strides, byte order, alignment and `out`: NumPy's answer to the bit, no other byte written.

    TWOFOLD_TEST_EXAMPLES=20000 python -m pytest tests_py/_containers/test_property.py

tries that many arrays, others each time; without the variable it is some hundred, always the same ones.
"""

import ctypes
import dataclasses
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import twofold
from conftest import NUMPY_LETTERS
from twofold import ufuncs

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

EXAMPLES = int(os.environ.get("TWOFOLD_TEST_EXAMPLES", "0"))
COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
TRIED = settings(
    max_examples=EXAMPLES or 300, derandomize=not EXAMPLES, print_blob=True, report_multiple_bugs=False, **COMMON
)

EXACTLY = 10_000  # as far as so much work will do: else the answer is of the bounds of the memory
DTYPES = [*map(np.dtype, NUMPY_LETTERS), np.dtype("m8[s]")]
if ml_dtypes:
    DTYPES.append(np.dtype(ml_dtypes.bfloat16))

MARGIN = 64  # bytes before and behind all arrays, which have to stay as they are
LARGE = 200_000  # bytes, enough for several threads

# ---- arrays in memory


@dataclass(frozen=True)
class Place:
    """Where an array lies."""

    offset: int  # bytes, of its first element
    strides: tuple[int, ...]  # bytes
    dtype: np.dtype

    def array(self, memory: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.ndarray(shape, self.dtype, memory, self.offset, self.strides)

    def array_of_bytes(self, memory: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The same with a dimension more: the bytes of each element."""
        return np.ndarray((*shape, self.dtype.itemsize), np.uint8, memory, self.offset, (*self.strides, 1))


@dataclass(frozen=True)
class Case:
    """A call: `values` and `out` in one piece of memory, and the arguments."""

    shape: tuple[int, ...]
    values: Place
    out: Place | None  # the same as `values`: in place
    memory_bytes: int
    filling: str
    seed: int
    overflow: str = "wrap"
    threads: int | None = None

    @property
    def in_place(self) -> bool:
        return self.out == self.values

    def memory(self) -> np.ndarray:
        """A new piece, which holds the same bytes each time."""
        random = np.random.default_rng(self.seed)
        memory = np.empty(self.memory_bytes + 64, np.uint8)
        memory = memory[-memory.ctypes.data % 64 :][: self.memory_bytes]
        memory[:] = random.integers(0, 256, self.memory_bytes, np.uint8)
        if self.filling != "any bits":
            chosen = bytes_of_numbers(self.filling, self.values.dtype)
            last = len(chosen) - (self.filling == "small but one")
            which = random.integers(0, last, self.shape)
            if last < len(chosen) and which.size:
                which[tuple(random.integers(self.shape))] = last
            self.values.array_of_bytes(memory, self.shape)[...] = chosen[which]
        return memory

    def arrays(self, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        values = self.values.array(memory, self.shape)
        if self.in_place:
            return values, values
        return values, self.out and self.out.array(memory, self.shape)


def bytes_of_numbers(filling: str, dtype: np.dtype) -> np.ndarray:
    """Some numbers, one a row. "small but one": the last is one whose double does not fit."""
    special = special_numbers(dtype.newbyteorder("=") if dtype.char != "E" else dtype)
    small = np.arange(-60 if dtype.kind in "if" else 0, 61).astype(special.dtype)
    numbers = {"special": special, "small": small, "small but one": np.append(small, special[0])}[filling]
    rows = numbers.astype(dtype).reshape(-1, 1).view(np.uint8)
    rows[:, ~significant_bytes(dtype)] = 0  # or it would be whatever lay there
    return rows


def special_numbers(dtype: np.dtype) -> np.ndarray:
    """Limits, what lies beside them, and what is no number; the first one's double does not fit."""
    if dtype.kind == "c":
        parts = special_numbers(np.dtype(dtype.char.lower()))
        return np.stack(np.meshgrid(parts, parts), -1).reshape(-1, 2).view(dtype)[:, 0]
    if dtype.kind == "m":
        return special_numbers(np.dtype("i8")).view(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        near = [limits.max // 2 + i for i in (1, 0, -1)] + [limits.min // 2 + i for i in (0, -1, 1) if limits.min]
        return np.array([limits.max, limits.min, 0, 1, *near], dtype)
    if dtype.char == "g":
        limits = np.finfo(dtype)
        numbers = [limits.max, limits.smallest_subnormal, limits.tiny / 2, 0, np.inf, np.nan]
        return np.array([sign * number for number in numbers for sign in (1, -1)], dtype)
    sign, mantissa = 1 << (8 * dtype.itemsize - 1), {"e": 10, "f": 23, "d": 52, "E": 7}[dtype.char]
    step = 1 << mantissa  # of the exponent
    infinity = sign - step
    finite = [infinity - 1, infinity - step, infinity - step - 1, 0, 1, step - 1, step // 2, step]
    magnitudes = [*finite, infinity, infinity + 1, infinity + step // 2 + 5]
    return np.array([m + s for m in magnitudes for s in (0, sign)], f"u{dtype.itemsize}").view(dtype)


@st.composite
def strides_of(draw: st.DrawFn, shape: tuple[int, ...], itemsize: int, repeats: bool) -> tuple[int, ...]:
    """Any order of the dimensions, steps of any sign, and gaps. `repeats`: elements may share their bytes, too."""
    gaps = st.sampled_from([0, 0, 0, 1, itemsize])
    strides = [0] * len(shape)
    step = itemsize + draw(gaps)
    for axis in draw(st.permutations(range(len(shape)))):
        step *= draw(st.sampled_from([1, 1, 1, 2, 3]))
        strides[axis] = draw(st.sampled_from([step, step, -step, 0] if repeats else [step, step, -step]))
        if strides[axis]:
            step = step * max(shape[axis], 1) + draw(gaps)
    return tuple(strides)


def reach(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """How many bytes lie before the first element, and how many from there to the end."""
    if 0 in shape:
        return 0, 0
    spans = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return -sum(s for s in spans if s < 0), itemsize + sum(s for s in spans if s > 0)


SHAPES = st.one_of(
    st.lists(st.integers(0, 9), max_size=2),
    st.lists(st.integers(1, 40), min_size=1, max_size=2),
    st.lists(st.integers(0, 4), min_size=3, max_size=4),
).map(tuple)


def byte_orders(dtype: np.dtype) -> st.SearchStrategy[np.dtype]:
    # NumPy has no name for bfloat16 the other way round.
    other = dtype if dtype.char == "E" or dtype.itemsize == 1 else dtype.newbyteorder("S")
    return st.sampled_from([dtype, dtype, other])


@st.composite
def cases(draw: st.DrawFn, **arguments: st.SearchStrategy) -> Case:
    kind = draw(st.sampled_from(DTYPES))
    size = kind.itemsize
    shape = draw(SHAPES)
    if draw(st.integers(0, 15)) == 0:
        shape = draw(st.sampled_from([(LARGE // size,), (LARGE // size // 40, 40), (40, LARGE // size // 40)]))
    dtype = draw(byte_orders(kind))
    way = draw(st.sampled_from(["new", "in place", "elsewhere", "overlapping", "overlapping"]))
    strides = draw(strides_of(shape, size, way != "in place"))
    before, behind = reach(shape, strides, size)
    values = Place(MARGIN + before + draw(st.sampled_from([0, 0, 1, size // 2, size])), strides, dtype)
    out = None
    end = values.offset + behind
    if way == "in place":
        out = values
    elif way != "new":
        out_strides = draw(
            st.one_of(strides_of(shape, size, False), st.just(strides) if 0 not in strides else st.nothing())
        )
        out_before, out_behind = reach(shape, out_strides, size)
        if way == "overlapping":
            elements = draw(st.integers(-(before + behind) // size - 1, (before + behind) // size + 1))
            start = values.offset + elements * size + draw(st.sampled_from([0, 0, 0, 1, size // 2]))
            shift = max(MARGIN + out_before - start, 0)  # there has to be room before it, for both
            values = Place(values.offset + shift, strides, dtype)
            out_offset, end = start + shift, end + shift
        else:
            out_offset = end + MARGIN + out_before + draw(st.sampled_from([0, 1]))
        out = Place(out_offset, out_strides, draw(byte_orders(kind)))
        end = max(end, out_offset + out_behind)
    filling = draw(st.sampled_from(["any bits", "special", "small", "small but one"]))
    drawn = {name: draw(strategy) for name, strategy in arguments.items()}
    return Case(shape, values, out, end + MARGIN, filling, draw(st.integers(0, 2**32 - 1)), **drawn)


# ---- what is right


def native(array: np.ndarray) -> np.ndarray:
    """A copy in C's order and this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("=") if array.dtype.char != "E" else array.dtype, order="C")


def doubled_by_numpy(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        if x.dtype.kind == "m":
            return np.where(np.isnat(x), x, (x.view("i8") * 2).view(x.dtype))
        if x.dtype.char == "E":  # ml_dtypes has one NaN only
            wide = (x.view("u2").astype("u4") << 16).view("f4")
            return ((wide + wide).view("u4") >> 16).astype("u2").view(x.dtype)
        return np.asarray(np.add(x, x))


def overflows(x: np.ndarray) -> np.ndarray:
    """Which elements' doubles do not fit."""
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        return (x > limits.max // 2) | (x < limits.min // 2)
    if x.dtype.kind == "m":
        most = np.iinfo("i8").max // 2
        return ~np.isnat(x) & ((x.view("i8") > most) | (x.view("i8") < -most))
    if x.dtype.kind == "c":
        return overflows(x.real.copy()) | overflows(x.imag.copy())
    with np.errstate(all="ignore"):
        return np.isfinite(x) & ~np.isfinite(doubled_by_numpy(x))


class DoesNotFitError(Exception):
    """An element's double does not fit: with its index."""


def answer(x: np.ndarray, overflow: str) -> np.ndarray:
    """The doubles of the native array x."""
    result, over = doubled_by_numpy(x), overflows(x)
    if (overflow == "raise" or (overflow == "wrap" and x.dtype.kind == "m")) and over.any():
        raise DoesNotFitError(tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(over)))[: x.ndim])
    if overflow == "saturate" and x.dtype.kind in "ium":
        numbers = x.view("i8") if x.dtype.kind == "m" else x
        limits = np.iinfo(numbers.dtype)
        lowest = -limits.max if x.dtype.kind == "m" else limits.min
        return np.where(
            over,
            np.where(numbers < 0, numbers.dtype.type(lowest), limits.max).astype(numbers.dtype).view(x.dtype),
            result,
        )
    return result


def significant_bytes(dtype: np.dtype) -> np.ndarray:
    """Which bytes of an element have a meaning: not the padding of long double."""
    significant = np.ones(dtype.itemsize, bool)
    if dtype.char in "gG":
        parts = significant.reshape(-1, np.dtype("g").itemsize)
        parts[:, (np.finfo("g").bits if np.finfo("g").bits < 100 else 80) // 8 :] = False
        if not dtype.isnative:
            parts[...] = parts[:, ::-1]
    return significant


def assert_same_bits(result: np.ndarray, expected: np.ndarray) -> None:
    """Of two arrays in C's order."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    significant = significant_bytes(result.dtype)
    ours, theirs = (a.reshape(-1, 1).view(np.uint8)[:, significant] for a in (result, expected))
    assert (ours == theirs).all(), f"{result} instead of {expected}"


# ---- the property

Double = Callable[..., object]


def check(double: Double, case: Case) -> None:
    memory, numpys_memory = case.memory(), case.memory()
    values, out = case.arrays(memory)
    x, numpys_out = case.arrays(numpys_memory)
    before = native(x)
    comparable = np.ones(case.memory_bytes, bool)
    if case.out:
        case.out.array_of_bytes(comparable.view(np.uint8), case.shape)[...] = significant_bytes(case.out.dtype)
    try:
        expected = answer(before, case.overflow)
    except DoesNotFitError as error:
        (index,) = error.args
        with pytest.raises(OverflowError) as raised, np.errstate(all="ignore"):
            double(values, out, overflow=case.overflow, threads=case.threads)
        if case.shape:
            assert f"values[{', '.join(map(str, index))}]" in str(raised.value)
        if case.out and not np.may_share_memory(values, out, EXACTLY):  # then it holds anything
            case.out.array_of_bytes(comparable.view(np.uint8), case.shape)[...] = False
    else:
        if case.threads and values.nbytes > LARGE // 2:
            wake_helpers()
        with np.errstate(all="ignore"):
            result = double(values, out, overflow=case.overflow, threads=case.threads)
        if case.out:
            assert result is out
            if case.overflow == "wrap" and values.dtype.char not in "mE":
                with np.errstate(all="ignore"):
                    np.add(x, x, out=numpys_out)
            else:
                numpys_out[...] = expected
        else:
            check_new(result, values, expected)
    differ = np.flatnonzero((memory != numpys_memory) & comparable)
    assert not differ.size, f"bytes {differ} of memory, {memory[differ]} instead of {numpys_memory[differ]}"


def check_new(result: object, values: np.ndarray, expected: np.ndarray) -> None:
    if values.ndim == 0:
        assert type(result) is values.dtype.type
        assert_same_bits(np.asarray(result), expected)
        return
    assert type(result) is np.ndarray
    assert result.dtype == values.dtype
    assert result.dtype.isnative == values.dtype.isnative
    assert result.flags.owndata
    assert result.flags.aligned
    assert result.flags.writeable
    assert strides_that_count(result) == strides_that_count(np.positive(values))
    assert_same_bits(native(result), expected)


def strides_that_count(array: np.ndarray) -> list[int]:
    return [stride for n, stride in zip(array.shape, array.strides, strict=True) if n > 1 and array.size]


scratch = np.zeros(LARGE, np.uint8)


def wake_helpers() -> None:
    """So that the next call finds them awake, and uses them."""
    for _ in range(2):
        twofold.double(scratch, scratch, threads=3)


ARGUMENTS = {
    "overflow": st.sampled_from(["wrap", "wrap", "saturate", "raise"]),
    "threads": st.sampled_from([None, 1, 2, 3]),
}


@TRIED
@given(cases(**ARGUMENTS))
def test_any_array_is_doubled_as_numpy_does_it(case):
    check(twofold.double, case)


# ---- the ufunc

NUMBERS = [dtype for dtype in DTYPES if dtype.kind in "iufc"]  # of NumPy itself
CASTINGS = ["no", "equiv", "safe", "same_kind", "unsafe", "any"]  # the last one is none


@dataclass(frozen=True)
class UfuncCall:
    case: Case
    out_dtype: np.dtype | None  # None: `out` as the case has it
    out_shape: tuple[int, ...]
    where: tuple[int, ...] | None  # its shape
    where_dtype: type
    keywords: dict[str, object]

    def result(self, ufunc: Callable[..., object]) -> tuple[object, list[np.ndarray]]:
        """What the call gives, or the type of its exception; and all that it could have written to."""
        memory = self.case.memory()
        values, out = self.case.arrays(memory)
        arrays = [memory]
        if self.out_dtype:
            out = np.full(self.out_shape, 7, self.out_dtype)
            arrays.append(out)
        keywords = {**self.keywords, "out": out}
        if self.where is not None:
            keywords["where"] = (
                np.random.default_rng(self.case.seed).integers(0, 2, self.where).astype(self.where_dtype)
            )
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                return ufunc(values, **keywords), arrays
        except Exception as error:
            return type(error), arrays


@st.composite
def ufunc_calls(draw: st.DrawFn) -> UfuncCall:
    case = draw(cases().filter(lambda case: case.values.dtype.kind in "iufc" and case.values.dtype.char != "E"))
    shapes = st.sampled_from([case.shape, case.shape, case.shape, (2, *case.shape), case.shape[1:], (*case.shape, 3)])
    keywords = {
        "casting": st.sampled_from(CASTINGS),
        "dtype": st.sampled_from(NUMBERS),
        "order": st.sampled_from("KCFA"),
    }
    drawn = {name: draw(values) for name, values in keywords.items() if draw(st.booleans())}
    where = draw(st.one_of(st.none(), shapes))
    return UfuncCall(
        case,
        draw(st.one_of(st.none(), st.sampled_from(NUMBERS))),
        draw(shapes),
        where,
        draw(st.sampled_from([bool, bool, bool, int])),
        drawn,
    )


def check_ufunc(ufunc: Callable[..., object], call: UfuncCall) -> None:
    result, arrays = call.result(ufunc)
    expected, numpys_arrays = call.result(lambda x, **keywords: np.add(x, x, **keywords))
    if isinstance(expected, type) or isinstance(result, type):
        assert result is expected
    elif call.where is None or call.out_dtype or call.case.out:  # otherwise some of the result is left as it was found
        ours, theirs = np.asarray(result), np.asarray(expected)
        assert type(result) is type(expected)
        assert ours.dtype.isnative == theirs.dtype.isnative
        assert strides_that_count(ours) == strides_that_count(theirs)
        assert_same_bits(ours.copy("C"), theirs.copy("C"))
    ours, theirs = arrays[0], numpys_arrays[0]
    comparable = np.ones(len(ours), np.uint8)
    if call.case.out:
        call.case.out.array_of_bytes(comparable, call.case.shape)[...] = significant_bytes(call.case.out.dtype)
    assert not ((ours != theirs) & comparable.view(bool)).any()
    for ours, theirs in zip(arrays[1:], numpys_arrays[1:], strict=True):
        assert_same_bits(ours, theirs)


@TRIED
@given(ufunc_calls())
def test_the_ufunc_is_that_of_numpy(call):
    check_ufunc(ufuncs.doubled, call)


# ---- whatever NumPy drives, and the overflow of each ufunc

UFUNC_OF = {"wrap": ufuncs.doubled, "saturate": ufuncs.doubled_saturating, "raise": ufuncs.doubled_checked}


class Own(np.ndarray):
    """A class that NumPy knows nothing of."""


@dataclass(frozen=True)
class RouteCall:
    """A call of `double` on an array of some class, with some keywords, or of the ufunc that has the same name."""

    case: Case
    container: str  # "array", "subclass", "masked"
    by_ufunc: bool
    where: bool  # whether some elements are left out

    def chosen(self, salt: int) -> np.ndarray:
        return np.random.default_rng([self.case.seed, salt]).integers(0, 4, self.case.shape) > 0

    def counting(self) -> np.ndarray:
        """The elements that are doubled."""
        counting = np.ones(self.case.shape, bool)
        if self.where:
            counting &= self.chosen(1)
        if self.container == "masked":
            counting &= self.chosen(2)
        return counting

    def held(self, array: np.ndarray) -> np.ndarray:
        """An array in its container."""
        if self.container == "masked":
            return np.ma.array(array, mask=~self.chosen(2), copy=False)
        return array.view(Own) if self.container == "subclass" else array

    def run(self, values: np.ndarray, out: np.ndarray | None) -> object:
        keywords = {"where": self.chosen(1)} if self.where else {}
        if self.by_ufunc:
            return UFUNC_OF[self.case.overflow](values, out=out, **keywords)
        return twofold.double(values, out, overflow=self.case.overflow, threads=self.case.threads, **keywords)


@st.composite
def route_calls(draw: st.DrawFn) -> RouteCall:
    case = draw(cases(**ARGUMENTS))
    by_ufunc = draw(st.booleans())
    # To a ufunc a masked array is one whose elements all count, and NumPy looks after the mask.
    container = draw(st.sampled_from(["array", "subclass", "masked"][: 2 if by_ufunc else 3]))
    where = bool(case.out) and draw(st.booleans())  # without `out` the rest is left as it was found
    return RouteCall(case, container, by_ufunc, where)


def check_route(call: RouteCall, run: Callable[..., object] = RouteCall.run) -> None:
    case, counting = call.case, call.counting()
    memory, expected_memory = case.memory(), case.memory()
    values, out = case.arrays(memory)
    before = native(values)
    before[~counting] = 0
    held = call.held(values)
    into = held if case.in_place else None if out is None else call.held(out)
    compared = np.ones(case.memory_bytes, bool)
    if case.out:
        comparable = case.out.array_of_bytes(compared.view(np.uint8), case.shape)
        comparable[...] = significant_bytes(case.out.dtype)
        if call.container == "masked":  # what stands under a mask may be anything
            comparable &= call.chosen(2)[..., None]
    try:
        expected = answer(before, case.overflow)
    except DoesNotFitError:
        with pytest.raises(OverflowError), np.errstate(all="ignore"):
            run(call, held, into)
        if case.out and (call.by_ufunc or not np.may_share_memory(values, out, EXACTLY)):  # then it holds anything
            comparable[...] = False
    else:
        with np.errstate(all="ignore"):
            result = run(call, held, into)
        if case.out:
            np.copyto(case.arrays(expected_memory)[1], expected, where=counting)
        elif case.shape == () and not counting:
            assert result is np.ma.masked  # as NumPy's own ufuncs have it
        else:
            result = np.ma.getdata(np.asanyarray(result))
            ours, theirs = np.array(native(result)), np.array(expected)
            ours[~counting] = theirs[~counting] = 0
            assert_same_bits(ours, theirs)
        if call.container == "masked" and case.out:
            assert (np.ma.getmaskarray(into) == ~call.chosen(2)).all()
    differ = np.flatnonzero((memory != expected_memory) & compared)
    assert not differ.size, f"bytes {differ} of memory, {memory[differ]} instead of {expected_memory[differ]}"


@TRIED
@given(route_calls())
def test_any_class_and_where(call):
    check_route(call)


def counts_what_does_not(call, values, out):
    call = dataclasses.replace(call, where=False)
    return call.run(np.ma.getdata(values), None if out is None else np.ma.getdata(out))


def writes_in_place_before_it_raises(call, values, out):
    UFUNC_OF["wrap"](np.ma.getdata(values), out=None if out is None else np.ma.getdata(out))
    return call.run(values, out)


def loses_an_overflow(call, values, out):
    try:
        return call.run(values, out)
    except OverflowError:
        return call.held(np.zeros(call.case.shape)) if out is None else out


@pytest.mark.parametrize("wrong", [counts_what_does_not, writes_in_place_before_it_raises, loses_an_overflow])
def test_what_is_wrong_on_a_route_is_found(wrong):
    @settings(max_examples=1000, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False, **COMMON)
    @given(route_calls())
    def search(call: RouteCall) -> None:
        check_route(call, wrong)

    with pytest.raises((AssertionError, OverflowError, pytest.fail.Exception)):
        search()


# ---- proof that the property can fail


def right(
    values: np.ndarray, out: np.ndarray | None = None, *, overflow: str = "wrap", threads: int | None = None
) -> object:
    """What the property wants, in Python."""
    try:
        result = answer(native(values), overflow)
    except DoesNotFitError as error:
        raise OverflowError(f"values[{', '.join(map(str, error.args[0]))}]") from None
    if out is None:
        out = np.empty_like(np.positive(values), values.dtype)
        out[...] = result
        return out if out.ndim else out[()]
    out[...] = result
    return out


def drops_the_last_element(values, out=None, **arguments):
    if out is None or not values.size:
        return right(values, out, **arguments)
    last = (-1,) * values.ndim
    kept = out[last].copy()
    right(values, out, **arguments)
    out[last] = kept
    return out


def writes_one_byte_more(values, out=None, **arguments):
    result = right(values, out, **arguments)
    if out is not None and out.size:
        _, end = np.lib.array_utils.byte_bounds(out)
        ctypes.c_uint8.from_address(end).value ^= 1
    return result


def forgets_that_out_overlaps(values, out=None, **arguments):
    if out is None or values.size > 2000 or overflows(native(values)).any():
        return right(values, out, **arguments)
    for index in np.ndindex(values.shape):
        right(values[(*index, ...)], out[(*index, ...)], **arguments)
    return out


def takes_strides_for_positive(values, out=None, **arguments):
    backwards = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in values.strides)
    return right(values[backwards], out, **arguments)


def forgets_the_byte_order(values, out=None, **arguments):
    if values.dtype.isnative or out is None or overflows(native(values)).any():
        return right(values, out, **arguments)
    right(values.view(values.dtype.newbyteorder("=")), out, overflow="saturate")
    return out


def gives_the_native_byte_order(values, out=None, **arguments):
    result = right(values, out, **arguments)
    return native(result) if out is None and isinstance(result, np.ndarray) else result


def gives_c_order(values, out=None, **arguments):
    result = right(values, out, **arguments)
    return np.ascontiguousarray(result) if out is None and isinstance(result, np.ndarray) and result.ndim else result


def has_one_nan(values, out=None, **arguments):
    result = right(values, out, **arguments)
    if out is not None and values.dtype.kind == "f":
        out[np.isnan(out)] = np.nan
    return result


def wraps_where_it_should_saturate(values, out=None, *, overflow, threads):
    return right(values, out, overflow="wrap" if overflow == "saturate" else overflow)


def never_raises(values, out=None, *, overflow, threads):
    return right(values, out, overflow="wrap" if overflow == "raise" else overflow)


def names_the_wrong_index(values, out=None, **arguments):
    try:
        return right(values, out, **arguments)
    except OverflowError:
        raise OverflowError(f"values[{', '.join('0' * values.ndim)}]") from None


def writes_before_it_raises(values, out=None, **arguments):
    try:
        return right(values, out, **arguments)
    except OverflowError:
        if out is values:
            out[(0,) * out.ndim] += out[(0,) * out.ndim]
        raise


def loses_what_threads_did(values, out=None, **arguments):
    result = right(values, out, **arguments)
    if arguments["threads"] == 2 and out is not None and values.nbytes > LARGE // 2:
        out[-1] = values[-1]
    return result


WRONG = [
    drops_the_last_element,
    writes_one_byte_more,
    forgets_that_out_overlaps,
    takes_strides_for_positive,
    forgets_the_byte_order,
    gives_the_native_byte_order,
    gives_c_order,
    has_one_nan,
    wraps_where_it_should_saturate,
    never_raises,
    names_the_wrong_index,
    writes_before_it_raises,
    loses_what_threads_did,
]


def seek_failure(double: Double) -> None:
    """The same search, without what makes a failure small."""

    @settings(max_examples=1000, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False, **COMMON)
    @given(cases(**ARGUMENTS))
    def search(case: Case) -> None:
        with np.errstate(all="ignore"):
            check(double, case)

    search()


@pytest.mark.parametrize("wrong", [ufuncs.doubled_saturating, np.positive, np.square], ids=lambda f: f.__name__)
def test_another_ufunc_is_found(wrong):
    @settings(max_examples=1000, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False, **COMMON)
    @given(ufunc_calls())
    def search(call: UfuncCall) -> None:
        check_ufunc(wrong, call)

    with pytest.raises(AssertionError):
        search()


def test_what_is_right_passes():
    seek_failure(right)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda f: f.__name__)
def test_what_is_wrong_is_found(wrong):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        seek_failure(wrong)
