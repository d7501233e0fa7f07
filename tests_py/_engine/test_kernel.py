"""`twofold.Kernel`: compiled functions of all sources, called like ufuncs, in whatever ranges they are shared."""

import copy
import ctypes
import gc
import pickle
import random
import re
import subprocess
import sys
import threading
import weakref
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import twofold
from conftest import UNIT, run_script
from twofold._engine import parallel_ufunc

# The hook is the whole process's.
pytestmark = pytest.mark.thread_unsafe(reason="has all calls shared")

C = r"""
#include <complex.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define OF_TYPE(T, name) \
    T add_##name(T a, T b) { return a + b; } \
    int add_chunk_##name(const T* restrict a, const T* restrict b, T* restrict out, ssize_t n) { \
        for (ssize_t i = 0; i < n; ++i) out[i] = a[i] + b[i]; \
        return 0; \
    }
OF_TYPE(int8_t, int8) OF_TYPE(int16_t, int16) OF_TYPE(int32_t, int32) OF_TYPE(int64_t, int64)
OF_TYPE(uint8_t, uint8) OF_TYPE(uint16_t, uint16) OF_TYPE(uint32_t, uint32) OF_TYPE(uint64_t, uint64)
OF_TYPE(float, float32) OF_TYPE(double, float64)
OF_TYPE(float _Complex, complex64) OF_TYPE(double _Complex, complex128)

double negative(double x) { return -x; }
double three(double a, double b, double c) { return a + 10 * b + 100 * c; }
double four(double a, double b, double c, double d) { return a + 10 * b + 100 * c + 1000 * d; }
double scaled(double x, void* scale) { return x * *(double*)scale; }
double scaled_2(double x, double y, void* scale) { return (x + y) * *(double*)scale; }
double scaled_3(double x, double y, double z, void* scale) { return (x + y + z) * *(double*)scale; }
double scaled_4(double x, double y, double z, double w, void* scale) { return (x + y + z + w) * *(double*)scale; }
double dispatched(double x, int skip) { return x + skip; }
double divide(double a, double b) { return a / b; }
double slow(double x) { usleep(1000); return x + 1; }
double slow_if_negative(double x) { if (x < 0) usleep(1000); return x + 1; }

static int overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
    return (const char*)a < (const char*)b + b_bytes && (const char*)b < (const char*)a + a_bytes;
}
/* In two passes, so that nothing is right if memory overlaps; and then it says so, too. */
int negative_chunk(const double* in, double* out, ssize_t n) {
    if (overlap(in, n * 8, out, n * 8) || (uintptr_t)in % 8 || (uintptr_t)out % 8) return 99;
    for (ssize_t i = 0; i < n; ++i) out[i] = 0;
    for (ssize_t i = n - 1; i >= 0; --i) out[i] -= in[i];
    return 0;
}
/* The code of the first one that is not 0. */
int codes(const double* in, double* out, ssize_t n) {
    for (ssize_t i = 0; i < n; ++i) {
        if (in[i] != 0) return (int)in[i];
        out[i] = 1;
    }
    return 0;
}
/* How many elements there are with it. */
int count_chunk(const double* in, double* out, ssize_t n) {
    for (ssize_t i = 0; i < n; ++i) {
        if (in[i] < 0) usleep(1000);
        out[i] = n;
    }
    return 0;
}
/* The same of a function that takes long for any number of them. */
int count_slow_chunk(const double* in, double* out, ssize_t n) {
    usleep(1000);
    return count_chunk(in, out, n);
}
double address_is(double x, void* address) { return (uintptr_t)address == (uintptr_t)x; }
int two_outputs(const double* a, const float* b, double* sum, int32_t* rounded, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        sum[i] = a[i] + b[i];
        rounded[i] = (int32_t)(a[i] * b[i]);
    }
    return 0;
}
void scaled_chunk(const double* in, double* out, ssize_t n, void* scale) {
    for (ssize_t i = 0; i < n; ++i) out[i] = in[i] * *(double*)scale;
}
int seven(const double* a, const double* b, const double* c, const double* d, const double* e, const double* f,
          const double* g, double* out, ssize_t n) {
    for (ssize_t i = 0; i < n; ++i) out[i] = a[i] + b[i] + c[i] + d[i] + e[i] + f[i] + g[i];
    return 0;
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.c").write_text(C)
    made = folder / "libkernels.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", made, folder / "kernels.c"], check=True)
    return made


@pytest.fixture
def library(path: Path) -> ctypes.CDLL:
    """A new one for each test, since types are set of its functions."""
    return ctypes.CDLL(str(path))


ON_ELEMENT, ON_CHUNK = "double (double)", "int (const double *, double *, Py_ssize_t)"
X = np.linspace(-3, 3, 50)


def pointer(library: ctypes.CDLL, name: str, result: type, *arguments: type) -> Callable[..., float]:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


def address_of(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


NAMES = []  # of capsules, which point to them


def capsule(address: int, name: str | None, context: int = 0) -> object:
    api = ctypes.pythonapi
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    api.PyCapsule_SetContext.argtypes = [ctypes.py_object, ctypes.c_void_p]
    NAMES.append(name.encode() if name is not None else None)
    made = api.PyCapsule_New(address, NAMES[-1], None)
    api.PyCapsule_SetContext(made, context)
    return made


# ---- each source, which says its signature

DOUBLES = ctypes.POINTER(ctypes.c_double)


def by_ctypes(library):
    yield pointer(library, "negative", ctypes.c_double, ctypes.c_double)
    yield pointer(library, "negative_chunk", ctypes.c_int, DOUBLES, DOUBLES, ctypes.c_ssize_t)
    ndpointer = np.ctypeslib.ndpointer
    kinds = ndpointer("f8"), ndpointer(np.float64, flags="C"), ctypes.c_size_t
    yield pointer(library, "negative_chunk", ctypes.c_int, *kinds)
    yield ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address_of(library, "negative"))


def by_capsule(library):
    yield capsule(address_of(library, "negative"), ON_ELEMENT)
    yield capsule(address_of(library, "negative_chunk"), "int (double const *, double *, size_t)")


def by_cffi(library):
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef("double negative(double); int negative_chunk(const double *, double *, ssize_t);")
    opened = ffi.dlopen(library._name)
    yield opened.negative
    yield opened.negative_chunk
    yield ffi.cast("double(*)(double)", address_of(library, "negative"))


def by_numba(library):
    numba = pytest.importorskip("numba")
    yield numba.cfunc("f8(f8)")(lambda x: -x)

    def negative(values, out, n):
        for i in range(n):
            out[i] = -values[i]
        return 0

    types = numba.types
    yield numba.cfunc(types.intc(*[types.CPointer(types.float64)] * 2, types.intp))(negative)


def by_scipy(library):
    make = pytest.importorskip("scipy").LowLevelCallable
    yield from map(make, by_ctypes(library))
    yield from map(make, by_capsule(library))
    yield make(library.negative, signature=ON_ELEMENT)


def by_name(library):
    yield "kernels_of_test", "negative"
    yield "kernels_of_test", "Namespace.exported"
    yield sys.modules["kernels_of_test"], "chunk"


@pytest.fixture
def module(library, monkeypatch):
    """A module with functions of each kind."""
    made = type(sys)("kernels_of_test")
    made.__pyx_capi__ = {"negative": capsule(address_of(library, "negative"), ON_ELEMENT)}
    made.negative = None  # capsules come first
    made.chunk = pointer(library, "negative_chunk", ctypes.c_int, DOUBLES, DOUBLES, ctypes.c_long)
    made.Namespace = type("Namespace", (), {"exported": capsule(address_of(library, "negative_chunk"), ON_CHUNK)})
    monkeypatch.setitem(sys.modules, "kernels_of_test", made)
    return made


@pytest.mark.parametrize("source", [by_ctypes, by_capsule, by_cffi, by_numba, by_scipy, by_name])
def test_each_source(all_shared, library, module, source):
    for count, function in enumerate(source(library)):
        kernel = twofold.Kernel(function)
        assert (kernel.nin, kernel.nout, kernel.types) == (1, 1, ["d->d"])
        assert kernel.function is function
        assert (kernel(X) == -X).all()
        assert (kernel(X[::-3]) == -X[::-3]).all()
        assert kernel(2) == kernel(np.float64(2)) == -2
        assert all_shared() == 2, count
    assert count > 0


def test_cython_functions_by_name(all_shared):
    """Those of twofold's own door are on chunks."""
    for name, letter in (("double_f64", "d"), ("double_c64", "F"), ("double_u8", "B"), ("double_i32", "i")):
        kernel = twofold.Kernel(("twofold.cython_api", name))
        values = np.arange(50).astype(letter)
        assert (kernel(values) == values * 2).all()
        assert kernel(values).dtype == letter
    special = pytest.importorskip("scipy.special")
    j0 = twofold.Kernel(("scipy.special.cython_special", "j0"))
    jv = twofold.Kernel(("scipy.special.cython_special", "__pyx_fuse_1jv"))
    assert (j0(X) == special.j0(X)).all()
    assert (jv(1.5, X + 3) == special.jv(1.5, X + 3)).all()
    assert all_shared() == 10


