"""What NumPy drives, or a library on top of it: all arrays but exact ones, and those of types without loops of ours."""

from typing import Any

import numpy as np

from twofold import _arrays, _core, ufuncs
from twofold._double import double

WRAP, SATURATE, RAISE = range(3)  # as Policy in _core.pxd has them

UFUNCS = (ufuncs.doubled, ufuncs.doubled_saturating, ufuncs.doubled_checked)  # by policy
OVERFLOWS = ("wrap", "saturate", "raise")

PLAIN_CLASSES = {np.ndarray, np.memmap}  # whose arrays give their elements no meaning of their own


def take_for_plain(kind: type) -> None:
    """Make a subclass of ndarray one that `double` takes for what its memory is; results are exact arrays."""
    PLAIN_CLASSES.add(kind)


def double_of_numpy(  # noqa: PLR0913, PLR0917
    values: Any, out: Any, dtype: Any, policy: int, threads: int, ufunc_keywords: dict[str, Any] | None
) -> Any:
    """An array of any class, or a scalar, of NumPy."""
    if isinstance(values, np.generic) and not isinstance(values, np.object_) and not _arrays.has_element(values.dtype):
        raise TypeError(f"values is a {type_name(values)}, which cannot be doubled")
    if (
        type(values) in PLAIN_CLASSES
        and not ufunc_keywords
        and (dtype is None or np.dtype(dtype) == values.dtype)
        and (out is None or type(out) in PLAIN_CLASSES or not hasattr(type(out), "__array_ufunc__"))
    ):
        return _arrays.double_exact(values, out, policy, threads)
    return double_by_ufunc(values, out, dtype, policy, threads, ufunc_keywords)


def double_by_ufunc(  # noqa: PLR0913, PLR0917
    values: Any, out: Any, dtype: Any, policy: int, threads: int, ufunc_keywords: dict[str, Any] | None
) -> Any:
    """Whatever has `__array_ufunc__`. `threads` then is a limit for all that this thread does meanwhile."""
    keywords = dict(ufunc_keywords or ())
    if out is not None:
        keywords["out"] = out
    if dtype is not None:
        keywords["dtype"] = dtype
    before = _core.set_thread_limit(threads) if threads else None
    try:
        if policy == RAISE and isinstance(values, np.ma.MaskedArray):
            result = double_unmasked(values, keywords)
        else:
            result = UFUNCS[policy](values, **keywords)
        return result if out is None or isinstance(out, tuple) else out  # pandas would return another one
    except OverflowError:
        if hasattr(type(values), "isna") and hasattr(type(values), "mask") and not keywords:
            return double_known(values, policy)
        raise
    finally:
        if threads:
            _core.set_thread_limit(before)


def double_unmasked(values: np.ma.MaskedArray[Any, Any], keywords: dict[str, Any]) -> Any:
    """A masked array of NumPy. What stands under the mask does not count."""
    if "out" not in keywords:
        keywords["out"] = values.copy()
    keywords.setdefault("where", ~np.ma.getmaskarray(values))
    return ufuncs.doubled_checked(values, **keywords)


def double_known(values: Any, policy: int) -> Any:
    """A Series or DataFrame of pandas. What stands where values are missing does not count."""
    missing = values.isna()
    return UFUNCS[policy](values.fillna(0)).mask(missing)


def double_other_dtype(values: Any, out: Any, policy: int, threads: int) -> Any:
    """An exact array of a dtype without loops of ours: of objects, which are doubled as those of a list are."""
    if values.dtype != object:
        raise TypeError(f"values holds {values.dtype}, which cannot be doubled")
    target: Any = None if out is None else values if out is values else _arrays.check_out(out, values)
    if out is values and not target.flags.writeable:
        raise ValueError("out is read-only")
    try:
        doubled = double(values.ravel().tolist(), overflow=OVERFLOWS[policy])  # type: ignore[call-overload]
    except (TypeError, OverflowError) as error:
        if values.ndim == 1:
            raise
        raise type(error)(str(error).replace("values[", "values.flat[", 1)) from None
    result = np.empty_like(values) if out is None else target
    result[...] = np.fromiter(doubled, object, len(doubled)).reshape(values.shape)
    return out if out is not None else result if values.ndim else result[()]


def type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
