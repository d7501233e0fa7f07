"""The containers of other libraries, each tested where its library is installed."""

import gc
import weakref

import pytest
import twofold
from conftest import ROWS, run_script

OVERFLOWS = ["wrap", "saturate", "raise"]

# A library that is not there is no reason to fail, and there is nothing to test.
library = pytest.importorskip


@pytest.fixture
def np():
    return library("numpy")


@pytest.fixture
def torch():
    return library("torch")


@pytest.fixture
def pa():
    return library("pyarrow")


@pytest.fixture
def pd():
    return library("pandas")


@pytest.fixture
def pl():
    return library("polars")


# ---- without any of them


def test_without_any_library_lists_and_buffers_are_doubled():
    run_script("""
        import sys

        class Refuses:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in LIBRARIES:
                    raise ImportError(f"{name} is not wanted here")

        LIBRARIES = {"numpy", "torch", "pyarrow", "pandas", "polars", "dask", "xarray", "ml_dtypes", "scipy"}
        sys.meta_path.insert(0, Refuses())
        try:
            import numpy
        except ImportError:
            pass
        else:
            raise AssertionError("NumPy was imported all the same")

        import twofold
        from array import array
        assert twofold.double([1, 2, 2.5]) == [2, 4, 5.0]
        assert twofold.double([1, 2], dtype="uint8") == [2, 4]
        assert twofold.double(array("I", [1, 2])) == array("I", [2, 4])
        assert twofold.double(b"\\x01\\x02").tobytes() == b"\\x02\\x04"

        class Columns:  # what may hold arrays of Arrow, or of NumPy
            __pandas_priority__ = 1
            def __array_ufunc__(self): ...
        for values, error in ((object(), TypeError), (Columns(), ImportError)):
            try:
                twofold.double(values)
            except error:
                pass
            else:
                raise AssertionError
        assert not LIBRARIES & sys.modules.keys()
    """)


@pytest.mark.parametrize("name", ["torch", "pyarrow"])
def test_exchange_needs_no_numpy(name):
    """Importing either may import NumPy; doubling does not."""
    library(name)
    run_script(
        """
        import sys
        sys.modules["numpy"] = None  # so that importing it fails
        name = sys.argv[1]
        import warnings
        warnings.simplefilter("ignore")
        library = __import__(name)
        import twofold
        values = library.tensor([1, 2]) if name == "torch" else library.array([1, 2])
        assert (twofold.double(values)).tolist() == [2, 4]
        """,
        name,
    )


# ---- DLPack

TORCH_DTYPES = [name for name, row in ROWS.items() if row["dlpack_code"] >= 0]


@pytest.mark.parametrize("n", [0, 1, 3, 17, 1000, 100_001])
@pytest.mark.parametrize("name", TORCH_DTYPES)
def test_a_tensor_gives_a_tensor(torch, name, n):
    dtype = getattr(torch, name)
    values = (torch.arange(n) % 100).to(dtype)
    before = values.clone()
    result = twofold.double(values)
    assert type(result) is torch.Tensor
    assert (result.dtype, result.shape, result.device) == (dtype, values.shape, values.device)
    assert torch.equal(result, (2 * (torch.arange(n) % 100)).to(dtype))
    assert torch.equal(values, before)


@pytest.mark.parametrize("name", ["uint8", "float16", "bfloat16", "complex64"])
def test_tensors_of_any_layout(torch, name):
    base = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).to(getattr(torch, name))
    layouts = {
        "transposed": base.permute(3, 1, 0, 2),
        "channels last": base.contiguous(memory_format=torch.channels_last),
        "every second": base[..., ::2],
        "rows": base[:, 1:2],
        "expanded": base[0, 0, 0, :1].expand(6, 5),
        "no elements": base[:, :0],
        "no dimensions": base[1, 2, 3, 4],
    }
    for layout, values in layouts.items():
        result = twofold.double(values)
        assert torch.equal(result, values + values), layout
        if layout not in {"every second", "expanded"} and values.numel():
            assert result.stride() == (values + values).stride(), layout
        target = torch.zeros_like(values)
        assert twofold.double(values, out=target) is target
        assert torch.equal(target, values + values), layout


