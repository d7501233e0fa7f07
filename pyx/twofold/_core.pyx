# distutils: language = c++
"""Containers in, calls into C++ without the GIL, containers out.

What comes in decides what comes out. NumPy is never imported from here: an object that is an array proves that NumPy
is there already.
"""
cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_RECORDS_RO, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.complex cimport PyComplex_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble, PyFloat_Check, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_Check, PyLong_CheckExact, PyLong_FromLongLong
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.number cimport PyNumber_Add, PyNumber_Index
from cpython.ref cimport Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy

import sys

cdef extern from "Python.h":
    bint PyIndex_Check(object) noexcept
    void PyObject_GC_Track(object) noexcept
    void PyObject_GC_UnTrack(object) noexcept
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object) except? 0xFFFFFFFFFFFFFFFF

cdef extern from "<limits>" namespace "std" nogil:
    cdef cppclass numeric_limits[T]:
        @staticmethod
        T lowest() noexcept
        @staticmethod
        T max() noexcept

cdef extern from "twofold/version.hpp":
    const char* TWOFOLD_VERSION

cdef extern from "_kernels/wheel.hpp" namespace "twofold" nogil:
    cdef struct element_description:
        char kind
        unsigned int bits
    cdef enum class overflow_policy:
        wrap

cdef extern from "_kernels/wheel.hpp" namespace "twofold::detail" nogil:
    cdef cppclass kernel_table:
        pass
    cdef struct allowance:
        unsigned int most
        bint ordered

cdef extern from "_kernels/wheel.hpp" namespace "twofold_wheel" nogil:
    cdef struct instruction_set:
        const char* name
        bint supported
        const kernel_table* kernels
    cdef cppclass instruction_set_array "std::array<twofold_wheel::instruction_set, twofold_wheel::instruction_set_count>":
        instruction_set operator[](size_t) noexcept
    const size_t instruction_set_count
    const size_t element_count
    const size_t threads_pay_bytes
    instruction_set_array instruction_sets() noexcept
    const kernel_table& chosen_kernels() except +
    const kernel_table* kernels_if_chosen() noexcept
    const char* chosen_name() except +
    element_description element_at(size_t i) noexcept
    int find_element(char kind, size_t size) noexcept
    unsigned int decided_threads() noexcept
    unsigned int recently_decided_threads() noexcept
    bint partly_overlap(const void* a, const void* b, size_t size) noexcept
    size_t double_elements(const kernel_table& kernels, int element, const void* values, void* out, size_t n,
                           allowance threads, overflow_policy policy) noexcept

__version__ = TWOFOLD_VERSION.decode()

# Below this size in bytes a call is over in less time than it takes to give the GIL away and get it back.
# Measured by `benchmarks/gil_threshold.py`.
cdef size_t keep_gil_bytes = 1 << 14


# ---- the engine, called with pointers

cdef inline int run(int element, const void* values, void* out, size_t n, size_t nbytes, unsigned int threads) except -1 nogil:
    """Double n elements, `nbytes` bytes, with or without the GIL. `values` and `out` are the same or do not overlap."""
    cdef const kernel_table* kernels = kernels_if_chosen()
    # The environment is read with the GIL alone: os.environ is changed under it, and getenv must not run meanwhile.
    if kernels is NULL:
        with gil:
            kernels = &chosen_kernels()
    cdef allowance allowed
    allowed.most = threads
    allowed.ordered = threads != 0
    if nbytes < threads_pay_bytes:
        allowed.most = 1
    elif threads == 0:
        allowed.most = recently_decided_threads()
        if allowed.most == 0:
            with gil:
                allowed.most = decided_threads()
    double_elements(kernels[0], element, values, out, n, allowed, overflow_policy.wrap)
    return 0

ctypedef fused integer_t:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t

ctypedef fused element_t:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t
    float
    double

cdef inline int element_number(element_t* unused) noexcept nogil:
    if element_t is float or element_t is double:
        return find_element(c'f', sizeof(element_t))
    elif element_t is int8_t or element_t is int16_t or element_t is int32_t or element_t is int64_t:
        return find_element(c'i', sizeof(element_t))
    else:
        return find_element(c'u', sizeof(element_t))

cdef inline int double_pointers(const element_t* values, element_t* out, size_t n) except -1 nogil:
    cdef size_t nbytes = n * sizeof(element_t)
    if partly_overlap(values, out, nbytes):
        raise ValueError("values and out overlap without being the same array")
    return run(element_number(out), values, out, n, nbytes, 0)

