"""array.array and every other contiguous buffer."""

import ctypes
import mmap
import sys
from array import array

import pytest
import twofold
from conftest import LETTERS, expected_double, native, sample

# Around the sizes of vectors, chunks and the thresholds of threads and of the GIL.
COUNTS = [0, 1, 2, 15, 16, 17, 63, 64, 65, 1000, 5000, 100_001]


@pytest.mark.parametrize("n", COUNTS)
def test_an_array_gives_an_array(element, n):
    values = native(element, sample(element, n))
    before = values.tolist()
    result = twofold.double(values)
    assert type(result) is array
    assert result.typecode == values.typecode
    assert result.tolist() == expected_double(element, before)
    assert values.tolist() == before


@pytest.mark.parametrize("typecode", "bBhHiIlLqQfd")
def test_every_typecode_of_array(typecode):
    assert twofold.double(array(typecode, [1, 2, 60])) == array(typecode, [2, 4, 120])


@pytest.mark.parametrize("n", COUNTS)
def test_bytes_give_a_writable_memoryview(n):
    values = bytes(i * 7 % 256 for i in range(n))
    result = twofold.double(values)
    assert type(result) is memoryview
    assert not result.readonly
    assert (result.format, result.shape) == ("B", (n,))
    assert result.tobytes() == bytes(2 * v % 256 for v in values)