def test_tensors_in_place_and_overlapping(torch):
    values = torch.arange(10)
    assert twofold.double(values, out=values) is values
    assert values.tolist() == list(range(0, 20, 2))
    twofold.double(values[:9], out=values[1:])
    assert values.tolist() == [0, *range(0, 36, 4)]
    transposed = torch.arange(9).reshape(3, 3)
    twofold.double(transposed.T, out=transposed)
    assert transposed.tolist() == [[0, 6, 12], [2, 8, 14], [4, 10, 16]]


def test_overflow_of_tensors(torch):
    values = torch.tensor([[1, 100], [-100, 2]], dtype=torch.int8)
    assert twofold.double(values).tolist() == [[2, -56], [56, 4]]
    assert twofold.double(values, overflow="saturate").tolist() == [[2, 127], [-128, 4]]
    with pytest.raises(OverflowError, match=r"values\[0, 1\] is 100, whose double does not fit int8"):
        twofold.double(values, overflow="raise")
    with pytest.raises(OverflowError, match=r"values\[0, 1\] is -100"):  # in the order of its own dimensions
        twofold.double(values.T, overflow="raise")
    with pytest.raises(OverflowError):
        twofold.double(values, out=values, overflow="raise")
    assert values.tolist() == [[1, 100], [-100, 2]]
    with pytest.raises(OverflowError, match=r"values is 3\.0000"):
        twofold.double(torch.tensor(3e38), overflow="raise")


def test_refused_tensors(torch):
    ones = torch.ones(2)
    cases = [
        (torch.ones(2, requires_grad=True), BufferError, r"values requires a gradient.*values\.detach\(\)"),
        (torch.nn.Parameter(ones), BufferError, "gradient"),
        (ones.to(torch.complex64).conj(), BufferError, "resolve_conj"),
        (ones.to(torch.complex64).conj().imag, BufferError, "resolve_neg"),
        (torch.eye(2).to_sparse(), BufferError, "layout"),
        (torch.ones(2, device="meta"), ValueError, "meta"),
        (ones > 0, TypeError, "values holds bool, which cannot be doubled"),
        (ones.to(torch.float8_e5m2), TypeError, "values holds float8_e5m2, which"),
    ]
    for values, error, message in cases:
        with pytest.raises(error, match=message):
            twofold.double(values)


def test_tensors_with_a_tangent(torch):
    """Of forward-mode differentiation, which would be lost, or no longer be that of what `out` then holds."""
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        dual = forward.make_dual(torch.ones(2), torch.ones(2))
        for values, out in ((dual, None), (dual, dual), (torch.ones(2), dual)):
            with pytest.raises(BufferError, match=r"(values|out) has a tangent, which would be lost"):
                twofold.double(values, out=out)
        assert forward.unpack_dual(dual).primal.tolist() == [1.0, 1.0]
        assert twofold.double(torch.ones(2)).tolist() == [2.0, 2.0]


