"""What a newcomer does wrong, and what he is told: which value it was, and what to do instead."""

import ctypes
import datetime
import io
import multiprocessing
import re
import sys
from array import array
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import pytest
import twofold
from conftest import run_script

np = pytest.importorskip("numpy")

x = np.arange(3)


def numbers():
    yield 1


class Gpu:
    """As a tensor of torch on a GPU."""

    def __dlpack__(self, **keywords):
        raise AssertionError("it was asked for its memory")

    def __dlpack_device__(self):
        return 2, 0

    def cpu(self):
        raise AssertionError


class OfCuda:
    """As an array of Numba on a GPU."""

    __cuda_array_interface__ = MappingProxyType({})


class Deleted(Gpu):
    """As an array of JAX that was donated."""

    def __dlpack_device__(self):
        return (2, len(None))

    def is_deleted(self):
        return True


class Sparse:
    """As a matrix of SciPy."""

    data = np.ones(1)

    def toarray(self):
        raise AssertionError


NOT_ACCEPTED = "values must be a list or another sequence of numbers, a number, or an array or buffer, not "

# What is done, the exception, and what its message has to say: what was wrong, and what to do or what is accepted.
MISTAKES = {
    # what is no container of numbers
    "a generator": (lambda: twofold.double(numbers()), TypeError, NOT_ACCEPTED + "generator; pass list(values)"),
    "map": (lambda: twofold.double(map(int, "12")), TypeError, NOT_ACCEPTED + "map; pass list(values)"),
    "a set": (lambda: twofold.double({1, 2}), TypeError, NOT_ACCEPTED + "set; pass list(values)"),
    "a dict": (lambda: twofold.double({"a": 1}), TypeError, NOT_ACCEPTED + "dict; pass list(values.values())"),
    "a string": (lambda: twofold.double("12"), TypeError, NOT_ACCEPTED + "str; convert it first: int(values)"),
    "None": (
        lambda: twofold.double(None),
        TypeError,
        NOT_ACCEPTED + "NoneType; functions that work in place, as list.sort() does, return None",
    ),
    "bytes in a file": (lambda: twofold.double(io.BytesIO()), TypeError, "_io.BytesIO; pass values.getbuffer()"),
    "a class": (lambda: twofold.double(np.ndarray), TypeError, "pass an instance, not the class ndarray itself"),
    "a method": (lambda: twofold.double(x.tolist), TypeError, "pass what it returns: values()"),
    "a sparse matrix": (lambda: twofold.double(Sparse()), TypeError, "Sparse; double what it stores, values.data, or"),
    "a duration": (lambda: twofold.double(datetime.timedelta(1)), TypeError, "pass numpy.timedelta64(values)"),
    # items of lists
    "a list of lists": (
        lambda: twofold.double([[1, 2], [3, 4]]),
        TypeError,
        "values[0] is [1, 2] (list), not a number; pass numpy.array(values)",
    ),
    "a ragged list": (
        lambda: twofold.double([[1, 2], [3]]),
        TypeError,
        "not a number; pass numpy.array(values), or double each list",
    ),
    "a list of arrays": (
        lambda: twofold.double([x, x]),
        TypeError,
        "(numpy.ndarray), not a number; pass numpy.array(values), or double each array by itself",
    ),
    "strings in a list": (
        lambda: twofold.double([1, "2"]),
        TypeError,
        "values[1] is '2' (str), not a number; convert strings first",
    ),
    "None in a list": (
        lambda: twofold.double([1, None]),
        TypeError,
        "values[1] is None (NoneType), not a number; leave missing values out",
    ),
    "too large an item": (
        lambda: twofold.double([2**32], dtype="uint32"),
        OverflowError,
        "values[0] is 4294967296, which does not fit uint32",
    ),
    "a float for an int": (
        lambda: twofold.double([1.5], dtype="int32"),
        TypeError,
        "values[0] is 1.5 (float), not an integer as int32 wants",
    ),
    # element types
    "bools": (
        lambda: twofold.double(x > 1),
        TypeError,
        "values holds bool, which cannot be doubled; convert it to an integer type first",
    ),
    "a bool of NumPy": (
        lambda: twofold.double(np.True_),
        TypeError,
        "values is a numpy.bool, which cannot be doubled; convert it to an integer",
    ),
    "an array of strings": (
        lambda: twofold.double(np.array(["a"])),
        TypeError,
        "values holds <U1, which cannot be doubled; convert it to numbers first",
    ),
    "an array of objects": (
        lambda: twofold.double(np.array([1, "a"], object)),
        TypeError,
        "values[1] is 'a' (str), not a number; convert strings",
    ),
    "dates": (
        lambda: twofold.double(np.array(["2026-01-01"], "M8[D]")),
        TypeError,
        "values holds datetime64[D], which cannot be doubled: a date has no double",
    ),
    "records": (
        lambda: twofold.double(np.zeros(2, [("a", int)])),
        TypeError,
        "which cannot be doubled; double its fields one by one",
    ),
    "a buffer of characters": (
        lambda: twofold.double(memoryview(b"a").cast("c")),
        TypeError,
        "values has items of format 'c', 1 bytes each, which cannot be doubled; convert",
    ),
    "strings for a ufunc": (
        lambda: twofold.ufuncs.doubled(["a"]),
        TypeError,
        "str cannot be doubled; convert it to numbers first",
    ),
    # names
    "a misspelled dtype": (
        lambda: twofold.double(x, dtype="unit32"),
        TypeError,
        "dtype 'unit32' is not supported; known are int8, .*; did you mean 'uint32'?",
    ),
    "the same for a list": (
        lambda: twofold.double([1], dtype="flaot32"),
        TypeError,
        "dtype 'flaot32' is not supported; known are int8, .*; did you mean 'float32'?",
    ),
    "the same for share": (lambda: twofold.share(x, "unit32"), TypeError, "did you mean 'uint32'?"),
    "no such dtype": (
        lambda: twofold.double([1], dtype="text"),
        TypeError,
        "dtype 'text' is not supported; known are int8, .* timedelta64$",
    ),
    "a misspelled keyword": (
        lambda: twofold.double(x, overlow="raise"),
        TypeError,
        "unexpected keyword argument 'overlow'; did you mean 'overflow'?",
    ),
    "no such keyword": (lambda: twofold.double(x, axis=0), TypeError, "unexpected keyword argument 'axis'$"),
    "another library's word for it": (
        lambda: twofold.double(x, num_threads=2),
        TypeError,
        "unexpected keyword argument 'num_threads'; did you mean 'threads'?",
    ),
    "in place, as others say it": (
        lambda: twofold.double(x, inplace=True),
        TypeError,
        "unexpected keyword argument 'inplace'; to work in place, say double(x, out=x)",
    ),
    "values by its name": (
        lambda: twofold.double(values=x),
        TypeError,
        "double() takes at least 1 positional argument (0 given); values is positional: double(x)",
    ),
    "no such policy": (
        lambda: twofold.double(x, overflow="clip"),
        ValueError,
        "overflow must be 'wrap', 'saturate' or 'raise', not 'clip'",
    ),
    # threads
    "no threads": (lambda: twofold.double(x, threads=0), ValueError, "threads must be at least 1, not 0"),
    "half threads": (
        lambda: twofold.double(x, threads=1.5),
        TypeError,
        "threads must be an integer or None, not 1.5 (float)",
    ),
    # out
    "a read-only out": (
        lambda: twofold.double(np.ones(2), out=np.frombuffer(bytes(16))),
        ValueError,
        "out is read-only",
    ),
    "out of another shape": (
        lambda: twofold.double(x, out=np.zeros(4, int)),
        ValueError,
        "out has shape (4,), but values has (3,); they must be the same",
    ),
    "out of another type": (
        lambda: twofold.double(x, out=np.zeros(3)),
        TypeError,
        "out holds float64, but values holds int64; they must be the same",
    ),
    "a list as out": (
        lambda: twofold.double([1], out=[0]),
        TypeError,
        "out must be a writable array or buffer, not list; assign to it instead: out[:] = twofold.double(values)",
    ),
    "the same for an array": (
        lambda: twofold.double(x, out=[0, 0, 0]),
        TypeError,
        "out must be a writable array or buffer, not list; assign to it instead: out[:] = twofold.double(values)",
    ),
    "the same for objects": (
        lambda: twofold.double(x.astype(object), out=[0, 0, 0]),
        TypeError,
        "out must be a writable array or buffer, not list; assign to it instead: out[:] = twofold.double(values)",
    ),
    "the same in processes": (
        lambda: twofold.double_in_processes(x, out=[0, 0, 0]),
        TypeError,
        "not list; assign to it instead: out[:] = twofold.double_in_processes(values)",
    ),
    "out for a number": (
        lambda: twofold.double(3, out=x),
        TypeError,
        "out= goes with arrays, buffers and lists, not with a single number",
    ),
    # what goes with arrays alone
    "where= with a list": (
        lambda: twofold.double([1], where=[True]),
        TypeError,
        "where= goes with arrays of NumPy and what has __array_ufunc__, not with list",
    ),
    "dtype= with a buffer": (
        lambda: twofold.double(b"a", dtype="int32"),
        TypeError,
        "values holds uint8, and dtype is 'int32'; convert values first",
    ),
    # other devices
    "a GPU": (
        lambda: twofold.double(Gpu()),
        BufferError,
        "values is in the memory of CUDA (DLPack's device 2); copy it to the CPU first: values.cpu()",
    ),
    "a GPU without DLPack": (
        lambda: twofold.double(OfCuda()),
        TypeError,
        NOT_ACCEPTED + "test_mistakes.OfCuda; it is in the memory of a GPU: copy it to the CPU first",
    ),
    "deleted": (
        lambda: twofold.double(Deleted()),
        ValueError,
        "Deleted that was deleted: by its delete(), or since it was donated",
    ),
    # pools
    "a number as pool": (
        lambda: twofold.double_in_processes(x, 2),
        TypeError,
        "pool is 2; how many processes to start is said by processes=2",
    ),
    "a class as pool": (
        lambda: twofold.double_in_processes(x, ProcessPoolExecutor),
        TypeError,
        "pool is the class ProcessPoolExecutor itself; call it: ProcessPoolExecutor()",
    ),
    "a method as pool": (
        lambda: twofold.double_in_processes(x, multiprocessing.Pool),
        TypeError,
        "pool is multiprocessing.Pool itself; call it: multiprocessing.Pool()",
    ),
    "no pool": (
        lambda: twofold.double_in_processes(x, "spawn"),
        TypeError,
        "pool is a str; accepted is what has `submit` or `apply_async`",
    ),
    "no processes": (
        lambda: twofold.double_in_processes(x, processes=0),
        ValueError,
        "processes must be at least 1, not 0",
    ),
    "a generator for a pool": (
        lambda: twofold.double_in_processes(numbers(), processes=1),
        TypeError,
        ", a buffer, or an array that is a numpy.ndarray, .*, not generator; pass list(values)",
    ),
    "None for a pool": (
        lambda: twofold.double_in_processes(None),
        TypeError,
        ", not NoneType; functions that work in place, as list.sort() does, return None",
    ),
    "floats to ints in processes": (
        lambda: twofold.double_in_processes(np.ones(2), dtype="int32"),
        TypeError,
        "would lose something; convert values first: values.astype('int32')",
    ),
    "threads of processes": (
        lambda: twofold.double_in_processes(x, threads=2),
        TypeError,
        "double_in_processes() got an unexpected keyword argument 'threads'; did you mean 'processes'?",
    ),
    "workers of an executor": (
        lambda: twofold.double_in_processes(x, max_workers=2),
        TypeError,
        "unexpected keyword argument 'max_workers'; did you mean 'processes'?",
    ),
    "a process": (lambda: twofold.double_in_processes(x, process=2), TypeError, "did you mean 'processes'?"),
    "a misspelled keyword for processes": (
        lambda: twofold.double_in_processes(x, overlow="raise"),
        TypeError,
        "double_in_processes() got an unexpected keyword argument 'overlow'; did you mean 'overflow'?",
    ),
    "a size with a unit": (
        lambda: twofold.double_in_processes(x, chunk_bytes="1M"),
        TypeError,
        "chunk_bytes must be an integer, not '1M'",
    ),
    # shared arrays
    "a masked array": (
        lambda: twofold.share(np.ma.array([1, 2])),
        TypeError,
        "values is a masked array, whose mask would be lost; share values.filled()",
    ),
    "a generator to share": (
        lambda: twofold.share(numbers()),
        TypeError,
        "values would be an array of dtype object, .*; pass list(values)",
    ),
    "strings to share": (
        lambda: twofold.share([1, "a"]),
        TypeError,
        "values would be an array of strings, of dtype <U.*; convert them first, or give dtype= if that is meant",
    ),
    "bytes to share": (
        lambda: twofold.share(b"abc"),
        TypeError,
        "an array of strings, of dtype |S3; share numpy.frombuffer(values, numpy.uint8), or give dtype=",
    ),
    "an array as a shape": (
        lambda: twofold.SharedArray(x),
        TypeError,
        "shape is a numpy.ndarray; to share its elements, say twofold.share(x)",
    ),
    "a float as a shape": (
        lambda: twofold.SharedArray(2.5),
        TypeError,
        "shape must be an integer or a tuple of integers, not 2.5",
    ),
    "a function as a shape": (
        lambda: twofold.SharedArray(np.arange),
        TypeError,
        "shape must be an integer or a tuple of integers, not <built-in function arange>",
    ),
    "objects to share": (
        lambda: twofold.share([object()]),
        TypeError,
        "values would be an array of dtype object, .*; give dtype=",
    ),
}


