"""Arrays of NumPy, equal to NumPy's own answer."""

import numpy as np
import pytest
import twofold
from conftest import NUMPY_LETTERS, ROWS, run_script
from twofold import ufuncs


def values_of(element: str, n: int) -> np.ndarray:
    """n values with every bit pattern likely, the same each time."""
    dtype = np.dtype(element)
    return np.random.default_rng(n).integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)


def numbers(dtype: str, n: int) -> np.ndarray:
    """n values of the type; of the long ones small numbers, since not all of their bit patterns are numbers."""
    return np.arange(n).astype(dtype) if dtype in "gG" else values_of(dtype, n)


def assert_same_bits(result: np.ndarray, expected: np.ndarray) -> None:
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    if result.dtype.kind in "fc" and result.itemsize // (1 + (result.dtype.kind == "c")) == 16:
        np.testing.assert_array_equal(result, expected)  # not all bytes of a long double count
    else:
        assert result.tobytes("A") == expected.tobytes("A")


@pytest.mark.parametrize("name", ROWS)
def test_the_table_has_types_as_numpy_has_them(name):
    row = ROWS[name]
    for letter in (row["numpy_letters"] + row["struct_letters"]).decode():
        dtype = np.dtype(letter)
        assert (dtype.name, ord(dtype.kind), 8 * dtype.itemsize) == (name, row["kind"], row["bits"])


@pytest.mark.parametrize("dtype", NUMPY_LETTERS)
@pytest.mark.parametrize("n", [0, 1, 7, 100, 4097, 1_000_003])
def test_equals_numpy(dtype, n):
    x = numbers(dtype, n)
    with np.errstate(all="ignore"):
        result = twofold.double(x)
        assert type(result) is np.ndarray
        assert_same_bits(result, x + x)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (1, 1), (0, 4), (300, 700)])
def test_shape_and_memory_order_stay(element, shape, order):
    x = np.asarray(values_of(element, int(np.prod(shape))).reshape(shape), order=order)
    with np.errstate(all="ignore"):
        result = twofold.double(x)
        expected = x + x
    np.testing.assert_array_equal(result, expected)
    assert result.strides == expected.strides
    out = np.empty_like(x)
    with np.errstate(all="ignore"):
        assert twofold.double(x, out=out) is out
    assert_same_bits(out, result)


