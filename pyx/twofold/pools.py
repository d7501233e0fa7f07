"""double_in_processes: doubles an array with the workers of any process pool, and the caller.

The pool only provides processes. They claim chunks in a table in shared memory; the caller claims chunks, too, and
waits only for living processes that have one. So whatever becomes of the pool or of its workers, the call ends, and
each chunk has been doubled once. This module handles arguments and results; jobs.py does the work.
"""

import _warnings as warnings  # which looks for those filters that `warnings` may have, and need not be imported
from _collections_abc import Sequence  # which Python itself has loaded, while `collections.abc` takes its time

from twofold import shared
from twofold._containers import buffers, lists, ndarray, ufunc_route
from twofold._engine.arguments import dtype_of_numpy, element_types
from twofold._engine.messages import raise_again_if_callers, refused_output, unexpected_keyword, what_to_pass
from twofold._engine.twofold_engine import operation_named
from twofold._memory.numpy_handler import find_numpy
from twofold._processes.claims import itemsize_of
from twofold._processes.jobs import Bytes, Job, Task, adapt_pool, check_is_callers, new_bytes
from twofold._processes.places import HeldPlace, is_file_mapping, place_of
from twofold._processes.segments import NoSharedMemoryError, segment_beneath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import (
        Any,
        Literal,
        NoReturn,
        Protocol,
        SupportsComplex,
        SupportsFloat,
        SupportsIndex,
        TypeAlias,
        TypedDict,
        TypeVar,
        Unpack,
        overload,
    )

    import numpy as np
    from numpy.typing import DTypeLike, NDArray
    from typing_extensions import Buffer

    from twofold._engine.twofold_engine import Operation
    from twofold._processes.places import Place

    _Overflow: TypeAlias = Literal["wrap", "saturate", "raise"]
    _Progress: TypeAlias = bool | Callable[[int, int], object]
    _Array: TypeAlias = NDArray[Any]
    _Dtype: TypeAlias = np.dtype[Any]
    _Buffer: TypeAlias = Buffer | _Array  # which Python's types before 3.12 do not know for one

    _IsNumber: TypeAlias = SupportsIndex | SupportsFloat | SupportsComplex
    _Item = TypeVar("_Item", bound=_IsNumber)
    _Out = TypeVar("_Out", bound=_Buffer)

    class _Submits(Protocol):  # executors of concurrent.futures, loky and joblib; the client of distributed
        @property
        def submit(self) -> Callable[..., Any]: ...

    class _Applies(Protocol):  # multiprocessing.Pool and its kin
        @property
        def apply_async(self) -> Callable[..., Any]: ...

    class _Schedules(Protocol):  # pebble's
        @property
        def schedule(self) -> Callable[..., Any]: ...

    _PoolLike: TypeAlias = _Submits | _Applies | _Schedules

    class _Options(TypedDict, total=False):
        processes: SupportsIndex | None
        dtype: DTypeLike | None
        overflow: _Overflow
        chunk_bytes: SupportsIndex | None
        progress: _Progress
        retries: SupportsIndex


# The default size of a chunk. Measured by `benchmarks/processes.py --part chunks`.
CHUNK_BYTES = 1 << 20

# Chunks are multiples of a page, so that no two workers write to one page if the array is aligned to one.
CHUNK_STEP = 4096

__all__ = ["double_in_processes"]


def __dir__() -> list[str]:
    return __all__


_doubling = operation_named("twofold:double")

# More than any array has.
MAX_CHUNK_BYTES = 1 << 62


if TYPE_CHECKING:

    @overload
    def double_in_processes(
        values: Sequence[_IsNumber] | _Buffer, pool: _PoolLike | None = None, *, out: _Out, **options: Unpack[_Options]
    ) -> _Out: ...
    @overload
    def double_in_processes(
        values: _Buffer, pool: _PoolLike | None = None, *, out: None = None, **options: Unpack[_Options]
    ) -> shared.SharedArray: ...
    @overload
    def double_in_processes(
        values: Sequence[_Item], pool: _PoolLike | None = None, *, out: None = None, **options: Unpack[_Options]
    ) -> list[_Item]: ...


