"""Calls that NumPy drives, or a library on top of it: all arrays but exact ones, and types without loops of ours.

A ufunc processes an array in pieces, and may have written some of them when it finds an overflow in another. So if a
call may fail, the elements that count are first computed aside, in an exact array; only then does NumPy write. A
library that drives is handed a `Call` instead of the ufunc, so that its pieces come back to the public function.

All of this is imported with twofold, but NumPy is not: `begin` looks it up, before any other function here is called.
"""

from __future__ import annotations

import math
import sys
from _functools import partial  # type: ignore[import-not-found]  # of functools, which takes longer to import

from twofold._containers import ndarray
from twofold._engine import parallel_ufunc, signals, twofold_engine
from twofold._engine.arguments import dtype_of_numpy
from twofold._engine.messages import loaded_module, raise_again_if_callers, what_to_convert
from twofold._memory.numpy_handler import find_numpy

TYPE_CHECKING = False  # as in typing, which would take longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from twofold._engine.twofold_engine import Operation

    Array = np.ndarray[Any, Any]
    Mask = np.ndarray[Any, np.dtype[np.bool]]
    Dtype = np.dtype[Any]

WRAP, SATURATE, RAISE = range(3)  # the values of Policy in twofold_engine.pxd

OVERFLOWS = ("wrap", "saturate", "raise")

# Set by `begin`:
OF_NUMPY: tuple[type, ...] = ()
NUMPYS_OWN: Any = None


def begin() -> None:
    """Look up NumPy, and have calls recognize its arrays.

    Doing this twice, by two threads or in the child of a fork that came in between, is harmless.
    """
    numpy = find_numpy()
    globals().update(
        np=numpy,
        OF_NUMPY=(numpy.ndarray, numpy.generic),
        NUMPYS_OWN=numpy.ndarray.__array_ufunc__,
    )
    ndarray.begin()


def take_for_plain(kind: type) -> None:
    """Treat a subclass of ndarray as its memory alone; results are exact arrays."""
    ndarray.plain_classes.add(kind)
    parallel_ufunc.take_for_plain(kind)


def run_of_numpy(  # noqa: PLR0913, PLR0917
    operation: Operation,
    values: Any,
    out: Any,
    dtype: Any,
    policy: int,
    threads: int,
    ufunc_keywords: dict[str, Any] | None,
) -> Any:
    """Run on a NumPy array of any class, or on a NumPy scalar."""
    if policy == WRAP and out is None and not threads and ndarray.cannot_fail(values, dtype, ufunc_keywords):
        if dtype is None and not ufunc_keywords:
            return operation.ufuncs[WRAP](values)
        keywords = dict(ufunc_keywords or ()) if dtype is None else {"dtype": dtype, **(ufunc_keywords or {})}
        return operation.ufuncs[WRAP](values, **keywords)
    if isinstance(values, np.generic) and not isinstance(values, np.object_):
        if not ndarray.has_element(values.dtype):
            advice = what_to_convert(values.dtype.name)
            raise TypeError(f"values is a {type_name(values)}, which cannot be {operation.participle}{advice}")
        if out is dtype is ufunc_keywords is None:
            return ndarray.run_exact(operation, np.asarray(values), None, policy, threads)
    if (
        type(values) in ndarray.plain_classes
        and not ufunc_keywords
        and (dtype is None or dtype_of_numpy(np, dtype) == values.dtype)
        and (out is None or type(out) in ndarray.plain_classes or not hasattr(type(out), "__array_ufunc__"))
    ):
        return ndarray.run_exact(operation, values, out, policy, threads)
    return run_by_ufunc(operation, values, out, dtype, policy, threads, ufunc_keywords)