LAYOUTS = {
    "C": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "every second": lambda x: x[:, ::2],
    "columns": lambda x: x[:, 1:-1],
    "rows": lambda x: x[::3],
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "broadcast": lambda x: np.broadcast_to(x[:1], (5, *x.shape)),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "axes swapped": lambda x: x.reshape(2, -1, x.shape[1]).transpose(1, 0, 2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", NUMPY_LETTERS)
@pytest.mark.parametrize("shape", [(2, 3), (6, 40), (300, 500)])
def test_every_layout(dtype, layout, shape):
    x = LAYOUTS[layout](numbers(dtype, shape[0] * shape[1]).reshape(shape))
    with np.errstate(all="ignore"):
        expected = (x + x).astype(x.dtype)
        result = twofold.double(x)
        assert result.dtype == x.dtype
        assert result.strides == (x + x).strides
        np.testing.assert_array_equal(result, expected)
        for order in "CF":
            for byte_order in "=S":
                out = np.zeros(x.shape, x.dtype.newbyteorder(byte_order), order=order)
                assert twofold.double(x, out=out, threads=3) is out
                np.testing.assert_array_equal(out, expected)
        if layout != "broadcast":
            x = x.copy("K") if not x.flags.writeable else x
            assert twofold.double(x, out=x) is x
            np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", [letter for letter in NUMPY_LETTERS if np.dtype(letter).kind in "iu"])
@pytest.mark.parametrize("layout", ["C", "transposed", "every second", "byte-swapped"])
@pytest.mark.parametrize("shape", [(4, 6), (300, 500)])
def test_overflow(dtype, layout, shape):
    limits = np.iinfo(dtype)
    x = LAYOUTS[layout](np.ones(shape, dtype)).copy("K")
    where = (x.shape[0] // 2, x.shape[1] // 3)
    x[where] = limits.max
    x[-1, -1] = limits.max
    saturated = twofold.double(x, overflow="saturate")
    assert (saturated[0, 0], saturated[where], saturated[-1, -1]) == (2, limits.max, limits.max)
    before = x.tobytes()
    message = rf"values\[{where[0]}, {where[1]}\] is {limits.max}, whose double does not fit {np.dtype(dtype)}"
    for keywords in ({}, {"out": np.empty_like(x)}, {"out": x}):
        with pytest.raises(OverflowError, match=message):
            twofold.double(x, overflow="raise", **keywords)
    assert x.tobytes() == before


@pytest.mark.parametrize("dtype", list("efdgFDG"))
@pytest.mark.parametrize("n", [1, 100, 1_000_000])
@pytest.mark.parametrize(
    "double", [twofold.double, ufuncs.doubled, ufuncs.doubled_saturating], ids=lambda f: f.__name__
)
def test_what_errstate_asks_for(dtype, n, double):
    """Also where a helper met the overflow."""
    x = np.ones(n, dtype)
    with np.errstate(all="raise"):
        double(x)
    for i in (0, n // 2, n - 1):
        x[:] = 1
        x[i] = np.finfo(dtype).max
        with pytest.warns(RuntimeWarning, match="overflow encountered in doubled"):
            double(x)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            double(x)
        with np.errstate(over="ignore"):
            assert np.isinf(double(x)[i])


def test_timedelta():
    x = np.array([1, "NaT", -5], "m8[s]")
    for double in (twofold.double, ufuncs.doubled, ufuncs.doubled_checked):
        result = double(x)
        assert result.dtype == x.dtype
        assert np.isnat(result).tolist() == [False, True, False]
        assert result.view(np.int64)[::2].tolist() == [2, -10]
    x[2] = np.timedelta64(2**62, "s")
    for double in (twofold.double, ufuncs.doubled, ufuncs.doubled_checked):
        with pytest.raises(OverflowError, match="does not fit timedelta64"):
            double(x)
    assert twofold.double(x, overflow="saturate")[2] == np.timedelta64(2**63 - 1, "s")


def test_objects():
    x = np.array([1, 2.5, 10**30, 1j, True], object)
    for double in (twofold.double, ufuncs.doubled):
        assert double(x).tolist() == [2, 5.0, 2 * 10**30, 2j, 2]
        for item in ("a", b"a", [1], (1,), None):
            with pytest.raises(TypeError):
                double(np.array([1, item], object))


def test_objects_that_are_no_numbers():
    """They are named, and nothing is written."""
    x = np.array([1, 2, "a", 4], object)
    out = np.array([7] * 4, object)
    for target in (None, x, out):
        with pytest.raises(TypeError, match=r"values\[2\] is 'a' \(str\), not a number"):
            twofold.double(x, out=target)
    with pytest.raises(TypeError, match=r"values.flat\[2\] is 'a' \(str\), not a number"):
        twofold.double(x.reshape(2, 2))
    assert x.tolist() == [1, 2, "a", 4]
    assert out.tolist() == [7] * 4
    x[2] = 3
    assert twofold.double(x, out=x) is x
    assert x.tolist() == [2, 4, 6, 8]
    fortran = twofold.double(x.reshape(2, 2).T)
    assert fortran.tolist() == [[4, 12], [8, 16]]
    assert fortran.flags.f_contiguous
    assert twofold.double(np.array(10**30, object)) == 2 * 10**30
    assert twofold.double(np.array([], object)).tolist() == []
    x.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        twofold.double(x, out=x)
    for bad in (np.zeros(4), np.zeros(3, object)):
        with pytest.raises((TypeError, ValueError), match="must be the same"):
            twofold.double(x, out=bad)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, writeable=True),
        lambda a: np.lib.stride_tricks.as_strided(a, (4, 5), (0, 8), writeable=True),
        lambda a: np.lib.stride_tricks.as_strided(a[::-1], (3, 3), (-8, -16), writeable=True),
    ],
)
def test_elements_that_share_memory_are_doubled_once(view):
    base, expected = np.arange(1000.0), np.arange(1000.0)
    ufuncs.doubled(view(expected), out=view(expected))
    array = view(base)
    assert twofold.double(array, out=array) is array
    np.testing.assert_array_equal(base, expected)
    array[1, 1] = 1e308
    before = base.copy()
    with pytest.raises(OverflowError):
        twofold.double(array, out=array, overflow="raise")
    with pytest.raises(ValueError, match="out has elements that share memory"):
        twofold.double(memoryview(array), out=memoryview(array))
    np.testing.assert_array_equal(base, before)


def test_keywords_of_the_ufunc():
    x = np.array([1, 200], np.uint8)
    out = np.array([7, 7], np.uint8)
    assert twofold.double(x, out=out, where=[True, False]) is out
    assert out.tolist() == [2, 7]
    assert twofold.double(x, dtype=np.uint16).tolist() == [2, 400]
    with pytest.raises(TypeError, match="Cannot cast"):
        twofold.double(x, dtype=np.int8, casting="safe")
    with pytest.raises(ValueError, match="casting"):
        twofold.double(x, casting="no such")


def test_a_hundred_million():
    x = np.arange(100_000_000, dtype=np.uint32) * np.uint32(2654435761)
    expected = np.add(x, x)
    np.testing.assert_array_equal(twofold.double(x), expected)
    assert twofold.double(x, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_an_array_without_dimensions_and_a_scalar_give_a_scalar(element):
    for value in (np.array(3, element), np.dtype(element).type(3)):
        result = twofold.double(value)
        assert type(result) is np.dtype(element).type
        assert result == 6


def test_a_read_only_input_and_an_unaligned_one(element):
    x = values_of(element, 1001)
    x.flags.writeable = False
    with np.errstate(all="ignore"):
        assert_same_bits(twofold.double(x), x + x)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), element, offset=1)
    assert not unaligned.flags.aligned or x.itemsize == 1
    with np.errstate(all="ignore"):
        assert_same_bits(twofold.double(unaligned), x + x)


