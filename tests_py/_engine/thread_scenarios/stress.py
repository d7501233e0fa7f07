"""Eight threads call twofold for some seconds, on memory of their own and on what the others use and change.

    python stress.py SECONDS [fork] [KIND ...]

Before that, children of this process make their first calls in eight threads at once. Then the threads do one kind of
work after another, each in all of them at the same time, and at last all kinds at once; with `fork`, beside two threads
whose children double, too. Each element of each result is checked, and at the end the references of those items that
the lists held.
"""

import array
import contextlib
import ctypes
import functools
import itertools
import mmap
import os
import pickle
import random
import struct
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import twofold
from twofold import ufuncs

sys.path.append(str(Path(__file__).parents[2] / "_containers"))
import foreign

THREADS = 8
IS_FREE = not getattr(sys, "_is_gil_enabled", lambda: True)()
LETTERS = "bBhHiIlLqQefdFD"


class RefusesWork:
    """A pool of which the caller gets no worker."""

    def submit(self, *arguments):
        raise RuntimeError


def check(found, expected):
    if not np.array_equal(found, expected):
        raise AssertionError(f"{found!r:.300} is not {expected!r:.300}")


# ---- arrays

SHARED = {letter: (np.arange(50_000) % 30_000).astype(letter) for letter in LETTERS}
with np.errstate(all="ignore"):
    SHARED_DOUBLED = {letter: values + values for letter, values in SHARED.items()}
LARGE = np.arange(1 << 20, dtype="u4")
LARGE_DOUBLED = LARGE + LARGE
SAME_OUT = np.zeros_like(LARGE)
OBJECTS = np.array([1, 2.5, 2**70, 1j] * 50, object)


def arrays(draw):
    letter = draw.choice(LETTERS)
    values, doubled = SHARED[letter], SHARED_DOUBLED[letter]
    check(twofold.double(values), doubled)
    own = values.copy()
    check(twofold.double(own, out=own), doubled)
    check(twofold.double(values[::3]), doubled[::3])
    check(twofold.double(values.reshape(50, -1).T), doubled.reshape(50, -1).T)
    check(twofold.double(values.astype(values.dtype.newbyteorder())), doubled)
    small = draw.randrange(100)
    check(twofold.double(values[:small], overflow="saturate" if letter in "efdFD" else "wrap"), doubled[:small])
    with contextlib.suppress(OverflowError):
        twofold.double(np.array([1, 100, 127], "b"), overflow="raise")
        raise AssertionError("no overflow")


def large_arrays(draw):
    check(twofold.double(LARGE, threads=draw.randrange(1, 4)), LARGE_DOUBLED)
    own = LARGE.copy()
    check(twofold.double(own, out=own, threads=2), LARGE_DOUBLED)
    twofold.double(LARGE, out=SAME_OUT, threads=2)  # all write the same numbers
    # Large enough for memory that is kept for later results.
    fresh = twofold.double(np.full(9 << 20, draw.randrange(1 << 30), "u4"))
    assert (fresh == fresh[0]).all()
    if draw.random() < 0.2:
        twofold.release_memory()


def by_ufuncs(draw):
    letter = draw.choice(LETTERS)
    values, doubled = SHARED[letter], SHARED_DOUBLED[letter]
    check(ufuncs.doubled(values), doubled)
    where = values.real.astype(bool)
    out = values.copy()
    check(twofold.double(values, out=out, where=where), np.where(where, doubled, values))
    check(ufuncs.doubled(values, out=values.copy()), doubled)
    check(twofold.double(OBJECTS), OBJECTS + OBJECTS)
    masked = np.ma.masked_where(~where, values)
    check(twofold.double(masked).filled(0), np.where(where, doubled, 0))
    check(twofold.double(np.arange(100, dtype="u1"), dtype="i8"), np.arange(0, 200, 2))
    assert twofold.double(np.float32(draw.randrange(1000) / 2)) % 1 == 0


DIVMOD = twofold.parallel(np.divmod)  # which all use, as the loops that it knows
DOUBLED = twofold.Kernel(("twofold.cython_api", "double_f64"))


