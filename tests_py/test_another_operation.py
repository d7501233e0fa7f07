"""An operation that twofold does not know goes where doubling goes: through all containers, and to workers of pools.

It is halving. What somebody else would add is built here: the operation (halving.hpp and halving_operation.hpp of the
C++ tests), a module (halving/halving.pyx), and a rule for both (halving/setup.py). Nothing of twofold knows of it.
"""

import array
import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import twofold
from conftest import LETTERS, NUMPY_LETTERS, run_script, sample
from twofold._engine.twofold_engine import operation_named

TOP = Path(__file__).resolve().parents[1]
SOURCE = Path(__file__).with_name("halving")


def xsimd() -> str:
    include = Path(twofold.get_include())
    if (include / "xsimd").exists():
        return str(include)
    return str(runpy.run_path(str(TOP / "scripts/xsimd_include.py"))["xsimd_include"]())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the module is."""
    directory = tmp_path_factory.mktemp("halving") / "halving"
    shutil.copytree(SOURCE, directory)
    command = [sys.executable, "setup.py", str(TOP), xsimd(), "-q", "build_clib", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def halve(built):
    (path,) = built.glob("halving.*.so")
    spec = importlib.util.spec_from_file_location("halving", path)
    module = sys.modules["halving"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.halve
    del sys.modules["halving"]


def test_the_module_has_kernels_and_no_engine(built):
    """What calls the kernels is compiled once, and not once an operation: there is one crew of threads."""
    (path,) = built.glob("halving.*.so")
    asked = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True, check=True)
    assert "pthread_create" not in asked.stdout


# ---- arrays of NumPy

POLICIES = ["wrap", "saturate", "raise"]

# A new array of one layout.
LAYOUTS = {
    "contiguous": np.zeros,
    "strided": lambda shape, dtype: np.zeros((2 * shape[0], 3 * shape[1]), dtype)[::2, ::3],
    "reversed": lambda shape, dtype: np.zeros(shape, dtype)[::-1, ::-1],
    "transposed": lambda shape, dtype: np.zeros(shape[::-1], dtype).T,
    "byte-swapped": lambda shape, dtype: np.zeros(shape, np.dtype(dtype).newbyteorder()),
    "byte-swapped and transposed": lambda shape, dtype: np.zeros(shape[::-1], np.dtype(dtype).newbyteorder()).T,
    "unaligned": lambda shape, dtype: (
        np.zeros(shape[0] * shape[1] * np.dtype(dtype).itemsize + 1, "u1")[1:].view(dtype).reshape(shape)
    ),
}


def laid_out(values, layout):
    made = LAYOUTS[layout](values.shape, values.dtype)
    made[...] = values
    return made


def any_values(letter, shape):
    """Of each kind that there is, where all bits are numbers: NaNs, infinities, subnormals."""
    dtype, n = np.dtype(letter), int(np.prod(shape))
    if dtype.char in "gG":
        values = (np.arange(n) - n // 2) * np.longdouble(10) ** (np.arange(n) % 9000 - 4500)
        return (values if dtype.char == "g" else values * np.clongdouble(1 + 3j)).reshape(shape)
    return np.frombuffer(np.random.default_rng(1).bytes(n * dtype.itemsize), dtype).reshape(shape)


def halves(values):
    """As NumPy has it."""
    kind, real = values.dtype.kind, values.real.dtype.type
    if kind == "m":
        return np.where(np.isnat(values), values, (values.view("i8") >> 1).view(values.dtype))
    if kind in "iu":
        return values >> 1
    if kind == "c":
        parts = np.ascontiguousarray(values).view(real) * real(0.5)
        return parts.view(values.dtype)
    return values * real(0.5)


def check_same(result, expected):
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    if result.dtype.kind in "fc":
        np.testing.assert_array_equal(np.signbit(result.real), np.signbit(expected.real))
        np.testing.assert_array_equal(np.signbit(result.imag), np.signbit(expected.imag))


@pytest.mark.parametrize("letter", [*NUMPY_LETTERS, "m8[s]"])
def test_arrays_of_any_layout_are_halved_as_numpy_does_it(letter, halve):
    values = any_values(letter, (190, 350))
    with np.errstate(all="ignore"):
        expected = halves(values)
        for number, layout in enumerate(LAYOUTS):
            given = laid_out(values, layout)
            for threads in (1, 3):
                result = halve(given, threads=threads)
                check_same(result, expected.astype(result.dtype))
                assert result.dtype == given.dtype
            for other, out_layout in enumerate(LAYOUTS):
                out = LAYOUTS[out_layout](values.shape, values.dtype)
                threads, policy = 1 + 2 * ((number + other) % 2), POLICIES[(number + other) % 3]
                assert halve(given, out, threads=threads, overflow=policy) is out
                check_same(out, expected.astype(out.dtype))
            check_same(given, values.astype(given.dtype))
            assert halve(given, given) is given
            check_same(given, expected.astype(given.dtype))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_output_that_overlaps_the_input(threads, halve):
    for n in (1000, 300_000):
        for take_in, take_out in (
            (slice(3, None), slice(None, -3)),
            (slice(None, -3), slice(3, None)),
            (slice(None), slice(None, None, -1)),
            (slice(None, None, 2), slice(None, n // 2)),
        ):
            memory = any_values("i", (n,)).copy()
            expected = memory[take_in] >> 1
            halve(memory[take_in], memory[take_out], threads=threads)
            np.testing.assert_array_equal(memory[take_out], expected)


def test_what_numpy_drives(halve):
    values = any_values("i", (20, 30))
    where = any_values("b", (20, 30)) > 0
    out = np.zeros_like(values)
    halve(values, out, where=where)
    np.testing.assert_array_equal(out, np.where(where, values >> 1, 0))
    masked = np.ma.masked_array(values, where)
    np.testing.assert_array_equal(halve(masked).filled(7), np.where(where, 7, values >> 1))
    np.testing.assert_array_equal(halve(values, dtype="f8"), values / 2)
    objects = np.array([3, 2.5, Fraction(1, 3), 1 << 70], object)
    halved_objects = [1, 1.25, Fraction(1, 6), 1 << 69]
    assert halve(objects).tolist() == halved_objects
    assert halve(np.float32(3)) == np.float32(1.5)
    ufuncs = operation_named("halving:halve").ufuncs
    assert [ufunc.__name__ for ufunc in ufuncs] == ["halved", "halved_saturating", "halved_checked"]
    np.testing.assert_array_equal(ufuncs[0](values[::2]), values[::2] >> 1)
    assert ufuncs[0](objects).tolist() == halved_objects


def test_what_floats_raise_is_told_by_errstate(halve):
    with np.errstate(all="raise"):
        assert halve(np.array([np.finfo("f8").max, np.inf])).tolist() == [np.finfo("f8").max / 2, np.inf]
        with pytest.raises(FloatingPointError, match="invalid"):
            halve(np.array([0x7FF4000000000000], np.uint64).view("f8"))


# ---- other containers


def test_lists_have_pythons_own_arithmetic(halve):
    """By the operation's slot for one object, since it has no faster ones."""
    items = [3, -3, 2.5, -0.0, 1 << 70, -(1 << 70) - 1, Fraction(1, 3), 1 + 2j, True]
    expected = [1, -2, 1.25, -0.0, 1 << 69, -(1 << 69) - 1, Fraction(1, 6), 0.5 + 1j, 0]
    assert halve(items) == halve(tuple(items)) == expected
    assert list(map(type, halve(items))) == list(map(type, expected))
    assert halve(range(-7, 9, 3)) == [i >> 1 for i in range(-7, 9, 3)]
    assert (halve(7), halve(7.0), halve(7, dtype="f4")) == (3, 3.5, 3.5)
    assert halve(list(range(200_000)), overflow="raise") == [i >> 1 for i in range(200_000)]
    with pytest.raises(TypeError, match=r"values\[1\] is 'x' \(str\), not a number"):
        halve([1, "x"])


