"""Contiguous NumPy arrays, equal to NumPy's own answer."""

import numpy as np
import pytest
import twofold
from conftest import run_script


def values_of(element: str, n: int) -> np.ndarray:
    """n values with every bit pattern likely, the same each time."""
    dtype = np.dtype(element)
    return np.random.default_rng(n).integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)


def assert_same_bits(result: np.ndarray, expected: np.ndarray) -> None:
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert result.tobytes("A") == expected.tobytes("A")


@pytest.mark.parametrize("n", [0, 1, 7, 100, 4097, 1_000_003])
def test_equals_numpy(element, n):
    x = values_of(element, n)
    result = twofold.double(x)
    assert type(result) is np.ndarray
    with np.errstate(all="ignore"):
        assert_same_bits(result, x + x)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (1, 1), (0, 4), (300, 700)])
def test_shape_and_memory_order_stay(element, shape, order):
    x = np.asarray(values_of(element, int(np.prod(shape))).reshape(shape), order=order)
    result = twofold.double(x)
    with np.errstate(all="ignore"):
        expected = x + x
    np.testing.assert_array_equal(result, expected)
    assert result.strides == expected.strides
    out = np.empty_like(x)
    assert twofold.double(x, out=out) is out
    assert_same_bits(out, result)


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


@pytest.mark.parametrize(
    "x",
    [
        np.ma.masked_array([1, 2], [0, 1]),
        np.eye(2).view(type("Own", (np.ndarray,), {})),
        np.rec.array([(1,)], dtype=[("a", "i4")]),
    ],
    ids=type,
)
def test_subclasses_are_refused(x):
    with pytest.raises(TypeError, match=r"values is a .*pass numpy\.asarray\(values\)"):
        twofold.double(x)
    before = x.tobytes()
    with pytest.raises(TypeError, match=r"out is a .*pass numpy\.asarray\(out\)"):
        twofold.double([1, 2], out=x)
    assert x.tobytes() == before


@pytest.mark.parametrize("dtype", ["?", "e", "F", "D", "g", "S3", "U3", "M8[s]", "m8[s]", "O", ">u4", ">f8"])
def test_other_dtypes_are_refused(dtype):
    x = np.zeros(3, dtype)
    with pytest.raises(TypeError, match="cannot be doubled"):
        twofold.double(x)


@pytest.mark.parametrize("x", [np.arange(6)[::2], np.arange(6)[::-1], np.arange(6).reshape(2, 3)[:, :2]], ids=str)
def test_strided_arrays_are_refused(x):
    with pytest.raises(ValueError, match="values is not contiguous"):
        twofold.double(x)


def test_a_bad_out_is_refused_before_anything_is_written():
    x = np.arange(6, dtype=np.uint32).reshape(2, 3)
    read_only = np.zeros_like(x)
    read_only.flags.writeable = False
    for out, error, message in [
        (read_only, ValueError, "out is read-only"),
        (np.zeros((3, 2), np.uint32), ValueError, r"out has shape \(3, 2\), but values has \(2, 3\)"),
        (np.zeros(6, np.uint32), ValueError, r"out has shape \(6,\)"),
        (np.zeros((2, 3), np.uint64), TypeError, "out holds uint64, but values holds uint32"),
        (np.zeros((2, 3), np.uint32, order="F"), ValueError, "memory order"),
        (np.zeros((2, 6), np.uint32)[:, ::2], ValueError, "out is not contiguous"),
    ]:
        with pytest.raises(error, match=message):
            twofold.double(x, out=out)
        assert not out.any()


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


@pytest.mark.parametrize("scalar", [np.datetime64(5, "s"), np.timedelta64(5, "s"), np.True_, np.float16(1)], ids=str)
def test_other_scalars_are_refused(scalar):
    out = bytearray(8)
    with pytest.raises(TypeError, match="cannot be doubled"):
        twofold.double(scalar)
    with pytest.raises(TypeError, match="cannot be doubled"):
        twofold.double(scalar, out=out)
    assert out == bytes(8)


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
