"""double_in_processes: one array doubled by the workers of any process pool, and by the caller, in memory they all share.

The pool only lends processes. Which of them does which chunk stands in a table in shared memory (_claims/claims.hpp), from
which they help themselves; the caller takes chunks, too, and waits only for processes that live and have one. So whatever
becomes of the pool or of its workers, the call ends, and each chunk has been doubled once.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from time import monotonic

from twofold import _lists
from twofold._claims import Claims, itemsize_of
from twofold._core import decided_by, element_types
from twofold._double import double
from twofold._places import open_place, place_of, segment_place
from twofold._segments import Segment

# So much of the array is a worker's next piece of work, unless the call says so. Measured by
# `benchmarks/processes.py --part chunks`.
CHUNK_BYTES = 1 << 20

# Chunks begin at multiples of this, a page: so no two workers write to one.
CHUNK_STEP = 4096

# The workers of a pool that is warm are done with tens of megabytes in this time. Then the caller takes chunks, too.
# Measured by `benchmarks/processes.py --part grace`.
GRACE_SECONDS = 0.01

# How often the caller looks which workers have died, and tells of its progress; and a worker, whether its caller lives.
TURN_SECONDS = 0.05

# How long a call that was interrupted waits for workers to finish the chunks that they have, some milliseconds' work.
SETTLE_SECONDS = 1.0

# How long a call waits for the end of processes that it started. One that was spawned may only now begin.
EXIT_SECONDS = 0.1


def double_in_processes(
    values,
    pool=None,
    *,
    processes=None,
    out=None,
    dtype=None,
    overflow="wrap",
    chunk_bytes=None,
    progress=False,
    retries=3,
):
    """Double every element, with the workers of a process pool and the caller, in memory that they share.

    Whatever becomes of the pool, the call ends with the right result: chunks of workers that are killed are done again,
    and if none work, the caller does all.

    Parameters
    ----------
    values : list, tuple, other sequence of numbers; array or buffer
        What to double. A `SharedArray` and an array that is mapped from a file, as those of `numpy.memmap`, are read
        where they are, if they are contiguous; any other array is copied into shared memory once.
    pool : executor or pool, optional
        Who lends processes: whatever has `submit` or `apply_async`, as executors of `concurrent.futures`, of loky and
        joblib, `multiprocessing.Pool`, and the `Client` of distributed (for its workers on this machine) have. Without
        it: processes that are started for this call.
    processes : int, optional
        How many workers to ask for. Without it: as many as the pool has, or as `twofold.get_num_threads()` says.
    out : writable array or buffer, optional
        Where to put the result: of the shape and element type of `values`. It may be `values` itself, or overlap it.
    dtype : str or dtype, optional
        The element type to compute in, and of the result. Without it: that of `values`; a list has Python's own
        arithmetic.
    overflow : {"wrap", "saturate", "raise"}
        As `double` has it.
    chunk_bytes : int, optional
        How much of the array a worker takes at a time: 1 MiB without it. In place, it is 128 KiB at most.
    progress : bool or callable
        True shows a bar, for which tqdm has to be there. A callable is called with the elements done so far and their
        number, some times a second.
    retries : int
        How often a chunk is done again because the process that had it has died. (So can a chunk of a mapped file that
        was cut meanwhile.)

    Returns
    -------
    list, SharedArray or out
        A list for a list or other sequence, exactly ``[v + v for v in values]``; for an array a new `SharedArray` of the
        same dtype and shape; with `out`, that object.

    Raises
    ------
    TypeError, ValueError, OverflowError, MemoryError
        As `double` has them. With ``overflow="raise"``, `out` is as it was if it is `values`.
    RuntimeError
        More than `retries` processes have died over the same chunk.
    KeyboardInterrupt
        Soon after Ctrl-C. Workers finish the chunk that they have; `out` is doubled in part then.

    See Also
    --------
    share : puts an array where processes find it
    double : with the threads of this process alone; works in any worker of any pool, too

    Notes
    -----
    A worker has one thread, unless the pool's engine says otherwise in OMP_NUM_THREADS. A worker that is stopped, not
    dead, while it has a chunk is waited for: it might go on to write at any time.

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
    if overflow not in ("wrap", "saturate", "raise"):
        raise ValueError(f"overflow must be 'wrap', 'saturate' or 'raise', not {overflow!r}")
    job = _Job(
        lender=_lender(pool, processes),
        overflow=overflow,
        chunk_bytes=_chunk_argument(chunk_bytes),
        progress=_progress_argument(progress),
        retries=_count_argument("retries", retries, least=0),
    )
    if _is_sequence(values):
        return _double_list(job, values, out, dtype)
    return _double_array(job, values, out, dtype)