def run_by_ufunc(  # noqa: PLR0913, PLR0917
    operation: Operation,
    values: Any,
    out: Any,
    dtype: Any,
    policy: int,
    threads: int,
    ufunc_keywords: dict[str, Any] | None,
) -> Any:
    """Run on any object with `__array_ufunc__`. `threads` limits everything that this thread does meanwhile."""
    keywords = dict(ufunc_keywords or ())
    if isinstance(out, tuple) and len(out) == 1:  # a ufunc also accepts that
        (out,) = out
    if out is not None:
        keywords["out"] = out
    if dtype is not None:
        keywords["dtype"] = dtype
    route = route_of(values, out)
    if threads:
        result = twofold_engine.call_with_limit(threads, route, operation, values, policy, keywords)
    else:
        result = route(operation, values, policy, keywords)
    return result if out is None or isinstance(out, tuple) else out  # pandas would return another one


def route_of(values: Any, out: Any) -> Any:
    """Which of the functions below handles them."""
    if not isinstance(values, OF_NUMPY):
        names = {getattr(base, "__module__", "").partition(".")[0] for base in type(values).__mro__}
        for name, route in LIBRARIES.items():
            if name in names:
                return route
        return by_its_class
    return by_numpy if is_left_to_numpy(values) and is_left_to_numpy(out) else by_its_class


def is_left_to_numpy(array: Any) -> bool:
    return getattr(type(array), "__array_ufunc__", NUMPYS_OWN) is NUMPYS_OWN


# ---- NumPy