def test_a_memmap(tmp_path):
    x = np.memmap(tmp_path / "x", np.uint32, "w+", shape=1000)
    x[:] = np.arange(1000)
    result = twofold.double(x)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, 2 * np.arange(1000))
    twofold.double(x, out=x)
    np.testing.assert_array_equal(x, result)


REFUSED = r"cannot be doubled|not supported|holds bool; convert it"


class Own(np.ndarray):
    pass


@pytest.mark.parametrize("x", [np.ma.masked_array([1, 2], [0, 1]), np.matrix([[1, 2]]), np.eye(2).view(Own)], ids=type)
def test_a_subclass_gives_what_the_ufunc_gives(x):
    result = twofold.double(x, threads=2)
    assert type(result) is type(x)
    assert repr(result) == repr(ufuncs.doubled(x)) == repr(x + x)
    with pytest.raises(TypeError, match=r"out is a .*pass numpy\.asarray\(out\)"):
        twofold.double([1, 2], out=x)


@pytest.mark.parametrize("dtype", ["?", "S3", "U3", "M8[s]", [("a", "i4")]], ids=str)
def test_other_dtypes_are_refused(dtype):
    x = np.zeros(3, dtype)
    out = np.zeros(3)
    for double in (twofold.double, ufuncs.doubled, ufuncs.doubled_saturating, ufuncs.doubled_checked):
        with pytest.raises(TypeError, match=REFUSED):
            double(x)
        with pytest.raises(TypeError):
            double(x, out=out)
    assert not out.any()