def double_in_processes(  # noqa: PLR0913
    values: "Any",
    pool: "_PoolLike | None" = None,
    *,
    processes: "SupportsIndex | None" = None,
    out: "Any" = None,
    dtype: "DTypeLike | None" = None,
    overflow: "_Overflow" = "wrap",
    chunk_bytes: "SupportsIndex | None" = None,
    progress: "_Progress" = False,
    retries: "SupportsIndex" = 3,
) -> "Any":
    """Double every element in shared memory, with the workers of a process pool and the caller.

    Whatever becomes of the pool, the call ends with the right result: chunks of killed workers are done again, up to
    `retries` times, and if no worker comes, the caller does all chunks. If workers fail at once (twofold is not
    installed there, say), a RuntimeWarning says so.

    Parameters
    ----------
    values : list, tuple, other sequence of numbers; array or buffer
        What to double. A `SharedArray` and an array that is mapped from a file, as those of `numpy.memmap`, are not
        copied if they are contiguous; any other array is copied into shared memory once.
    pool : executor or pool, optional
        Any object with ``submit(function, *args)`` or ``apply_async(function, args)``, or one of these with the
        arguments of the other: executors of `concurrent.futures`, of loky and joblib, `multiprocessing.Pool`, the pools
        of mpire, Ray and pebble, views of ipyparallel, and the `Client` of distributed (for its workers on this
        machine). Without it, processes are started for this call.
    processes : int, optional
        How many workers to ask for. Without it: as many as the pool has, or as `twofold.get_num_threads()` says.
    out : writable array or buffer, optional
        Where to put the result: of the shape and element type of `values`. It may be `values` itself, or overlap it.
    dtype : str or dtype, optional
        The element type to compute in, and of the result. Without it: that of `values`; a list has Python's own
        arithmetic.
    overflow : {"wrap", "saturate", "raise"}
        As for `double`. The ints of a list have no limits without `dtype` and `out`, so none of them overflows.
    chunk_bytes : int, optional
        How much of the array a worker takes at a time: 1 MiB without it. In place, it is 128 KiB at most.
    progress : bool or callable
        True shows a progress bar, which needs tqdm. A callable is called with the number of elements done so far and
        the total, several times a second.
    retries : int
        How often a chunk is done again because the process that had it has died. (It also dies if a mapped file was
        truncated meanwhile.)

    Returns
    -------
    list, SharedArray or out
        A list for a list or other sequence, exactly ``[v + v for v in values]``; for an array a new `SharedArray` of
        the same dtype and shape; with `out`, that object. For a buffer where there is no NumPy: a memoryview of the
        same format and shape. If the system makes no memory that can be shared, the caller does all chunks, and a new
        array is a plain one.

    Raises
    ------
    ImportError
        NumPy is needed (not for lists and buffers), and is not installed, or is older than 2.0.
    TypeError, ValueError, OverflowError, MemoryError
        As for `double`. With ``overflow="raise"``, `out` is unchanged if it is `values`.
    RuntimeError
        More than `retries` processes have died over the same chunk.
    KeyboardInterrupt
        Soon after Ctrl-C.

    See Also
    --------
    share : puts an array where processes find it
    double : with the threads of this process alone; works in any worker of any pool, too

    Notes
    -----
    A worker has one thread, unless the pool's engine says otherwise in OMP_NUM_THREADS. The call waits for a worker
    that is stopped, not dead, while it has a chunk: it may go on writing at any time.

    After Ctrl-C, a RuntimeError or an exception of `progress`, workers still finish the chunks that they have, and
    `out` is partly doubled. Then the call does not wait for a worker that is stopped with a chunk: it may write to
    `out` when it continues.

    A call opens and closes a mapped file once more; by the rules of POSIX this process then loses its ``fcntl.lockf``
    locks on it.

    Examples
    --------
    >>> import numpy as np, twofold
    >>> twofold.double_in_processes([1, 2, 3], processes=2)
    [2, 4, 6]
    >>> a = twofold.share(np.arange(5))
    >>> twofold.double_in_processes(a, processes=2)
    SharedArray([0, 2, 4, 6, 8])

    With a pool that is there anyway:

    >>> from concurrent.futures import ProcessPoolExecutor
    >>> with ProcessPoolExecutor(2) as pool:
    ...     twofold.double_in_processes(a, pool, out=a)
    SharedArray([0, 2, 4, 6, 8])
    """
    return _run(_doubling, values, pool, processes, out, dtype, overflow, chunk_bytes, progress, retries)


