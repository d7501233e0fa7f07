"""Buffers in, buffers out: array.array, bytes, bytearray, memoryview, mmap, ctypes and other exporters of buffers.

NumPy arrays have a module of their own, but as `out` of other containers they come here.
"""
cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_RECORDS_RO, PyBUF_STRIDES,
    PyBuffer_FillContiguousStrides, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.memoryview cimport PyMemoryView_FromObject

import sys

from twofold._engine.messages import refused_output, what_to_convert
from twofold._engine.twofold_engine import element_rows
from twofold._containers.lists cimport read_list
from twofold._containers.view cimport (
    MAX_DIMENSIONS, check_dimensions, check_output, fill_c_strides, measure, overflow_at, run_view,
)
from twofold._engine.arguments cimport does_not_fit, element_from_dtype, element_name
from twofold._engine.messages cimport is_instance_of_loaded, short, type_name
from twofold._engine.twofold_engine cimport Operation, Policy, View, element_size, fill_by_letter, find_element_of
from twofold._memory.checked cimport CACHE_LINE, aligned

cdef extern from "_containers/array_array.h":
    bint is_array "twofold_is_array"(object) noexcept
    object new_array "twofold_new_array"(object model, Py_ssize_t n, Py_ssize_t itemsize)


# ---- formats

cdef bint is_little = sys.byteorder == "little"

cdef signed char element_of_letter[256]  # by the letter of a native format; -1: none of ours
fill_by_letter(element_of_letter, "struct_letters")

cdef int element_from_format(const char* format, Py_ssize_t itemsize, bint* swapped) noexcept:
    """The element of a buffer's items, from a format of the struct module, or NumPy's for complex. -1: none of ours."""
    cdef char letter
    cdef int element
    swapped[0] = False
    if format is NULL:  # in the buffer protocol this means "B"
        format = b"B"
    if format[0] in b"@=<>!":
        swapped[0] = itemsize > 1 and (format[0] == c'<' and not is_little or format[0] in b">!" and is_little)
        format += 1
    letter = format[0]
    if letter == c'Z' and (format[1] == c'f' or format[1] == c'd'):
        format += 1
        letter = c'F' if format[0] == c'f' else c'D'  # as in the struct module since Python 3.14
    element = element_of_letter[<unsigned char>letter]
    if element < 0 or format[1] != 0:
        return -1
    if itemsize == 4 and letter in b"lL":  # not native
        return find_element_of(c'i' if letter == c'l' else c'u', 4)
    return element if itemsize == <Py_ssize_t>element_size(element) else -1


# ---- memory

@cython.internal
@cython.final
cdef class Span:
    """The memory of a buffer, held until this object goes."""
    cdef Py_buffer buffer
    cdef Py_ssize_t own_strides[MAX_DIMENSIONS]
    cdef View view

    def __cinit__(self, Operation operation not None, owner, str name not None):
        cdef Py_buffer* buffer = &self.buffer
        cdef View* view = &self.view
        PyObject_GetBuffer(owner, buffer, PyBUF_RECORDS_RO)
        view.element = element_from_format(buffer.format, buffer.itemsize, &view.swapped)
        if view.element < 0:
            raise TypeError(
                f"{name} has items of format {self.format()!r}, {buffer.itemsize} bytes each, which cannot be "
                f"{operation.participle}{what_to_convert('bool' if self.format()[-1:] == '?' else '')}"
            )
        check_dimensions(buffer.ndim, buffer.shape, name)
        view.data, view.shape, view.strides = buffer.buf, buffer.shape, buffer.strides
        view.itemsize, view.ndim, view.writable = buffer.itemsize, buffer.ndim, not buffer.readonly
        if buffer.strides is NULL:  # as ctypes has it
            fill_c_strides(view, self.own_strides)
            view.strides = self.own_strides
        measure(view, name)
        if buffer.len != <Py_ssize_t>view.n * view.itemsize:
            raise BufferError(f"{name} has {buffer.len} bytes, and {view.n} elements of {view.itemsize}")
        for i in range(view.ndim if buffer.suboffsets is not NULL else 0):
            if buffer.suboffsets[i] >= 0:
                raise BufferError(f"{name} is an array of pointers to arrays, which it was not asked for")

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)

    cdef str format(self):
        return "B" if self.buffer.format is NULL else self.buffer.format.decode("utf-8", "replace")


cdef bytes format_of(Span model):
    """Its format, without a byte order that is this machine's, as ctypes has it: memoryview reads native formats alone."""
    cdef bytes format = b"B" if model.buffer.format is NULL else model.buffer.format
    if format[:1] not in (b"<", b">", b"=", b"!") or len(format) != 2 or model.view.swapped:
        return format
    letters = element_rows()[model.view.element]["struct_letters"]
    return format[1:] if format[1:] in letters else letters[:1]