def parallel_ufuncs(draw):
    letter = draw.choice("bhilqfd")
    values = SHARED[letter][: draw.choice([10, 1000, 50_000])]
    quotients, rests = DIVMOD(values, values.dtype.type(7), threads=draw.choice([None, 2]))
    check(quotients * 7 + rests, values)
    own = values.astype("d")
    check(twofold.parallel(np.add)(own, own, out=own), values + values.astype("d"))
    check(twofold.parallel(np.negative)(values.astype(values.dtype.newbyteorder())), -values)
    check(DOUBLED(own, threads=draw.choice([None, 2])), own + own)
    check(twofold.Kernel(("twofold.cython_api", "double_f32"))(own[:100].astype("f")), (own + own)[:100].astype("f"))


# ---- lists that others change: the item of index i is always one of those that belong there

N = 3000
FIRST = 1 << 40  # large enough that Python keeps no such int
ITEMS = [[FIRST + (k << 20) + i for i in range(N)] for k in range(4)]
ITEMS.append([float(FIRST + (4 << 20) + i) for i in range(N)])
CONTROL = [FIRST + (9 << 20) + i for i in range(N)]
CHANGING, SORTED = list(ITEMS[0]), list(ITEMS[1])
LOSES_ALL = [list(ITEMS[2])]


CHANGE = threading.Lock()  # so that each item stays at its place; whoever doubles the list does not take it


def change_lists(draw):
    values, items = CHANGING, draw.choice(ITEMS)
    with CHANGE:
        draw.choice(CHANGES)(values, items, draw.randrange(N))


def pop(values, items, n):
    while len(values) > n:
        values.pop()


def append(values, items, n):
    while len(values) < N:
        values.append(items[len(values)])


def clear_and_extend(values, items, n):
    values.clear()
    values.extend(items)


def resize(values, items, n):
    values[n:] = []
    values += items[len(values) :]


def replace(values, items, n):
    for i in range(0, len(values), 7):
        values[i] = items[i]


def replace_all(values, items, n):
    values[:] = [*items[:n], *ITEMS[0][n:]]


def sort(draw):
    """Which takes all items out meanwhile."""
    with CHANGE:
        SORTED.sort(key=lambda item: -item)
        SORTED.reverse()
        SORTED.insert(draw.randrange(N), SORTED.pop(draw.randrange(N)))


CHANGES = [pop, append, clear_and_extend, resize, replace, replace_all]