# ---- arguments


def _count_argument(name, value, least):
    try:
        count = value.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, not {count}")
    return count


def _chunk_argument(chunk_bytes):
    if chunk_bytes is None:
        return CHUNK_BYTES
    least = _count_argument("chunk_bytes", chunk_bytes, least=1)
    return (least + CHUNK_STEP - 1) // CHUNK_STEP * CHUNK_STEP


def _progress_argument(progress):
    if progress is True or progress is False or callable(progress):
        return progress
    raise TypeError(f"progress must be True, False or a callable, not {progress!r}")


def _is_sequence(values):
    """Whether it is a sequence of objects, not of bytes that are numbers."""
    if isinstance(values, (list, tuple, range)):
        return True
    try:
        memoryview(values).release()
    except (TypeError, BufferError, ValueError):
        return isinstance(values, Sequence) and not isinstance(values, str)
    return False


# ---- lists


def _double_list(job, values, out, dtype):
    import numpy as np  # noqa: PLC0415 - workers need nothing of it

    from twofold.shared import SharedArray  # noqa: PLC0415

    if isinstance(values, range) and out is None and dtype is None:
        return double(values)  # nothing is faster
    items = values if type(values) in (list, tuple) else list(values)
    target = None if out is None else _as_output(out)
    if target is not None:
        element = _element_of(target.dtype if dtype is None else np.dtype(dtype))
        _check_output(target, (len(items),), np.dtype(element))
    else:
        element = "int64" if dtype is None else _element_of(np.dtype(dtype))
    if not items:
        return [] if out is None else out
    numbers = SharedArray.empty(len(items), element)
    if out is None and dtype is None:
        # Ints of Python have no limits, and what is not an int has its own arithmetic.
        if _lists.read_ints(items, _flat(numbers)) and job.double_own(numbers, element, "raise") is None:
            return _lists.make(element, _flat(numbers))
        return double(items, overflow=job.overflow)
    _lists.read(items, element, _flat(numbers))
    if job.double_own(numbers, element, job.overflow) is not None:
        _raise_overflow(items, element, job.overflow)
    if out is None:
        return _lists.make(element, _flat(numbers))
    np.copyto(target, numbers)
    return out


# ---- arrays


def _double_array(job, values, out, dtype):
    import numpy as np  # noqa: PLC0415

    from twofold.shared import SharedArray  # noqa: PLC0415

    array = _as_array(values)
    result_type = array.dtype if dtype is None else np.dtype(dtype)
    native = result_type.newbyteorder("=")
    element = _element_of(native)
    if not np.can_cast(array.dtype, result_type, "same_kind"):
        raise TypeError(f"values holds {array.dtype}, and to make {result_type} of that would lose something")
    target = None
    if out is not None:
        target = array if out is values and array.flags.writeable else _as_output(out)
        _check_output(target, array.shape, native)
    if array.size == 0:
        return SharedArray.empty(array.shape, result_type) if out is None else out

    with _place_if_plain(array, native) as place, _place_if_plain(target, native) as target_place:
        same_order = target is not None and _order_of(array) == _order_of(target)
        if place and target_place and same_order and place == target_place._replace(fd=place.fd):
            result = target
            index = job.double_keeping(_flat(array), place, element)
        elif target_place and not _may_overlap(array, place, target, target_place):
            result = target
            if place and same_order:
                index = job.double(_flat(array), place, _flat(result), target_place, element)
            else:
                np.copyto(result, array, casting="same_kind")
                index = job.double(_flat(result), target_place, _flat(result), target_place, element)
        else:
            result = SharedArray.empty(array.shape, native, _order_of(array) or "C")
            with place_of(result) as result_place:
                if place and not target_place:
                    index = job.double(_flat(array), place, _flat(result), result_place, element)
                else:
                    np.copyto(result, array, casting="same_kind")
                    index = job.double(_flat(result), result_place, _flat(result), result_place, element)
    if index is not None:
        _raise_overflow(array, dtype, job.overflow)
    _report_float_flags(job.float_flags, job.overflow)
    if out is None:
        return result if result_type.isnative else result.byteswap(inplace=True).view(result_type)
    if result is not target:
        np.copyto(target, result)
    return out