@cython.internal
@cython.final
cdef class Memory:
    """New memory, not filled, that exports a buffer of the format and shape of `model`; it does not keep `model`."""
    cdef Py_ssize_t* shape  # allocated together with the strides and the memory itself, in this order
    cdef Py_ssize_t* strides
    cdef char* start
    cdef bytes format
    cdef Py_ssize_t size  # bytes
    cdef Py_ssize_t itemsize
    cdef int ndim
    cdef bint in_c_order

    def __cinit__(self, Span model not None):
        cdef View* like = &model.view
        cdef int ndim = like.ndim
        self.size = like.n * like.itemsize
        self.shape = <Py_ssize_t*>PyMem_RawMalloc(2 * ndim * sizeof(Py_ssize_t) + CACHE_LINE + self.size)
        if self.shape is NULL:
            raise MemoryError(f"{self.size} bytes for the result")
        self.strides = self.shape + ndim
        self.start = <char*>aligned(self.strides + ndim)
        self.format = format_of(model)
        self.itemsize, self.ndim = like.itemsize, ndim
        for i in range(ndim):
            self.shape[i] = like.shape[i]
        # In the order of the model where that is Fortran's; in C's otherwise.
        if not like.contiguous and PyBuffer_IsContiguous(&model.buffer, c'F'):
            PyBuffer_FillContiguousStrides(ndim, self.shape, self.strides, like.itemsize, c'F')
        else:
            fill_c_strides(like, self.strides)
            self.in_c_order = True

    def __dealloc__(self):
        PyMem_RawFree(self.shape)

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef bint wants_strides = asks_for(flags, PyBUF_STRIDES)
        view.buf, view.obj, view.len = self.start, self, self.size
        view.itemsize, view.readonly, view.ndim = self.itemsize, False, self.ndim
        view.format = <char*>self.format if asks_for(flags, PyBUF_FORMAT) else NULL
        view.shape, view.strides = self.shape, self.strides
        view.suboffsets, view.internal = NULL, NULL
        if not self.in_c_order and (asks_for(flags, PyBUF_C_CONTIGUOUS) or not wants_strides):
            raise BufferError("this memory is in Fortran order")
        if asks_for(flags, PyBUF_F_CONTIGUOUS) and not PyBuffer_IsContiguous(view, c'F'):
            raise BufferError("this memory is in C order")
        if not wants_strides:
            view.strides = NULL
        if not asks_for(flags, PyBUF_ND):  # just bytes
            if view.format is not NULL:
                raise BufferError("this memory has a format, which nobody understands without its shape")
            view.shape, view.ndim = NULL, 1

cdef bint asks_for(int flags, int what) noexcept:
    return flags & what == what


# ---- calls

cdef int run_span(Operation operation, Span values, Span out, Policy policy, unsigned int threads) except -1:
    cdef size_t index = run_view(operation, &values.view, &out.view, policy, threads)
    if index < values.view.n:
        raise overflow_at(operation, index, &values.view)
    return 0

cdef object new_like(values, Span source):
    """A new container of the kind of `values`, not filled."""
    if is_array(values):
        return new_array(values, source.view.n, source.view.itemsize)
    return PyMemoryView_FromObject(Memory(source))

cdef object run_buffer(Operation operation, values, out, dtype, Policy policy, unsigned int threads):
    cdef Span source = Span(operation, values, "values")
    cdef Span target
    if dtype is not None and element_from_dtype(dtype) != source.view.element:
        raise TypeError(f"values holds {element_name(source.view.element)}, and dtype is {short(dtype)}; convert values first")
    if out is None:
        result = new_like(values, source)
        run_span(operation, source, Span(operation, result, "the result"), policy, threads)
        return result
    target = source if out is values else as_output(operation, out)
    check_output(&target.view, &source.view)
    run_span(operation, source, target, policy, threads)
    return out

cdef object run_list_into(Operation operation, list values, out, dtype, Policy policy, unsigned int threads):
    cdef Span target = as_output(operation, out)
    cdef int element = target.view.element
    cdef Py_ssize_t itemsize = element_size(element)
    cdef Py_ssize_t n
    cdef View source
    if dtype is not None and element_from_dtype(dtype) != element:
        raise TypeError(f"out holds {element_name(element)}, and dtype is {short(dtype)}; they must be the same")
    n = len(values)  # read once: resolving dtype or reading an item may run code that changes the list
    source.shape, source.strides, source.n, source.ndim = &n, &itemsize, n, 1
    source.element, source.itemsize, source.contiguous, source.swapped = element, itemsize, True, False
    check_output(&target.view, &source)
    # Every item is read before anything is written, so a bad one leaves `out` as it was.
    cdef bytearray elements = bytearray(n * itemsize)
    source.data = PyByteArray_AS_STRING(elements)
    read_list(operation, values, n, element, source.data)
    cdef size_t index = run_view(operation, &source, &target.view, policy, threads)
    if index < source.n:
        raise overflow_at(operation, index, &source)
    return out

cdef Span as_output(Operation operation, out):
    if not PyObject_CheckBuffer(out):
        raise refused_output(out, operation.function.__name__)
    if is_instance_of_loaded(out, "numpy", "ndarray") and type(out).__name__ not in ("ndarray", "memmap", "SharedArray"):
        raise TypeError(f"out is a {type_name(out)}, a subclass of numpy.ndarray whose meaning its memory alone might "
                        "miss; pass numpy.asarray(out) if that is what you want")
    return Span(operation, out, "out")


# ---- for calls in processes without NumPy, whose memory is passed in. Elements are native; outputs are in C order.

# By a memoryview's format, which has no complex numbers.
cdef dict names_by_format = {
    chr(x): row["name"].decode() for row in element_rows() if row["kind"] != ord("c") for x in row["struct_letters"]
}


def plain_element_of(operation, view, name):
    letter = view.format.removeprefix("@")
    if letter not in names_by_format:
        raise TypeError(
            f"{name} has items of format {view.format!r}, which cannot be {operation.participle} in processes"
            " without NumPy"
        )
    return names_by_format[letter]


def as_plain_output(out):
    view = memoryview(out)
    if view.readonly:
        raise ValueError("out is read-only")
    if not view.c_contiguous:
        raise ValueError("out is not contiguous, which it has to be without NumPy")
    return view


def fill_plain(target, view):
    """Fill the bytes `target` with a buffer's elements."""
    memoryview(target)[:] = view.cast("B") if view.c_contiguous else view.tobytes()


def plain_like(source, view):
    """The bytes `source` as a buffer of the format and shape of another."""
    return memoryview(source).cast(view.format.removeprefix("@"), view.shape)
