"""What other libraries hand over, made by ctypes field by field, so that any number in it may be wrong.

DLPack's tensors, Arrow's schemas, arrays and streams, and buffers. Each struct counts how often it is released.
"""

import ctypes
import itertools
import math
import struct
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_ssize_t, c_uint8, c_uint16, c_uint32, c_void_p

# Not ctypes.pythonapi, in which any library of the process may say other types of the same functions.
api = ctypes.PyDLL(None)
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]
api.PyCapsule_IsValid.argtypes = [c_void_p, c_char_p]
api.PyCapsule_GetPointer.restype = c_void_p
api.PyCapsule_GetPointer.argtypes = [c_void_p, c_char_p]
api.PyCapsule_SetName.argtypes = [c_void_p, c_char_p]
api.Py_IncRef.argtypes = [c_void_p]

MAX_DIMENSIONS = 64
BYTES_OF_LETTERS = {"b": 1, "B": 1, "h": 2, "H": 2, "e": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}
DLPACK_CODES = {"b": 0, "h": 0, "i": 0, "q": 0, "B": 1, "H": 1, "I": 1, "Q": 1, "e": 2, "f": 2, "d": 2}
ARROW_LETTERS = dict(zip("bBhHiIqQefd", "cCsSiIlLefg", strict=True))


class Memory:
    """Bytes among others that nobody may write to, and numbers in them: small ones, which any type doubles exactly."""

    SIZE = 4096

    def __init__(self, letter, random):
        self.letter = letter
        self.itemsize = BYTES_OF_LETTERS[letter]
        n = self.SIZE // self.itemsize
        self.bytes = ctypes.create_string_buffer(
            struct.pack(f"={n}{letter}", *(random.randrange(60) for _ in range(n)))
        )
        self.start = ctypes.addressof(self.bytes)
        self.middle = self.start + self.SIZE // 2

    def holds(self, low, high):
        return self.start <= low and high <= self.start + self.SIZE

    def item(self, address):
        return ctypes.string_at(address, self.itemsize)


def doubled(item, letter):
    if letter in "efd":
        return struct.pack("=" + letter, 2 * struct.unpack("=" + letter, item)[0])
    bits = 8 * len(item)
    return (2 * int.from_bytes(item, "little") % 2**bits).to_bytes(len(item), "little")


def c_strides(shape, itemsize):
    return [itemsize * math.prod(shape[i + 1 :]) for i in range(len(shape))]


def addresses(start, shape, strides):
    for where in itertools.product(*map(range, shape)) if 0 not in shape else ():
        yield start + sum(i * stride for i, stride in zip(where, strides, strict=True))


class Released:
    """How often each of the structs with a number was released."""

    def __init__(self):
        self.counts = {}

    def expect(self):
        number = len(self.counts) + 1
        self.counts[number] = 0
        return number

    def count(self, number):
        self.counts[number] += 1

    def once(self):
        return all(count == 1 for count in self.counts.values())


RELEASED = Released()


# ---- DLPack


class Tensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Plain(Structure):
    _fields_ = [("tensor", Tensor), ("context", c_void_p), ("deleter", c_void_p)]