def test_arguments_that_go_with_no_tensor(torch):
    values = torch.arange(4)
    cases = [
        ({"out": torch.zeros(4)}, TypeError, "out holds float32, but values holds int64"),
        ({"out": torch.arange(3)}, ValueError, r"out has shape \(3,\), but values has \(4,\)"),
        ({"out": torch.zeros(1, dtype=torch.int64).expand(4)}, ValueError, "out has elements that share memory"),
        ({"out": [0] * 4}, TypeError, "out must be a writable array with __dlpack__.*not list"),
        ({"dtype": torch.int32}, TypeError, "values holds int64, and dtype is torch.int32; convert values first"),
        ({"dtype": "int32"}, TypeError, "convert values first"),
        ({"where": True}, TypeError, "where= goes with arrays of NumPy"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            twofold.double(values, **arguments)
    assert twofold.double(values, dtype=torch.int64).tolist() == [0, 2, 4, 6]
    assert twofold.double(values, dtype="int64", threads=2).tolist() == [0, 2, 4, 6]


def test_a_read_only_out_by_dlpack(torch, np):
    values, out = torch.arange(3), np.zeros(3, np.int64)
    assert twofold.double(values, out=out) is out
    assert out.tolist() == [0, 2, 4]
    out.flags.writeable = False
    with pytest.raises((ValueError, BufferError), match="read"):
        twofold.double(values, out=out)


def test_a_subclass_of_tensor(torch):
    class Weights(torch.Tensor):
        pass

    assert twofold.double(torch.ones(2).as_subclass(Weights)).tolist() == [2, 2]


def resident_megabytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20


def test_tensors_leave_no_memory_behind(torch):
    values = torch.ones(1 << 20)  # 4 MiB
    for _ in range(3):
        twofold.double(values)
    before = resident_megabytes()
    for _ in range(100):
        twofold.double(values)
        twofold.double(values[::2])
        twofold.double(values, out=values)
        twofold.double(torch.ones(1 << 20))  # of which nothing but the call holds the memory
    assert resident_megabytes() - before < 100


# ---- DLPack, spoken by no library in particular


class Foreign:
    """An array of a library that is its own module, `foreign`: what NumPy has, by one or the other DLPack."""

    def __init__(self, array, versioned=True, device=1):
        self.array, self.versioned, self.device = array, versioned, device

    def __dlpack_device__(self):
        return (self.device, 0)

    def __dlpack__(self, **arguments):
        if not self.versioned and arguments:
            raise TypeError("unexpected keyword")
        return self.array.__dlpack__(**arguments)

    def __array_namespace__(self):
        return self

    @staticmethod
    def from_dlpack(exporter):
        return Foreign(library("numpy").from_dlpack(exporter))

    def __getitem__(self, where):
        return self.array[where]


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_any_library_with_dlpack(np, versioned, overflow):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for view in (values, values.T, values[:, ::-1, ::2], values[1, 1, 1:1], values[:, 1]):
        result = twofold.double(Foreign(view, versioned), overflow=overflow)
        assert type(result) is Foreign
        assert result.array.tolist() == (2 * view).tolist()
        assert result.array.dtype == view.dtype


def test_memory_of_another_device(np):
    for device, name in ((2, "CUDA"), (10, "ROCm"), (77, "another device")):
        with pytest.raises(BufferError, match=rf"values is in the memory of {name} \(DLPack's device {device}\)"):
            twofold.double(Foreign(np.arange(3), device=device))
    with pytest.raises(BufferError, match="out is in the memory of CUDA"):
        twofold.double(Foreign(np.arange(3)), out=Foreign(np.arange(3), device=2))


def test_an_out_that_is_not_known_to_be_writable(np):
    """As arrays of JAX come, which must never be changed."""
    values, out = np.arange(3), np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="out does not say whether it may be written"):
        twofold.double(Foreign(values), out=Foreign(out, versioned=False))
    assert not out.any()
    same = Foreign(values, versioned=False)
    with pytest.raises(ValueError, match="out does not say"):
        twofold.double(same, out=same)
    assert values.tolist() == [0, 1, 2]


def test_a_library_without_from_dlpack(np):
    class Lonely:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **arguments):
            return np.arange(3).__dlpack__(**arguments)

    with pytest.raises(TypeError, match="has no from_dlpack to make the result with; pass out="):
        twofold.double(Lonely())
    out = np.zeros(3, np.int64)
    assert twofold.double(Lonely(), out=out) is out
    assert out.tolist() == [0, 2, 4]


def test_the_tensor_is_released(np):
    class Held(np.ndarray):
        pass

    held = np.arange(3).view(Held)
    gone = weakref.ref(held)
    foreign = Foreign(held)
    twofold.double(foreign)
    del held, foreign
    gc.collect()
    assert gone() is None


@pytest.mark.thread_unsafe(reason="looks at the memory of the whole process")
def test_unused_capsules_are_freed(np):
    """A library that refuses the result, after it has asked for it, leaves a capsule behind."""
    asked = []

    class Refuses(Foreign):
        @staticmethod
        def from_dlpack(exporter):
            asked.append(exporter.__dlpack__(max_version=(1, 0) if len(asked) % 2 else None))
            with pytest.raises(BufferError, match="taken over before"):
                exporter.__dlpack__()
            raise RuntimeError("not today")

    before = resident_megabytes()
    for _ in range(50):
        for _ in range(2):  # by either DLPack
            with pytest.raises(RuntimeError, match="not today"):
                twofold.double(Refuses(np.ones(1 << 19)))  # 4 MiB
        assert ["versioned" in repr(capsule) for capsule in asked] == [False, True]
        asked.clear()
    assert resident_megabytes() - before < 100