def _may_overlap(array, place, target, target_place):
    import numpy as np  # noqa: PLC0415

    return np.may_share_memory(array, target) or (place is not None and place.overlaps(target_place))


def _as_array(values):
    if _is_plain_class(values):
        return values
    array = _buffer_as_array(values)
    if array is None:
        kind = type(values)
        raise TypeError(
            f"values is a {kind.__module__}.{kind.__qualname__}; accepted are lists and other sequences of numbers,"
            " buffers, and arrays that are a numpy.ndarray, a numpy.memmap or a twofold.SharedArray"
        )
    return array


def _as_output(out):
    array = out if _is_plain_class(out) else _buffer_as_array(out)
    if array is None:
        raise TypeError(f"out must be a writable array or buffer, not {type(out).__qualname__}")
    if not array.flags.writeable:
        raise ValueError("out is read-only")
    return array


def _is_plain_class(array):
    """Whether it is an array whose class gives its elements no meaning of its own."""
    import numpy as np  # noqa: PLC0415

    from twofold.shared import SharedArray  # noqa: PLC0415

    return type(array) in (np.ndarray, np.memmap, SharedArray)


def _buffer_as_array(values):
    import numpy as np  # noqa: PLC0415

    if isinstance(values, (np.ndarray, np.generic)):
        return None
    try:
        return np.asarray(memoryview(values))
    except TypeError:
        return None


def _check_output(out, shape, native):
    if out.dtype.newbyteorder("=") != native:
        raise TypeError(f"out holds {out.dtype}, but the result is {native}; they must be the same")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, but values has {shape}; they must be the same")


def _element_of(dtype):
    name = dtype.name.partition("[")[0]  # timedelta64[s]
    if name not in element_types():
        raise TypeError(f"{dtype} cannot be doubled in processes; known are {', '.join(element_types())}")
    return name


def _order_of(array):
    """In which order of the indices its elements lie side by side; None where they do not."""
    return "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else None


def _place_if_plain(array, native):
    """Its place, where other processes find it and can double it as it is."""
    is_plain = array is not None and array.dtype == native and _order_of(array) is not None
    return place_of(array) if is_plain else nullcontext()


def _flat(array):
    """Its bytes, in the order of memory."""
    import numpy as np  # noqa: PLC0415

    return np.asarray(array).reshape(-1, order=_order_of(array)).view(np.uint8)


def _raise_overflow(values, dtype, overflow):
    """Values that have an element whose double does not fit: the same error as `double` has for them."""
    double(values, dtype=dtype, overflow=overflow)
    raise OverflowError("values changed while they were doubled")


def _report_float_flags(flags, overflow):
    """Leaves what floats did to numpy.errstate, as a call of the ufunc that does the same."""
    import numpy as np  # noqa: PLC0415

    from twofold import ufuncs  # noqa: PLC0415

    ufunc = ufuncs.doubled_saturating if overflow == "saturate" else ufuncs.doubled
    became_infinite, was_invalid = flags
    if became_infinite:
        ufunc(np.array([np.finfo(np.float64).max]))
    if was_invalid:
        ufunc(np.array([0x7FF4000000000000], np.uint64).view(np.float64))  # a signalling NaN


# ---- a job: an array, the table, and who works on it


