"""Buffers in, buffers out: array.array, bytes, bytearray, memoryview, mmap, ctypes and whatever else exports its memory.

Arrays of NumPy have a module of their own; as `out` they come here, too.
"""
cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_RECORDS_RO, PyBUF_STRIDES, PyBuffer_FillContiguousStrides, PyBuffer_IsContiguous,
    PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport uintptr_t

import sys

from twofold._core cimport (
    Policy, View, attribute_if_loaded, does_not_fit, element_from_dtype, element_name, element_size, find_element_of,
    is_instance_of_loaded, short, type_name,
)
from twofold._lists cimport read_list
from twofold._view cimport check_output, overflow_at, run_view, shape_of


# ---- formats

cdef bint is_little = sys.byteorder == "little"

cdef int element_from_format(const char* format, Py_ssize_t itemsize, bint* swapped) noexcept:
    """The element of a buffer's items, as the struct module writes formats, and NumPy complex ones. -1: none of ours."""
    swapped[0] = False
    if format is NULL:  # the buffer protocol's way of saying "B"
        format = b"B"
    if format[0] in b"@=<>!":
        swapped[0] = itemsize > 1 and (format[0] == c'<' and not is_little or format[0] in b">!" and is_little)
        format += 1
    if format[0] == c'Z' and format[1] != 0 and format[1] in b"fd" and format[2] == 0:
        return find_element_of(c'c', itemsize)
    if format[0] == 0 or format[1] != 0:
        return -1
    if format[0] in b"bhilqn":
        return find_element_of(c'i', itemsize)
    if format[0] in b"BHILQN":
        return find_element_of(c'u', itemsize)
    if format[0] in b"efd":
        return find_element_of(c'f', itemsize)
    if format[0] in b"FD":  # of the struct module, from Python 3.14 on
        return find_element_of(c'c', itemsize)
    return -1


# ---- memory

@cython.internal
@cython.final
cdef class Span:
    """The memory of a buffer, held until this object goes."""
    cdef Py_buffer buffer
    cdef Py_ssize_t own_strides[64]
    cdef View view

    def __cinit__(self, owner, str name not None):
        cdef Py_buffer* buffer = &self.buffer
        PyObject_GetBuffer(owner, buffer, PyBUF_RECORDS_RO)
        self.view.element = element_from_format(buffer.format, buffer.itemsize, &self.view.swapped)
        if self.view.element < 0:
            raise TypeError(
                f"{name} has items of format {self.format()!r}, {buffer.itemsize} bytes each, which cannot be doubled"
            )
        self.view.data, self.view.shape, self.view.strides = buffer.buf, buffer.shape, buffer.strides
        self.view.n = buffer.len // buffer.itemsize
        self.view.itemsize, self.view.ndim = buffer.itemsize, buffer.ndim
        self.view.contiguous = PyBuffer_IsContiguous(buffer, b'C')
        self.view.writable = not buffer.readonly
        if buffer.strides is NULL:  # as ctypes has it
            PyBuffer_FillContiguousStrides(buffer.ndim, buffer.shape, self.own_strides, buffer.itemsize, b'C')
            self.view.strides = self.own_strides

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)

    cdef str format(self):
        return "B" if self.buffer.format is NULL else self.buffer.format.decode("utf-8", "replace")