# ---- types and shapes of functions

TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TYPES += ["float32", "float64", "complex64", "complex128"]
SPELLINGS = {"float32": "float", "float64": "double", "complex64": "float complex", "complex128": "double complex"}


@pytest.mark.parametrize("name", TYPES)
def test_every_type(all_shared, library, name):
    kind = SPELLINGS.get(name, f"{name}_t")
    make = np.random.default_rng(3)
    a, b = ((make.integers(0, 200, 60) * (1 + 1j if name[0] == "c" else 1)).astype(name) for _ in range(2))
    for function, signature in (
        (getattr(library, f"add_{name}"), f"{kind} ({kind}, {kind})"),
        (getattr(library, f"add_chunk_{name}"), f"int (const {kind} *, const {kind} *, {kind} *, Py_ssize_t)"),
    ):
        kernel = twofold.Kernel(function, signature)
        for x, y in ((a, b), (a[::2], b[1::2]), (a[::-1], b), (a, a), (a.astype(a.dtype.newbyteorder()), b)):
            assert kernel(x, y).dtype == name
            assert (kernel(x, y) == x + y).all()
    assert all_shared() == 20


def test_any_number_of_arguments(all_shared, library):
    x = [np.arange(30.0) + i for i in range(7)]
    names = {1: "negative", 2: "add_float64", 3: "three", 4: "four"}
    expected = {1: -x[0], 2: x[0] + x[1], 3: x[0] + 10 * x[1] + 100 * x[2]}
    expected[4] = expected[3] + 1000 * x[3]
    for n, name in names.items():
        kernel = twofold.Kernel(getattr(library, name), f"double ({', '.join(['double'] * n)})")
        assert kernel.nin == n
        assert (kernel(*x[:n]) == expected[n]).all()
        scaled = getattr(library, "scaled" if n == 1 else f"scaled_{n}")
        kernel = twofold.Kernel(scaled, f"double ({', '.join(['double'] * n)}, void *)", np.array(3.0))
        assert (kernel(*x[:n]) == 3 * sum(x[:n])).all()
    seven = twofold.Kernel(library.seven, f"int ({'const double *, ' * 7}double *, Py_ssize_t)")
    assert (seven(*x) == sum(x)).all()
    assert (seven(*x[:6], 1) == sum(x[:6]) + 1).all()
    dispatched = twofold.Kernel(library.dispatched, "double (double, int __pyx_skip_dispatch)")
    assert (dispatched(x[0]) == x[0] + 1).all()
    assert all_shared() == 11


def test_outputs_and_types_of_several_kinds(all_shared, library):
    kernel = twofold.Kernel(library.two_outputs, "int (const double *, const float *, double *, int32_t *, size_t)")
    assert (kernel.nin, kernel.nout, kernel.types) == (2, 2, ["df->di"])
    a, b = np.arange(40.0), np.arange(40, dtype="f") / 2
    for x, y in ((a, b), (a[::2], b[::-2]), (a[:5, None], b)):
        total, product = kernel(x, y)
        assert (total.dtype, product.dtype) == ("d", "i")
        assert (total == x + y).all()
        assert (product == (x * y).astype("i")).all()
    out = np.zeros(40), None
    assert kernel(a, b, out=out)[0] is out[0]
    assert all_shared() == 4


# ---- calls

SHAPES = [(23,), (24,), (5, 8), (3, 4, 5), (2, 1, 16), (100,), (3000,)]