def check_items(result):
    """Each is the double of an item that was there at some time."""
    for i, item in enumerate(result):
        k, place = divmod(int(item) // 2 - FIRST, 1 << 20)
        if not (place == i and 0 <= k < len(ITEMS) and item == 2 * ITEMS[k][i]):
            raise AssertionError(f"item {i} of {len(result)} is {item!r}")


@contextlib.contextmanager
def may_be_refused(*texts):
    """For the reasons that one of the texts names."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        if not any(text in str(error) for text in texts):
            raise


CHANGED = "changed its length"


def lists(draw):
    with may_be_refused(CHANGED):
        check_items(twofold.double(CHANGING))
    overflow = draw.choice(["wrap", "raise", "saturate"])
    for dtype, *texts in (("int64", "an integer"), ("float64",), ("int8", "an integer", "does not fit")):
        with may_be_refused(CHANGED, *texts):
            check_items(twofold.double(CHANGING, dtype=dtype, overflow=overflow))
    with may_be_refused(CHANGED, "shape", "items"):  # of another length when the call begins
        check_items(twofold.double(CHANGING, out=np.zeros(N), overflow=overflow))


def sorted_lists(draw):
    with may_be_refused(CHANGED):
        assert set(twofold.double(SORTED)) <= SORTED_DOUBLED


SORTED_DOUBLED = {2 * item for item in ITEMS[1]}


def lists_that_lose_all(draw):
    """The last reference to each item goes while the list is read: whoever reads one has one."""
    values = LOSES_ALL[0]
    if draw.random() < 0.5:
        LOSES_ALL[0] = [FIRST + i for i in range(N)]
        values.clear()
        return
    with may_be_refused(CHANGED):
        found = twofold.double(values, dtype=draw.choice([None, "int64"]))
        assert found in ([], [2 * (FIRST + i) for i in range(N)], [2 * item for item in ITEMS[2]]), found[:5]


def tuples_and_numbers(draw):
    start = draw.randrange(1 << 40)
    assert twofold.double(range(start, start + 500)) == list(range(2 * start, 2 * start + 1000, 2))
    assert twofold.double(tuple(ITEMS[0])) == [2 * item for item in ITEMS[0]]
    assert twofold.double(ITEMS[4]) == [2 * item for item in ITEMS[4]]
    assert twofold.double([start, 1.5, 1j, 2**90]) == [2 * start, 3.0, 2j, 2**91]
    assert twofold.double(start) == 2 * start
    assert twofold.double([start % 100], dtype="float16") == [2.0 * (start % 100)]


# ---- buffers

EXTENDED = array.array("q", range(1000))
BYTES = bytearray(range(100))
MAPPED = mmap.mmap(-1, 4096)
MAPPED[:] = bytes(range(64)) * 64


def buffers(draw):
    # A free-threaded Python may forget that a buffer is out: the counts of these types are no atomics there (3.13).
    if not IS_FREE and draw.random() < 0.5:
        with contextlib.suppress(BufferError):
            EXTENDED.append(2) if len(EXTENDED) < 3000 else EXTENDED.pop()
            BYTES.append(1) if len(BYTES) < 200 else BYTES.pop()
    found = twofold.double(EXTENDED)
    assert all(item % 2 == 0 for item in found)
    assert twofold.double(BYTES)[:100].tolist() == list(range(0, 200, 2))
    assert twofold.double(memoryview(MAPPED)).tolist() == list(range(0, 128, 2)) * 64
    own = array.array("d", [draw.random()] * 500)
    doubled = array.array("d", [2 * own[0]] * 500)
    assert twofold.double(own, out=own) == doubled
    assert twofold.double(b"\1\2\3" * 5).tobytes() == b"\2\4\6" * 5


NUMBERS = ctypes.create_string_buffer(struct.pack("3q", 0, 1, 2))
MAKING = threading.Lock()  # `foreign` counts what it makes
try:
    import pyarrow
except ImportError:
    pyarrow = None
ARROW = None if pyarrow is None else pyarrow.array([0, None, 2, 3], pyarrow.int64())


def exchanged(draw):
    start = ctypes.addressof(NUMBERS)
    with MAKING:
        tensor = foreign.DLPackArray(data=start, ndim=1, code=0, bits=64, shape=[3], strides=[1])
        column = foreign.ArrowArray({"format": b"l"}, {"length": 3, "n_buffers": 2, "buffers": [None, start]})
        check(struct.unpack("3q", twofold.double(tensor)[1]), [0, 2, 4])
        check([struct.unpack("q", item)[0] for item in foreign.read_arrow(twofold.double(column))], [0, 2, 4])
    if ARROW is not None:
        assert twofold.double(ARROW).to_pylist() == [0, None, 4, 6]


# ---- threads, the environment, what is asked of twofold

COUNTS = {"TWOFOLD_NUM_THREADS": ("2", "3"), "OMP_NUM_THREADS": ("4", "5")}
CPUS = len(os.sched_getaffinity(0))


def environment(draw):
    name = draw.choice(list(COUNTS))
    if draw.random() < 0.2:
        # Another length each time, so that the memory moves.
        os.environ[f"UNUSED_{draw.randrange(300)}"] = "x" * draw.randrange(500)
    if draw.random() < 0.7:
        os.environ[name] = draw.choice(COUNTS[name])
    else:
        with contextlib.suppress(KeyError):  # another thread was faster
            del os.environ[name]
    info = twofold.threads_info()
    allowed = COUNTS.get(info["rule"])
    assert info["num_threads"] in map(int, allowed) if allowed else 1 <= info["num_threads"] <= CPUS, info
    with twofold.num_threads(n := draw.randrange(1, 6)):
        assert twofold.get_num_threads() == n
        check(twofold.double(LARGE), LARGE_DOUBLED)
        with twofold.num_threads(n + 1):
            assert twofold.threads_info()["num_threads"] == n + 1
        assert twofold.get_num_threads() == n
    twofold.set_num_threads(7)
    assert twofold.get_num_threads() == 7
    twofold.set_num_threads(None)
    assert twofold.show_config("dicts")["simd"]["target"] == twofold.simd_target()


# ---- shared memory

KEPT = [twofold.share(np.arange(1000))]


def shared_arrays(draw):
    start = draw.randrange(1 << 40)
    own = twofold.share(np.arange(start, start + 5000))
    check(twofold.double(own), np.arange(2 * start, 2 * start + 10_000, 2))
    again = pickle.loads(pickle.dumps(own[10:20]))
    again += 1
    check(own[10:20], np.arange(start + 11, start + 21))
    del own
    check(again, np.arange(start + 11, start + 21))
    kept = KEPT[0]
    check(twofold.double(pickle.loads(pickle.dumps(kept))), 2 * kept[0] + np.arange(0, 2000, 2))
    KEPT[0] = twofold.share(np.arange(start, start + 1000))
    assert not twofold.SharedArray((10, draw.randrange(1, 100)), "u4").any()
    if draw.random() < 0.1:
        twofold.release_memory()


def in_processes(draw):
    start = draw.randrange(1 << 40)
    values = np.arange(start, start + 20_000)
    check(twofold.double_in_processes(values, RefusesWork()), values + values)
    check(twofold.double_in_processes(values, RefusesWork(), out=values), np.arange(2 * start, 2 * start + 40_000, 2))
    assert twofold.double_in_processes([1, 2.5, 2**70], RefusesWork()) == [2, 5.0, 2**71]


# ---- all of it

KINDS = [arrays, large_arrays, by_ufuncs, lists, sorted_lists, lists_that_lose_all, tuples_and_numbers, buffers]
KINDS += [parallel_ufuncs, exchanged, environment, shared_arrays, in_processes]
# Half of the threads change what the others double.
OTHERS = {lists: change_lists, sorted_lists: sort}

failures = []


def run_in_threads(*works):
    """Each in a thread, all beginning at the same moment; an exception of any ends this process."""
    meeting = threading.Barrier(len(works))

    def run(work):
        try:
            meeting.wait()
            work()
        except BaseException as error:
            failures.append(error)
            sys.excepthook(type(error), error, error.__traceback__)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"{len(failures)} of {len(works)} threads failed")


def repeat(works, seconds, seed):
    draw = random.Random(seed)
    end = time.monotonic() + seconds
    while True:
        draw.choice(works)(draw)
        if failures or time.monotonic() > end:
            return


def fork_children(seconds, seed):
    draw = random.Random(seed)
    end = time.monotonic() + seconds
    while not failures and time.monotonic() < end:
        in_child(lambda: (check(twofold.double(LARGE, threads=2), LARGE_DOUBLED), twofold.double([1, 2]), arrays(draw)))


def in_child(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0 if not failures else 2
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + 60
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        time.sleep(0.001)
        if time.monotonic() > end:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise AssertionError("a child hangs")
    assert done[1] == 0, f"a child ended with status {done[1]}"


def first_calls():
    """All at once, in a process that has called nothing yet: of one kind, or of all."""
    for kind in [*KINDS, None]:
        works = [kind] * THREADS if kind else (KINDS * 2)[:12]
        in_child(
            lambda works=works: run_in_threads(*(lambda w=w, i=i: w(random.Random(i)) for i, w in enumerate(works)))
        )


def main(seconds, *names):
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which are meant here
    sys.setswitchinterval(1e-5)
    forks = "fork" in names
    kinds = [kind for kind in KINDS if kind.__name__ in names] or KINDS
    before = sys.getrefcount(CONTROL[0])
    if not forks:
        first_calls()
    part = seconds / (len(kinds) + 4)
    for kind in [*kinds, *[None] * 4]:
        works = [kind, OTHERS.get(kind, kind)] if kind else [*kinds, *(OTHERS[k] for k in kinds if k in OTHERS)]
        rows = [works[i % 2 : i % 2 + 1] if kind else works for i in range(THREADS)]
        children = [functools.partial(fork_children, part, i) for i in range(2)] if forks else []
        run_in_threads(*(functools.partial(repeat, row, part, i) for i, row in enumerate(rows)), *children)
    for values in (CHANGING, SORTED, *LOSES_ALL):
        values.clear()
    for k, i in itertools.product(range(len(ITEMS)), range(N)):
        count = sys.getrefcount(ITEMS[k][i])
        assert count == before, f"{count} references to item {i} of row {k}, not {before}"
    if IS_FREE:
        assert not sys._is_gil_enabled(), "something has switched the GIL on"


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