def test_a_bad_out_is_refused_before_anything_is_written():
    x = np.arange(6, dtype=np.uint32).reshape(2, 3)
    read_only = np.zeros_like(x)
    read_only.flags.writeable = False
    for out, error, message in [
        (read_only, ValueError, "out is read-only"),
        (np.zeros((3, 2), np.uint32), ValueError, r"out has shape \(3, 2\), but values has \(2, 3\)"),
        (np.zeros(6, np.uint32), ValueError, r"out has shape \(6,\)"),
        (np.zeros((2, 3), np.uint64), TypeError, "out holds uint64, but values holds uint32"),
        (bytes(24), ValueError, "out is read-only"),
        ([0] * 6, TypeError, "out must be a writable array or buffer, not list"),
    ]:
        with pytest.raises(error, match=message):
            twofold.double(x, out=out)
        assert not np.asarray(out).any() or isinstance(out, bytes)


@pytest.mark.parametrize("shift", [-64, -5, -1, 1, 5, 64])
@pytest.mark.parametrize("n", [100, 1_000_000])
def test_overlap_gives_numpys_answer(shift, n):
    memory = np.arange(n + 64, dtype=np.uint32)
    begin = max(0, -shift)
    x, out = memory[begin : begin + n - 64], memory[begin + shift : begin + shift + n - 64]
    expected = x + x
    twofold.double(x, out=out)
    np.testing.assert_array_equal(out, expected)


def test_a_list_with_a_dtype_of_numpy():
    for dtype in (np.uint32, np.dtype("u4"), "u4", "uint32"):
        assert twofold.double([1, 2**31], dtype=dtype) == [2, 0]
    with pytest.raises(TypeError, match="dtype"):
        twofold.double([1], dtype=">u4")


@pytest.mark.parametrize("scalar", [np.datetime64(5, "s"), np.True_, np.str_("a")], ids=repr)
def test_other_scalars_are_refused(scalar):
    with pytest.raises(TypeError, match=REFUSED):
        twofold.double(scalar)


def test_a_subclass_whose_dtype_is_none():
    class Odd(np.ndarray):
        dtype = property(lambda self: 7)

    with pytest.raises(TypeError, match=r"numpy\.dtype is wanted, not int"):
        twofold.double(np.ones(3).view(Odd))


def test_buffers_work_while_numpy_is_being_imported():
    """And with any other module of the name that has no ndarray."""
    run_script("""
        import sys, types
        sys.modules["numpy"] = types.ModuleType("numpy")
        sys.modules["array"] = types.ModuleType("array")
        import twofold
        assert twofold.double(b"\\1").tobytes() == b"\\2"
        assert twofold.double([1, 2]) == [2, 4]
    """)


def test_without_numpy_lists_and_buffers_work():
    run_script("""
        import sys
        sys.modules["numpy"] = None  # import numpy: ModuleNotFoundError
        import twofold
        from array import array
        assert twofold.double([1, 2]) == [2, 4]
        assert twofold.double([1, 2], dtype="uint8") == [2, 4]
        assert twofold.double(array("d", [1.5])) == array("d", [3.0])
        assert twofold.double(b"ab").tobytes() == bytes([194, 196])
    """)


@pytest.mark.thread_unsafe(reason="NumPy adds that dtype once")
def test_a_dtype_of_the_newer_kind_is_not_taken_for_another_one():
    """Those of packages such as numpy_quaddtype have no number. This one is of NumPy's tests."""
    from numpy._core._multiarray_umath import _get_sfloat_dtype  # noqa: PLC0415

    values = np.array([1.0, 2.0, 3.0]).view(_get_sfloat_dtype()(1.0))
    for call in (twofold.double, *(getattr(twofold.ufuncs, name) for name in twofold.ufuncs.__all__)):
        try:
            doubled = call(values)
        except TypeError:
            continue
        assert doubled.view(np.float64).tolist() == [2.0, 4.0, 6.0]
