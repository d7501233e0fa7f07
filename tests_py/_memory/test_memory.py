"""Large new arrays: of recycled memory, and otherwise arrays like any other."""

import ctypes
import math
import os
import pickle
import sys
from collections.abc import Iterator

import pytest
from conftest import run_script

np = pytest.importorskip("numpy")
numpy_handler = pytest.importorskip("twofold._memory.numpy_handler")

MiB = 1 << 20
RECYCLED = 32 * MiB  # bytes, from which on memory is recycled

# Scripts begin with it.
PRELUDE = """
    import os, resource, sys
    import numpy as np
    from twofold._memory.numpy_handler import empty_like, recycled_memory, release_memory
    MiB = 1 << 20
    def empty(shape, dtype):
        return empty_like(np.broadcast_to(np.empty((), dtype), shape))
    def kept():
        return recycled_memory()["bytes"]
"""


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    numpy_handler.release_memory()
    yield
    numpy_handler.release_memory()


def empty(shape: tuple[int, ...], dtype: type | str) -> "np.ndarray":
    return numpy_handler.empty_like(np.broadcast_to(np.empty((), dtype), shape))


def kept() -> int:
    return numpy_handler.recycled_memory()["bytes"]


def handler_name(array) -> str | None:
    return sys.modules["numpy._core.multiarray"].get_handler_name(array)


# ---- what is recycled


@pytest.mark.parametrize("mebibytes", [33, 64, 128, 256])
def test_the_third_result_and_those_after_it_cause_no_page_faults(mebibytes):
    """Where NumPy's own cause them in every call, so that the test can fail."""
    run_script(
        PRELUDE
        + """
    def faults(new):
        counts = []
        for turn in range(5):
            array = new(int(sys.argv[1]) * MiB, "u1")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            array.fill(turn)
            counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
            del array
        return counts[2:]
    theirs = faults(np.empty)
    ours = faults(lambda n, dtype: empty((n,), dtype))
    assert min(theirs) > 10, theirs
    if recycled_memory()["cap"] >= int(sys.argv[1]) * MiB:
        assert max(ours) <= 4, ours
    """,
        str(mebibytes),
    )


@pytest.mark.parametrize(
    ("nbytes", "name"),
    [
        (0, "default_allocator"),
        (1, "default_allocator"),
        (RECYCLED - 1, "default_allocator"),
        (RECYCLED, "twofold_recycled_memory"),
        (RECYCLED + 1, "twofold_recycled_memory"),
    ],
)
def test_only_large_arrays_are_recycled(nbytes, name):
    array = empty((nbytes,), "u1")
    assert array.shape == (nbytes,)
    assert handler_name(array) == name