@pytest.mark.parametrize("format", "bBhHiIlLqQnNfd")
@pytest.mark.parametrize("prefix", ["", "@"])
def test_a_memoryview_keeps_format_and_shape(format, prefix):
    one_dimensional = memoryview(bytearray(48)).cast(prefix + format)
    for i in range(len(one_dimensional)):
        one_dimensional[i] = i + 1
    shape = (2, len(one_dimensional) // 2)
    values = one_dimensional.cast("B").cast(prefix + format, shape)
    result = twofold.double(values)
    assert (result.format, result.shape, result.strides) == (values.format, values.shape, values.strides)
    assert result.tolist() == [[2 * v for v in row] for row in values.tolist()]


def test_an_mmap_and_a_ctypes_array():
    with mmap.mmap(-1, 4096) as memory:
        memory[:3] = b"\x01\x02\xff"
        assert twofold.double(memory)[:3].tobytes() == b"\x02\x04\xfe"
    result = twofold.double((ctypes.c_uint32 * 3)(1, 2, 2**31))
    assert result.cast("B").cast("I").tolist() == [2, 4, 0]


def test_the_result_outlives_the_input():
    result = twofold.double(memoryview(bytearray(b"\x01" * 100)))
    assert result.tobytes() == b"\x02" * 100
    slice_of_result = result[50:]
    del result
    assert slice_of_result.tobytes() == b"\x02" * 50


def test_the_input_is_released(element):
    values = native(element, [1, 2, 3])
    result = twofold.double(values)
    values.append(4)  # BufferError while a buffer is exported
    assert len(result) == 3


def test_the_input_is_released_while_the_result_lives():
    values = bytearray(3)
    result = twofold.double(values)
    values.append(4)
    with mmap.mmap(-1, 4096) as memory:
        result = twofold.double(memory)
    with memoryview(values) as view:
        result = twofold.double(view)
    assert len(result) == 4


def test_released_and_closed_buffers():
    view = memoryview(b"123")
    view.release()
    memory = mmap.mmap(-1, 4096)
    memory.close()
    for gone in (view, memory):
        with pytest.raises(ValueError, match=r"released|closed"):
            twofold.double(gone)


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_the_result_is_an_array_like_others(n):
    result = twofold.double(array("h", range(n)))
    result.append(7)
    result.extend(array("h", range(n)))
    del result[n:]
    assert result == array("h", range(0, 2 * n, 2))


@pytest.mark.parametrize("name", ["OwnArray", "array.array"])
def test_a_subclass_of_array_is_a_buffer_like_others(name):
    result = twofold.double(type(name, (array,), {"__slots__": ()})("I", [1, 2]))
    assert type(result) is memoryview
    assert result.tolist() == [2, 4]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ is new in Python 3.12")
def test_a_subclass_that_exports_other_memory():
    class Liar(array):
        def __buffer__(self, flags):
            return memoryview(array("d", [1.5] * 100_000))

    assert twofold.double(Liar("b", [1])).tolist() == [3.0] * 100_000


def test_in_place(element):
    values = native(element, sample(element, 1000))
    before = values.tolist()
    assert twofold.double(values, out=values) is values
    assert values.tolist() == expected_double(element, before)


def test_into_another_container(element):
    values = sample(element, 100)
    out = memoryview(bytearray(100 * native(element, []).itemsize)).cast(LETTERS[element])
    assert twofold.double(native(element, values), out=out) is out
    assert out.tolist() == expected_double(element, values)


def test_a_list_into_an_array(element):
    values = sample(element, 100)
    out = native(element, [0] * 100)
    assert twofold.double(values, out=out) is out
    assert out.tolist() == expected_double(element, values)


@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
@pytest.mark.parametrize("n", [4, 5000, 300_000])
def test_overlap_gives_what_a_copy_would(shift, n):
    memory = array("I", range(n + 3))
    begin = max(0, -shift)
    values = memoryview(memory)[begin : begin + n]
    out = memoryview(memory)[begin + shift : begin + shift + n]
    expected = [2 * v for v in values.tolist()]
    twofold.double(values, out=out)
    assert out.tolist() == expected


@pytest.mark.parametrize(
    ("values", "out", "error", "message"),
    [
        (array("I", [1, 2]), bytes(8), ValueError, "out is read-only"),
        (array("I", [1, 2]), memoryview(bytes(8)).cast("I"), ValueError, "out is read-only"),
        (array("I", [1, 2]), array("I", [0] * 3), ValueError, r"out has shape \(3,\), but values has \(2,\)"),
        (array("I", [1, 2]), array("i", [0] * 2), TypeError, "out holds int32, but values holds uint32"),
        (array("I", [1, 2]), array("f", [0] * 2), TypeError, "out holds float32, but values holds uint32"),
        (array("I", [1, 2]), [0, 0], TypeError, "out must be a writable array or buffer, not list"),
        ([1, 2, "x"], array("I", [7, 7, 7]), TypeError, r"values\[2\]"),
        ([1, 2, 2**32], array("I", [7, 7, 7]), OverflowError, r"values\[2\]"),
        ([1, 2, -1], array("I", [7, 7, 7]), OverflowError, r"values\[2\]"),
        ([1, 2], array("I", [7, 7, 7]), ValueError, r"out has shape \(3,\), but values has \(2,\)"),
        ([1, 2], b"\x00\x00", ValueError, "out is read-only"),
        (5, array("I", [7]), TypeError, "not with a single number"),
    ],
)
def test_a_bad_out_is_refused_before_anything_is_written(values, out, error, message):
    before = bytes(out) if not isinstance(out, list) else list(out)
    with pytest.raises(error, match=message):
        twofold.double(values, out=out)
    assert (bytes(out) if not isinstance(out, list) else list(out)) == before


@pytest.mark.parametrize("step", [2, 3, -1, -2])
def test_a_strided_buffer(element, step):
    values = sample(element, 100)
    source = memoryview(native(element, values))[::step]
    expected = expected_double(element, values[::step])
    result = twofold.double(source)
    assert result.tolist() == expected
    assert result.contiguous
    out = native(element, [0] * 100)
    target = memoryview(out)[::step]
    assert twofold.double(source, out=target) is target
    assert target.tolist() == expected
    twofold.double(source, out=source)
    assert source.tolist() == expected


@pytest.mark.parametrize("code", [ctypes.c_int16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_float, ctypes.c_double])
def test_the_other_byte_order(code):
    other = code.__ctype_be__ if sys.byteorder == "little" else code.__ctype_le__
    values = (other * 5)(*range(5))
    result = twofold.double(values)
    assert result.format == memoryview(values).format
    assert bytes(result) == bytes((other * 5)(*range(0, 10, 2)))


@pytest.mark.parametrize(
    "values",
    [
        memoryview(b"abc").cast("c"),
        memoryview(b"\x01\x00").cast("?"),
        (ctypes.c_bool * 2)(True, False),
        array("u" if sys.version_info < (3, 13) else "w", "abc"),
    ],
    ids=["char", "bool", "ctypes bool", "text"],
)
def test_items_that_are_no_numbers_of_ours_are_refused(values):
    with pytest.raises(TypeError, match=r"values has items of format .* which cannot be doubled"):
        twofold.double(values)


@pytest.mark.parametrize("n", [5, 100_000])
def test_overflow(n):
    values = array("i", [1] * n)
    values[n // 2] = 2**30
    values[n - 1] = -(2**31)
    saturated = twofold.double(values, overflow="saturate")
    assert (saturated[0], saturated[n // 2], saturated[n - 1]) == (2, 2**31 - 1, -(2**31))
    before = bytes(values)
    for keywords in ({}, {"out": array("i", bytes(4 * n))}, {"out": values}):
        with pytest.raises(OverflowError, match=rf"values\[{n // 2}\] is 1073741824, whose double does not fit int32"):
            twofold.double(values, overflow="raise", **keywords)
    assert bytes(values) == before
    assert twofold.double(array("i", [1] * n), overflow="raise") == array("i", [2] * n)
    with pytest.raises(ValueError, match="overflow must be 'wrap', 'saturate' or 'raise', not 'clip'"):
        twofold.double(values, overflow="clip")


def test_keywords_of_ufuncs_are_refused():
    with pytest.raises(TypeError, match="where= goes with arrays of NumPy"):
        twofold.double(array("i", [1]), where=True)


def test_dtype_names_the_type_of_the_array_or_is_refused():
    values = array("I", [1])
    assert twofold.double(values, dtype="uint32") == array("I", [2])
    with pytest.raises(TypeError, match="values holds uint32, and dtype is 'uint64'"):
        twofold.double(values, dtype="uint64")


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 1000, None])
@pytest.mark.parametrize("n", [1, 100_000, 3_000_000])
def test_any_number_of_threads(threads, n):
    values = array("I", bytes(range(256)) * (n // 64 + 1))
    out = array("I", bytes(4 * len(values)))
    twofold.double(values, out=out, threads=threads)
    assert out[:1000].tolist() == [2 * v % 2**32 for v in values[:1000]]
    assert twofold.double(values, threads=1) == out


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_a_bad_number_of_threads_is_refused(threads, error):
    with pytest.raises(error, match="threads must be"):
        twofold.double(array("I", [1]), threads=threads)