class Versioned(Structure):
    _fields_ = [
        ("major", c_uint32),
        ("minor", c_uint32),
        ("context", c_void_p),
        ("deleter", c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


DELETER = ctypes.CFUNCTYPE(None, c_void_p)


@DELETER
def delete_plain(address):
    RELEASED.count(Plain.from_address(address).context)


@DELETER
def delete_versioned(address):
    RELEASED.count(Versioned.from_address(address).context)


def as_array(kind, numbers):
    """An array for a struct to point to, with more behind it; null for None."""
    return None if numbers is None else (kind * (MAX_DIMENSIONS + 8))(*numbers)


def read_tensor(tensor):
    """The shape and the elements that a library that is given one would see."""
    shape = [tensor.shape[i] for i in range(tensor.ndim)]
    itemsize = tensor.bits // 8
    strides = (
        [tensor.strides[i] * itemsize for i in range(tensor.ndim)] if tensor.strides else c_strides(shape, itemsize)
    )
    start = (tensor.data or 0) + tensor.byte_offset
    return tuple(shape), b"".join(ctypes.string_at(a, itemsize) for a in addresses(start, shape, strides))


class DLPackArray:
    """An array of this module. `way` is "versioned", "plain" or, of a subclass, the API without calls of Python."""

    def __init__(self, way="versioned", keep=None, **fields):
        self.way, self.keep, self.said = way, keep, fields
        fields = {"version": (1, 0), "flags": 0, "deleter": True, "said_device": 1, "device": 1, "lanes": 1, **fields}
        self.version, self.flags = fields.pop("version"), fields.pop("flags")
        self.has_deleter, self.said_device = fields.pop("deleter"), fields.pop("said_device")
        self.tensor = Tensor()
        for name, value in fields.items():
            is_pointer = name in ("shape", "strides")
            setattr(self.tensor, name, as_array(c_int64, value) if is_pointer else value)
        self.structs, self.capsules = [], []

    def make(self, kind):
        managed = kind()
        managed.tensor = self.tensor
        if self.has_deleter:
            managed.context = RELEASED.expect()
            managed.deleter = ctypes.cast(delete_plain if kind is Plain else delete_versioned, c_void_p)
        if kind is Versioned:
            (managed.major, managed.minor), managed.flags = self.version, self.flags
        self.structs.append(managed)
        return managed

    def __dlpack_device__(self):
        return (self.said_device, 0)

    def __dlpack__(self, *, max_version=None):
        kind, name = (Plain, b"dltensor") if self.way == "plain" else (Versioned, b"dltensor_versioned")
        self.capsules.append(api.PyCapsule_New(ctypes.addressof(self.make(kind)), name, None))
        return self.capsules[-1]

    def close(self):
        """Deletes what nobody took, as a capsule's destructor does, which must not be Python code."""
        for capsule in self.capsules:
            for name, kind in ((b"dltensor", Plain), (b"dltensor_versioned", Versioned)):
                if api.PyCapsule_IsValid(id(capsule), name):
                    managed = kind.from_address(api.PyCapsule_GetPointer(id(capsule), name))
                    if managed.deleter:
                        DELETER(managed.deleter)(ctypes.addressof(managed))
        self.capsules.clear()

    def __array_namespace__(self):
        return self

    @staticmethod
    def from_dlpack(exporter):
        capsule = exporter.__dlpack__(max_version=(1, 0))
        managed = Versioned.from_address(api.PyCapsule_GetPointer(id(capsule), b"dltensor_versioned"))
        api.PyCapsule_SetName(id(capsule), b"used_dltensor_versioned")
        return take_tensor(managed)


def take_tensor(managed):
    taken = read_tensor(managed.tensor)
    DELETER(managed.deleter)(ctypes.addressof(managed))
    return taken


class Result:
    """What the API makes of a tensor of ours."""


@ctypes.PYFUNCTYPE(c_int, ctypes.py_object, POINTER(c_void_p))
def tensor_of_object(owner, out):
    out[0] = ctypes.addressof(owner.make(Versioned))
    return 0


@ctypes.PYFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))
def object_of_tensor(managed, out):
    result = Result()
    result.taken = take_tensor(Versioned.from_address(managed))
    api.Py_IncRef(id(result))
    out[0] = id(result)
    return 0


class ExchangeAPI(Structure):
    _fields_ = [
        ("major", c_uint32),
        ("minor", c_uint32),
        ("older", c_void_p),
        ("new_tensor", c_void_p),
        ("tensor_of_object", c_void_p),
        ("object_of_tensor", c_void_p),
        ("tensor_of_object_without_reference", c_void_p),
        ("current_stream", c_void_p),
    ]


EXCHANGE = ExchangeAPI(
    1, 3, None, None, ctypes.cast(tensor_of_object, c_void_p), ctypes.cast(object_of_tensor, c_void_p)
)


EXCHANGE_NAME = b"dlpack_exchange_api"  # which the capsule does not copy