# ---- Arrow

ARROW_TYPES = [name for name, row in ROWS.items() if row["arrow_letter"]]


@pytest.mark.parametrize("n", [0, 1, 2, 64, 65, 1000, 100_001])
@pytest.mark.parametrize("name", ARROW_TYPES)
def test_an_arrow_array_gives_an_arrow_array(pa, name, n):
    kind = getattr(pa, name)()
    for step in (1, 3, n + 1):  # nulls: all, some, none
        items = [None if i % step == step - 1 else i % 60 for i in range(n)]
        values = pa.array(items, kind)
        result = twofold.double(values)
        result.validate(full=True)
        assert type(result) is type(values)
        assert result.type == kind
        assert result.null_count == values.null_count
        assert result.to_pylist() == [None if item is None else 2 * item for item in items]


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 63, 64, 65, 200])
def test_slices_of_arrow_arrays(pa, offset):
    values = pa.array([None if i % 3 == 0 else i for i in range(300)], pa.int32())
    for n in (0, 1, 70):
        view = values.slice(offset, n)
        result = twofold.double(view)
        result.validate(full=True)
        assert result.to_pylist() == [None if item is None else 2 * item for item in view.to_pylist()]
        # The result's memory is that of the slice.
        assert result.nbytes <= view.nbytes + 64 * 4 + 8


def test_the_validity_bitmap_is_shared_and_kept(pa):
    values = pa.array([1, None, 3], pa.int64())
    bitmap = values.buffers()[0].address
    result = twofold.double(values)
    assert result.buffers()[0].address == bitmap
    assert result.buffers()[1].address % 64 == 0
    del values
    gc.collect()
    assert result.to_pylist() == [2, None, 6]
    assert twofold.double(pa.array([1, 2])).buffers()[0] is None


def test_what_stands_where_nothing_is_valid_does_not_overflow(pa):
    validity = pa.array([True, False, True, True]).buffers()[1]
    values = pa.Array.from_buffers(pa.int8(), 4, [validity, pa.py_buffer(bytes([1, 100, 3, 100]))])
    assert twofold.double(values[:3], overflow="raise").to_pylist() == [2, None, 6]
    assert twofold.double(values[1:3], overflow="raise").to_pylist() == [None, 6]
    with pytest.raises(OverflowError, match=r"values\[3\] is 100, whose double does not fit int8"):
        twofold.double(values, overflow="raise")
    assert twofold.double(values, overflow="saturate").to_pylist() == [2, None, 6, 127]


def test_chunked_arrays_of_arrow(pa):
    values = pa.chunked_array([[1, None], [], [3, 100]], pa.int8())
    result = twofold.double(values)
    assert type(result) is pa.ChunkedArray
    assert result.type == pa.int8()
    assert [chunk.to_pylist() for chunk in result.chunks] == [[2, None], [], [6, -56]]
    with pytest.raises(OverflowError, match=r"values\[3\] is 100"):
        twofold.double(values, overflow="raise")
    empty = twofold.double(pa.chunked_array([], pa.float32()))
    assert (len(empty), empty.type) == (0, pa.float32())


def test_durations_of_arrow(pa):
    values = pa.array([1, None, 2**62], pa.duration("ms"))
    assert twofold.double(values[:2]).cast(pa.int64()).to_pylist() == [2, None]
    with pytest.raises(OverflowError, match=r"values\[2\]"):  # as with numpy.timedelta64
        twofold.double(values)


def test_overflow_of_arrow_arrays_that_have_no_items(pa):
    """The numbers of an error are read from memory: an exporter may have no other way to look at one."""

    class Array:
        def __init__(self, array):
            self.array = array

        def __arrow_c_array__(self, requested_schema=None):
            return self.array.__arrow_c_array__(requested_schema)

    class Chunks:
        def __init__(self, array):
            self.array = array

        def __arrow_c_stream__(self, requested_schema=None):
            return pa.chunked_array([self.array[:1], self.array[1:]]).__arrow_c_stream__(requested_schema)

    class Wrong(Array):
        def __getitem__(self, index):
            raise KeyError(index)

    cases = [
        (pa.array([None, 0, 100], pa.int8())[1:], "100, whose double does not fit int8"),
        (pa.array([1, 6e4], pa.float16()), "60000.0, whose double does not fit float16"),
        (pa.array([1, 2**62], pa.duration("us")), f"{2**62} microseconds, whose double does not fit timedelta64"),
    ]
    for array, message in cases:
        for values in (array, Array(array), Chunks(array), Wrong(array)):
            with pytest.raises(OverflowError, match=rf"values\[1\] is {message}"):
                twofold.double(values, overflow="raise")