def _with_advice(function: "Callable[..., Any]") -> "Callable[..., Any]":
    """The function, whose error for a keyword that it does not know says which one was meant."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]

    def call(*arguments: "Any", **keywords: "Any") -> "Any":
        for name in keywords:
            if name not in names:
                called = function.__name__
                advice = unexpected_keyword(called, name, names)
                raise TypeError(f"{called}() got an unexpected keyword argument {name!r}{advice}")
        return function(*arguments, **keywords)

    # As functools.wraps does, which takes longer to import.
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(call, name, getattr(function, name))
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call


if not TYPE_CHECKING:
    double_in_processes = _with_advice(double_in_processes)


def _run(  # noqa: PLR0913, PLR0917
    operation: "Operation",
    values: "Any",
    pool: "_PoolLike | None",
    processes: "SupportsIndex | None",
    out: "Any",
    dtype: "Any",
    overflow: str,
    chunk_bytes: "SupportsIndex | None",
    progress: "_Progress",
    retries: "SupportsIndex",
) -> "Any":
    """What double_in_processes does, with any operation."""
    if overflow not in ("wrap", "saturate", "raise"):
        raise ValueError(f"overflow must be 'wrap', 'saturate' or 'raise', not {overflow!r}")
    if processes is not None:
        processes = _count_argument("processes", processes, minimum=1)
    job = Job(
        operation=operation,
        pool=adapt_pool(pool, processes),
        chunk_bytes=_chunk_argument(chunk_bytes),
        progress=_progress_argument(progress),
        retries=_count_argument("retries", retries, minimum=0),
    )
    run = _run_list if _is_sequence(values) else _run_array
    result = run(job, values, out, dtype, overflow)
    failure = job.pool.failure
    if failure is not None:
        source = "the system" if pool is None else f"the pool, a {type(pool).__qualname__},"
        warnings.warn(
            f"{source} was asked for workers, and that has failed: {type(failure).__name__}: {failure};"
            " what they did not do, this process has done",
            RuntimeWarning,
            stacklevel=4,
        )
    return result


# ---- arguments


def _count_argument(name: str, value: "Any", minimum: int) -> int:
    try:
        count: int = value.__index__()
    except (AttributeError, TypeError) as error:
        raise_again_if_callers(error)
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if count < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {count}")
    return count


def _chunk_argument(chunk_bytes: "Any") -> int:
    if chunk_bytes is None:
        return CHUNK_BYTES
    count = _count_argument("chunk_bytes", chunk_bytes, minimum=1)
    return min((count + CHUNK_STEP - 1) // CHUNK_STEP * CHUNK_STEP, MAX_CHUNK_BYTES)


def _progress_argument(progress: "_Progress") -> "_Progress":
    if progress is True or progress is False or callable(progress):
        return progress
    raise TypeError(f"progress must be True, False or a callable, not {progress!r}")


def _is_sequence(values: "Any") -> bool:
    """Whether it is a sequence of objects, not of bytes that are numbers."""
    if isinstance(values, (list, tuple, range)):
        return True
    try:
        memoryview(values).release()
    except (TypeError, BufferError, ValueError) as error:
        raise_again_if_callers(error)
        return isinstance(values, Sequence) and not isinstance(values, str)
    return False


# ---- lists


def _run_list(job: Job, values: "Any", out: "Any", dtype: "Any", overflow: str) -> "Any":
    if isinstance(values, range) and out is None and dtype is None:
        return job.operation.function(values)  # nothing is faster
    items = values if type(values) in (list, tuple) else list(values)
    target = None if out is None else _as_output(out)
    held = "int64" if target is None else _element_in(job.operation, target)
    element = held if dtype is None else _element_named(job.operation, dtype)
    n = len(items)  # once: what runs Python code, as `dtype` may, can change the list
    if target is not None:
        _check_output(job.operation, target, (n,), element)
    if n == 0:
        return [] if out is None else out
    own = new_bytes(n * itemsize_of(element))
    if out is None and dtype is None:
        # Ints of Python have no limits, and what is not an int has its own arithmetic.
        if not lists.read_ints(items, own.view) or job.run(Task("in place", own, own, element, "raise")) is not None:
            return job.operation.function(items, overflow=overflow)
        check_is_callers(own)
        return lists.make(element, own.view)
    lists.read(job.operation, items, element, own.view)
    if job.run(Task("in place", own, own, element, overflow)) is not None:
        _raise_overflow(job.operation, items, element, overflow)
    check_is_callers(own)
    if out is None:
        return lists.make(element, own.view)
    if isinstance(target, memoryview):
        target.cast("B")[:] = own.view
    else:
        np = find_numpy()
        np.copyto(target, np.frombuffer(own.view, element))
    return out


# ---- buffers, where there is no NumPy


def _has_numpy() -> bool:
    try:
        find_numpy()
    except ImportError as error:
        raise_again_if_callers(error)
        return False
    return True


def _run_buffer(job: Job, values: "Any", out: "Any", dtype: "Any", overflow: str) -> "Any":
    """As NumPy would have it, but for the result, which is a memoryview, as `double` has it for buffers."""
    try:
        source = memoryview(values)
    except TypeError as error:
        raise_again_if_callers(error)
        _refuse(values)
    element = buffers.plain_element_of(job.operation, source, "values")
    if (
        (dtype is not None and _element_named(job.operation, dtype) != element)
        or _is_of_numpy(values)
        or _is_of_numpy(out)
    ):
        find_numpy()  # which raises the error that says what is needed

    target: Any = None if out is None else _as_output(out)
    if target is not None:
        _check_output(job.operation, target, source.shape, element)
    if source.nbytes == 0:
        return job.operation.function(values, out)
    own = new_bytes(source.nbytes)
    buffers.fill_plain(own.view, source)
    if job.run(Task("in place", own, own, element, overflow)) is not None:
        _raise_overflow(job.operation, values, dtype, overflow)
    check_is_callers(own)
    if out is None:
        return buffers.plain_like(own.view, source)
    target.cast("B")[:] = own.view
    return out


def _is_of_numpy(values: object) -> bool:
    return any(kind.__module__.partition(".")[0] == "numpy" for kind in type(values).__mro__)


# ---- arrays


def _run_array(job: Job, values: "Any", out: "Any", dtype: "Any", overflow: str) -> "Any":
    if not _has_numpy():
        return _run_buffer(job, values, out, dtype, overflow)
    np = find_numpy()
    array = _as_array(values)
    result_type = array.dtype if dtype is None else dtype_of_numpy(np, dtype)
    native = result_type.newbyteorder("=")
    _element_of(job.operation, native)  # which it has to have
    if not np.can_cast(array.dtype, result_type, "same_kind"):
        raise TypeError(
            f"values holds {array.dtype}, and to make {result_type} of that would lose something; convert values first:"
            f" values.astype({str(result_type)!r})"
        )
    target = None
    if out is not None:
        target = array if out is values and array.flags.writeable else _as_output(out)
        _check_output(job.operation, target, array.shape, native)
    if array.size == 0:
        return _new_result(array.shape, result_type, "C") if out is None else out
    if not ufunc_route.fits(array.dtype, native):
        array = ufunc_route.as_type(array, native, ufunc_route.OVERFLOWS.index(overflow), array, "which")
    result, index = _run_where_it_is(job, array, target, native, overflow)
    if result is not target and (segment := segment_beneath(result)) is not None:
        segment.show()
    if index is not None:
        _raise_overflow(job.operation, array, dtype, overflow)
    if job.operation.ufuncs is None:  # it is younger than what calls know of NumPy
        ufunc_route.begin()
    ndarray.report_float_flags(job.float_flags, job.operation.ufuncs[overflow == "saturate"])
    if out is None:
        return result if result_type.isnative else result.byteswap(inplace=True).view(result_type)
    if result is not target:
        np.copyto(target, result)
    return out


def _new_result(shape: tuple[int, ...], dtype: "Any", order: 'Literal["C", "F"]') -> "Any":
    """A plain array where the system makes no memory to share: then the caller does all."""
    try:
        return shared.SharedArray.empty(shape, dtype, order)
    except NoSharedMemoryError as error:
        raise_again_if_callers(error)
        return find_numpy().empty(shape, dtype, order)


def _run_where_it_is(
    job: Job, array: "_Array", target: "Any", native: "_Dtype", overflow: str
) -> "tuple[_Array, int | None]":
    """Returns the result, which is `target` if all processes can find that; and the index of an element that does not
    fit, or None. `array` is unchanged, unless it is the result."""
    np = find_numpy()
    element = _element_of(job.operation, native)
    with _place_if_plain(array, native) as place, _place_if_plain(target, native) as target_place:
        if place and target_place and _is_same(array, place, target, target_place):
            own = Bytes(_flat(target), target_place)  # `array` may be a read-only view of it
            return target, _run_in_place(job, own, element, overflow)
        if target_place is None or _may_overlap(array, place, target, target_place):
            result = _new_result(array.shape, native, _order_of(array) or "C")
            if (segment := segment_beneath(result)) is not None:
                segment.hide()
        else:
            result = target
        with HeldPlace(target_place) if result is target else place_of(result) as result_place:
            into = Bytes(_flat(result), result_place)
            if place and result_place and _order_of(array) == _order_of(result):
                return result, job.run(Task("out of place", Bytes(_flat(array), place), into, element, overflow))
            np.copyto(result, array, casting="same_kind")
            return result, job.run(Task("in place", into, into, element, overflow))


def _run_in_place(job: Job, own: Bytes, element: str, overflow: str) -> int | None:
    """If an element does not fit, nothing is changed."""
    if overflow == "raise" or element.startswith("timedelta"):
        index = job.run(Task("check", own, own, element, overflow))
        if index is not None:
            return index
    return job.run(Task("in place", own, own, element, overflow))


def _is_same(array: "_Array", place: "Place", target: "_Array", target_place: "Place") -> bool:
    return _order_of(array) == _order_of(target) and place.is_same(target_place)


def _may_overlap(array: "_Array", place: "Place | None", target: "_Array", target_place: "Place") -> bool:
    np = find_numpy()
    if place is None:
        # It may be a strided part of a file that is mapped twice, at different addresses.
        return np.may_share_memory(array, target) or (is_file_mapping(array) and target_place.is_file)
    return np.may_share_memory(array, target) or place.overlaps(target_place)


def _as_array(values: "Any") -> "Any":
    if _is_plain_class(values):
        return values
    array = _buffer_as_array(values)
    if array is None:
        _check_not_lost(values)
        _refuse(values, _view_of(values, "values"))
    return array


def _refuse(values: object, hint: str = "") -> "NoReturn":
    raise TypeError(
        "values must be a list or another sequence of numbers, a buffer, or an array that is a numpy.ndarray, a"
        f" numpy.memmap or a twofold.SharedArray, not {ufunc_route.type_name(values)}{hint or what_to_pass(values)}"
    )


def _as_output(out: "Any") -> "Any":
    """An array; without NumPy, a memoryview."""
    if not _has_numpy() and not _is_of_numpy(out):
        return buffers.as_plain_output(out)
    array = out if _is_plain_class(out) else _buffer_as_array(out)
    if array is None:
        _check_not_lost(out)
        refused = refused_output(out, "double_in_processes")
        raise TypeError(f"{refused}{_view_of(out, 'out')}")
    if not array.flags.writeable:
        raise ValueError("out is read-only")
    return array


def _view_of(array: object, name: str) -> str:
    """What to pass in the place of an array of a class that may give its elements a meaning of its own: a unit, say."""
    np = find_numpy()
    return f"; {name}.view(numpy.ndarray) is its memory alone" if isinstance(array, np.ndarray) else ""


def _check_not_lost(array: object) -> None:
    if isinstance(array, shared.LostArray):
        len(array)  # which raises the error that says why


def _is_plain_class(array: object) -> bool:
    """Whether it is an array whose class gives its elements no meaning of its own."""
    np = find_numpy()
    return type(array) in (np.ndarray, np.memmap, shared.SharedArray)


def _buffer_as_array(values: "Any") -> "Any":
    np = find_numpy()
    if isinstance(values, (np.ndarray, np.generic)):
        return None
    try:
        return np.asarray(memoryview(values))
    except TypeError as error:
        raise_again_if_callers(error)
        return None


def _check_output(operation: "Operation", out: "Any", shape: object, native: object) -> None:
    if isinstance(out, memoryview):
        held = held_native = _element_in(operation, out)
    else:
        held, held_native = out.dtype, out.dtype.newbyteorder("=")
    if held_native != native:
        raise TypeError(f"out holds {held}, but the result is {native}; they must be the same")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, but values has {shape}; they must be the same")


def _element_of(operation: "Operation", dtype: "_Dtype") -> str:
    name = dtype.name.partition("[")[0]  # timedelta64[s]
    if name not in element_types():
        raise TypeError(
            f"{dtype} cannot be {operation.participle} in processes; known are {', '.join(element_types())}"
        )
    return name


def _element_named(operation: "Operation", dtype: "Any") -> str:
    if isinstance(dtype, str) and dtype in element_types():  # for which there need be no NumPy
        return dtype
    np = find_numpy()
    return _element_of(operation, dtype_of_numpy(np, dtype))


def _element_in(operation: "Operation", out: "Any") -> str:
    if isinstance(out, memoryview):
        return buffers.plain_element_of(operation, out, "out")
    return _element_of(operation, out.dtype)


def _order_of(array: "_Array") -> 'Literal["C", "F"] | None':
    """In which order of the indices its elements lie side by side; None where they do not."""
    return "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else None


def _place_if_plain(array: "_Array | None", native: "_Dtype") -> HeldPlace:
    """The array's place, if other processes can find it and process it as it is."""
    if array is None or array.dtype != native or _order_of(array) is None:
        return HeldPlace()
    return place_of(array)


def _flat(array: "_Array") -> "Any":
    """Its bytes, in the order of memory."""
    np = find_numpy()
    return np.asarray(array).reshape(-1, order=_order_of(array)).view(np.uint8)


def _raise_overflow(operation: "Operation", values: "Any", dtype: "Any", overflow: str) -> "NoReturn":
    """Values that have an element whose result does not fit: the same error as a call of one process has for them."""
    operation.function(values, dtype=dtype, overflow=overflow)
    raise OverflowError(f"values changed while they were {operation.participle}")