class DLPackArrayOfAPI(DLPackArray):
    __dlpack_c_exchange_api__ = api.PyCapsule_New(ctypes.addressof(EXCHANGE), EXCHANGE_NAME, None)


# ---- Arrow


class Schema(Structure):
    _fields_ = [
        ("format", c_char_p),
        ("name", c_char_p),
        ("metadata", c_void_p),
        ("flags", c_int64),
        ("n_children", c_int64),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    ]


class Array(Structure):
    _fields_ = [
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", POINTER(c_void_p)),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    ]


class Stream(Structure):
    _fields_ = [
        ("get_schema", c_void_p),
        ("get_next", c_void_p),
        ("get_last_error", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    ]


def releases(kind):
    @DELETER
    def release(address):
        released = kind.from_address(address)
        RELEASED.count(released.private_data)
        released.release = None

    return release


RELEASES = {kind: releases(kind) for kind in (Schema, Array, Stream)}
CAPSULE_NAMES = {Schema: b"arrow_schema", Array: b"arrow_array", Stream: b"arrow_array_stream"}


def arrow_struct(kind, **fields):
    """A struct that counts its releases, unless a field says that it was released before."""
    made = kind(**fields)
    if "release" not in fields:
        made.private_data = RELEASED.expect()
        made.release = ctypes.cast(RELEASES[kind], c_void_p)
    return made


def arrow_capsule(made):
    kind = type(made)
    return api.PyCapsule_New(ctypes.addressof(made), CAPSULE_NAMES[kind], None)


def release(made):
    """Releases a struct that nobody took, as a capsule's destructor does, which must not be Python code."""
    if made.release:
        DELETER(made.release)(ctypes.addressof(made))


def metadata(*numbers_and_texts):
    """Arrow's encoding of keys and values: 32-bit sizes, each before its text."""
    return b"".join(struct.pack("=i", x) if isinstance(x, int) else x for x in numbers_and_texts)


class ArrowArray:
    """An array of this module, `schema` and `array` being fields of the structs."""

    def __init__(self, schema, array, keep=None):
        self.keep, self.structs, self.said = [keep, schema, array], [], (schema, array)
        self.schema_fields, self.array_fields = dict(schema), dict(array)
        text = self.schema_fields.get("metadata")
        if text is not None:
            text = ctypes.create_string_buffer(text)
            self.schema_fields["metadata"] = ctypes.addressof(text)
        buffers = self.array_fields.get("buffers")
        if buffers is not None:
            self.array_fields["buffers"] = buffers = (c_void_p * 4)(*buffers)
        self.keep += [text, buffers]

    def make(self, kind, fields):
        self.structs.append(arrow_struct(kind, **fields))
        return self.structs[-1]

    def close(self):
        for made in self.structs:
            release(made)

    def __arrow_c_array__(self, requested_schema=None):
        return tuple(
            arrow_capsule(self.make(*struct)) for struct in ((Schema, self.schema_fields), (Array, self.array_fields))
        )

    def __getitem__(self, where):
        return "an item"


def move(made, out):
    ctypes.memmove(out, ctypes.addressof(made), ctypes.sizeof(made))
    made.release = None


GET = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)


class ArrowStream:
    """Arrays of this module in a stream, whose own fields may be given, too."""

    def __init__(self, chunks, **fields):
        self.chunks, self.fields, self.keep, self.structs, self.next = chunks, fields, [], [], 0
        self.said = fields

    def __arrow_c_stream__(self, requested_schema=None):
        chunks = self.chunks

        @GET
        def get_schema(stream, out):
            move(chunks[0].make(Schema, chunks[0].schema_fields), out)
            return 0

        @GET
        def get_next(stream, out):
            if self.next == len(chunks):
                Array.from_address(out).release = None
            else:
                move(chunks[self.next].make(Array, chunks[self.next].array_fields), out)
                self.next += 1
            return 0

        functions = {"get_schema": get_schema, "get_next": get_next}
        stream = arrow_struct(Stream, **{name: ctypes.cast(f, c_void_p) for name, f in functions.items()} | self.fields)
        self.keep += [get_schema, get_next]
        self.structs.append(stream)
        return arrow_capsule(stream)

    def close(self):
        for made in self.structs:
            release(made)

    def __getitem__(self, where):
        return "an item"


def read_arrow(exporter):
    """The items of an array of Arrow that is no array of any library: bytes, None where nothing is valid."""
    if hasattr(exporter, "__arrow_c_stream__"):
        capsule = exporter.__arrow_c_stream__()
        stream = Stream.from_address(api.PyCapsule_GetPointer(id(capsule), b"arrow_array_stream"))
        schema, chunks = Schema(), []
        GET(stream.get_schema)(ctypes.addressof(stream), ctypes.addressof(schema))
        while True:
            array = Array()
            GET(stream.get_next)(ctypes.addressof(stream), ctypes.addressof(array))
            if not array.release:
                DELETER(schema.release)(ctypes.addressof(schema))
                return list(itertools.chain.from_iterable(chunks))
            chunks.append(read_items(schema, array))
            DELETER(array.release)(ctypes.addressof(array))
    schema_capsule, array_capsule = exporter.__arrow_c_array__()
    schema = Schema.from_address(api.PyCapsule_GetPointer(id(schema_capsule), b"arrow_schema"))
    array = Array.from_address(api.PyCapsule_GetPointer(id(array_capsule), b"arrow_array"))
    return read_items(schema, array)


def read_items(schema, array):
    (letter,) = (letter for letter, code in ARROW_LETTERS.items() if code.encode() == schema.format)
    itemsize = BYTES_OF_LETTERS[letter]
    valid, values = array.buffers[0], array.buffers[1]
    items = []
    for i in range(array.offset, array.offset + array.length):
        is_valid = not valid or ctypes.string_at(valid + i // 8, 1)[0] >> i % 8 & 1
        items.append(ctypes.string_at(values + i * itemsize, itemsize) if is_valid else None)
    return items


# ---- buffers


class PyBuffer(Structure):
    _fields_ = [
        ("buf", c_void_p),
        ("obj", c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        ("format", c_char_p),
        ("shape", POINTER(c_ssize_t)),
        ("strides", POINTER(c_ssize_t)),
        ("suboffsets", POINTER(c_ssize_t)),
        ("internal", c_void_p),
    ]


api.PyObject_GetBuffer.argtypes = [ctypes.py_object, POINTER(PyBuffer), c_int]
api.PyBuffer_Release.argtypes = [POINTER(PyBuffer)]
api.PyBuffer_Release.restype = None


@ctypes.PYFUNCTYPE(c_int, ctypes.py_object, POINTER(PyBuffer), c_int)
def get_buffer(owner, view, flags):
    for name, value in owner.fields.items():
        setattr(view[0], name, value)
    view[0].internal = RELEASED.expect()
    api.Py_IncRef(id(owner))
    view[0].obj = id(owner)
    return 0


@ctypes.PYFUNCTYPE(None, ctypes.py_object, POINTER(PyBuffer))
def release_buffer(owner, view):
    RELEASED.count(view[0].internal)


class Slot(Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class Spec(Structure):
    _fields_ = [("name", c_char_p), ("size", c_int), ("itemsize", c_int), ("flags", ctypes.c_uint), ("slots", c_void_p)]


SLOTS = (Slot * 3)((1, ctypes.cast(get_buffer, c_void_p)), (2, ctypes.cast(release_buffer, c_void_p)), (0, None))
SPEC = Spec(b"foreign.BufferBase", object.__basicsize__, 0, 1 << 10 | 1 << 18, ctypes.cast(SLOTS, c_void_p))
api.PyType_FromSpec.restype = ctypes.py_object
api.PyType_FromSpec.argtypes = [POINTER(Spec)]


class Buffer(api.PyType_FromSpec(ctypes.byref(SPEC))):
    """What exports a buffer of these fields, whatever it is asked for."""

    def __init__(self, keep=None, **fields):
        self.keep, self.said = keep, fields
        self.fields = {
            name: as_array(c_ssize_t, value) if name in ("shape", "strides", "suboffsets") else value
            for name, value in fields.items()
        }

    def close(self):
        pass