def test_refused_arrow_arrays(pa):
    cases = [
        (pa.array(["a"]), "string"),
        (pa.array([True]), "bool"),
        (pa.array([None]), "null"),
        (pa.array([[1]]), "list<item: int64>"),
        (pa.array([{"a": 1}]), "struct<a: int64>"),
        (pa.array(["a"]).dictionary_encode(), "dictionary<"),
        (pa.array([1], pa.date32()), "date32"),
        (pa.array([1], pa.timestamp("s")), "timestamp"),
        (pa.array([1], pa.decimal128(5)), "decimal128"),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), "arrow.bool8"),
        (pa.chunked_array([["a"]]), "string"),
    ]
    for values, name in cases:
        with pytest.raises(TypeError, match=f"values is of Arrow type {name}.*, which cannot be doubled"):
            twofold.double(values)
    values = pa.array([1, 2])
    with pytest.raises(TypeError, match="arrays of Arrow are never changed"):
        twofold.double(values, out=values)
    with pytest.raises(TypeError, match="values holds int64, and dtype is 'int8'; convert values first"):
        twofold.double(values, dtype="int8")
    assert twofold.double(values, dtype="int64").to_pylist() == [2, 4]


def test_any_library_with_arrow_arrays(pa):
    class Foreign:
        def __arrow_c_array__(self, requested_schema=None):
            return pa.array([1, None, 3]).__arrow_c_array__(requested_schema)

    result = twofold.double(Foreign())
    for _ in range(2):  # it can be read as often as one likes
        assert pa.array(result).to_pylist() == [2, None, 6]
    assert pa.array(twofold.double(result)).to_pylist() == [4, None, 12]
    del result
    gc.collect()


@pytest.mark.thread_unsafe(reason="looks at the memory of the whole process")
def test_arrow_arrays_leave_no_memory_behind(pa):
    chunk = pa.array([1.0, None] * (1 << 18))
    before = pa.total_allocated_bytes()
    resident = resident_megabytes()
    for values in (chunk, pa.chunked_array([chunk, chunk])):
        for _ in range(100):
            twofold.double(values)
    with pytest.raises(TypeError):
        twofold.double(pa.chunked_array([["a"]]))
    del values
    assert pa.total_allocated_bytes() == before
    assert resident_megabytes() - resident < 100


# ---- pandas

PANDAS_DTYPES = [
    *("int8", "uint16", "int64", "float32", "float64", "Int8", "UInt32", "Int64", "Float32", "Float64"),
    *("int8[pyarrow]", "uint32[pyarrow]", "int64[pyarrow]", "float[pyarrow]", "double[pyarrow]"),
]


@pytest.mark.parametrize("dtype", PANDAS_DTYPES)
def test_pandas_keeps_labels_types_and_missing_values(pd, dtype):
    if "pyarrow" in dtype:
        library("pyarrow")
    has_missing = dtype[0] in "IUF" or "pyarrow" in dtype
    items, doubled = ([1, None, 3], [2, None, 6]) if has_missing else ([1, 2, 3], [2, 4, 6])
    series = pd.Series(items, index=["a", "b", "c"], name="n", dtype=dtype)
    expected = pd.Series(doubled, index=["a", "b", "c"], name="n", dtype=dtype)
    frame = pd.DataFrame({"x": series, "y": [1.5, 2.5, 3.5]})
    for overflow in OVERFLOWS:
        pd.testing.assert_series_equal(twofold.double(series, overflow=overflow), expected)
        result = twofold.double(frame, overflow=overflow)
        pd.testing.assert_frame_equal(result, pd.DataFrame({"x": expected, "y": [3.0, 5.0, 7.0]}))
        array = twofold.double(series.array, overflow=overflow)
        pd.testing.assert_extension_array_equal(array, expected.array) if has_missing else None
        pd.testing.assert_index_equal(twofold.double(pd.Index(series), overflow=overflow), pd.Index(expected))