cdef int double_i8(const int8_t* values, int8_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_u8(const uint8_t* values, uint8_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_i16(const int16_t* values, int16_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_u16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_i32(const int32_t* values, int32_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_u32(const uint32_t* values, uint32_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_i64(const int64_t* values, int64_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_u64(const uint64_t* values, uint64_t* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_f32(const float* values, float* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)

cdef int double_f64(const double* values, double* out, size_t n) except -1 nogil:
    return double_pointers(values, out, n)


# ---- element types by their Python names

cdef str element_name(int element):
    cdef element_description found = element_at(element)
    kinds = {c'i': "int", c'u': "uint", c'f': "float", c'b': "bfloat", c'c': "complex", c'm': "timedelta"}
    return kinds[found.kind] + str(found.bits)

# What the array module calls the elements.
cdef dict typecode_of = {"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
                         "int64": "q", "uint64": "Q", "float32": "f", "float64": "d"}

# Those that Python's own containers know. Complex and 16-bit floats are doubled from C++ alone, so far.
cdef dict elements_by_name = {element_name(i): i for i in range(<int>element_count) if element_name(i) in typecode_of}

def element_types():
    """The names of the element types, in the order of the C++ list: "int8", "uint8" and so on."""
    return list(elements_by_name)

cdef int element_from_dtype(dtype) except -1:
    """The element that `dtype` names: a name of ours, or whatever numpy.dtype accepts where NumPy is loaded."""
    name = dtype
    numpy_dtype = attribute_if_loaded("numpy", "dtype")
    if numpy_dtype is not None and not (isinstance(dtype, str) and dtype in elements_by_name):
        found = numpy_dtype(dtype)
        name = found.name if found.isnative else found.str
    if isinstance(name, str) and name in elements_by_name:
        return elements_by_name[name]
    raise TypeError(f"dtype {short(dtype)} is not supported; known are {', '.join(elements_by_name)}")

cdef char native_byte_order = c'<' if sys.byteorder == "little" else c'>'

cdef int element_from_format(const char* format, Py_ssize_t itemsize) noexcept:
    """The element of a buffer's items, as the struct module writes formats. -1: none of ours."""
    if format is NULL:  # the buffer protocol's way of saying "B"
        format = b"B"
    if format[0] in b"@=" or format[0] == native_byte_order:
        format += 1
    if format[0] == 0 or format[1] != 0:
        return -1
    if format[0] in b"bhilqn":
        return find_element(c'i', itemsize)
    if format[0] in b"BHILQN":
        return find_element(c'u', itemsize)
    if format[0] in b"fd":
        return find_element(c'f', itemsize)
    return -1

cdef object attribute_if_loaded(str module, str name):
    """module.name; None where nobody has imported the module, or where another thread is still at it."""
    return getattr(sys.modules.get(module), name, None)

cdef bint is_instance_of_loaded(value, str module, str name) except -1:
    """isinstance(value, module.name), for a class without which there would be no such value."""
    kind = attribute_if_loaded(module, name)
    return isinstance(kind, type) and isinstance(value, kind)

cdef str short(value):
    """repr(value) for a message, cut where it gets long."""
    try:
        text = repr(value)
    except Exception:  # of the value's own, or since an int has too many digits
        return f"<{type_name(value)}>"
    return text if len(text) <= 60 else text[:57] + "..."

cdef str type_name(value):
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# ---- buffers

@cython.internal
@cython.final
cdef class Span:
    """The memory of a contiguous buffer, held until this object goes."""
    cdef Py_buffer view
    cdef int element
    cdef size_t n  # elements

    def __cinit__(self, owner, str name not None):
        try:
            PyObject_GetBuffer(owner, &self.view, PyBUF_RECORDS_RO)
        except ValueError as error:
            if is_instance_of_loaded(owner, "numpy", "ndarray"):  # of a dtype that the buffer protocol does not know
                raise TypeError(f"{name} cannot be doubled: {error}") from None
            raise  # closed or released
        self.element = element_from_format(self.view.format, self.view.itemsize)
        if self.element < 0:
            raise TypeError(
                f"{name} has items of format {self.format()!r}, {self.view.itemsize} bytes each, which cannot be doubled; "
                f"known are {', '.join(elements_by_name)} in the byte order of this machine"
            )
        if not PyBuffer_IsContiguous(&self.view, b'A'):
            raise ValueError(f"{name} is not contiguous: shape {self.shape()}, strides {self.strides()} bytes")
        self.n = self.view.len // self.view.itemsize

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef str format(self):
        return "B" if self.view.format is NULL else self.view.format.decode("utf-8", "replace")

    cdef tuple shape(self):
        return tuple([self.view.shape[i] for i in range(self.view.ndim)])

    cdef tuple strides(self):
        return tuple([self.view.strides[i] for i in range(self.view.ndim)])

    cdef bint same_shape(self, Span other) noexcept:
        return self.view.ndim == other.view.ndim and (
            memcmp(self.view.shape, other.view.shape, self.view.ndim * sizeof(Py_ssize_t)) == 0)

    cdef bint same_order(self, Span other) noexcept:
        """Whether both hold their elements in the same order in memory."""
        if self.view.ndim <= 1:
            return True
        return (PyBuffer_IsContiguous(&self.view, b'C') and PyBuffer_IsContiguous(&other.view, b'C')
                or PyBuffer_IsContiguous(&self.view, b'F') and PyBuffer_IsContiguous(&other.view, b'F'))

    cdef int check_as_output_of(self, Span values) except -1:
        if self.view.readonly:
            raise ValueError("out is read-only")
        if self.element != values.element:
            raise TypeError(f"out holds {element_name(self.element)}, but values holds {element_name(values.element)}; "
                            "they must be the same")
        if not self.same_shape(values):
            raise ValueError(f"out has shape {self.shape()}, but values has {values.shape()}; they must be the same")
        if not self.same_order(values):
            raise ValueError("out and values differ in memory order (C and Fortran); they must be the same")
        return 0


@cython.internal
@cython.final
cdef class Memory:
    """New memory that exports a buffer laid out like that of `model`; it is not filled. It does not keep `model`."""
    cdef Py_ssize_t* shape  # allocated together with the strides and the memory itself, in this order
    cdef Py_ssize_t* strides
    cdef char* start
    cdef bytes format
    cdef Py_ssize_t size  # bytes
    cdef Py_ssize_t itemsize
    cdef int ndim

    def __cinit__(self, Span model not None):
        cdef Py_buffer* like = &model.view
        cdef size_t cache_line = 64
        cdef size_t dimensions = like.ndim * sizeof(Py_ssize_t)
        self.shape = <Py_ssize_t*>PyMem_RawMalloc(2 * dimensions + cache_line + like.len)
        if self.shape is NULL:
            raise MemoryError(f"{like.len} bytes for the result")
        self.strides = self.shape + like.ndim
        cdef Py_ssize_t stride = like.itemsize
        for i in reversed(range(like.ndim)):
            self.shape[i] = like.shape[i]
            # ctypes gives no strides, which means C order.
            self.strides[i] = stride if like.strides is NULL else like.strides[i]
            stride *= like.shape[i]
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


cdef int double_span(Span values, Span out, unsigned int threads) except -1:
    """Doubles one span into another that passed check_as_output_of. If they overlap, as if `values` were copied first."""
    cdef const void* source = values.view.buf
    cdef void* target = out.view.buf
    cdef size_t nbytes = values.view.len
    cdef Memory copy
    if partly_overlap(source, target, nbytes):
        copy = Memory(values)
        memcpy(copy.start, source, nbytes)
        source = copy.start
    if nbytes < keep_gil_bytes:
        return run(values.element, source, target, values.n, nbytes, threads)
    with nogil:
        return run(values.element, source, target, values.n, nbytes, threads)

cdef enum Container:
    ARRAY_OF_NUMPY
    SCALAR_OF_NUMPY
    ARRAY_OF_STDLIB
    OTHER_BUFFER

# The exact type that was last found to be numpy.ndarray: looking it up anew costs as much as doubling 100 elements.
cdef object exact_ndarray = None

cdef Container container_of(values, str name="values") except *:
    global exact_ndarray
    if type(values) is exact_ndarray:
        return ARRAY_OF_NUMPY
    if is_instance_of_loaded(values, "numpy", "ndarray"):
        if type(values) is attribute_if_loaded("numpy", "ndarray"):
            exact_ndarray = type(values)
        elif type(values) is not attribute_if_loaded("numpy", "memmap"):
            raise TypeError(f"{name} is a {type_name(values)}, a subclass of numpy.ndarray whose meaning doubling its "
                            f"memory might miss; pass numpy.asarray({name}) if that is what you want")
        return ARRAY_OF_NUMPY
    if is_instance_of_loaded(values, "numpy", "generic"):
        return SCALAR_OF_NUMPY
    if type(values) is attribute_if_loaded("array", "array"):  # a subclass may export what it likes
        return ARRAY_OF_STDLIB
    return OTHER_BUFFER

cdef object new_like(values, Span source, Container container):
    """A container of the kind of `values`, with memory of its layout that is not filled."""
    if container == ARRAY_OF_NUMPY or container == SCALAR_OF_NUMPY:
        return attribute_if_loaded("numpy", "empty_like")(values, subok=False)
    if container == ARRAY_OF_STDLIB:
        from twofold import _array
        return _array.like(values, source.n)
    return PyMemoryView_FromObject(Memory(source))

cdef object double_buffer(values, out, dtype, unsigned int threads):
    cdef Container container = container_of(values)
    if container == SCALAR_OF_NUMPY:  # whose own buffers are bytes where NumPy has no format for their type
        values = attribute_if_loaded("numpy", "asarray")(values)
    cdef Span source = Span(values, "values")
    cdef Span target
    if dtype is not None and element_from_dtype(dtype) != source.element:
        raise TypeError(f"values holds {element_name(source.element)}, and dtype is {short(dtype)}; convert values first")
    if out is values:
        target = source
        target.check_as_output_of(source)
    elif out is not None:
        target = as_output(out)
        target.check_as_output_of(source)
    else:
        result = new_like(values, source, container)
        target = Span(result, "the result")
        target.check_as_output_of(source)
    double_span(source, target, threads)
    if out is not None:
        return out
    if container == SCALAR_OF_NUMPY or (container == ARRAY_OF_NUMPY and source.view.ndim == 0):
        return result[()]
    return result

cdef Span as_output(out):
    if not PyObject_CheckBuffer(out):
        raise TypeError(f"out must be a writable array or buffer, not {type_name(out)}")
    container_of(out, "out")  # refuses what is refused as values
    return Span(out, "out")


# ---- lists

cdef object not_a_number(Py_ssize_t i, item, str what="a number"):
    return TypeError(f"values[{i}] is {short(item)} ({type_name(item)}), not {what}")

cdef bint is_number(item) except -1:
    """Whether an item counts as a number: by its type, by numbers.Number, or since it can stand for an int.

    Having __int__ or __float__ is not enough: strings of other libraries, UUIDs and addresses have them.
    """
    if PyLong_Check(item) or PyFloat_Check(item) or PyComplex_Check(item):
        return True
    from numbers import Number  # here, since importing it costs more than all of this module
    if isinstance(item, Number):
        return True
    if not PyIndex_Check(item):
        return False
    try:
        PyNumber_Index(item)
    except TypeError:
        return False  # an array of NumPy, say
    return True

cdef object double_number(item, Py_ssize_t i):
    """item + item, for whatever is a number; `i` is its index."""
    if not is_number(item):
        raise not_a_number(i, item)
    try:
        return PyNumber_Add(item, item)
    except TypeError as error:
        raise not_a_number(i, item, "a number that can be added") from error

cdef object changed_length(Py_ssize_t before, list values):
    return RuntimeError(f"values changed its length from {before} to {PyList_GET_SIZE(values)} while it was read")

cdef list double_list(list values):
    """[v + v for v in values], exactly, for numbers only."""
    cdef Py_ssize_t n = PyList_GET_SIZE(values)
    cdef Py_ssize_t i
    cdef long long small
    cdef int overflow = 0
    cdef object item, doubled
    cdef list result = PyList_New(n)
    PyObject_GC_UnTrack(result)  # until it is full: the garbage collector shows lists to anyone
    for i in range(n):
        if PyList_GET_SIZE(values) != n:  # the arithmetic of an item may have changed the list
            raise changed_length(n, values)
        item = <object>PyList_GET_ITEM(values, i)
        if PyLong_CheckExact(item):
            small = PyLong_AsLongLongAndOverflow(item, &overflow)
            if overflow == 0 and -(1LL << 62) <= small < (1LL << 62):
                doubled = PyLong_FromLongLong(2 * small)
            else:
                doubled = PyNumber_Add(item, item)
        elif PyFloat_CheckExact(item):
            doubled = PyFloat_FromDouble(2 * PyFloat_AS_DOUBLE(item))
        else:
            doubled = double_number(item, i)
        Py_INCREF(doubled)  # which PyList_SET_ITEM takes over
        PyList_SET_ITEM(result, i, doubled)
    PyObject_GC_Track(result)
    return result

cdef object item_does_not_fit(Py_ssize_t i, item, int element):
    return OverflowError(f"values[{i}] is {short(item)}, which does not fit {element_name(element)}")

cdef int read_integers(list values, integer_t* out, Py_ssize_t n) except -1:
    """The n items of `values`, checked to be integers that fit, as machine integers."""
    cdef Py_ssize_t i
    cdef long long small
    cdef int overflow = 0
    cdef object item
    for i in range(n):
        if PyList_GET_SIZE(values) != n:  # __index__ of an item may have changed the list
            raise changed_length(n, values)
        item = <object>PyList_GET_ITEM(values, i)
        if not PyLong_Check(item):
            if not is_number(item):
                raise not_a_number(i, item)
            try:
                item = PyNumber_Index(item)
            except TypeError:
                raise not_a_number(i, item, f"an integer as {element_name(element_number(out))} wants") from None
        small = PyLong_AsLongLongAndOverflow(item, &overflow)
        if integer_t is uint64_t:
            if overflow > 0:
                try:
                    out[i] = PyLong_AsUnsignedLongLong(item)
                except OverflowError:
                    raise item_does_not_fit(i, item, element_number(out)) from None
                continue
            if overflow < 0 or small < 0:
                raise item_does_not_fit(i, item, element_number(out))
        else:
            if overflow != 0 or small < <long long>numeric_limits[integer_t].lowest() or small > <long long>numeric_limits[integer_t].max():
                raise item_does_not_fit(i, item, element_number(out))
        out[i] = <integer_t>small
    return 0

cdef bint is_complex(item) except -1:
    from numbers import Complex, Real
    return isinstance(item, Complex) and not isinstance(item, Real)

ctypedef fused real_t:
    float
    double

cdef int read_reals(list values, real_t* out, Py_ssize_t n) except -1:
    """The n items of `values`, checked to be real numbers that fit, as machine floats."""
    cdef Py_ssize_t i
    cdef double value
    cdef object item
    for i in range(n):
        if PyList_GET_SIZE(values) != n:  # __float__ of an item may have changed the list
            raise changed_length(n, values)
        item = <object>PyList_GET_ITEM(values, i)
        if not PyFloat_CheckExact(item) and not PyLong_CheckExact(item):
            if not is_number(item):
                raise not_a_number(i, item)
            if is_complex(item):
                raise not_a_number(i, item, "a real number")
        try:
            value = PyFloat_AsDouble(item)
        except OverflowError:
            raise item_does_not_fit(i, item, element_number(out)) from None
        except TypeError as error:
            raise not_a_number(i, item, "a real number") from error
        out[i] = <real_t>value
        if isfinite(value) and not isfinite(<double>out[i]):
            raise item_does_not_fit(i, item, element_number(out))
    return 0

cdef int read_list(list values, Span out) except -1:
    """Fills `out` with the items of `values`, which must be as many."""
    cdef str name = element_name(out.element)
    cdef void* data = out.view.buf
    if name == "int8": return read_integers(values, <int8_t*>data, out.n)
    if name == "uint8": return read_integers(values, <uint8_t*>data, out.n)
    if name == "int16": return read_integers(values, <int16_t*>data, out.n)
    if name == "uint16": return read_integers(values, <uint16_t*>data, out.n)
    if name == "int32": return read_integers(values, <int32_t*>data, out.n)
    if name == "uint32": return read_integers(values, <uint32_t*>data, out.n)
    if name == "int64": return read_integers(values, <int64_t*>data, out.n)
    if name == "uint64": return read_integers(values, <uint64_t*>data, out.n)
    if name == "float32": return read_reals(values, <float*>data, out.n)
    if name == "float64": return read_reals(values, <double*>data, out.n)
    raise AssertionError(name)

cdef object double_fixed_width(list values, int element, out, unsigned int threads):
    """A list as an array of one element type has it: range-checked, then doubled as that type."""
    cdef Span target = None
    if out is not None:
        target = as_output(out)
    # Every item is read before anything is written, so a bad one leaves `out` as it was.
    from twofold import _array
    native = _array.of_typecode(typecode_of[element_name(element)], len(values))
    cdef Span source = Span(native, "values")
    if target is not None:
        target.check_as_output_of(source)
    read_list(values, source)
    if target is not None:
        double_span(source, target, threads)
        return out
    double_span(source, source, threads)
    return native.tolist()


# ---- the public function

def double(values, /, out=None, *, dtype=None, threads=None):
    """Double every element.

    Parameters
    ----------
    values : list, tuple, range or other sequence of numbers; number; or contiguous array or buffer
        What to double. Arrays and buffers hold integers of 8 to 64 bits, float32 or float64, in the byte order of the
        machine: `numpy.ndarray`, `array.array`, `bytes`, `bytearray`, `memoryview`, `mmap` and their like.
    out : writable contiguous array or buffer, optional
        Where to put the result: of the shape, element type and memory order of `values`. It may be `values` itself, or
        overlap it. A list as `values` is read as the elements of `out`.
    dtype : str or dtype, optional
        For a list or a number: the element type to compute in, "uint32" for example. Without it, Python's own
        arithmetic is used, which has no limits. For an array it can only name the array's own type.
    threads : int, optional
        The threads that work on this call, at least 1, if it is long enough for more than one. Without it: at most
        `TWOFOLD_NUM_THREADS`, else `OMP_NUM_THREADS`, else the number of CPUs this process may run on; and one, if more
        have not paid in calls like this one.

    Returns
    -------
    A list for a list or another sequence of numbers, a number for a number, a `numpy.ndarray` for an array of NumPy (a
    NumPy scalar for one without dimensions), an `array.array` for an `array.array`, a writable `memoryview` of the same
    format and shape for another buffer; or `out`.

    Integers of a fixed width wrap around, modulo 2 to the power of their width, as NumPy's do. Floats follow IEEE 754.

    Raises
    ------
    TypeError
        `values` or one of its items (whose index is named) is no number, or an element type cannot be doubled.
    OverflowError
        An item, whose index is named, does not fit `dtype`.
    ValueError
        An array is not contiguous; `out` is read-only or of another shape; `threads` is below 1.

    In all of these cases nothing has been written.

    Examples
    --------
    >>> import twofold
    >>> twofold.double([1, 2, 3, 4, 5])
    [2, 4, 6, 8, 10]
    >>> twofold.double([1, 2**31], dtype="uint32")
    [2, 0]
    >>> from array import array
    >>> x = array("I", [1, 2, 3])
    >>> twofold.double(x, out=x)
    array('I', [2, 4, 6])
    """
    cdef unsigned int most_threads = threads_argument(threads)
    if PyObject_CheckBuffer(values):
        return double_buffer(values, out, dtype, most_threads)
    if isinstance(values, (int, float, complex)):
        if out is not None:
            raise TypeError("out= goes with arrays, buffers and lists, not with a single number")
        if dtype is not None:
            return double_fixed_width([values], element_from_dtype(dtype), None, most_threads)[0]
        return values + values
    cdef list items
    if type(values) is list:
        items = values
    elif isinstance(values, (list, tuple, range)) or is_other_sequence(values):
        items = list(values)
    else:
        raise TypeError(f"values must be a list or another sequence of numbers, a number, or a contiguous array or buffer, "
                        f"not {type_name(values)}")
    if dtype is not None:
        return double_fixed_width(items, element_from_dtype(dtype), out, most_threads)
    if out is not None:
        return double_fixed_width(items, as_output(out).element, out, most_threads)
    return double_list(items)

cdef bint is_other_sequence(values) except -1:
    from collections.abc import Sequence  # here, since importing it costs as much as all of this module
    return isinstance(values, Sequence) and not isinstance(values, str)

cdef unsigned int threads_argument(threads) except? 0xFFFFFFFF:
    """`threads` of a call as the engine wants it: 0 for None."""
    if threads is None:
        return 0
    try:
        count = PyNumber_Index(threads)
    except TypeError:
        raise TypeError(f"threads must be an integer or None, not {short(threads)} ({type_name(threads)})") from None
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {short(count)}")
    return min(count, 1 << 16)


def simd_target():
    """The name of the instruction set that doubles arrays: the best of this machine, or what `TWOFOLD_SIMD` names.

    Decided once in a process, by the first call that needs it.

    Raises
    ------
    ValueError
        `TWOFOLD_SIMD` names an instruction set that is unknown here or not supported.

    Examples
    --------
    >>> import twofold
    >>> twofold.simd_target() in ("sse2", "avx2", "avx512", "neon")
    True
    """
    return chosen_name().decode()

def supported_simd_targets():
    """The names of the instruction sets of this build that this machine supports, weakest first."""
    sets = instruction_sets()
    return [sets[i].name.decode() for i in range(instruction_set_count) if sets[i].supported]
