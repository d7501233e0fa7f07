"""Arrays of NumPy in memory that processes share: what is pickled is where they are.

The memory is that of a `Segment`, the end of each array's chain of bases. Whether a SharedArray is pickled by reference
is decided by that chain alone, so views are, however they were made, and copies are not. (NumPy pickles arrays of other
classes: of `np.asarray(a)`, say, the values.)
"""

import sys

from twofold._containers import ufunc_route
from twofold._engine.arguments import dtype_of_numpy
from twofold._engine.messages import loaded_module, raise_again_if_callers, what_to_pass
from twofold._memory.numpy_handler import extent_of, find_numpy
from twofold._processes import transit
from twofold._processes.segments import AnyMemory, SharedArrayError, segment_beneath
from twofold._processes.transit import find_segment

TYPE_CHECKING = False
if TYPE_CHECKING:  # see `_begin`
    import functools
    from collections.abc import Callable
    from typing import Any, Literal, NoReturn, Self, SupportsIndex, TypeAlias

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    _Shape: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]
    _Order: TypeAlias = Literal["C", "F"]

    class SharedArray(np.ndarray):
        def __new__(cls, shape: _Shape, dtype: DTypeLike = ..., order: _Order = "C") -> Self: ...
        @classmethod
        def empty(cls, shape: _Shape, dtype: DTypeLike = ..., order: _Order = "C") -> Self: ...
        @classmethod
        def _empty_like(cls, model: NDArray[Any]) -> Self: ...


__all__ = ["LostArray", "SharedArray", "SharedArrayError", "share"]

# How many bytes of an array are mapped when it comes: this takes some 60 us for each MiB.
# Measured by `benchmarks/shared_arrays.py`.
MAX_MAPPED_AHEAD = 256 << 20


_has_begun = False


def __getattr__(name: str) -> object:
    if name == "SharedArray":
        _begin()
        return SharedArray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return __all__