def test_large_integers_of_pandas_stay_exact(pd):
    library("pyarrow")
    for dtype in ("Int64", "int64[pyarrow]"):
        assert twofold.double(pd.Series([2**61 + 1, None], dtype=dtype))[0] == 2**62 + 2


def test_subclasses_and_attributes_of_pandas(pd):
    library("pyarrow")

    class Measured(pd.Series):
        @property
        def _constructor(self):
            return Measured

    series = Measured([1, None], dtype="int64[pyarrow]")
    series.attrs["unit"] = "m"
    result = twofold.double(series)
    assert type(result) is Measured
    assert result.attrs == {"unit": "m"}


@pytest.mark.parametrize("dtype", ["Int8", "int8[pyarrow]"])
def test_overflow_of_pandas(pd, dtype):
    if "pyarrow" in dtype:
        library("pyarrow")
    series = pd.Series([100, 1, None], dtype=dtype)
    assert twofold.double(series, overflow="saturate")[0] == 127
    assert twofold.double(series)[0] == -56
    with pytest.raises(OverflowError):
        twofold.double(series, overflow="raise")
    series[0] = pd.NA  # under which 100 may still stand
    expected = pd.Series([None, 2, None], dtype=dtype)
    pd.testing.assert_series_equal(twofold.double(series, overflow="raise"), expected)
    frame = pd.DataFrame({"a": series, "b": [1.5, None, 2.5]})
    doubled = pd.DataFrame({"a": expected, "b": [3.0, None, 5.0]})
    pd.testing.assert_frame_equal(twofold.double(frame, overflow="raise"), doubled)


def test_pandas_with_out_and_ufunc_keywords(pd, np):
    series = pd.Series([1, 2])
    assert twofold.double(series, out=series) is series
    assert series.tolist() == [2, 4]
    out = np.zeros(2, np.int64)
    twofold.double(series, out=out)
    assert out.tolist() == [4, 8]
    assert twofold.double(series, dtype="int32").dtype == "int32"


def test_time_differences_of_pandas(pd):
    series = pd.Series(pd.to_timedelta(["1s", None]))
    pd.testing.assert_series_equal(twofold.double(series), series + series)


def test_refused_by_pandas(pd):
    library("pyarrow")
    cases = [
        pd.Series(["a"]),
        pd.Series(["a"], dtype="string"),
        pd.Series(["a"], dtype=object),
        pd.Series(["a"], dtype=pd.ArrowDtype(library("pyarrow").string())),
        pd.Series([True]),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([True, None], dtype="bool[pyarrow]"),
        pd.Series([1], dtype="category"),
        pd.Series([1], dtype="timestamp[s][pyarrow]"),
        pd.DataFrame({"a": pd.Series([1], dtype="int64[pyarrow]"), "b": ["x"]}),
        pd.date_range("2020", periods=2),
        pd.period_range("2020", periods=2),
        pd.Timestamp("2020"),
    ]
    for values in cases:
        with pytest.raises(TypeError):
            twofold.double(values)


# ---- polars

POLARS_TYPES = [
    *("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"),
    *("Float16", "Float32", "Float64"),
]


@pytest.mark.parametrize("name", POLARS_TYPES)
def test_a_series_of_polars(pl, name):
    dtype = getattr(pl, name, None)
    if dtype is None:
        pytest.skip(f"this polars has no {name}")
    series = pl.Series("z", [1, None, 3], dtype=dtype)
    for overflow in OVERFLOWS:
        result = twofold.double(series, overflow=overflow)
        assert (result.name, result.dtype, result.to_list()) == ("z", dtype, [2, None, 6])
    parts = pl.concat([series, series], rechunk=False)
    assert twofold.double(parts).to_list() == [2, None, 6] * 2
    assert twofold.double(parts[2:5]).to_list() == [6, 2, None]