def unaligned(values: np.ndarray) -> np.ndarray:
    made = np.zeros(values.nbytes + 1, "b")[1:].view(values.dtype).reshape(values.shape)
    made[...] = values
    return made


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [
    np.asarray,
    np.asfortranarray,
    lambda values: values[..., ::-1],
    lambda values: np.repeat(values, 2, -1)[..., ::2],
    lambda values: values.astype(values.dtype.newbyteorder()),
    unaligned,
    lambda values: np.pad(values, 1)[(slice(1, -1),) * values.ndim],
]


def drawn_input(draw: random.Random, shape: tuple[int, ...]) -> object:
    if draw.random() < 0.1:
        return draw.choice([2, 2.5, True, np.float32(3), [1.5] * shape[-1], np.arange(shape[-1]) > 3])
    if draw.random() < 0.3:
        shape = tuple(1 if draw.random() < 0.5 else n for n in shape)[draw.randrange(len(shape) + 1) :]
    values = np.random.default_rng(draw.randrange(1 << 30)).integers(-100, 100, shape).astype(draw.choice("dddfib"))
    return draw.choice(LAYOUTS)(values) if shape else values


def drawn_call(draw: random.Random) -> tuple[list, dict]:
    shape = draw.choice(SHAPES)
    inputs = [drawn_input(draw, shape) for _ in range(2)]
    keywords: dict = {}
    if draw.random() < 0.4:
        given = [value for value in inputs if isinstance(value, np.ndarray) and value.dtype == "d" and value.shape]
        keywords["out"] = draw.choice(
            [np.zeros(shape), *given, *(value[::-1] for value in given), np.zeros(shape, "f"), np.zeros(shape, "i")]
        )
        if draw.random() < 0.3:
            keywords["where"] = np.arange(shape[-1]) % 2 == 0
    if draw.random() < 0.2:
        keywords["casting"] = draw.choice(["no", "safe", "same_kind", "unsafe"])
    if draw.random() < 0.1:
        keywords["order"] = draw.choice("CFKA")
    return inputs, keywords


def outcome(function: Callable[..., object], inputs: list, keywords: dict) -> object:
    try:
        result = function(*inputs, **keywords)
    except Exception as error:
        return type(error)
    arrays = [value for value in (*inputs, keywords.get("out")) if isinstance(value, np.ndarray)]
    return type(result), result.dtype, result.shape, result.strides, result.tolist(), [a.tolist() for a in arrays]


@pytest.mark.parametrize("unit", [0, 1, UNIT, 1500])
@pytest.mark.parametrize("name", ["add_float64", "add_chunk_float64"])
def test_any_call(all_shared, library, name, unit):
    """On the very operands: in place, overlapping, broadcast, cast, of any layout, with a mask."""
    parallel_ufunc.share_all(unit)
    signature = f"int ({'const double *, ' * 2}double *, Py_ssize_t)" if "chunk" in name else "double (double, double)"
    kernel = twofold.Kernel(getattr(library, name), signature)
    add = partial(np.add, signature="dd->d")
    for seed in range(300):
        assert outcome(kernel, *drawn_call(random.Random(seed))) == outcome(add, *drawn_call(random.Random(seed))), seed
    assert all_shared() > 100 or unit == 0


PAIRS = [
    (slice(1, 61), slice(60)),
    (slice(60), slice(1, 61)),
    (slice(0, 120, 2), slice(60)),
    (slice(60), slice(59, None, -1)),
    (slice(0, 120, 2), slice(1, 121, 2)),
    (slice(60), slice(60)),
    (slice(None, None, 2), slice(None, None, 2)),
]


@pytest.mark.parametrize("unit", [0, UNIT])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_operands_that_overlap(all_shared, library, source, target, unit):
    parallel_ufunc.share_all(unit)
    for name, signature in (("negative", ON_ELEMENT), ("negative_chunk", ON_CHUNK)):
        memory = np.arange(130.0)
        expected = memory.copy()
        expected[target] = -memory[source]
        twofold.Kernel(getattr(library, name), signature)(memory[source], out=memory[target])
        assert memory.tolist() == expected.tolist()


class Seizes:
    """Gets hold of the ufunc."""

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return ufunc


def test_methods_of_its_ufunc_count_on_the_order(library):
    """A library that is given the ufunc may call any."""
    add = twofold.Kernel(library.add_chunk_float64, f"int ({'const double *, ' * 2}double *, Py_ssize_t)")
    ufunc = add(Seizes(), 1)
    assert type(ufunc) is np.ufunc
    values = np.arange(600.0)
    assert ufunc.reduce(values) == values.sum()
    assert (ufunc.accumulate(values) == np.add.accumulate(values)).all()
    assert (ufunc.reduce(values.reshape(20, 30)) == values.reshape(20, 30).sum(0)).all()
    assert (ufunc.outer(values[:9], values) == np.add.outer(values[:9], values)).all()
    memory = np.zeros(5)
    ufunc.at(memory, [0, 0, 3], 1)
    assert memory.tolist() == [2, 0, 0, 1, 0]


def test_containers(all_shared, library, tmp_path):
    kernel = twofold.Kernel(library.negative_chunk, ON_CHUNK)
    mapped = np.memmap(tmp_path / "values", "d", "w+", shape=50)
    mapped[:] = X
    given: list = [X.tolist(), tuple(X.tolist()), array("d", X), memoryview(X), bytearray(range(50)), bytes(range(50))]
    given += [range(50), mapped, X.astype("f"), X.astype(">f8"), X.reshape(5, 10)]
    if sys.platform == "linux":
        given.append(twofold.share(X))
    for values in given:
        found = kernel(values)
        expected = np.negative(np.asanyarray(memoryview(values) if isinstance(values, bytes) else values, "d"))
        assert type(found) is type(expected)
        assert found.tolist() == expected.tolist()
    assert all_shared() == len(given)
    assert kernel(5) == kernel(5.0) == -5
    assert type(kernel(np.float32(5))) is np.float64
    assert kernel([]).shape == (0,)
    masked = kernel(np.ma.masked_less(X, 0))
    assert masked.mask.sum() == 25
    with pytest.raises(TypeError):
        kernel("a")
    with pytest.raises(TypeError):
        kernel(["a", "b"])
    with pytest.raises(TypeError):
        kernel(X, out=[0.0] * 50)