@pytest.mark.thread_unsafe(reason="looks at all memory that is kept")
def test_memory_comes_back():
    first = empty((RECYCLED,), "u1")
    address = first.ctypes.data
    assert kept() == 0
    del first
    assert kept() == RECYCLED
    second = empty((RECYCLED // 4,), "f4")
    assert second.ctypes.data == address
    assert kept() == 0


@pytest.mark.parametrize("order", ["C", "F", "K"])
@pytest.mark.parametrize("dtype", ["u1", ">f8", "c16", "M8[s]", "O", "i4,f8"])
def test_a_new_array_is_like_the_one_given(dtype, order):
    for side in (3, math.isqrt(RECYCLED // 16 // np.dtype(dtype).itemsize) + 1):  # small and large
        values = np.zeros((side, side, 2, 8), dtype)
        values = {"C": values, "F": np.asfortranarray(values), "K": values.transpose(1, 3, 0, 2)}[order]
        new, expected = numpy_handler.empty_like(values), np.empty_like(values)
        assert type(new) is np.ndarray
        assert (new.dtype, new.shape, new.strides) == (expected.dtype, expected.shape, expected.strides)
        assert new.flags == expected.flags
        assert new.flags.owndata
        if values.nbytes >= RECYCLED:
            assert handler_name(new) == "twofold_recycled_memory"
            assert new.ctypes.data % 4096 == 0
        new[...] = values
        np.testing.assert_array_equal(new, values)


def test_objects_are_none_before_they_are_set():
    for n in (3, RECYCLED // 8):
        dirty = empty((n,), "u8")
        dirty.fill(-1 % 2**64)
        del dirty
        assert set(empty((n,), object).tolist()) == {None}


def test_too_large_is_an_error_and_the_handler_is_as_it_was():
    with pytest.raises(MemoryError):
        empty((1 << 46,), "f8")
    assert handler_name(np.empty(10)) == "default_allocator"
    assert handler_name(np.empty(RECYCLED, "u1")) == "default_allocator"


def test_what_a_process_may_have_is_not_kept_from_it():
    """Memory that is kept is given back before a new array fails."""
    run_script(
        PRELUDE
        + """
    del (x := [empty((34 * MiB,), "u1")])[0]
    assert kept() == 34 * MiB
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 16 * MiB,) * 2)
    y = empty((40 * MiB,), "u1")
    assert kept() == 0
    """
    )


# ---- arrays like any other


def test_pickling_and_copies():
    array = empty((RECYCLED // 8 + 5,), "u8")
    array[:] = np.arange(array.size)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array, protocol=5)), array)
    np.testing.assert_array_equal(array.copy(), array)
    assert handler_name(array.copy()) == "default_allocator"


@pytest.mark.parametrize("before", [100, RECYCLED - 1, RECYCLED, 2 * RECYCLED])
@pytest.mark.parametrize("after", [1, 100, RECYCLED - 1, RECYCLED, RECYCLED + 4096, 2 * RECYCLED, 3 * RECYCLED])
def test_resizing_keeps_the_data(before, after):
    array = empty((before,), "u1")
    array[:] = 7
    array.resize(after, refcheck=False)
    assert array.nbytes == after
    assert (array[: min(before, after)] == 7).all()
    assert (array[before:] == 0).all()  # as ndarray.resize has it
    array[:] = 1


@pytest.mark.thread_unsafe(reason="looks at all memory that is kept")
def test_views_keep_the_memory():
    array = empty((RECYCLED,), "u1")
    array[-3:] = 5
    view = array[-3:]
    del array
    assert kept() == 0
    assert view.tolist() == [5, 5, 5]
    del view
    assert kept() == RECYCLED


def test_tracemalloc_sees_them():
    run_script(
        PRELUDE
        + """
    import tracemalloc
    for turn in range(3):
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        x = empty((40 * MiB,), "u1")
        assert 40 * MiB <= tracemalloc.get_traced_memory()[0] - before < 41 * MiB
        x.resize(50 * MiB, refcheck=False)
        assert 50 * MiB <= tracemalloc.get_traced_memory()[0] - before < 51 * MiB
        del x
        assert tracemalloc.get_traced_memory()[0] - before < MiB
        tracemalloc.stop()
    """
    )


def test_arrays_live_until_the_interpreter_is_gone():
    run_script(
        PRELUDE
        + """
    import atexit
    class Late:
        def __init__(self): self.array = empty((40 * MiB,), "u1")
        def __del__(self): self.array[-1] = 1; del self.array
    sys.kept_for_ever = [empty((40 * MiB,), "u1"), Late()]
    a = Late(); a.itself = a  # a cycle
    atexit.register(lambda array: array.fill(2), empty((34 * MiB,), "u1"))
    del empty_like
    """
    )


def test_threads_make_and_free_each_others_arrays():
    run_script(
        PRELUDE
        + """
    import queue, threading
    arrays = queue.Queue(4)
    def make(tag):
        for i in range(200):
            x = empty((32 * MiB + 4096 * i,), "u1")
            x[0] = x[-1] = tag
            arrays.put((tag, x))
        arrays.put(None)
    makers = [threading.Thread(target=make, args=(tag,)) for tag in (1, 2, 3)]
    for maker in makers:
        maker.start()
    running = len(makers)
    while running:
        if (item := arrays.get()) is None:
            running -= 1
            continue
        tag, x = item
        assert x[0] == x[-1] == tag
        del x, item
    for maker in makers:
        maker.join()
    assert 0 < kept() <= recycled_memory()["cap"]
    """
    )


def test_a_child_has_what_is_in_use_and_nothing_that_is_kept():
    run_script(
        PRELUDE
        + """
    used = empty((40 * MiB,), "u1")
    used.fill(3)
    freed = empty((64 * MiB,), "u1")
    del freed
    for _ in range(2):  # the second child is the child of a child
        pid = os.fork()
        if pid == 0:
            assert kept() == 0
            assert used[0] == used[-1] == 3
            mine = empty((64 * MiB,), "u1")
            mine.fill(4)
            continue
        assert os.waitpid(pid, 0)[1] == 0
        assert used[0] == used[-1] == 3
        break
    del used
    assert kept() >= 40 * MiB
    """
    )


def test_forks_while_threads_make_arrays():
    run_script(
        PRELUDE
        + """
    import threading, warnings
    warnings.simplefilter("ignore")  # that there are threads: these are ours
    enough = False
    def make():
        while not enough:
            x = empty((33 * MiB,), "u1")
            x[-1] = 1
    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    for i in range(100):
        pid = os.fork()
        if pid == 0:
            x, y = (empty((33 * MiB,), "u1") for _ in range(2))
            x[:9], y[:9] = 1, 2
            os._exit(int(not (x[:9] == 1).all() or release_memory() < 0))
        assert os.waitpid(pid, 0)[1] == 0
    enough = True
    for maker in makers:
        maker.join()
    """
    )


# ---- turning it off, and giving it back


@pytest.mark.parametrize(("value", "is_on"), [(None, True), ("0", False), ("1", True), ("", True)])
def test_the_environment_turns_it_off(value, is_on):
    variables = {} if value is None else {"TWOFOLD_RECYCLE_MEMORY": value}
    env = {name: text for name, text in os.environ.items() if name != "TWOFOLD_RECYCLE_MEMORY"}
    output = run_script(
        PRELUDE
        + """
    from numpy._core.multiarray import get_handler_name
    x = empty((40 * MiB,), "u1")
    print(get_handler_name(x))
    del x
    print(kept() == 40 * MiB, recycled_memory()["on"], recycled_memory()["cap"] > 0)
    """,
        env={**env, **variables},
    )
    name = "twofold_recycled_memory" if is_on else "default_allocator"
    assert output.split() == [name, *[str(is_on)] * 3]


def test_importing_reads_nothing_of_the_environment():
    run_script(
        PRELUDE
        + """
    os.environ["TWOFOLD_RECYCLE_MEMORY"] = "0"
    empty((40 * MiB,), "u1")
    assert kept() == 0
    os.environ["TWOFOLD_RECYCLE_MEMORY"] = "1"
    empty((40 * MiB,), "u1")
    assert kept() == 0
    """
    )


@pytest.mark.thread_unsafe(reason="looks at all memory that is kept")
def test_giving_it_back():
    arrays = [empty((n * MiB,), "u1") for n in (32, 34, 40)]
    arrays[2].fill(6)
    del arrays[:2]
    assert numpy_handler.release_memory() == (32 + 34) * MiB
    assert numpy_handler.release_memory() == 0
    assert (arrays[0] == 6).all()


def test_giving_it_back_makes_the_process_smaller():
    run_script(
        PRELUDE
        + """
    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    before = resident()
    x = empty((60 * MiB,), "u1")
    x.fill(1)
    del x
    assert resident() - before > 50 * MiB
    release_memory()
    assert resident() - before < 10 * MiB
    """
    )


def test_a_handler_of_the_users_own_is_left_in_place():
    """Whoever sets one for NumPy's arrays gets ours from it, too."""
    array = empty((RECYCLED,), "u1")
    assert handler_name(array) == "twofold_recycled_memory"
    api = np._core._multiarray_umath._ARRAY_API
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer(api, None), ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype = ctypes.py_object
    new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    default = ctypes.cast(table[306], ctypes.POINTER(ctypes.py_object))[0]
    name = ctypes.c_char_p(b"mem_handler")
    # The same functions under another name: 127 bytes of name, the version, five pointers.
    its = ctypes.create_string_buffer(ctypes.string_at(pointer(default, name), 127 + 1 + 5 * 8))
    its[0:8] = b"a user's"
    before = set_handler(new_capsule(ctypes.addressof(its), name, None))
    try:
        array = empty((RECYCLED,), "u1")
        assert handler_name(array).startswith("a user's")
        del array
    finally:
        set_handler(before)