class _Job:
    """What a call says of how to do it; and what it finds out."""

    def __init__(self, lender, overflow, chunk_bytes, progress, retries):
        self.lender = lender
        self.overflow = overflow
        self.chunk_bytes = chunk_bytes
        self.progress = progress
        self.retries = retries
        self.float_flags = (False, False)

    def double_own(self, array, element, overflow):
        """In place, an array that nobody else knows of."""
        with place_of(array) as place:
            return self._run("in place", _flat(array), place, _flat(array), place, element, overflow)

    def double_keeping(self, values, place, element):
        """In place; if some element does not fit, nothing is changed. Returns its index then, as all of these do."""
        if self.overflow == "raise" or element.startswith("timedelta"):
            index = self._run("look", values, place, values, place, element, self.overflow, is_silent=True)
            if index is not None:
                return index
        return self._run("in place", values, place, values, place, element, self.overflow)

    def double(self, values, place, out, out_place, element):
        """Into another array, or in place where that may be changed in any case."""
        way = "in place" if place is out_place else "elsewhere"
        return self._run(way, values, place, out, out_place, element, self.overflow)

    def _run(self, way, values, place, out, out_place, element, overflow, is_silent=False):
        itemsize = itemsize_of(element)
        chunks = -(-values.nbytes // self.chunk_bytes)
        asked = min(self.lender.count, chunks - 1)  # one chunk is the caller's
        # The caller, all that are asked, and some more in the place of those that die.
        shape = values.nbytes, self.chunk_bytes, 1 + 2 * asked + min(self.retries, 8), way
        table = Segment.create(Claims.bytes_for(*shape))
        claims = Claims.create(table, *shape, this_process())
        table_place = segment_place(table, 0, table.nbytes)
        order = (this_process(), table_place, place, out_place, element, overflow)
        # Alone, it may use all threads.
        work = (values, out, element, overflow, 1 if asked else decided_by()[0])
        try:
            asked = sum(self.lender.ask(order) for _ in range(asked))
            with _Report(self.progress and not is_silent, self.progress, claims, itemsize, values.nbytes) as report:
                self._finish(claims, work, order, report, monotonic() + (GRACE_SECONDS if asked else 0))
        finally:
            claims.stop()
            self.lender.part()
            _settle(claims, out)
        became_infinite, was_invalid = claims.float_flags
        self.float_flags = (self.float_flags[0] or became_infinite, self.float_flags[1] or was_invalid)
        return None if claims.first_failure is None else claims.first_failure // itemsize

    def _finish(self, claims, work, order, report, end_of_grace):
        """Until all chunks are done."""
        while True:
            seen = claims.workers_left()
            if claims.all_done():
                report()
                return
            grace = end_of_grace - monotonic()
            if grace > 0:
                claims.wait(seen, grace)
            elif not claims.work(*work, TURN_SECONDS):
                claims.wait(seen, TURN_SECONDS)
            for worker, process in claims.holders():
                if is_dead(process):
                    deaths = claims.bury(worker, work[1])
                    if deaths > self.retries:
                        raise RuntimeError(
                            f"{deaths} processes have died while they doubled the same chunk of values, the last one was"
                            f" process {process[0]}; retries={self.retries} allows {self.retries}"
                        )
                    self.lender.ask(order)
            report()


def _settle(claims, out):
    """After `stop`: until no worker that lives has a chunk. One that has been stopped is not waited for for long."""
    end = monotonic() + SETTLE_SECONDS
    while holders := claims.holders():
        seen = claims.workers_left()
        for worker, process in holders:
            if is_dead(process):
                claims.bury(worker, out)
        if monotonic() > end:
            return  # it has the memory, which so is not used for anything else
        claims.wait(seen, 0.001)


class _Report:
    """Tells how much is done: to tqdm, or to a callable."""

    def __init__(self, is_wanted, progress, claims, itemsize, nbytes):
        self._done = lambda: claims.bytes_done // itemsize
        self._total = nbytes // itemsize
        self._told = 0
        self._tell = None
        self._bar = None
        if is_wanted and callable(progress):
            self._tell = progress
        elif is_wanted:
            try:
                from tqdm.auto import tqdm  # noqa: PLC0415
            except ImportError:
                raise ImportError("progress=True needs tqdm, which is not installed; or pass a callable") from None
            self._bar = tqdm(total=self._total, unit="", unit_scale=True)
            self._tell = lambda done, total: self._bar.update(done - self._bar.n)

    def __call__(self):
        if self._tell is None:
            return
        done = max(self._told, self._done())  # what a dead worker had done is done again
        if done > self._told:
            self._told = done
            self._tell(done, self._total)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.close()


# ---- in a worker


def work(order):
    """Take chunks until none is left. What every worker is asked to do; returns the bytes that it has done.

    It raises nothing that has to be pickled: who comes late finds nothing to open, and has nothing to do.
    """
    caller, table_place, place, out_place, element, overflow = order
    try:
        claims = Claims.join(open_place(table_place), this_process())
        if claims is None:
            return 0
        values = open_place(place)
        out = values if out_place == place else open_place(out_place)
    except Exception:
        return 0
    try:
        while claims.work(values, out, element, overflow, _threads_of_worker(), TURN_SECONDS):
            if is_dead(caller):
                break
    finally:
        claims.leave()
    return claims.own_bytes_done


def work_undisturbed(order):
    """The same in a process of its own: Ctrl-C is for the caller, who then says that it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(order)


def _threads_of_worker():
    """One, unless somebody has said something else."""
    count, rule, *_ = decided_by()
    return 1 if rule in ("affinity", "cgroup") else count


# ---- processes


def this_process():
    """What tells this process from any other, also from a later one with its number."""
    pid, _, _, started = _stat("self")
    return pid, started


def is_dead(process):
    """Whether it is known to have ended, so that none of its threads will ever write again."""
    try:
        pid, state, threads, started = _stat(process[0])
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False  # who knows
    return (pid, started) != process or (state in "ZX" and threads <= 1)


def _stat(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        number, _, rest = file.read().partition(b" (")
    fields = rest.rpartition(b") ")[2].split()  # of the third one on; a name may hold anything
    return int(number), fields[0].decode(), int(fields[17]), int(fields[19])


# ---- who lends processes


def _lender(pool, processes):
    if processes is not None:
        processes = _count_argument("processes", processes, least=1)
    if pool is None:
        return _OwnProcesses(processes or decided_by()[0])
    if callable(getattr(pool, "submit", None)):
        # Else a cluster takes calls with the same arguments for the same call.
        keywords = {"pure": False} if type(pool).__module__.partition(".")[0] == "distributed" else {}
        return _Pool(lambda order: pool.submit(work, order, **keywords), processes or _workers_of(pool))
    if callable(getattr(pool, "apply_async", None)):
        return _Pool(lambda order: pool.apply_async(work, (order,)), processes or _workers_of(pool))
    raise TypeError(f"pool is a {type(pool).__qualname__}; accepted is what has `submit` or `apply_async`, or None")


def _workers_of(pool):
    """How many workers a pool has, as far as it tells; else as many as there are CPUs for this process."""
    for name in ("_max_workers", "_processes"):  # of executors, of multiprocessing.Pool
        count = getattr(pool, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return len(os.sched_getaffinity(0))


class _Pool:
    """Of somebody else's."""

    def __init__(self, submit, count):
        self.count = count
        self._submit = submit
        self._asked = []

    def ask(self, order):
        """Ask for a worker. False if the pool takes no more work: it is broken or was shut down."""
        try:
            self._asked.append(self._submit(order))
        except Exception:
            return False
        return True

    def part(self):
        # Not cancelled: a ProcessPoolExecutor that breaks with a cancelled future in it is left half alive. Workers that
        # come to it later find nothing to do.
        self._asked.clear()


class _OwnProcesses:
    """Started for one call: simple processes, which have nothing in common that could be left locked."""

    def __init__(self, count):
        self.count = count
        self._started = []

    def ask(self, order):
        import multiprocessing  # noqa: PLC0415

        process = multiprocessing.Process(target=work_undisturbed, args=(order,), daemon=True)
        try:
            process.start()
        except Exception:  # the system gives no more processes, say; or this one is a worker that may have none
            return False
        self._started.append(process)
        return True

    def part(self):
        end = monotonic() + EXIT_SECONDS
        for process in self._started:
            process.join(max(end - monotonic(), 0))
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
        self._started.clear()