def test_containers_of_other_libraries(library):
    kernel = twofold.Kernel(library.negative, ON_ELEMENT)
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(X, index=range(50, 100))
    assert kernel(series).equals(-series)
    dask = pytest.importorskip("dask.array")
    assert (kernel(dask.from_array(X, 7)).compute() == -X).all()


def test_calls_with_arguments_that_are_wrong(library):
    kernel = twofold.Kernel(library.add_float64, "double (double, double)")
    read_only = np.zeros(50)
    read_only.setflags(write=False)
    for arguments, keywords, error in (
        ((X,), {}, TypeError),
        ((X, X, X, X), {}, TypeError),
        ((X, X[:3]), {}, ValueError),
        ((X, X), {"out": read_only}, ValueError),
        ((X, X), {"out": np.zeros(3)}, ValueError),
        ((X, X), {"nothing": 1}, TypeError),
        ((X, X), {"threads": 0}, ValueError),
        ((X, X), {"threads": "2"}, TypeError),
        ((X, 1j), {}, TypeError),
    ):
        with pytest.raises(error):
            kernel(*arguments, **keywords)


def test_floating_point_errors(all_shared, library):
    divide = twofold.Kernel(library.divide, "double (double, double)")
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero encountered in"):
        divide(X + 9, np.zeros(50))
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in"):
        divide(X + 9, 0)
    with np.errstate(all="raise"):
        divide(X, X + 9)
    assert all_shared() == 3


# ---- codes


def raised_by(kernel: twofold.Kernel, values: np.ndarray, **keywords: object) -> int:
    with pytest.raises(RuntimeError, match="the kernel returned") as caught:
        kernel(values, **keywords)
    assert str(caught.value) == f"the kernel returned {caught.value.code}, which stands for an error: 0 is success"
    return caught.value.code


@pytest.mark.parametrize("unit", [0, 1, UNIT])
@pytest.mark.parametrize("code", [1, -1, 2**31 - 1, -(2**31)])
def test_the_code_is_that_of_the_first_that_fails(all_shared, library, code, unit):
    parallel_ufunc.share_all(unit)
    kernel = twofold.Kernel(library.codes, ON_CHUNK)
    values = np.zeros(3000)
    values[[1207, 1209, 1300, 2900]] = code, 7, 8, 9
    odd = np.arange(3000) % 2 == 1
    for threads in (None, 1, 2, 3):
        assert raised_by(kernel, values, threads=threads) == code
        assert raised_by(kernel, values.astype(">f8"), threads=threads) == code  # in buffers
        assert raised_by(kernel, values.reshape(3, 1000), threads=threads) == code
        assert raised_by(kernel, values[::-1], threads=threads) == 9
        assert raised_by(kernel, np.repeat(values, 2)[::2], threads=threads) == code
        assert raised_by(kernel, values, out=np.zeros(3000), where=np.ones(3000, bool), threads=threads) == code
        assert raised_by(kernel, values, out=np.zeros(3000), where=odd, threads=threads) == code  # one at a time
        assert (kernel(np.zeros(3000), threads=threads) == 1).all()
    assert raised_by(kernel, np.array(float(code))) == code
    assert raised_by(kernel, [0, 0, code, 3]) == code


def test_a_code_of_a_large_call(library):
    kernel = twofold.Kernel(library.codes, ON_CHUNK)
    values = np.zeros(1 << 20)
    kernel(values)
    values[700_000:] = 5
    values[900_000:] = 6
    for threads in (None, 1, 2, 3):
        assert raised_by(kernel, values, threads=threads) == 5


# ---- what is shared


def test_large_calls_are_shared(library):
    values = np.linspace(-9, 9, 1 << 20)
    for name, signature in (("negative", ON_ELEMENT), ("negative_chunk", ON_CHUNK)):
        kernel = twofold.Kernel(getattr(library, name), signature)
        before = parallel_ufunc.shared_calls()
        for _ in range(3):
            assert (kernel(values, threads=2) == -values).all()
        assert parallel_ufunc.shared_calls() - before == 3
        assert (kernel(values, threads=1) == -values).all()


def test_few_elements_that_take_long_are_shared(library):
    slow, before = twofold.Kernel(library.slow, ON_ELEMENT), parallel_ufunc.shared_calls()
    values = np.arange(40.0)
    for _ in range(2):  # the first one learns how long
        assert (slow(values, threads=2) == values + 1).all()
    assert parallel_ufunc.shared_calls() - before == 2


def test_elements_that_come_to_take_long_are_shared(library):
    kernel = twofold.Kernel(library.slow_if_negative, ON_ELEMENT)
    values = np.arange(20.0)
    for _ in range(500):
        kernel(values, threads=2)
    before = parallel_ufunc.shared_calls()
    for _ in range(200):
        assert (kernel(-1 - values, threads=2) == -values).all()
    assert parallel_ufunc.shared_calls() - before > 20


def test_nothing_is_known_of_a_kernel_by_the_address_of_one_that_was_freed(library):
    values = np.arange(40.0)
    quick = [twofold.Kernel(library.negative, ON_ELEMENT) for _ in range(50)]
    for kernel in quick:
        kernel(values, threads=2)
    del quick, kernel
    slow = [twofold.Kernel(library.slow_if_negative, ON_ELEMENT) for _ in range(50)]
    before = parallel_ufunc.shared_calls()
    for kernel in slow:
        kernel(-1 - values, threads=2)
    assert parallel_ufunc.shared_calls() - before == len(slow)


def test_chunks_of_few_elements_that_take_long_are_shared(library):
    kernel = twofold.Kernel(library.count_chunk, ON_CHUNK)
    values = np.full(40, -1.0)
    for _ in range(3):  # in which it might have vectors
        assert (kernel(values, threads=2) == 40).all()
    assert kernel(values, threads=2).max() < 40


def test_chunks_that_seem_slow_are_cut_as_before(library):
    """Their function may compute vectors and the rest of the elements otherwise."""
    kernel = twofold.Kernel(library.count_chunk, ON_CHUNK)
    values = np.zeros(5000)
    kernel(values, threads=2)
    wrapped = next(held for held in gc.get_referents(kernel) if type(held).__name__ == "ParallelUfunc")
    for _ in range(5):
        parallel_ufunc.suppose_slow(wrapped, 10_000)
        counts = kernel(values, threads=2)
        assert (np.flatnonzero(np.diff(counts) != 0) % 1024 == 1023).all()