def _begin() -> None:
    """Have NumPy, and SharedArray, which is a class of its.

    `import twofold` imports this module, but no NumPy. Two threads may do this at once: the class of the first stays.
    """
    global _has_begun  # noqa: PLW0603
    if _has_begun:
        return
    numpy = find_numpy()
    import functools  # noqa: PLC0415 - which NumPy has imported

    ufunc_route.begin()
    globals().update(np=numpy, functools=functools)

    class SharedArray(np.ndarray):
        """An array of NumPy in memory that other processes can share, filled with zeros.

        Pickled, as every argument and result of a process pool is, it is a reference of less than 1 kB: whoever
        unpickles it on this machine has the same memory. So have its views: slices, reshaped, transposed and
        reinterpreted ones. What is read-only stays so. What NumPy makes new memory for (``a + 1``, ``a[[1, 2]]``,
        ``a.copy()``) is a plain array. So is ``np.asarray(a)``, which has the same memory, but is pickled with all that
        is in it.

        Parameters
        ----------
        shape : int or tuple of int
            The shape.
        dtype : dtype, optional
            The type of the elements, float64 by default; none that holds Python objects.
        order : {"C", "F"}, optional
            Which dimension's elements lie side by side: that of the last index, or of the first.

        Raises
        ------
        MemoryError
            There is not that much memory: of the machine, or within the limit of the container.
        OSError
            Of another limit (open files, file sizes), or where no such memory may be made at all: its text says which.
        TypeError
            `dtype` holds Python objects, which no other process has; or `shape` is an array, which is for `share`.

        See Also
        --------
        share : makes one of values

        Notes
        -----
        The memory is anonymous: it has no name, does not count as a file of /dev/shm, and is gone with the last process
        that uses it, however that ends. It need not be the one that made it. Each process has a file descriptor for it.

        To pickle it is a `SharedArrayError` where no other process could open it: in a process that has given up
        privileges (by setuid, say), until it calls ``prctl(PR_SET_DUMPABLE, 1)``, and where there is no /proc.

        Count on one load of a pickle: it arrives also if the sender drops the array meanwhile, or is a worker that then
        ends in an orderly way. To store arrays on disk, use `numpy.save`. An array that cannot be opened (any more) is
        a `LostArray`, whose every use raises `SharedArrayError`; unpickling never raises, since process pools hang
        then.

        Examples
        --------
        >>> import pickle, twofold
        >>> a = twofold.SharedArray((2, 3), "uint32")
        >>> b = pickle.loads(pickle.dumps(a[:, 1:]))
        >>> b[...] = 7
        >>> a
        SharedArray([[0, 7, 7],
                     [0, 7, 7]], dtype=uint32)
        """

        def __new__(cls, shape: "_Shape", dtype: "DTypeLike" = float, order: "_Order" = "C") -> "Self":
            array = cls.empty(shape, dtype, order)
            segment: Any = array.base
            if not segment.is_zero:
                np.frombuffer(segment, np.uint8).fill(0)
            return array

        @classmethod
        def empty(cls, shape: "_Shape", dtype: "DTypeLike" = float, order: "_Order" = "C") -> "Self":
            """As the class itself makes one, but not filled.

            Parameters
            ----------
            shape, dtype, order
                As the class has them.
            """
            return cls._empty_like(_model(shape, dtype, order))

        @classmethod
        def _empty_like(cls, model: "NDArray[Any]") -> "Self":
            dtype = model.dtype
            if dtype.hasobject:
                raise TypeError(f"processes cannot share arrays of dtype {dtype}, which holds Python objects")
            memory: Any = transit.create(model.nbytes)
            return np.ndarray.__new__(cls, model.shape, dtype, memory, 0, model.strides)

        def __reduce_ex__(self, protocol: "SupportsIndex") -> "Any":
            found = find_segment(self)
            if found is None:
                return self.view(np.ndarray).__reduce_ex__(protocol)
            segment, offset = found
            where = segment.pid, segment.fd, segment.token, segment.nbytes
            layout = self.shape, self.dtype, offset, self.strides
            attributes = vars(self)  # as a class made of this one may have: a unit, say
            more = (attributes,) if attributes else ()
            return _receive, (type(self), where, transit.send(segment), layout, self.flags.writeable, *more)

        def __reduce__(self) -> "Any":
            return self.__reduce_ex__(2)

        def __array_wrap__(self, array: "Any", context: "Any" = None, return_scalar: bool = False) -> "Any":
            if array is self:
                return array
            return array[()] if return_scalar else array.view(np.ndarray)

        def __array_function__(self, function: "Any", types: "Any", args: "Any", kwargs: "Any") -> "Any":
            return _plain_if_new(super().__array_function__(function, types, args, kwargs))

    for name, method in vars(np.ndarray).items():
        # All public ones, as any may copy: even reshape does where there is no other way.
        if callable(method) and (not name.startswith("_") or name in ("__getitem__", "__copy__", "__deepcopy__")):
            setattr(SharedArray, name, _plain_results(method))
        if callable(method) and name.startswith("__") and name not in _NO_USE:
            setattr(LostArray, name, LostArray._raise)
    LostArray.__setattr__ = LostArray.__delattr__ = LostArray._raise  # type: ignore[assignment, method-assign]
    SharedArray.__qualname__ = "SharedArray"
    for method in vars(SharedArray).values():
        method = getattr(method, "__func__", method)  # noqa: PLW2901
        if isinstance(method, type(_begin)):
            method.__qualname__ = f"SharedArray.{method.__name__}"
    ufunc_route.take_for_plain(SharedArray)
    globals().setdefault("SharedArray", SharedArray)
    _has_begun = True


def _model(shape: "Any", dtype: "Any", order: "_Order") -> "NDArray[Any]":
    """An array as numpy.empty makes one, with no memory."""
    np.empty(0, dtype, order)  # which refuses what it refuses
    if hasattr(type(shape), "__array__") and not isinstance(shape, np.generic):  # NumPy would take its elements
        raise TypeError(f"shape is a {ufunc_route.type_name(shape)}; to share its elements, say twofold.share(x)")
    try:
        return _model_of(shape, np.dtype(dtype), order)
    except TypeError as error:
        raise_again_if_callers(error)
        error.add_note(f"shape must be an integer or a tuple of integers, not {shape!r:.60}")
        raise