def test_overflow_in_polars(pl):
    series = pl.Series([100, None, 2], dtype=pl.Int8)
    assert twofold.double(series).to_list() == [-56, None, 4]
    assert twofold.double(series, overflow="saturate").to_list() == [127, None, 4]
    with pytest.raises(OverflowError, match=r"values\[0\] is 100"):
        twofold.double(series, overflow="raise")


def test_types_of_polars_that_are_no_numbers(pl):
    duration = pl.Series([1, None]).cast(pl.Duration("ms"))
    assert twofold.double(duration).to_list() == [2 * duration[0], None]
    cases = [
        pl.Series(["a"]),
        pl.Series([True]),
        pl.Series([[1]]),
        pl.Series([1]).cast(pl.Date),
        pl.Series([1]).cast(pl.Datetime("ms")),
        pl.Series(["a"], dtype=pl.Categorical),
        pl.Series([1]).cast(pl.Decimal(10, 2)),
    ]
    for values in cases:
        with pytest.raises(TypeError, match=r"values is of Arrow type .*, which cannot be doubled"):
            twofold.double(values)
    frame = pl.DataFrame({"a": [1]})
    for values in (frame, frame.lazy()):
        with pytest.raises(TypeError):
            twofold.double(values)


def test_expressions_of_polars(pl):
    library("numpy")
    frame = pl.DataFrame({"a": [1, 2]})
    assert frame.select(twofold.double(pl.col("a")))["a"].to_list() == [2, 4]
    assert frame.lazy().select(twofold.double(pl.col("a"))).collect()["a"].to_list() == [2, 4]


# ---- dask


def test_dask_arrays_stay_lazy(np):
    da = library("dask.array")
    values = da.arange(10, chunks=3, dtype=np.uint32)
    result = twofold.double(values)
    assert isinstance(result, da.Array)
    assert (result.dtype, result.chunks) == (values.dtype, values.chunks)
    assert type(result._meta) is np.ndarray
    assert result._meta.dtype == np.uint32
    assert result.compute().tolist() == list(range(0, 20, 2))
    checked = twofold.double(da.arange(100, chunks=30, dtype=np.int8), overflow="raise")
    with pytest.raises(OverflowError):
        checked.compute()


def test_dask_arrays_of_other_arrays(np):
    da = library("dask.array")
    masked = da.from_array(np.ma.array([1, 2, 3, 4], mask=[0, 1, 0, 0]), chunks=2, asarray=False)
    result = twofold.double(masked).compute()
    assert type(result) is np.ma.MaskedArray
    assert result.tolist() == [2, None, 6, 8]
    blocks = da.arange(10, chunks=3).map_blocks(twofold.double)
    assert (blocks.dtype, blocks.compute().tolist()) == (np.int64, list(range(0, 20, 2)))


def test_dask_has_the_same_token_in_each_process():
    library("dask.array")
    script = """
        import dask, twofold
        from dask.base import tokenize
        from twofold import ufuncs
        functions = [twofold.double, ufuncs.doubled, ufuncs.doubled_saturating, ufuncs.doubled_checked]
        print([tokenize(function, ensure_deterministic=True) for function in functions])
        import dask.array as da
        print(twofold.double(da.arange(10, chunks=3)).name)
    """
    first, second = run_script(script), run_script(script)
    assert first == second
    assert len(set(eval(first.splitlines()[0]))) == 4


# ---- xarray


def test_xarray_keeps_what_it_keeps_for_ufuncs(np):
    xr = library("xarray")
    array = xr.DataArray(np.arange(3), dims="x", coords={"x": [5, 6, 7]}, attrs={"unit": "m"}, name="n")
    assert twofold.double(array).identical(np.add(array, array))
    assert twofold.double(array.variable).identical(np.add(array.variable, array.variable))
    dataset = xr.Dataset({"a": array, "b": 2.5 * array})
    assert twofold.double(dataset).identical(np.add(dataset, dataset))
    with pytest.raises(TypeError, match="bool"):
        twofold.double(array > 5)


def test_xarray_over_dask(np):
    xr, da = library("xarray"), library("dask.array")
    array = xr.DataArray(da.arange(10, chunks=3), dims="x")
    result = twofold.double(array)
    assert isinstance(result.data, da.Array)
    assert result.chunks == array.chunks
    assert result.compute().values.tolist() == list(range(0, 20, 2))