def test_chunks_are_cut_as_before_though_each_call_takes_long(library):
    kernel = twofold.Kernel(library.count_slow_chunk, ON_CHUNK)
    few, many = np.zeros(20), np.zeros(5000)
    for _ in range(4):
        kernel(few, threads=2)
    counts = kernel(many, threads=2)
    assert counts.max() < 5000
    assert (np.flatnonzero(np.diff(counts) != 0) % 1024 == 1023).all()


def test_a_kernel_is_its_own_copy(library):
    kernel = twofold.Kernel(library.negative, ON_ELEMENT)
    assert copy.copy(kernel) is copy.deepcopy(kernel) is kernel


def test_an_output_is_an_array(library):
    kernel, out = twofold.Kernel(library.negative, ON_ELEMENT), array("d", [0, 0])
    for call in (lambda: kernel([1, 2], out), lambda: kernel([1, 2], out=out)):
        with pytest.raises(TypeError, match="return arrays must be of ArrayType"):
            call()
    assert list(out) == [0, 0]


def test_ctrl_c_ends_a_call_on_one_thread_that_takes_long_for_few_elements(path):
    run_script(
        """
        import ctypes, signal, sys
        import numpy as np
        import twofold
        slow = twofold.Kernel(ctypes.CDLL(sys.argv[1]).slow, "double (double)")
        def on_timer(signum, frame):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, on_timer)
        slow(np.arange(20.0))
        for n in (400, 100_000):  # of few elements NumPy would keep the GIL
            x, out = np.arange(n + 0.0), np.full(n, -1.0)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                slow(x, out=out, threads=1)
            except KeyboardInterrupt:
                assert out[-1] == -1
            else:
                raise AssertionError("it was not interrupted")
    """,
        str(path),
    )