def _model_of(shape: "Any", dtype: "np.dtype[Any]", order: "_Order") -> "NDArray[Any]":
    if dtype.itemsize and not dtype.hasobject:
        memory: Any = AnyMemory()
        model = np.ndarray(shape, dtype, memory, order=order)
        if 0 < model.nbytes < 1 << 62:
            return model
    # It makes strings of no length longer, and says what is wrong with a shape.
    return np.empty(0 if dtype.hasobject else shape, dtype, order)


def _model_like(array: "NDArray[Any]") -> "NDArray[Any]":
    """An array as numpy.empty_like makes one, with no memory."""
    if array.dtype.hasobject or not array.nbytes:
        return array if array.dtype.hasobject else np.empty_like(array)
    # No lambda as the key: CPython 3.12 and 3.13 crash where they find no memory for a function.
    order = sorted(range(array.ndim), key=[-abs(stride) for stride in array.strides].__getitem__)
    if array.flags.forc:
        order = list(range(array.ndim))[:: 1 if array.flags.c_contiguous else -1]
    model = _model([array.shape[axis] for axis in order], array.dtype, "C")
    return model.transpose([order.index(axis) for axis in range(array.ndim)])


def share(values: "ArrayLike", dtype: "DTypeLike | None" = None) -> "SharedArray":
    """Copy values into memory that other processes can share.

    Parameters
    ----------
    values : array, buffer, list or other sequence
        What to copy. A `SharedArray` of that dtype comes back as it is. Of NumPy's own classes (memmap, matrix,
        recarray) it is the elements, and so of other libraries' arrays (pandas, xarray, torch): labels are not copied.
    dtype : dtype, optional
        The type of the elements. Without it: that of `values`, or what NumPy takes for a list.

    Returns
    -------
    SharedArray
        Of the shape of `values`; writable, if it is a new one.

    Raises
    ------
    MemoryError, OSError, TypeError
        As `SharedArray` has them; TypeError also for what means more than its elements say, which would be lost: masked
        arrays, quantities that have a unit, and other subclasses of ndarray. Share ``values.view(numpy.ndarray)``. And
        for what NumPy would make strings of, if `dtype` does not say so.

    Examples
    --------
    >>> import numpy as np, twofold
    >>> a = twofold.share(np.arange(5))
    >>> a[1:3] *= 10
    >>> a
    SharedArray([ 0, 10, 20,  3,  4])

    In the workers of a pool `a` is the same memory:

    >>> from concurrent.futures import ProcessPoolExecutor
    >>> with ProcessPoolExecutor() as pool:  # doctest: +SKIP
    ...     pool.submit(np.negative, a[3:], out=a[3:]).result()
    >>> a  # doctest: +SKIP
    SharedArray([ 0, 10, 20, -3, -4])
    """
    _begin()
    array = np.asanyarray(values, None if dtype is None else dtype_of_numpy(np, dtype))
    if array.dtype.hasobject:
        raise TypeError(
            f"values would be an array of dtype {array.dtype}, which holds Python objects: processes cannot share these"
            f"{'; give dtype=' if isinstance(values, (list, tuple, np.ndarray)) else what_to_pass(values)}"
        )
    if array.dtype.kind in "SU" and dtype is None and not hasattr(values, "dtype"):
        advice = "share numpy.frombuffer(values, numpy.uint8)" if isinstance(values, bytes) else "convert them first"
        raise TypeError(
            f"values would be an array of strings, of dtype {array.dtype}; {advice}, or give dtype= if that is meant"
        )
    if isinstance(array, SharedArray) and find_segment(array) is not None:
        return array
    _check_that_elements_are_all(values, "values", array)
    array = array.view(np.ndarray)  # of a class with shapes of its own, such as numpy.matrix
    shared = SharedArray._empty_like(_model_like(array))
    if array.flags.forc and array.nbytes:
        segment: Any = shared.base
        segment.fill((array if array.flags.c_contiguous else array.T).reshape(-1).view(np.uint8))
    else:
        np.copyto(shared, array)
    return shared