def says(error: BaseException, said: str) -> bool:
    """Whether the message has that in it; ".*" stands for anything, and "$" for its end."""
    pattern = re.escape(said).replace(r"\.\*", ".*")
    text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return bool(re.search(pattern.removesuffix(r"\$") + ("$" if said.endswith("$") else ""), text))


@pytest.mark.parametrize(("call", "kind", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_a_newcomer(call, kind, said):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert says(caught.value, said), caught.value


# The same of libraries that may be there.
OF_LIBRARIES = {
    "a column of strings": (
        "pandas",
        lambda pd: twofold.double(pd.Series(["a"])),
        TypeError,
        "an item is 'a' (str), not a number; convert strings first, by int() or float()",
    ),
    "a column of dates": (
        "pandas",
        lambda pd: twofold.double(pd.Series(pd.to_datetime(["2026-01-01"]))),
        TypeError,
        "datetime64 cannot be doubled: a date has no double",
    ),
    "a mixed DataFrame": (
        "pandas",
        lambda pd: twofold.double(pd.DataFrame({"a": [1], "b": ["x"]})),
        TypeError,
        "in column 'b', an item is 'x' (str), not a number; convert strings first",
    ),
    "one with dates": (
        "pandas",
        lambda pd: twofold.double(pd.DataFrame({"a": [1], "b": pd.to_datetime(["2026-01-01"])})),
        TypeError,
        "in column 'b', datetime64 cannot be doubled: a date",
    ),
    "one with bools": (
        "pandas",
        lambda pd: twofold.double(pd.DataFrame({"a": [1.5], "b": [True]})),
        TypeError,
        "in column 'b', values holds bool, which cannot be doubled; convert",
    ),
    "a Timestamp": ("pandas", lambda pd: twofold.double(pd.Timestamp(0)), TypeError, "pandas.*Timestamp"),
    "a Series as out of an array": (
        "pandas",
        lambda pd: twofold.double(x, out=pd.Series([0, 0, 0])),
        TypeError,
        "not pandas.*Series; assign to it instead: out[:] = twofold.double(values)",
    ),
    "a table": (
        "pyarrow",
        lambda pa: twofold.double(pa.table({"a": [1]})),
        TypeError,
        "values is a pyarrow.lib.Table, a table; double its columns, each by its name: twofold.double(values[name])",
    ),
    "a batch of Arrow": (
        "pyarrow",
        lambda pa: twofold.double(pa.RecordBatch.from_pydict({"a": [1]})),
        TypeError,
        "values is a pyarrow.lib.RecordBatch, a table; double its columns, each by its name: twofold.double(values[",
    ),
    "a scalar of Arrow": (
        "pyarrow",
        lambda pa: twofold.double(pa.scalar(3)),
        TypeError,
        "Int64Scalar; pass values.as_py()",
    ),
    "strings of Arrow": (
        "pyarrow",
        lambda pa: twofold.double(pa.array(["a"])),
        TypeError,
        "values is of Arrow type string, which cannot be doubled; convert it to numbers first",
    ),
    "an array of Arrow in place": (
        "pyarrow",
        lambda pa: twofold.double(pa.array([1]), out=x),
        TypeError,
        "arrays of Arrow are never changed; leave out= away",
    ),
    "a DataFrame of polars": (
        "polars",
        lambda pl: twofold.double(pl.DataFrame({"a": [1]})),
        TypeError,
        "DataFrame, a table; double its columns, each by its name: values.with_columns(twofold.double(polars.col(name",
    ),
    "a Series of polars in place": (
        "polars",
        lambda pl: twofold.double(pl.Series([1]), out=x),
        TypeError,
        "Series: arrays of Arrow are never changed; leave out= away",
    ),
    "a sparse array of SciPy": (
        "scipy.sparse",
        lambda sparse: twofold.double(sparse.csr_array([[1]])),
        TypeError,
        "double what it stores, values.data, or pass values.toarray()",
    ),
}


@pytest.mark.parametrize(("library", "call", "kind", "said"), OF_LIBRARIES.values(), ids=OF_LIBRARIES)
def test_a_mistake_with_a_library(library, call, kind, said):
    module = pytest.importorskip(library)
    with pytest.raises(kind) as caught:
        call(module)
    assert says(caught.value, said), caught.value


def test_a_cast_that_numpy_refuses_says_how_it_is_allowed():
    for values in (np.ones(2), np.float64(1), np.ma.ones(2)):
        with pytest.raises(TypeError, match="casting rule 'same_kind'") as caught:
            twofold.double(values, dtype="int32")
        assert caught.value.__notes__ == ['pass casting="unsafe" to have it cast all the same']


def test_a_misspelled_name_is_corrected_by_python():
    """Which looks at the names that a module shows."""
    for call, meant in (
        ("twofold.doubel", "double"),
        ("twofold.double_in_proceses", "double_in_processes"),
        ("twofold.SharedArry", "SharedArray"),
        ("twofold.ufuncs.doubled_cheked", "doubled_checked"),
        ("twofold.shared.LostAray", "LostArray"),
    ):
        said = run_script(f"""
            import subprocess, sys
            done = subprocess.run([sys.executable, "-c", "import twofold; {call}"], capture_output=True, text=True)
            print(done.stderr.splitlines()[-1])
        """)
        assert re.search(rf"Did you mean:? '\.?{meant}'", said), said


def test_where_without_out_is_said_by_numpy():
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        pytest.skip("since NumPy 2.4")
    with pytest.warns(UserWarning, match="'where' used without 'out'"):
        twofold.double(x, where=[True, False, True])


def test_numbers_of_other_classes_are_numbers():
    for number in (Decimal("1.5"), Fraction(1, 3)):
        assert twofold.double(number) == twofold.double([number])[0] == number + number


NATIVE = f"__ctype_{sys.byteorder[0]}e__"
OF_CTYPES = [kind for kind in ctypes._SimpleCData.__subclasses__() if getattr(kind, NATIVE, kind) is kind]


@pytest.mark.parametrize("kind", OF_CTYPES, ids=lambda kind: kind.__name__)
def test_what_comes_of_ctypes_can_be_read(kind):
    """Its formats name the byte order, which memoryview does not read."""
    try:
        values = (kind * 3)(1, 2, 3)
        result = twofold.double(values)
    except TypeError:
        return  # pointers, characters, bools
    assert memoryview(result).itemsize == ctypes.sizeof(kind)
    assert list((kind * 3).from_buffer_copy(result)) == [2, 4, 6]
    if "complex" not in kind.__name__:  # NumPy 2.5 does not read these of ctypes
        assert np.array_equal(np.asarray(result), [2, 4, 6])
    if "complex" in kind.__name__:  # of Python 3.14, whose memoryview reads no complex numbers
        return
    assert result.tolist() == [2, 4, 6]
    number = twofold.double(kind(3))
    assert (number.shape, number.tolist()) == ((), 6)


def test_a_byte_order_that_is_not_native_stays():
    values = (ctypes.c_int32.__ctype_be__ * 2)(1, 2)
    result = twofold.double(values)
    assert result.format == ">i"
    assert np.asarray(result).tolist() == [2, 4]


def test_a_call_whose_keyword_is_right_keeps_its_error():
    for keywords in ({"overflow": "wrong"}, {"dtype": "wrong"}, {"threads": 1.5}, {"out": 3}):
        with pytest.raises((TypeError, ValueError)) as caught:
            twofold.double(array("i", [1]), **keywords)
        assert "keyword" not in str(caught.value)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'out'"):
        twofold.double(x, x, out=x)


# ---- pandas copies what is shared when one writes, so not every `out` is one

WRITTEN = {
    "a Series": "s = pd.Series([1, 2]); out = s",
    "a Series that was copied": "s = pd.DataFrame({'a': [1, 2]})['a'].copy(); out = s",
    "a DataFrame": "f = pd.DataFrame({'a': [1, 2]}); out = f",
    "a nullable array": "a = pd.array([1, None]); out = a",
    "a nullable Series": "s = pd.Series([1, None], dtype='Int64'); out = s",
    "another Series": "values = pd.Series([1, 2]); out = pd.Series([0, 0])",
}

REFUSED = {
    "a column": (
        "f = pd.DataFrame({'a': [1, 2]}); values = out = f['a']",
        ValueError,
        'say frame["a"] = twofold.double(frame["a"])',
    ),
    "a column twice": (
        "f = pd.DataFrame({'a': [1, 2]}); values = f['a']; out = f['a']",
        ValueError,
        'say frame["a"] = twofold.double',
    ),
    "columns": (
        "f = pd.DataFrame({'a': [1, 2], 'b': 3}); values = out = f[['a']]",
        ValueError,
        "say frame = twofold.double(frame)",
    ),
    "rows": (
        "f = pd.DataFrame({'a': [1, 2]}); values = out = f.iloc[:1]",
        ValueError,
        "say frame = twofold.double(frame)",
    ),
    "a column by loc": (
        "f = pd.DataFrame({'a': [1, 2]}); values = out = f.loc[:, 'a']",
        ValueError,
        "twofold.double(frame[",
    ),
    "a nullable column": (
        "f = pd.DataFrame({'a': pd.array([1, None])}); values = out = f['a']",
        ValueError,
        "twofold.double(frame[",
    ),
    "part of a Series": (
        "f = pd.Series([1, 2]); values = out = f[:1]",
        ValueError,
        "shares its memory with another one",
    ),
    "an Index": (
        "f = pd.Index([1, 2]); values = out = f",
        TypeError,
        "which pandas never changes; say index = twofold.double(index)",
    ),
    "the array of a Series": (
        "f = pd.Series([1, 2]); values = f; out = f.values",
        ValueError,
        "out is read-only, as are the arrays that pandas gives",
    ),
}


@pytest.mark.parametrize("made", WRITTEN.values(), ids=WRITTEN)
def test_an_out_of_pandas_is_written(made):
    pd = pytest.importorskip("pandas", "3")
    names = {"pd": pd}
    exec(made, names)
    values, out = names.get("values", names["out"]), names["out"]
    doubles = values + values
    assert twofold.double(values, out=out) is out
    assert np.array_equal(np.asarray(out.fillna(0)), np.asarray(doubles.fillna(0)))


@pytest.mark.parametrize(("made", "kind", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("overflow", ["wrap", "raise"])
def test_an_out_of_pandas_that_would_not_be_written_is_refused(made, kind, said, overflow):
    pd = pytest.importorskip("pandas", "3")
    names = {"pd": pd}
    exec(made, names)
    before = names["f"].copy()
    with pytest.raises(kind) as caught:
        twofold.double(names["values"], out=names["out"], overflow=overflow)
    assert says(caught.value, said), caught.value
    assert before.equals(names["f"])