def test_calls_in_children_of_forks_beside_calls(path):
    run_script(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import ctypes
        import threading
        import numpy as np
        import twofold
        from checks import in_child
        library = ctypes.CDLL(sys.argv[2])
        kernels = [
            twofold.Kernel(library.negative, "double (double)"),
            twofold.Kernel(library.negative_chunk, "int (const double *, double *, Py_ssize_t)"),
        ]
        x = np.linspace(0, 9, 1 << 18)
        done = threading.Event()
        wrong = []
        def check():
            for kernel in kernels:
                for threads in (3, 2):
                    assert (kernel(x, threads=threads) == -x).all()
            in_child(lambda: (kernels[0](x, threads=3) == -x).all() or 1 / 0)
        def call():
            out = np.empty_like(x)
            while not done.is_set():
                for kernel in kernels:
                    out[:] = 0
                    kernel(x, out=out, threads=3)
                    if not (out == -x).all():
                        wrong.append(out)
        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                in_child(check)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert not wrong
    """,
        str(Path(__file__).with_name("fork_scenarios")),
        str(path),
        options=("-W", "ignore"),
    )


def test_eight_threads_at_once(all_shared, library):
    kernels = [twofold.Kernel(library.negative, ON_ELEMENT), twofold.Kernel(library.negative_chunk, ON_CHUNK)]
    codes = twofold.Kernel(library.codes, ON_CHUNK)
    failures: list[BaseException] = []

    def call() -> None:
        try:
            values = np.linspace(0, 99, 300)
            for _ in range(30):
                assert (twofold.Kernel(library.negative, ON_ELEMENT)(values) == -values).all()
                for kernel in kernels:
                    assert (kernel(values) == -values).all()
                    assert (kernel(values[::2]) == -values[::2]).all()
                assert raised_by(codes, values + 5) == 5
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# ---- signatures

SAME = {
    "double (double)": "d->d",
    "double(double)": "d->d",
    " double ( double , void* ) ": "d->d",
    "float64 (float64_t)": "d->d",
    "float (float, float)": "ff->f",
    "int (int, int)": "ii->i",
    "signed (signed int)": "i->i",
    "unsigned (unsigned int, unsigned)": "II->I",
    "short (short int, signed short)": "hh->h",
    "unsigned short int (short unsigned)": "H->H",
    "long (long int, long signed int)": f"{np.dtype(np.int64).char * 2}->{np.dtype(np.int64).char}",
    "long long (int64_t)": f"{np.dtype(np.int64).char}->{np.dtype(np.int64).char}",
    "signed char (int8_t, npy_int8)": "bb->b",
    "unsigned char (uint8_t)": "B->B",
    "size_t (uintptr_t, unsigned long)": f"{np.dtype(np.uint64).char * 2}->{np.dtype(np.uint64).char}",
    "double complex (double _Complex, complex double)": "DD->D",
    "__pyx_t_float_complex (complex64, float complex)": "FF->F",
    "int (const double *, float *, Py_ssize_t)": "d->f",
    "int (const double *restrict, float *const __restrict, Py_ssize_t)": "d->f",
    "int (double const*, const uint8_t *, double*, long, void *)": "dB->d",
    "void (double *, double *, size_t)": "d->d",
    "void (double *, float *, int16_t *, intptr_t)": "df->h",
    "int32_t (const double *, float *, double *, ssize_t)": "d->fd",
}


@pytest.mark.parametrize("signature", SAME)
def test_signatures(library, signature):
    kernel = twofold.Kernel(library.negative, signature)
    assert kernel.types == [SAME[signature]]
    assert kernel.signature.split() == signature.split()


WRONG = {
    "": "cannot be read",
    "double": "cannot be read",
    "double (double": "cannot be read",
    "double (double) x": "cannot be read",
    "double (double x)": "'double x' cannot be read; leave 'x' out;",
    "int (const double *x, double *out, ptrdiff_t n)": "'const double *x' cannot be read; leave 'x' out;",
    "double negative(double)": "'double negative' cannot be read; leave 'negative' out;",
    "double (nothing)": "'nothing' cannot be read;",
    "double (double (*)(double))": "cannot be read",
    "double (double **)": "cannot be read",
    "char (char)": "'char' cannot be read;",
    "long double (long double)": "'long double' cannot be read;",
    "unsigned signed int (int)": "cannot be read",
    "__pyx_t_5mine_type (double)": "cannot be read",
    "double ()": "0 arguments that are elements",
    "double (void)": "0 arguments that are elements",
    "double (void *)": "0 arguments that are elements",
    "double (double, double, double, double, double)": "5 arguments that are elements",
    "double (int)": "its types differ",
    "double (double, float)": "its types differ",
    "void (double)": "it returns no number",
    "double * (double)": "it returns a pointer",
    "double (void *, double)": "does not say which elements",
    "double (int __pyx_skip_dispatch, double)": "out of order",
    "double (double *, double *, size_t)": "returns int or void",
    "int (const double *, double *)": "how many elements",
    "int (const double *, double *, int)": "how many elements",
    "int (const double *, double *, double)": "how many elements",
    "int (double *, size_t)": "1 pointer to elements, not an input and an output",
    "int (const double *, double, size_t)": "nothing else",
    "int (size_t, const double *, double *, size_t)": "nothing else",
    "int (double *, const double *, size_t)": "come before",
    "int (const double *, const double *, size_t)": "come before",
    f"int ({'const double *, ' * 8}double *, size_t)": "9 pointers",
    "int (const double *, double *, size_t, int __pyx_skip_dispatch)": "cpdef",
}


@pytest.mark.parametrize("signature", WRONG)
def test_signatures_that_are_none_of_a_kernel(library, signature):
    with pytest.raises(ValueError, match=f"^{re.escape(repr(signature))}.*{re.escape(WRONG[signature])}.*accepted are"):
        twofold.Kernel(library.negative, signature)


def test_signatures_that_are_not_the_functions(library):
    typed = pointer(library, "negative", ctypes.c_double, ctypes.c_double)
    for given, signature in (
        (typed, "float (float)"),
        (typed, "double (double, double)"),
        (typed, ON_CHUNK),
        (capsule(address_of(library, "negative"), ON_ELEMENT), "double (double, void *)"),
    ):
        with pytest.raises(ValueError, match=f"{re.escape(repr(signature))} is not that of"):
            twofold.Kernel(given, signature)
    # What they do not know may be said.
    kinds = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t
    typed = pointer(library, "negative_chunk", ctypes.c_int, *kinds)
    with pytest.raises(ValueError, match="does not say which elements"):
        twofold.Kernel(typed)
    assert twofold.Kernel(typed, ON_CHUNK)(2) == -2
    assert twofold.Kernel(capsule(address_of(library, "negative"), "__pyx_t_5mine_type (double)"), ON_ELEMENT)(2) == -2
    assert twofold.Kernel(capsule(address_of(library, "negative"), None), ON_ELEMENT)(2) == -2
    for given, said in (
        (library.three, "function 'three' does not say its signature.*say, or set its argtypes and restype$"),
        (capsule(address_of(library, "negative"), None), "does not say its signature; pass .*, say$"),
    ):
        with pytest.raises(ValueError, match=said):
            twofold.Kernel(given, None)
    with pytest.raises(TypeError, match="signature must be a str, not 3"):
        twofold.Kernel(typed, 3)


def test_a_restype_that_was_not_set(library):
    given = ctypes.CDLL(library._name).negative
    given.argtypes = [ctypes.c_double]
    with pytest.raises(ValueError, match=r"its types differ.*returns an int, unless you set its restype; accepted are"):
        twofold.Kernel(given)
    with pytest.raises(
        ValueError, match=r"is not that of 'negative', which is 'int .double.'; .* unless you set its restype$"
    ):
        twofold.Kernel(given, ON_ELEMENT)
    given.restype = ctypes.c_float
    with pytest.raises(ValueError, match=r"which is 'float .double.'$"):
        twofold.Kernel(given, ON_ELEMENT)


# ---- refusals


def refused(error: type[Exception], match: str, function: object, *more: object) -> None:
    with pytest.raises(error, match=match):
        twofold.Kernel(function, *more)


def test_callbacks_of_python():
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    thunk = kind(lambda x: x)
    refused(TypeError, "calls Python, which needs the GIL", thunk)
    refused(TypeError, "calls Python, which needs the GIL", ctypes.cast(thunk, kind))
    refused(TypeError, "needs the GIL.*CDLL", ctypes.pythonapi.PyFloat_AsDouble)
    refused(TypeError, "needs the GIL.*CDLL", ctypes.PYFUNCTYPE(ctypes.c_double, ctypes.c_double)(5))
    scipy = pytest.importorskip("scipy")
    refused(TypeError, "calls Python, which needs the GIL", scipy.LowLevelCallable(thunk))


def test_callbacks_of_cffi():
    ffi = pytest.importorskip("cffi").FFI()
    refused(TypeError, "calls Python, which needs the GIL", ffi.callback("double(double)", lambda x: x))
    refused(TypeError, "no pointer to a function", ffi.new_handle(3))
    refused(TypeError, "no pointer to a function", ffi.new("double *"))
    refused(ValueError, "is a null pointer", ffi.cast("double(*)(double)", 0))


def test_what_is_no_compiled_function(library):
    for function, advice in (
        (lambda x: x, "numba.cfunc, say"),
        (len, "numba.cfunc, say"),
        (np.sin, "pass a ufunc to twofold.parallel"),
        (5, r"ctypes.CFUNCTYPE\(restype, \*argtypes\)\(number\)"),
        (ctypes.c_void_p(8), r"ctypes.cast\(pointer, ctypes.CFUNCTYPE\(restype, \*argtypes\)\)"),
        (library, "pass one of its functions: library.name"),
        ("negative", r"pass the module, too: \(module, name\)"),
        (None, ""),
        (3.5, ""),
    ):
        refused(TypeError, f"function must be a compiled one.*{re.escape(repr(function)[:40])}.*{advice}$", function)
    for wrong in ((), ("a",), ("a", 1), (1, "a"), ("a", "b", "c")):
        refused(TypeError, re.escape(f"must be (module, name) where it is a tuple, not {wrong}"), wrong)
    refused(AttributeError, "module 'math' has no function 'nothing'", ("math", "nothing"))
    refused(AttributeError, "module 'math' has no function 'sin.nothing'", ("math", "sin.nothing"))
    refused(TypeError, "function must be a compiled one", ("math", "sin"))
    refused(ModuleNotFoundError, "nothing_there", ("nothing_there", "f"))
    refused(ValueError, "is a null pointer", ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(0))


def test_functions_of_cython_that_python_calls():
    refused(TypeError, "declare it as cdef api, or in a .pxd, and pass .module, name.$", twofold.double)
    special = pytest.importorskip("scipy.special.cython_special")
    refused(TypeError, r"; pass \('scipy.special.cython_special', 'j0'\)$", special.j0)
    versions = (
        r"; pass \('scipy.special.cython_special', name\), where name is one of '__pyx_fuse_0erf', '__pyx_fuse_1erf'$"
    )
    refused(TypeError, versions, ("scipy.special.cython_special", "erf"))
    refused(TypeError, "'__pyx_fuse_0_0eval_chebyt', .*, ...$", special.eval_chebyt)
    assert twofold.Kernel(("scipy.special.cython_special", "__pyx_fuse_1erf"))(0) == 0


def test_numba_that_is_not_compiled_to_a_pointer():
    numba = pytest.importorskip("numba")
    refused(TypeError, "numba.cfunc, say", numba.njit(lambda x: x))
    refused(TypeError, "pass a ufunc to twofold.parallel", numba.vectorize(["f8(f8)"])(lambda x: x))


# ---- user data

SCALED = "double (double, void *)"


class Scale(ctypes.Structure):
    _fields_ = (("scale", ctypes.c_double),)


def test_user_data(all_shared, library):
    scale = ctypes.c_double(3)
    address = ctypes.addressof(scale)
    given = [np.array([3.0, 4.0]), array("d", [3]), memoryview(np.array(3.0)), np.array(3.0).tobytes(), Scale(3), scale]
    given += [ctypes.c_void_p(address), ctypes.pointer(scale), ctypes.pointer(Scale(3)), capsule(address, "any")]
    for user_data in given:
        kernel = twofold.Kernel(library.scaled, SCALED, user_data)
        assert kernel.user_data is user_data
        assert (kernel(X) == X * 3).all()
    assert twofold.Kernel(capsule(address_of(library, "scaled"), SCALED, address))(2) == 6
    assert twofold.Kernel(capsule(address_of(library, "scaled"), SCALED, 8), user_data=scale)(2) == 6
    chunk = twofold.Kernel(library.scaled_chunk, "void (const double *, double *, Py_ssize_t, void *)", scale)
    assert (chunk(X) == X * 3).all()
    scale.value = 5
    assert (chunk(X) == X * 5).all()  # it is the memory, not a copy
    assert twofold.Kernel(library.negative, SCALED).user_data is None
    refused(ValueError, "takes none: 'void \\*' is not its last argument", library.negative, ON_ELEMENT, scale)
    refused(ValueError, "takes none", capsule(address_of(library, "negative"), ON_ELEMENT, 8))
    refused(ValueError, "must be contiguous", library.scaled, SCALED, X[::2])
    refused(TypeError, "user_data must be", library.scaled, SCALED, 5)
    refused(TypeError, "user_data must be", library.scaled, SCALED, object())
    refused(TypeError, "pass the object itself, not byref", library.scaled, SCALED, ctypes.byref(scale))


@pytest.mark.parametrize("kind", ["c_void_p", "c_char_p", "c_wchar_p", "pointer", "function", "array"])
def test_user_data_that_is_a_pointer_of_ctypes(library, kind):
    match kind:
        case "c_void_p":
            given, address = ctypes.c_void_p(4711), 4711
        case "c_char_p":
            given = ctypes.c_char_p(b"text")
            address = ctypes.cast(given, ctypes.c_void_p).value
        case "c_wchar_p":
            given = ctypes.c_wchar_p("text")
            address = ctypes.cast(given, ctypes.c_void_p).value
        case "pointer":
            given = ctypes.pointer(ctypes.c_double(3))
            address = ctypes.addressof(given.contents)
        case "function":
            given, address = library.negative, address_of(library, "negative")
        case _:
            given = (ctypes.c_double * 2)(3, 4)
            address = ctypes.addressof(given)
    kernel = twofold.Kernel(library.address_is, SCALED, given)
    assert [kernel(float(address)), kernel(float(address + 1024))] == [1, 0]


def test_a_function_of_numbas_that_passes_complex64_is_refused():
    numba = pytest.importorskip("numba")
    types = numba.types
    one = numba.cfunc(types.complex64(types.complex64))(lambda x: x)
    two = numba.cfunc(types.complex64(types.complex64, types.complex64))(lambda x, y: x + y)
    refused(TypeError, "passes complex64 by value", one, "float complex (float complex)")
    refused(TypeError, "passes complex64 by value", two, "float complex (float complex, float complex)")
    kernel = twofold.Kernel(
        numba.cfunc(types.complex128(types.complex128))(lambda x: x * x), "double complex (double complex)"
    )
    assert kernel(np.array([1 + 2j, 3 - 1j])).tolist() == [-3 + 4j, 8 - 6j]


def test_user_data_of_other_libraries(library):
    cffi, scipy = pytest.importorskip("cffi"), pytest.importorskip("scipy")
    ffi = cffi.FFI()
    three = ffi.new("double *", 3)
    for user_data in (three, ffi.new("double[2]", [3, 4]), ffi.cast("void *", three)):
        kernel = twofold.Kernel(library.scaled, SCALED, user_data)
        assert kernel(2) == 6
    refused(TypeError, "user_data .* is no pointer", library.scaled, SCALED, ffi.cast("int", 3))
    scale = ctypes.c_double(3)
    function = pointer(library, "scaled", ctypes.c_double, ctypes.c_double, ctypes.c_void_p)
    callable_ = scipy.LowLevelCallable(function, ctypes.cast(ctypes.pointer(scale), ctypes.c_void_p))
    assert twofold.Kernel(callable_)(2) == 6
    assert twofold.Kernel(callable_, user_data=ctypes.c_double(4))(2) == 8


# ---- the object


def test_it_is_like_a_ufunc(library):
    kernel = twofold.Kernel(pointer(library, "negative", ctypes.c_double, ctypes.c_double))
    assert (kernel.__name__, kernel.signature, kernel.user_data) == ("negative", ON_ELEMENT, None)
    assert repr(kernel) == "<twofold.Kernel negative: double (double)>"
    assert kernel(3) == kernel.__call__(3) == -3
    assert callable(kernel)
    assert (type(kernel).__module__, type(kernel).__qualname__) == ("twofold", "Kernel")
    with pytest.raises(TypeError, match=r"Kernel\(\) is given no function; pass Kernel\(function,"):
        twofold.Kernel()
    with pytest.raises(TypeError, match="not 4 arguments"):
        twofold.Kernel(library.negative, ON_ELEMENT, None, None)
    with pytest.raises(
        TypeError, match=r"Kernel\(\) got an unexpected keyword argument 'userdata'; did you mean 'user_data'"
    ):
        twofold.Kernel(library.negative, ON_ELEMENT, userdata=None)
    with pytest.raises(AttributeError):
        kernel.signature = ""
    with pytest.raises(TypeError, match=r"ufunc must be.*runs on several threads by itself"):
        twofold.parallel(kernel)


def test_what_numpy_refuses_comes_with_what_to_do(library):
    kernel = twofold.Kernel(library.negative, ON_ELEMENT)
    short = twofold.Kernel(library.negative_chunk, "int (const float *, const double *, double *, Py_ssize_t)")
    takes_doubles = "its inputs are float64; convert what cannot be cast safely: numpy.asarray(values, 'float64')"
    for call, advice in (
        (lambda: kernel(np.ones(2) + 1j), takes_doubles),
        (lambda: kernel(["a"]), takes_doubles),
        (lambda: kernel("a"), takes_doubles),
        (lambda: kernel([1j], dtype=float), takes_doubles),
        (lambda: short([1.0], 1), "its inputs are float32, float64; convert what"),
        (lambda: kernel([1.0], out=bytearray(8)), "out must be a numpy.ndarray"),
        (lambda: kernel(X, out=[0.0]), "out must be a numpy.ndarray"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        (note,) = caught.value.__notes__
        assert note.startswith(advice)
    with pytest.raises(TypeError, match="unexpected keyword") as caught:
        kernel(X, axis=0)
    assert not hasattr(caught.value, "__notes__")


class Data(bytearray):
    """A buffer that knows who refers to it."""


def test_what_it_refers_to_is_kept_alive(library):
    data = Data(np.array(3.0).tobytes())
    kept = weakref.ref(data)
    kernel = twofold.Kernel(library.scaled, SCALED, data)
    del data
    gc.collect()
    assert kernel(2) == 6
    with pytest.raises(BufferError):  # its memory stays where it is, too
        kept().extend(b"more")
    # A library that was given the ufunc may have it for longer.
    ufunc, of_kernel = kernel(Seizes()), weakref.ref(kernel)
    del kernel
    gc.collect()
    assert of_kernel() is None
    assert kept() is not None
    assert (ufunc(X) == X * 3).all()
    del ufunc
    gc.collect()
    assert kept() is None


def test_the_function_is_kept_alive(library):
    class Pointer(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)):  # type: ignore[misc]
        _flags_, _argtypes_, _restype_ = 1, (ctypes.c_double,), ctypes.c_double

    function = Pointer(address_of(library, "negative"))
    kept = weakref.ref(function)
    kernel = twofold.Kernel(function)
    del function
    gc.collect()
    assert kernel(2) == -2
    assert kept() is kernel.function
    del kernel
    gc.collect()
    assert kept() is None


def test_a_cycle_is_collected(library):
    data = Data(8)
    data.kernel = twofold.Kernel(library.scaled, SCALED, data)
    kept = weakref.ref(data)
    del data
    gc.collect()
    assert kept() is None


def test_no_reference_is_lost_or_left(all_shared, library):
    codes, data = twofold.Kernel(library.codes, ON_CHUNK), np.array(3.0)
    values = np.zeros(60)
    values[50] = 3
    counts = []
    for _ in range(3):
        for _ in range(50):
            raised_by(codes, values)
            raised_by(codes, values, where=values < 9, out=np.zeros(60))
            codes([0.0, 0.0])
            twofold.Kernel(library.scaled, SCALED, data)(values)
        gc.collect()
        counts.append([sys.getrefcount(item) for item in (values, data, codes, library.scaled, library.codes)])
    assert counts[0] == counts[1] == counts[2]


def test_it_is_pickled_by_name(module):
    for place in (("kernels_of_test", "negative"), (module, "negative"), ("kernels_of_test", "Namespace.exported")):
        kernel = pickle.loads(pickle.dumps(twofold.Kernel(place)))
        assert kernel(2) == -2
        assert kernel.function == ("kernels_of_test", place[1])
        assert b"_engine" not in pickle.dumps(kernel)
    # With the signature that was said, and with user data, if that can be pickled.
    module.scaled = module.chunk._objects["0"].scaled
    kernel = twofold.Kernel(("kernels_of_test", "scaled"), SCALED, np.array(3.0))
    assert pickle.loads(pickle.dumps(kernel))(2) == 6
    with pytest.raises(ValueError, match="pointers"):
        pickle.dumps(twofold.Kernel(("kernels_of_test", "scaled"), SCALED, ctypes.c_void_p(8)))


def test_an_address_is_not_pickled(library, module):
    for function in (pointer(library, "negative", ctypes.c_double, ctypes.c_double), module.__pyx_capi__["negative"]):
        with pytest.raises(TypeError, match=r"cannot pickle .*at its address.*twofold\.Kernel\(\(module, name\)\)"):
            pickle.dumps(twofold.Kernel(function))


def test_a_cfunc_of_a_module_is_pickled_by_its_name(tmp_path):
    pytest.importorskip("numba")
    (tmp_path / "cfuncs.py").write_text(
        "import numba\n"
        "@numba.cfunc('f8(f8)')\n"
        "def negative(x):\n"
        "    return -x\n"
        "other = numba.cfunc('f8(f8)')(lambda x: x)\n"
    )
    run_script(
        """
        import pickle, sys
        sys.path.insert(0, sys.argv[1])
        import cfuncs
        import numpy as np
        import twofold
        dumped = pickle.dumps(twofold.Kernel(cfuncs.negative))
        assert b"cfuncs" in dumped
        assert (pickle.loads(dumped)(np.arange(9.0)) == -np.arange(9.0)).all()
        try:
            pickle.dumps(twofold.Kernel(cfuncs.other))
        except TypeError:
            pass
        else:
            raise AssertionError("it has no name")
    """,
        str(tmp_path),
    )
