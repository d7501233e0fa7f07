"""Numbers that other libraries hand over and that no memory can have: an error each, before anything is done with them.

Where twofold has crashed, a test has a process of its own.
"""

import ctypes
import os
import random
from pathlib import Path

import pytest
import twofold
from conftest import run_script
from foreign import (
    BYTES_OF_LETTERS,
    RELEASED,
    ArrowArray,
    ArrowStream,
    Buffer,
    DLPackArray,
    DLPackArrayOfAPI,
    Memory,
    PyBuffer,
    api,
    metadata,
    read_arrow,
)

HERE = [str(folder) for folder in Path(__file__).parents[:2]]
pytestmark = pytest.mark.thread_unsafe(reason="counts what is released")

# How many structs are made up; CONTRIBUTING.md says how to have more.
STRUCTS = int(os.environ.get("TWOFOLD_TEST_STRUCTS", "4000"))


@pytest.mark.parametrize("seed", range(1, STRUCTS // 20_000 + 2))
def test_random_numbers_in_foreign_structs(seed):
    script = "import sys; sys.path.insert(0, sys.argv[1]); import fuzz_foreign; fuzz_foreign.main(*sys.argv[2:])"
    count = min(STRUCTS, 20_000)
    output = run_script(script, HERE[0], str(count), str(seed))
    print(output)
    for what in ("tensor", "buffer", "arrow", "stream"):
        assert f" {what} right\n" in output
        assert f" {what} refused: more than any memory holds\n" in output


# ---- tables of what is impossible: fields, the error, and a part of what it says

HUGE = 2**61 + 1
SIZES = [
    ({"shape": [HUGE], "strides": [0]}, ValueError, "more than any memory holds"),
    ({"shape": [2**32, 2**32], "strides": [0, 0]}, ValueError, "more than any memory holds"),
    ({"shape": [2**32, 2**33, 0], "strides": [1, 1, 1]}, None, None),  # no elements, whatever else is said
    ({"shape": [-1], "strides": [1]}, ValueError, "no size can be negative"),
    ({"shape": [0, -1], "strides": [1, 1]}, ValueError, "no size can be negative"),
    ({"shape": [2], "strides": [2**60]}, ValueError, "strides with which that is more than any memory holds"),
    ({"shape": [2], "strides": [-(2**60)]}, ValueError, "more than any memory holds"),
    ({"shape": [3, 3], "strides": [2**59, -(2**59)]}, ValueError, "more than any memory holds"),
    ({"shape": [1], "strides": [2**62]}, None, None),  # which nobody goes
    ({"ndim": -1}, ValueError, "-1 dimensions"),
    ({"ndim": 65}, ValueError, "65 dimensions; 0 to 64 will do"),
    ({"ndim": 2**31 - 1}, ValueError, "dimensions"),
    ({"shape": None, "ndim": 1}, BufferError, "does not say of which sizes"),
    ({"data": None}, BufferError, "has elements, but no memory that holds them"),
    ({"data": None, "shape": [3, 0], "strides": [1, 1]}, None, None),
]
TENSORS = [
    *SIZES,
    ({"shape": [HUGE], "strides": None}, ValueError, "more than any memory holds"),
    ({"byte_offset": 2**64 - 8}, BufferError, "no memory"),
    ({"lanes": 0}, TypeError, "int64 in 0 lanes"),
    ({"bits": 63}, TypeError, "int63"),
    ({"code": 255}, TypeError, "type code 255"),
    ({"device": 2}, BufferError, "CUDA"),
]


def tensor(memory, way, changed):
    fields = {"data": memory.middle, "code": 0, "bits": 64, "shape": [4], "strides": [1], **changed}
    kind = DLPackArrayOfAPI if way == "api" else DLPackArray
    return kind(way, keep=memory, **{"ndim": len(fields["shape"] or []), **fields})


def buffer(memory, way, changed):
    fields = {"shape": [4], "strides": [1], "data": memory.middle, **changed}
    shape, n = fields["shape"], 8
    for size in shape or ():
        n *= size
    made = {
        "buf": fields.pop("data"),
        "len": n if abs(n) < 2**63 else 8,
        "itemsize": 8,
        "format": b"q",
        "ndim": len(shape or []),
        **fields,
    }
    if made["strides"] is not None:
        made["strides"] = [min(8 * stride, 2**63 - 1) for stride in made["strides"]]
    return Buffer(memory, **made)


BUFFERS = [
    *SIZES,
    ({"itemsize": 0}, TypeError, "0 bytes each"),
    ({"itemsize": -8}, TypeError, "-8 bytes each"),
    ({"itemsize": 4}, TypeError, "4 bytes each"),
    ({"format": b"d", "itemsize": 4}, TypeError, "4 bytes each"),
    ({"format": b"Zf", "itemsize": 16}, TypeError, "16 bytes each"),
    ({"len": 24}, BufferError, "values has 24 bytes, and 4 elements of 8|out has 24 bytes"),
    ({"len": -8}, BufferError, "-8 bytes"),
    ({"suboffsets": [0]}, BufferError, "pointers"),
]
STRIDED = [
    *((tensor, way, *row) for row in TENSORS for way in ("versioned", "plain", "api")),
    *((buffer, "", *row) for row in BUFFERS),
]


def check_strided(row, role):
    make, way, changed, error, message = STRIDED[row]
    memory, other = (Memory("q", random.Random(1)) for _ in range(2))
    before = memory.bytes.raw, other.bytes.raw
    odd, plain = make(memory, way, changed), make(other, "versioned" if way == "plain" else way, {})
    RELEASED.counts.clear()
    if error is None and role == "values":
        twofold.double(odd)
    elif error is None:  # its own output, where it says that it is writable
        if way != "plain":
            twofold.double(odd, out=odd)
    else:
        with pytest.raises(error, match=message):
            {
                "values": lambda: twofold.double(odd),
                "out": lambda: twofold.double(plain, out=odd),
                "out of a list": lambda: twofold.double([1, 2, 3, 4], out=odd),
            }[role]()
        assert (memory.bytes.raw, other.bytes.raw) == before
    for made in (odd, plain):
        made.close()
    assert RELEASED.once()


def test_impossible_tensors_and_buffers():
    script = f"""
import sys
sys.path[:0] = {HERE!r}
import test_foreign
for row in range(len(test_foreign.STRIDED)):
    for role in ("values", "out", "out of a list"):
        if role == "out of a list" and test_foreign.STRIDED[row][0] is test_foreign.tensor:
            continue
        print(row, role, test_foreign.STRIDED[row], flush=True)  # the last one that is printed is the one that crashed
        test_foreign.check_strided(row, role)
"""
    run_script(script)


ARRAYS = [
    ({"length": -1}, ValueError, "-1 elements from 0 on"),
    ({"offset": -1}, ValueError, "4 elements from -1 on"),
    ({"null_count": -2}, ValueError, "-2 of them null"),
    ({"null_count": 5}, ValueError, "5 of them null"),
    ({"null_count": 1}, BufferError, "no memory that holds them"),
    ({"length": HUGE}, ValueError, "more than any memory holds"),
    ({"offset": HUGE}, ValueError, "more than any memory holds"),
    ({"offset": 2**63 - 1}, ValueError, "more than any memory holds"),
    ({"offset": 2**63 - 1, "length": 0}, None, None),
    ({"n_buffers": 1}, ValueError, "1 buffers"),
    ({"n_buffers": 3}, ValueError, "3 buffers"),
    ({"n_children": 1}, ValueError, "1 children"),
    ({"buffers": None}, ValueError, "buffers"),
    ({"buffers": [None, None]}, BufferError, "no memory that holds them"),
    ({"buffers": [None, None], "length": 0}, None, None),
]
NAME = b"ARROW:extension:name"
SCHEMAS = [
    ({"format": None}, ValueError, "without a format"),
    ({"format": b""}, TypeError, "cannot be doubled"),
    *(({"format": format}, TypeError, "cannot be doubled") for format in (b" ", b"ll", b"t", b"tD", b"tDx", b"tDss")),
    ({"format": b"tDs"}, None, None),
    ({"metadata": metadata(-1)}, ValueError, "negative size"),
    ({"metadata": metadata(-(2**31))}, ValueError, "negative size"),
    ({"metadata": metadata(1, -1)}, ValueError, "negative size"),
    ({"metadata": metadata(1, 1, b"k", -4)}, ValueError, "negative size"),
    ({"metadata": metadata(1, len(NAME), NAME, -4)}, ValueError, "negative size"),
    ({"metadata": metadata(1, len(NAME), NAME, 4, b"mine")}, TypeError, "values is of Arrow type mine, which"),
    ({"metadata": metadata(2, 1, b"k", 0, 20, b"ARROW:extension:nome", 4, b"mine")}, None, None),
]
STREAMS = [
    ({name: None}, ValueError, "a stream that was released, or has nothing to read it with")
    for name in ("get_schema", "get_next", "release")
]
ARROW = [
    *((row[0], {}, {}, *row[1:]) for row in SCHEMAS),
    *(({}, row[0], {}, *row[1:]) for row in ARRAYS),
    *(({}, {}, *row) for row in STREAMS),
]


def check_arrow(row, in_stream):
    schema, array, of_stream, error, message = ARROW[row]
    in_stream = in_stream or of_stream
    memory = Memory("q", random.Random(1))
    array = {"length": 4, "n_buffers": 2, "buffers": [None, memory.middle], **array}
    made = ArrowArray({"format": b"l", **schema}, array, memory)
    stream = ArrowStream([made], **of_stream)
    RELEASED.counts.clear()
    if error is None:
        result = twofold.double(stream if in_stream else made)
        assert schema.get("format") or len(read_arrow(result)) == array["length"]
        del result
    else:
        with pytest.raises(error, match=message):
            twofold.double(stream if in_stream else made)
    stream.close()
    made.close()
    assert RELEASED.once()


def test_impossible_arrays_of_arrow():
    script = f"""
import sys
sys.path[:0] = {HERE!r}
import test_foreign
for row in range(len(test_foreign.ARROW)):
    for in_stream in (False, True):
        print(row, in_stream, test_foreign.ARROW[row], flush=True)
        test_foreign.check_arrow(row, in_stream)
"""
    run_script(script)


def test_a_capsule_is_taken_once():
    memory = Memory("q", random.Random(1))
    once = tensor(memory, "versioned", {})
    capsule = once.__dlpack__()

    class Again(DLPackArray):
        def __dlpack__(self, **arguments):
            return capsule

    again = Again(keep=memory)
    RELEASED.counts = dict.fromkeys(RELEASED.counts, 0)
    assert twofold.double(again)[0] == (4,)
    assert "used_dltensor_versioned" in repr(capsule)
    with pytest.raises(ValueError, match="apsule"):
        twofold.double(again)
    once.close()
    assert RELEASED.once()


def test_more_dimensions_than_arrays_have():
    """Above 64 dimensions: ctypes has as many as one likes."""
    run_script("""
        import ctypes, twofold
        for n in (64, 65, 100, 1000):
            kind = ctypes.c_int32
            for _ in range(n):
                kind = kind * 1
            values = kind()
            ctypes.cast(ctypes.byref(values), ctypes.POINTER(ctypes.c_int32))[0] = 21
            for arguments in ({}, {"out": values}):
                try:
                    result = memoryview(twofold.double(values, **arguments))
                except ValueError as error:
                    assert n > 64 and f"values has {n} dimensions; 0 to 64 will do" in str(error), error
                else:
                    assert n == 64 and result.tobytes()[0] in (42, 42), result.tobytes()
        """)


# ---- what a result of a buffer grants

SIMPLE, WRITABLE, FORMAT, ND, STRIDES = 0, 1, 4, 8, 0x18
C_ORDER, FORTRAN, ANY_ORDER, FULL = 0x38, 0x58, 0x98, 0x11D


@pytest.mark.parametrize("letter", ["b", "d"])
@pytest.mark.parametrize("order", ["C", "F", "both", "no dimensions", "no elements"])
def test_a_result_grants_what_is_asked_for_and_no_more(order, letter):
    memory, size = Memory(letter, random.Random(1)), BYTES_OF_LETTERS[letter]
    shape = {"C": [2, 3], "F": [2, 3], "both": [6], "no dimensions": [], "no elements": [2, 0]}[order]
    strides = {"C": [3, 1], "F": [1, 2], "both": [1], "no dimensions": [], "no elements": [1, 1]}[order]
    n = {"no dimensions": 1, "no elements": 0}.get(order, 6)
    fields = {"buf": memory.middle, "len": n * size, "itemsize": size, "format": letter.encode(), "ndim": len(shape)}
    owner = twofold.double(Buffer(memory, shape=shape, strides=[size * s for s in strides], **fields)).obj
    for flags in (SIMPLE, ND, STRIDES, C_ORDER, FORTRAN, ANY_ORDER, FULL):
        for more in (0, WRITABLE, FORMAT, WRITABLE | FORMAT):
            asked = flags | more
            view = PyBuffer()
            refuses = (order == "F" and flags in (SIMPLE, ND, C_ORDER)) or (order == "C" and flags == FORTRAN)
            refuses = refuses or asked in (FORMAT, FORMAT | WRITABLE)  # nobody understands a format without a shape
            if refuses:
                with pytest.raises(BufferError):
                    api.PyObject_GetBuffer(owner, ctypes.byref(view), asked)
                continue
            api.PyObject_GetBuffer(owner, ctypes.byref(view), asked)
            try:
                assert (view.len, view.itemsize, view.readonly) == (n * size, size, 0)
                assert view.format == (letter.encode() if asked & FORMAT else None)
                assert bool(view.shape) == bool(asked & ND)
                assert bool(view.strides) == (asked & STRIDES == STRIDES)
                assert view.ndim == (len(shape) if asked & ND else 1)
                if asked & STRIDES == STRIDES and n == 6:
                    assert [view.strides[i] for i in range(view.ndim)] == [size * s for s in strides]
            finally:
                api.PyBuffer_Release(ctypes.byref(view))


# ---- PyTorch

NO_MEMORY = """
import warnings
import torch, twofold
from torch._subclasses import FakeTensorMode

class Wrapper(torch.Tensor):  # as DTensor and its like
    @staticmethod
    def __new__(cls, of):
        return torch.Tensor._make_wrapper_subclass(cls, of.shape, dtype=of.dtype)

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        return False  # is it pinned?

warnings.simplefilter("ignore")
ones = torch.ones(3)
gone = torch.ones(3)
gone.untyped_storage().resize_(0)
with FakeTensorMode():
    fake = torch.ones(3)
huge = torch.ones(1, dtype=torch.float64).expand(2**61 + 1)
cases = {
    "fake": (fake, BufferError, "no memory"),
    "functional": (torch._to_functional_tensor(ones), BufferError, "no memory"),
    "resized": (gone, BufferError, "no memory"),
    "zero": (torch._efficientzerotensor(3), BufferError, "no memory"),
    "wrapper": (Wrapper(ones), BufferError, "no memory"),
    "meta": (torch.ones(3, device="meta"), (BufferError, ValueError), "meta"),
    "expanded": (huge, ValueError, "more than any memory holds"),
    "expanded less": (torch.ones(1).expand(2**60), (MemoryError, ValueError), ""),
}
for name, (odd, error, message) in cases.items():
    plain = huge if name == "expanded" else torch.ones(3)
    for values, arguments in ((odd, {}), (odd, {"out": odd}), (plain, {"out": odd})):
        print(name, arguments.keys(), flush=True)
        try:
            twofold.double(values, **arguments)
        except error as caught:
            assert message in str(caught) or "share memory" in str(caught) or values is plain, caught
        else:
            raise AssertionError(name)
assert plain.tolist() == ones.tolist() == [1, 1, 1]
assert twofold.double(fake[:0]).numel() == 0
"""


def test_tensors_of_torch_that_have_no_memory():
    pytest.importorskip("torch")
    run_script(NO_MEMORY)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


class Tensors:
    """What exports a tensor of PyTorch by DLPack, and is none."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, **arguments):
        return self.tensor.__dlpack__(**arguments)


WRITES = {
    "in place": lambda y: twofold.double(y.detach(), out=y.detach()),
    "the very same": lambda y: [twofold.double(same, out=same) for same in [y.detach()]],
    "another": lambda y: twofold.double(y.detach().clone(), out=y.detach()),
    "strided": lambda y: twofold.double(y.detach()[::2], out=y.detach()[::2]),
    "overlapping": lambda y: twofold.double(y.detach()[:-1], out=y.detach()[1:]),
    "of another library": lambda y: twofold.double(Tensors(y.detach().clone()), out=y.detach()),
}


@pytest.mark.parametrize("way", WRITES)
def test_torch_knows_that_a_tensor_was_written_to(torch, way):
    x = torch.ones(6, requires_grad=True)
    y = x.exp()
    WRITES[way](y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_torch_knows_of_writes_alone(torch):
    def version_after(values, out, **arguments):
        before = out._version
        try:
            twofold.double(values, out=out, **arguments)
        except (OverflowError, TypeError, ValueError):
            return out._version - before, "raised"
        return out._version - before, None

    values = torch.tensor([1, 2**62])
    assert version_after(values, torch.zeros(2, dtype=torch.int64)) == (1, None)
    assert version_after(values, torch.zeros(2, dtype=torch.int64), overflow="raise") == (1, "raised")  # in part
    assert version_after(values, values, overflow="raise") == (0, "raised")
    assert version_after(values, torch.zeros(3, dtype=torch.int64)) == (0, "raised")
    assert version_after(values, torch.zeros(2)) == (0, "raised")
    assert version_after(values, torch.zeros(1, dtype=torch.int64).expand(2)) == (0, "raised")
    before = values._version
    twofold.double(values)
    assert values._version == before
    with torch.inference_mode():  # of which PyTorch keeps no versions
        values = torch.ones(2)
    assert twofold.double(values, out=values).tolist() == [2, 2]


def test_torch_knows_of_a_write_that_a_handler_ends_with_an_overflow_error():
    pytest.importorskip("torch")
    run_script("""
        import signal, torch, twofold

        class LateError(OverflowError):
            pass

        def handler(*_):
            if x[0] != x[-1]:
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise LateError

        x = torch.ones(1 << 27, dtype=torch.uint8)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(300):
            x.fill_(1)
            before = x._version
            try:
                twofold.double(x, out=x, overflow="raise")
            except LateError:
                assert x._version > before
                break
        else:
            raise AssertionError("no handler ever ran in the middle of a call")
        """)


def test_a_result_has_the_class_that_operations_of_torch_give(torch):
    class Kept(torch.Tensor):
        pass

    class Dropped(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    ones = torch.ones(2)
    parameter = torch.nn.Parameter(ones, requires_grad=False)
    for values in (ones, ones.as_subclass(Kept), ones.as_subclass(Dropped), parameter, torch.nn.Buffer(ones)):
        result = twofold.double(values)
        assert type(result) is type(values + values)
        assert result.tolist() == [2, 2]