def _check_that_elements_are_all(values: "Any", name: str, array: "NDArray[Any]") -> None:
    """TypeError where `values`, or an item of a list that has become `array`, means more than its elements."""
    kind = type(values)
    called = f"{kind.__module__}.{kind.__qualname__}"
    masked = getattr(loaded_module("numpy.ma.core"), "MaskedArray", None)  # without which there is none
    if masked is not None and isinstance(values, masked):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; share {name}.filled() or {name}.data")
    if isinstance(values, np.ndarray):
        if kind is not SharedArray and kind.__module__.partition(".")[0] != "numpy":
            raise TypeError(
                f"{name} is a {called}, a subclass of numpy.ndarray whose meaning its memory alone might miss; share"
                f" {name}.view(numpy.ndarray) if that is what you want"
            )
    elif (hasattr(kind, "unit") or hasattr(kind, "units")) and array.dtype.kind not in "mM":  # which hold it
        instead = f"numpy.asarray({name})"
        for part in ("value", "magnitude"):
            if hasattr(kind, part):
                instead = f"{name}.{part}"
        raise TypeError(f"{name} is a {called}, whose unit would be lost; share {instead}")
    elif type(values) in (list, tuple) and array.ndim:
        # Of numbers the first one alone: to look at each would take half as long as to read them.
        for index, item in enumerate(values if array.ndim > 1 else values[:1]):
            _check_that_elements_are_all(item, f"{name}[{index}]", array[index])


class LostArray:
    """What a `SharedArray` becomes where its memory cannot be opened: every use raises `SharedArrayError`.

    Parameters
    ----------
    reason : str
        Why not.

    Examples
    --------
    >>> from twofold.shared import LostArray
    >>> LostArray("process 7 has ended")
    <LostArray: process 7 has ended>
    >>> len(LostArray("process 7 has ended"))
    Traceback (most recent call last):
        ...
    twofold.shared.SharedArrayError: this array could not be opened: process 7 has ended
    """

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        _begin()
        object.__setattr__(self, "_reason", reason)

    def __repr__(self) -> str:
        return f"<LostArray: {self._reason}>"

    def __reduce__(self) -> "Any":
        return LostArray, (self._reason,)

    def __getattr__(self, name: str) -> "NoReturn":
        if name.startswith("__"):  # those of protocols, which are asked for to find out what an object can do
            raise AttributeError(name)
        self._raise()

    def _raise(self, *args: object, **kwargs: object) -> "NoReturn":
        raise SharedArrayError(f"this array could not be opened: {self._reason}")

    __hash__ = object.__hash__


# ---- methods of ndarray

_NO_USE = {
    *("__class_getitem__", "__format__", "__getattribute__", "__new__", "__reduce__", "__reduce_ex__", "__repr__"),
    *("__setstate__", "__sizeof__", "__str__"),
}


def _plain_if_new(result: "Any") -> "Any":
    """`result`, which NumPy has made of a SharedArray, as a plain array where that has memory of its own."""
    if isinstance(result, SharedArray):
        return result if segment_beneath(result) is not None else np.ndarray.view(result, np.ndarray)
    if type(result) in (tuple, list):
        return type(result)(map(_plain_if_new, result))
    return result


def _plain_results(method: "Callable[..., Any]") -> "Callable[..., Any]":
    @functools.wraps(method, assigned=("__name__", "__qualname__"))  # what it does is told by ndarray's
    def call(self: "SharedArray", *args: "Any", **kwargs: "Any") -> "Any":
        return _plain_if_new(method(self, *args, **kwargs))

    return call


# ---- references


def _receive(  # noqa: PLR0913, PLR0917
    cls: "type[Any]", where: "Any", ticket: int | None, layout: "Any", is_writable: bool, attributes: "Any" = None
) -> "Any":
    """What a reference is pickled as. Raises nothing but what a signal handler does."""
    try:
        segment: Any = transit.receive(where, ticket)
        shape, dtype, offset, strides = layout
        array = np.ndarray.__new__(cls, shape, dtype, segment, offset, strides)
        if is_writable and array.nbytes:
            _, first, end = extent_of(array)
            segment.map_ahead(first - segment.address, min(end - first, MAX_MAPPED_AHEAD))
        array.flags.writeable = is_writable
        if attributes:
            vars(array).update(attributes)
        return array
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # SharedArrayError, or another version's form
        raise_again_if_callers(error)
        return LostArray(str(error))