@cython.internal
@cython.final
cdef class Memory:
    """New memory that exports a buffer of the format and shape of `model`; it is not filled. It does not keep `model`."""
    cdef Py_ssize_t* shape  # allocated together with the strides and the memory itself, in this order
    cdef Py_ssize_t* strides
    cdef char* start
    cdef bytes format
    cdef Py_ssize_t size  # bytes
    cdef Py_ssize_t itemsize
    cdef int ndim

    def __cinit__(self, Span model not None):
        cdef Py_buffer* like = &model.buffer
        cdef size_t cache_line = 64
        cdef size_t dimensions = like.ndim * sizeof(Py_ssize_t)
        self.shape = <Py_ssize_t*>PyMem_RawMalloc(2 * dimensions + cache_line + like.len)
        if self.shape is NULL:
            raise MemoryError(f"{like.len} bytes for the result")
        self.strides = self.shape + like.ndim
        for i in range(like.ndim):
            self.shape[i] = like.shape[i]
        # In the order of the model where that is Fortran's; in C's otherwise.
        cdef char order = c'F' if PyBuffer_IsContiguous(like, c'F') and not PyBuffer_IsContiguous(like, c'C') else c'C'
        PyBuffer_FillContiguousStrides(like.ndim, self.shape, self.strides, like.itemsize, order)
        self.start = <char*>((<uintptr_t>(self.strides + like.ndim) + cache_line - 1) // cache_line * cache_line)
        self.format = b"B" if like.format is NULL else like.format
        self.size = like.len
        self.itemsize = like.itemsize
        self.ndim = like.ndim

    def __dealloc__(self):
        PyMem_RawFree(self.shape)

    def __getbuffer__(self, Py_buffer* view, int flags):
        view.buf = self.start
        view.obj = self
        view.len = self.size
        view.itemsize = self.itemsize
        view.readonly = False
        view.format = <char*>self.format
        view.ndim = self.ndim
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL
        if flags & PyBUF_STRIDES != PyBUF_STRIDES and not PyBuffer_IsContiguous(view, b'C'):
            raise BufferError("this memory is in Fortran order")
        if flags & PyBUF_FORMAT != PyBUF_FORMAT:
            view.format = NULL


# ---- doubling

cdef int double_span(Span values, Span out, Policy policy, unsigned int threads) except -1:
    cdef size_t index = run_view(&values.view, &out.view, policy, threads)
    if index < values.view.n:
        raise overflow_at(index, &values.view, values.buffer.obj)
    return 0

cdef object new_like(values, Span source):
    """A container of the kind of `values`, with memory of its layout that is not filled."""
    if type(values) is attribute_if_loaded("array", "array"):  # a subclass may export what it likes
        from twofold import _array
        return _array.like(values, source.view.n)
    return PyMemoryView_FromObject(Memory(source))

cdef object double_buffer(values, out, dtype, Policy policy, unsigned int threads):
    cdef Span source = Span(values, "values")
    cdef Span target
    if dtype is not None and element_from_dtype(dtype) != source.view.element:
        raise TypeError(f"values holds {element_name(source.view.element)}, and dtype is {short(dtype)}; convert values first")
    if out is None:
        result = new_like(values, source)
        double_span(source, Span(result, "the result"), policy, threads)
        return result
    target = source if out is values else as_output(out)
    check_output(&target.view, &source.view)
    double_span(source, target, policy, threads)
    return out

cdef object double_list_into(list values, out, dtype, Policy policy, unsigned int threads):
    cdef Span target = as_output(out)
    cdef int element = target.view.element
    cdef Py_ssize_t itemsize = element_size(element)
    cdef Py_ssize_t n
    cdef View source
    if dtype is not None and element_from_dtype(dtype) != element:
        raise TypeError(f"out holds {element_name(element)}, and dtype is {short(dtype)}; they must be the same")
    n = len(values)  # once: to look at the dtype, or at an item, may be to run any code, which changes the list
    source.shape, source.strides, source.n, source.ndim = &n, &itemsize, n, 1
    source.element, source.itemsize, source.contiguous, source.swapped = element, itemsize, True, False
    check_output(&target.view, &source)
    # Every item is read before anything is written, so a bad one leaves `out` as it was.
    cdef bytearray elements = bytearray(n * itemsize)
    source.data = PyByteArray_AS_STRING(elements)
    read_list(values, n, element, source.data)
    cdef size_t index = run_view(&source, &target.view, policy, threads)
    if index < source.n:
        raise overflow_at(index, &source, None)
    return out

cdef Span as_output(out):
    if not PyObject_CheckBuffer(out):
        raise TypeError(f"out must be a writable array or buffer, not {type_name(out)}")
    if is_instance_of_loaded(out, "numpy", "ndarray") and type(out).__name__ not in ("ndarray", "memmap", "SharedArray"):
        raise TypeError(f"out is a {type_name(out)}, a subclass of numpy.ndarray whose meaning its memory alone might "
                        "miss; pass numpy.asarray(out) if that is what you want")
    return Span(out, "out")