# ---- NumPy's own


def test_masked_arrays(np):
    values = np.ma.array([1, 100, 3], mask=[0, 1, 0], dtype=np.int8, fill_value=7)
    for overflow in OVERFLOWS:  # what stands under the mask does not count
        result = twofold.double(values, overflow=overflow)
        assert type(result) is np.ma.MaskedArray
        assert result.tolist() == [2, None, 6]
        assert result.dtype == np.int8
    assert twofold.double(values, out=values, overflow="raise") is values
    assert values.tolist() == [2, None, 6]
    values = np.ma.array([1, 100], mask=[1, 0], dtype=np.int8)
    with pytest.raises(OverflowError):
        twofold.double(values, overflow="raise")
    assert values.data.tolist() == [1, 100]
    assert twofold.double(np.ma.array([1, 2]), overflow="raise").tolist() == [2, 4]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_and_classes_of_ones_own(np):
    class Lengths(np.ndarray):
        def __array_finalize__(self, base):
            self.unit = getattr(base, "unit", None)

    assert type(twofold.double(np.matrix([[1, 2]]))) is np.matrix
    values = np.arange(3).view(Lengths)
    values.unit = "m"
    result = twofold.double(values)
    assert type(result) is Lengths
    assert (result.unit, result.tolist()) == ("m", [0, 2, 4])
    assert type(twofold.double(values, out=values)) is Lengths


def test_a_class_that_wants_no_ufuncs(np):
    class Opaque:
        __array_ufunc__ = None

    with pytest.raises(TypeError):
        twofold.double(Opaque())


def test_memory_mapped_files(np, tmp_path):
    values = np.memmap(tmp_path / "values", dtype=np.float32, mode="w+", shape=(3, 4))
    values[:] = np.arange(12).reshape(3, 4)
    assert twofold.double(values).tolist() == (2 * np.arange(12.0)).reshape(3, 4).tolist()
    assert twofold.double(values, out=values) is values
    values.flush()
    assert np.fromfile(tmp_path / "values", np.float32).tolist() == (2 * np.arange(12.0)).tolist()
    read_only = np.memmap(tmp_path / "values", dtype=np.float32, mode="r")
    assert twofold.double(read_only)[1] == 4
    with pytest.raises(ValueError, match="read-only"):
        twofold.double(read_only, out=read_only)


def test_records(np):
    records = np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    for values in (records, np.asarray(records)):
        with pytest.raises(TypeError):
            twofold.double(values)
    assert twofold.double(records.a).tolist() == [2]


# ---- ml_dtypes


@pytest.mark.parametrize("n", [0, 1, 2, 15, 17, 1000, 100_001])
def test_bfloat16(np, n):
    bfloat16 = library("ml_dtypes").bfloat16
    values = np.random.default_rng(n).normal(size=n).astype(bfloat16)
    expected = (2 * values.astype(np.float32)).astype(bfloat16)
    assert twofold.double(values).dtype == bfloat16
    assert twofold.double(values).tolist() == expected.tolist()
    assert twofold.double(values[::2]).tolist() == expected[::2].tolist()
    assert twofold.double(values, out=values) is values
    assert values.tolist() == expected.tolist()


def test_other_ml_dtypes(np):
    ml_dtypes = library("ml_dtypes")
    for name in ("float8_e4m3fn", "int4"):
        with pytest.raises(TypeError, match=f"values holds {name}, which cannot be doubled"):
            twofold.double(np.ones(3, getattr(ml_dtypes, name)))
    assert twofold.double(ml_dtypes.bfloat16(2)) == 4


# ---- what is none of these


def test_array_likes_are_not_guessed_at(np):
    class OnlyArray:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3)

    with pytest.raises(TypeError, match=r"not .*OnlyArray; numpy\.asarray\(values\) may be one"):
        twofold.double(OnlyArray())
    assert twofold.double(np.asarray(OnlyArray())).tolist() == [0, 2, 4]


def test_sparse_matrices(np):
    sparse = library("scipy.sparse")
    for values in (sparse.csr_array(np.eye(2)), sparse.coo_matrix(np.eye(2))):
        with pytest.raises(TypeError, match=r"values must be .* not scipy\.sparse"):
            twofold.double(values)