@pytest.mark.parametrize("element", LETTERS)
def test_lists_and_buffers_of_an_element_type(element, halve):
    items = sample(element, 1000)
    expected = [x / 2 if element.startswith("float") else x >> 1 for x in items]
    expected = array.array(LETTERS[element], expected)  # rounded to the type
    assert halve(items, dtype=element) == expected.tolist()
    values = array.array(LETTERS[element], items)
    result = halve(values)
    assert (type(result), result) == (array.array, expected)
    out = array.array(LETTERS[element], bytes(len(values) * values.itemsize))
    assert halve(items, out) is out
    assert out == expected
    out = array.array(LETTERS[element], bytes(2 * len(values) * values.itemsize))
    halve(memoryview(values)[::-1], memoryview(out)[::2])
    assert (out[::2], set(out[1::2])) == (expected[::-1], {0})
    assert halve(values, values) is values
    assert values == expected


def test_shared_arrays(halve):
    values = any_values("i", (400, 300))
    shared = twofold.share(values)
    np.testing.assert_array_equal(halve(shared), values >> 1)
    assert halve(shared, shared, threads=3) is shared
    np.testing.assert_array_equal(shared, values >> 1)


# ---- pools

IN_POOLS = """
import concurrent.futures
import multiprocessing
import sys
import warnings

import numpy as np
import twofold

method, *sources = sys.argv[1:]
a_shared_array = twofold.share(np.arange(8))  # so NumPy is known before there is the operation
sys.path[:0] = sources
import halving
del sys.path[:len(sources)]
from twofold._engine.twofold_engine import operation_named
from twofold.pools import _run


class Pool:
    '''Lends a worker, and waits for what that does.'''

    def __init__(self):
        self.executor = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method))
        self._max_workers = 1
        self.answers = []

    def submit(self, work, *order):
        answer = self.executor.submit(work, *order)
        concurrent.futures.wait([answer])
        self.answers.append(answer)
        return answer


pool = Pool()

def run(values, out=None, dtype=None, overflow="wrap", chunk_bytes=4096):
    return _run(operation_named("halving:halve"), values, pool, None, out, dtype, overflow, chunk_bytes, False, 3)
"""


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_a_pool_halve(method, threads, built):
    path = os.pathsep.join([str(built), os.environ.get("PYTHONPATH", "")])
    run_script(
        IN_POOLS
        + """
def check(result, expected):
    (answer,) = pool.answers
    pool.answers.clear()
    assert answer.result() > 0  # bytes, of which the worker has done all
    np.testing.assert_array_equal(result, expected)

large = np.random.default_rng(1).integers(-(1 << 31), 1 << 31, 1 << 20).astype("i4")
shared = twofold.share(large)
check(run(shared, chunk_bytes=1 << 19), large >> 1)
for overflow in ("wrap", "saturate"):
    there = twofold.share(large)
    check(run(there, there, overflow=overflow), large >> 1)
values = large[:9000].reshape(90, 100)
for given in (values, values.T, values[::-1, ::2], values.astype(">i4")):
    result = run(given)
    check(result, given >> 1)
    assert result.dtype == given.dtype
    out = np.zeros_like(given)
    assert run(given, out) is out
    check(out, given >> 1)
for letter in "bBhHiIqQ":
    numbers = large.astype(letter)[:20_000]
    check(run(numbers), numbers >> 1)
for letter in "efdFD":
    numbers = large[:20_000].astype(letter)
    check(run(numbers), numbers * numbers.real.dtype.type(0.5))
numbers = large.tolist()[:5000]
check(run(numbers), [x >> 1 for x in numbers])
check(run(numbers, dtype="float64", overflow="raise"), [x / 2 for x in numbers])
floats = [0.5] * 5000
assert run(floats) == [0.25] * 5000 and not pool.answers  # Python's own arithmetic, here
pool.executor.shutdown()
multiprocessing.set_start_method(method, force=True)
pool = None  # processes of the call's own
np.testing.assert_array_equal(run(large, chunk_bytes=1 << 19), large >> 1)
""",
        method,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
    )


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize("module", ["none", "another"])
def test_a_worker_that_does_not_find_the_operation_says_so(module, method, built, tmp_path):
    """And the caller does all: the result is right."""
    path = [os.environ.get("PYTHONPATH", "")]
    if module == "another":
        (tmp_path / "halving.py").write_text("")
        path.insert(0, str(tmp_path))
    said = {"none": "No module named 'halving'", "another": "there is no operation 'halving:halve'"}[module]
    output = run_script(
        IN_POOLS
        + """
values = np.arange(10_000)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    np.testing.assert_array_equal(run(values), values >> 1)
(warning,) = caught
assert warning.category is RuntimeWarning
print(warning.message)
pool.executor.shutdown()
""",
        method,
        str(built),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    assert said in output