def by_numpy(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    """Run on an array whose class leaves ufuncs to NumPy, or on a scalar."""
    ufunc, out = operation.ufuncs[policy], keywords.get("out")
    if ndarray.is_masked(values) and out is None:
        return values
    ndarray.has_element(values.dtype)  # so that the ufuncs know bfloat16, which may have been imported meanwhile
    by_objects = out is not None and not {"dtype", "signature"}.isdisjoint(keywords)  # which `out` may not hold
    if values.dtype.kind not in "mO" and ((policy == WRAP and not by_objects) or (policy == SATURATE and not keywords)):
        return ufunc(values, **keywords)
    array, where = np.asarray(values), keywords.get("where", True)
    where = np.asarray(where, None if hasattr(where, "dtype") else bool)
    if where.dtype != bool or not isinstance(out, np.ndarray | None):
        return ufunc(values, **keywords)  # which refuses it
    computed, stored = types_of(ufunc, array.dtype, keywords)
    may_fail = policy == RAISE or computed.kind in "mO"
    narrows = policy == SATURATE and not (fits(array.dtype, computed) and fits(computed, stored))
    if not may_fail and not narrows:
        return ufunc(values, **keywords)
    where = where & ~mask_of(values)
    counts = None if where.size and where.all() else counting(where, array.shape)
    results = computed_aside(operation, array, counts, (computed, stored), policy)
    if out is not None and counts is not None:
        keywords = {**keywords, "where": where}
    if policy == RAISE and computed.kind not in "mO" and array.dtype.kind != "O":  # then nothing can fail any more
        return with_errors({"all": "ignore"}, operation.ufuncs[WRAP], values, **keywords)
    # An array of the same class and mask, which NumPy then writes to `out`.
    holder: Any = np.empty_like(values, stored)
    np.copyto(np.asarray(holder), results)
    if counts is not None and stored.kind != "O" and np.can_cast(array.dtype, stored, "equiv"):
        np.copyto(np.asarray(holder), array, where=~counts)
    placing = {"out", "order", "subok"} if out is None else {"out", "order", "subok", "where"}
    return np.positive(holder, **without(keywords, *(keywords.keys() - placing)))


def mask_of(values: Any) -> Any:
    """The mask of a masked array; does not import numpy.ma: if it is not loaded, there is none."""
    getmask = getattr(loaded_module("numpy.ma.core"), "getmask", None)
    return np.False_ if getmask is None else getmask(values)


def types_of(ufunc: np.ufunc, dtype: Dtype, keywords: dict[str, Any]) -> tuple[Dtype, Dtype]:
    """The types that a ufunc call computes in and stores. Raises what the call would raise if NumPy refuses it."""
    resolving = {name: value for name, value in keywords.items() if name not in {"out", "where"}}
    nothing = np.empty(0, dtype)
    computed = ufunc(nothing, **resolving).dtype
    if keywords.get("out") is None:
        return computed, computed
    out = np.empty(0, keywords["out"].dtype)
    ufunc(nothing, out=out, **resolving)
    return computed, out.dtype.newbyteorder("=")


def counting(where: Mask, shape: tuple[int, ...]) -> Mask:
    """The elements that `where`, which may have more dimensions, selects at least once."""
    where = np.broadcast_to(where, np.broadcast_shapes(where.shape, shape))
    more = where.ndim - len(shape)
    repeated = [i for i, n in enumerate(shape, more) if n == 1]
    return where.any(axis=(*range(more), *repeated), keepdims=True).reshape(shape)


def computed_aside(
    operation: Operation, array: Array, counts: Mask | None, types: tuple[Dtype, Dtype], policy: int
) -> Array:
    """The results of the elements that count, in new memory, computed in the first type and converted to the second."""
    computed, stored = types
    known = array
    if counts is not None:
        known = array.copy("K")
        known[~counts] = 0
    known = as_type(known, computed, policy, array, "which")
    if computed.kind == "O":
        of_numpy = np.False_ if policy == WRAP else np.asarray(np.frompyfunc(is_scalar, 1, 1)(known), bool)
        results = operation.ufuncs[WRAP](known, out=np.empty_like(known), where=~of_numpy)
        for index in map(tuple, np.argwhere(of_numpy).tolist()):
            results[index] = result_of_scalar(operation, known[index], index, policy)
        if policy == RAISE:
            check_that_none(
                np.frompyfunc(becomes_infinite, 2, 1)(known, results), array, f"whose {operation.noun}", "float64"
            )
    else:
        results = np.asarray(ndarray.run_exact(operation, known, None if known is array else known, policy, 0))
    return as_type(results, stored, policy, array, f"whose {operation.noun}")


def is_scalar(item: Any) -> bool:
    """Whether it is a number of NumPy: the arithmetic of these wraps, but that of Python's numbers does not."""
    return isinstance(item, np.generic)


def result_of_scalar(operation: Operation, item: Any, index: tuple[int, ...], policy: int) -> Any:
    try:
        return operation.function(item, overflow=OVERFLOWS[policy])
    except OverflowError as error:
        raise_again_if_callers(error)
        raise OverflowError(str(error).replace("values", name_of(index), 1)) from None


def becomes_infinite(item: Any, result: Any) -> bool:
    return isinstance(item, float | complex) and is_finite(item) and not is_finite(result)


def is_finite(number: complex) -> bool:
    return math.isfinite(number.real) and math.isfinite(number.imag)


def check_that_none(lost: Any, values: Array, what: str, dtype: Any) -> None:
    """OverflowError for the first element that is lost: `what` ("which" or its result) does not fit the type."""
    if np.any(lost):
        first = tuple(map(int, np.unravel_index(np.argmax(lost), values.shape)))
        raise OverflowError(f"{name_of(first)} is {values[first]}, {what} does not fit {dtype}")


def name_of(index: tuple[int, ...]) -> str:
    return f"values[{', '.join(map(str, index))}]" if index else "values"


# ---- conversion between types


def fits(dtype: Dtype, other: Dtype) -> bool:
    """Whether every number of a type fits another one, if only by rounding."""
    return dtype == other or other.kind == "O" or (dtype.kind != "m" and np.can_cast(dtype, other, "safe"))


def as_type(array: Array, dtype: Dtype, policy: int, values: Array, what: str) -> Array:
    """Convert an array to another type. The policy handles numbers beyond its limits; errors name `values`."""
    if policy == WRAP and array.dtype.kind == dtype.kind == "m":
        policy = RAISE
    if policy != WRAP and array.dtype.kind == "O" and dtype.kind in "iu":
        check_that_none(np.not_equal(array, array), values, what, dtype)  # NaN
        array = np.clip(array, *limits(dtype)) if policy == SATURATE else array
    if policy == WRAP or fits(array.dtype, dtype):
        return array.astype(dtype, copy=False)
    if array.dtype.kind == dtype.kind == "m":
        result, below, above = to_unit(array, dtype)
        lost = np.zeros(array.shape, bool)
    else:
        errors = {"over": "ignore" if policy == RAISE else None, "invalid": "ignore"}
        result = with_errors(errors, array.astype, dtype)
        below, above, lost = misfits(array, result)
    if policy == RAISE:
        check_that_none(below | above | lost, values, what, dtype)
    elif dtype.kind in "ium":
        check_that_none(lost, values, what, dtype)
        result[below], result[above] = limits(dtype)
    return result


def with_errors(settings: dict[str, Any], function: Any, /, *arguments: Any, **keywords: Any) -> Any:
    """Call a function under these settings of np.errstate.

    np.errstate itself is written in Python: if a signal handler raises in it, the settings are not restored.
    """
    before = np.geterr()
    calls = partial(set_errors_and_call, settings, function, *arguments, **keywords)
    return signals.call_and_end(calls, partial(np.seterr, **before))


def set_errors_and_call(settings: dict[str, Any], function: Any, /, *arguments: Any, **keywords: Any) -> Any:
    np.seterr(**settings)
    return function(*arguments, **keywords)


def limits(dtype: Dtype) -> tuple[int, int]:
    if dtype.kind == "m":
        return -(2**63) + 1, 2**63 - 1  # the lowest number is NaT
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


SECONDS = {"Y": 31_556_952, "M": 2_629_746, "W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1}  # as in NumPy
EXPONENTS = {"ms": 3, "us": 6, "ns": 9, "ps": 12, "fs": 15, "as": 18}  # units of 10**-n seconds


def attoseconds(dtype: Dtype) -> int:
    unit, count = np.datetime_data(dtype)
    return int(count) * (10 ** (18 - EXPONENTS[unit]) if unit in EXPONENTS else SECONDS[unit] * 10**18)


def to_unit(array: Array, dtype: Dtype) -> tuple[Array, Mask, Mask]:
    """Durations converted to another unit, rounded down; and which are below and above its limits: 0 in the result.

    By integer arithmetic: near the limits NumPy wraps around or, since 2.5, raises an error of its own.
    """
    old = new = 1
    if "generic" not in (np.datetime_data(array.dtype)[0], np.datetime_data(dtype)[0]):
        old, new = attoseconds(array.dtype), attoseconds(dtype)
        old, new = old // math.gcd(old, new), new // math.gcd(old, new)
    lowest, highest = limits(dtype)
    numbers, missing = array.astype(np.int64), np.isnat(array)
    below = (numbers < max(lowest, -(-lowest * new // old))) & ~missing
    above = numbers > min(highest, ((highest + 1) * new - 1) // old)
    numbers[below | above | missing] = 0
    if 1 in (old, new) and max(old, new) <= highest:
        numbers *= old
        numbers //= new
    else:
        numbers[...] = numbers.astype(object) * old // new
    numbers[missing] = lowest - 1
    return numbers.view(dtype.newbyteorder("=")).astype(dtype, copy=False), below, above


def misfits(array: Array, result: Array) -> tuple[Mask, Mask, Mask]:
    """Which elements are below and above the limits of the type of `result`, and which it cannot express."""
    none = np.zeros(array.shape, bool)
    if array.dtype.kind == "m":
        array, none = array.astype(np.int64), np.isnat(array)
    elif result.dtype.kind not in "ium":
        if array.dtype.kind == "O":
            array = array.astype(np.complex128)
        lost = (np.isfinite(array.real) & ~np.isfinite(result.real)) | (
            np.isfinite(array.imag) & ~np.isfinite(result.imag)
        )
        return none, none, lost
    lowest, highest = limits(result.dtype)
    if array.dtype.kind in "iumO":
        return array < lowest, array > highest, none
    # The limits are powers of two, or one less, which a float may not be able to express.
    whole = np.trunc(array.real.astype(np.longdouble))
    return whole < lowest, whole >= highest + 1, np.isnan(whole)


# ---- libraries


class Call:
    """The public function with its arguments, in a form that libraries accept as a ufunc."""

    signature = None
    nin = nout = 1

    def __init__(self, operation: Operation, overflow: str, dtype: Any = None) -> None:
        self.operation, self.overflow, self.dtype = operation, overflow, dtype
        self.__name__ = operation.function.__name__

    def __call__(self, values: Any, out: Any = None, **keywords: Any) -> Any:
        if isinstance(out, tuple):
            (out,) = out
        # Among objects, missing values are their library's, so the arithmetic of objects handles them.
        if isinstance(values, np.ndarray) and values.dtype.kind == "O":
            return run_by_ufunc(self.operation, values, out, self.dtype, OVERFLOWS.index(self.overflow), 0, keywords)
        return self.as_partial()(values, out, **keywords)

    def as_partial(self) -> Any:
        return partial(self.operation.function, dtype=self.dtype, overflow=self.overflow)

    def __reduce__(self) -> Any:  # a pickle contains only public names
        return self.as_partial().__reduce__()

    def by(self, values: Any, keywords: dict[str, Any]) -> Any:
        """Call the `__array_ufunc__` of `values` with this."""
        if "out" in keywords:
            keywords = {**keywords, "out": (keywords["out"],)}
        result = values.__array_ufunc__(self, "__call__", values, **keywords)
        if result is NotImplemented:
            raise TypeError(f"{type_name(values)} does not know what to do with {', '.join(keywords) or 'a ufunc'}")
        return result


class SparseCall(Call):
    """For sparse arrays, in which one number stands for all elements that are not stored. It may not occur at all."""

    def __init__(self, of_stored: Call, array: Any) -> None:
        super().__init__(of_stored.operation, of_stored.overflow, of_stored.dtype)
        self.type_of_number = array.dtype.subtype.type
        wrapping = Call(of_stored.operation, "wrap", of_stored.dtype)
        self.of_number = of_stored if len(array.sp_values) < len(array) else wrapping

    def __call__(self, values: Any, out: Any = None, **keywords: Any) -> Any:
        if isinstance(values, np.ndarray):
            return super().__call__(values, out, **keywords)
        return self.of_number(self.type_of_number(values), **without(keywords, "where")).item()


def by_its_class(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    """Run on an array whose class, of which nothing is known, decides what a ufunc does."""
    ufunc, dtype = operation.ufuncs[policy], getattr(values, "dtype", None)
    narrows = "dtype" in keywords and (dtype is None or not fits(np.dtype(dtype), np.dtype(keywords["dtype"])))
    if policy != WRAP and narrows:
        raise TypeError(f"values holds {dtype}, and dtype is {keywords['dtype']!r}; convert values first")
    if "out" in keywords and (policy == RAISE or getattr(dtype, "kind", "O") in "mO"):
        ufunc(values, **without(keywords, "out"))  # so that it fails before anything is written
    return ufunc(values, **keywords)


def without(keywords: dict[str, Any], *names: str) -> dict[str, Any]:
    left = keywords.copy()
    for name in names:
        left.pop(name, None)
    return left


def is_left_to_the_ufunc(policy: int, keywords: dict[str, Any]) -> bool:
    """Whether a call cannot fail, and converts no types."""
    return policy != RAISE and not {"dtype", "out"} & keywords.keys()


def by_dask(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    if is_left_to_the_ufunc(policy, keywords):
        return operation.ufuncs[policy](values, **keywords)
    call = Call(operation, OVERFLOWS[policy], keywords.get("dtype"))
    if hasattr(values, "chunks"):  # else dask tries the ufunc on uninitialized memory, which may overflow
        return call.by(values, {"dtype": values.dtype, **keywords})
    return call.by(values, without(keywords, "dtype"))


def by_xarray(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    if is_left_to_the_ufunc(policy, keywords):
        return operation.ufuncs[policy](values, **keywords)
    return Call(operation, OVERFLOWS[policy], keywords.get("dtype")).by(values, without(keywords, "dtype"))


def by_polars(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    if not isinstance(values, sys.modules["polars"].Series):  # an expression
        return Call(operation, OVERFLOWS[policy], keywords.get("dtype")).by(values, without(keywords, "dtype"))
    if "out" in keywords:
        raise TypeError(
            f"out= does not go with {type_name(values)}: arrays of Arrow are never changed; leave out= away"
        )
    operation.function(values.clear())  # TypeError for types whose codes would be doubled: dates, categories
    results = by_numpy(operation, values.fill_null(strategy="zero").to_numpy(), policy, keywords)
    return type(values)(values.name, results).set(values.is_null(), None)


# ---- pandas


def by_pandas(operation: Operation, values: Any, policy: int, keywords: dict[str, Any]) -> Any:
    call = Call(operation, OVERFLOWS[policy], keywords.get("dtype"))
    calling = without(keywords, "dtype", "out")
    if "out" in keywords:
        check_in_place(operation, keywords["out"])
    arrays = sys.modules["pandas"].arrays
    if isinstance(values, arrays.SparseArray):
        result = SparseCall(call, values).by(values, calling)
    elif isinstance(values, arrays.ArrowExtensionArray) and hasattr(values.dtype, "pyarrow_dtype"):
        result = call_on_arrow(values, call, calling)
    elif isinstance(values, sys.modules["pandas"].DataFrame) and calling:
        result = call_on_frame(values, call, calling)
    elif is_left_to_the_ufunc(policy, keywords) and not holds_other_arrays(values):
        try:
            result = operation.ufuncs[policy](values, **keywords)
        except TypeError as error:
            name_the_column(error, values, call, calling)
            raise
    elif isinstance(values, arrays.IntegerArray | arrays.FloatingArray):
        result = call.by(values.fillna(0), calling)
        result[values.isna()] = values.dtype.na_value
    else:
        try:
            result = call.by(values, calling)
        except (OverflowError, TypeError) as error:  # whose indices are those of its internal blocks
            name_the_column(error, values, call, calling)
            raise
    if "out" in keywords:
        assign(operation, keywords["out"], result, values, keywords, policy)
    return result


def holds_other_arrays(values: Any) -> bool:
    """Whether it holds arrays that pandas handles differently from us."""
    is_frame = isinstance(values, sys.modules["pandas"].DataFrame)
    dtypes = values.dtypes if is_frame else [getattr(values, "dtype", None)]  # pandas.NA has none
    return any(hasattr(dtype, "pyarrow_dtype") or hasattr(dtype, "fill_value") for dtype in dtypes)


def name_the_column(error: Exception, values: Any, call: Call, calling: dict[str, Any]) -> None:
    """Raise the error of a DataFrame's first column that has one, with the column's name."""
    raise_again_if_callers(error)
    if isinstance(values, sys.modules["pandas"].DataFrame):
        call_on_frame(values, call, calling)


def check_in_place(operation: Operation, out: Any) -> None:
    """Refuse an `out` of pandas that would not be written, but a copy of it: pandas copies on write what is shared."""
    pandas, name = sys.modules["pandas"], operation.function.__name__
    if isinstance(out, pandas.Index):
        raise TypeError(f"out is a {type_name(out)}, which pandas never changes; say index = twofold.{name}(index)")
    blocks = getattr(getattr(out, "_mgr", None), "blocks", ())
    if pandas.__version__[:2] not in {"1.", "2."} and any(block.refs.has_reference() for block in blocks):
        recipe = 'frame["a"] = twofold.{0}(frame["a"])' if out.ndim == 1 else "frame = twofold.{0}(frame)"
        raise ValueError(
            f"out is a {type_name(out)} that shares its memory with another one, as a column does with its DataFrame:"
            f" pandas would write to a copy, and the other one stay as it is; say {recipe.format(name)}"
        )
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError(f"out is read-only, as are the arrays that pandas gives; say series = twofold.{name}(series)")


def call_on_frame(values: Any, call: Call, calling: dict[str, Any]) -> Any:
    """Run on a DataFrame column by column: with keywords, for example, pandas would make one array of it."""
    where = np.broadcast_to(calling["where"], values.shape) if "where" in calling else None
    columns = {}
    for i, name in enumerate(values.columns):
        keywords = calling if where is None else {**calling, "where": where[:, i]}
        try:
            columns[i] = call.by(values.iloc[:, i], keywords)
        except (OverflowError, TypeError) as error:
            raise_again_if_callers(error)
            raise type(error)(f"in column {name!r}, {error}") from None
    result = values._constructor(columns, index=values.index)
    result.columns = values.columns
    return result.__finalize__(values)


def call_on_arrow(values: Any, call: Call, calling: dict[str, Any]) -> Any:
    """Run on a pandas array in Arrow memory."""
    if call.dtype is None and not calling:
        return call(values)
    missing = values.isna()
    results = call(values.fillna(values.dtype.type(0)).to_numpy(), **calling)
    return type(values)(sys.modules["pyarrow"].array(results, mask=missing))


def assign(  # noqa: PLR0913, PLR0917
    operation: Operation, out: Any, result: Any, values: Any, keywords: dict[str, Any], policy: int
) -> None:
    """Write a pandas result to `out`."""
    where, casting = keywords.get("where"), keywords.get("casting", "same_kind")
    if np.shape(out) != np.shape(result):
        raise ValueError(f"out has shape {np.shape(out)}, but values has {np.shape(result)}; they must be the same")
    chosen = np.broadcast_to(True if where is None else where, np.shape(out))
    if isinstance(out, np.ndarray):
        array = np.asarray(result)
        if array.dtype.kind in "mfc" and not np.can_cast(array.dtype, out.dtype, casting):
            raise TypeError(f"out holds {out.dtype}, to which {array.dtype} is not cast with casting={casting!r}")
        if out.dtype.kind in "iu" and array is not result and np.any(result.isna()):
            array = np.asarray(result, out.dtype)  # raises pandas' own error
        np.copyto(out, as_type(array, out.dtype, policy, np.asarray(values), f"whose {operation.noun}"), where=chosen)
    elif where is None:
        out[:] = result
    elif out.ndim == 2:
        for i, rows in enumerate(chosen.T):  # not out.mask(), which converts integers to floats
            out.iloc[rows, i] = result.iloc[rows, i]
    else:
        out[chosen] = result[chosen]


LIBRARIES = {"pandas": by_pandas, "dask": by_dask, "xarray": by_xarray, "polars": by_polars}


# ---- objects


def run_objects(operation: Operation, values: Any, out: Any, policy: int) -> Any:
    """Run on an exact array of a dtype without loops of ours: of objects, which are treated as items of a list."""
    if values.dtype != object:
        advice = what_to_convert(str(values.dtype))
        raise TypeError(f"values holds {values.dtype}, which cannot be {operation.participle}{advice}")
    target: Any = None if out is None else values if out is values else ndarray.check_out(operation, out, values)
    if out is values and not target.flags.writeable:
        raise ValueError("out is read-only")
    try:
        results = operation.function(values.ravel().tolist(), overflow=OVERFLOWS[policy])
    except (TypeError, OverflowError) as error:
        raise_again_if_callers(error)
        if values.ndim == 1 or type(error) not in (TypeError, OverflowError) or not str(error).startswith("values["):
            raise  # it is the item's own error, or already names the index
        raise type(error)(str(error).replace("values[", "values.flat[", 1)) from None
    result = np.empty_like(values) if out is None else target
    result[...] = np.fromiter(results, object, len(results)).reshape(values.shape)
    return out if out is not None else result if values.ndim else result[()]


ndarray.call_for_other_dtypes(run_objects)


def type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
