# distutils: language = c++
"""Lists in, lists out: exact by Python's own arithmetic, or as an array of one element type has it."""
from cpython.complex cimport PyComplex_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble, PyFloat_Check, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_Check, PyLong_CheckExact, PyLong_FromLongLong
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.number cimport PyNumber_Add, PyNumber_Index
from cpython.ref cimport Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from twofold._core cimport Policy, does_not_fit, element_name, element_size, find_element_of, run_with_gil, short, type_name

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
        return find_element_of(c'f', sizeof(element_t))
    elif element_t is int8_t or element_t is int16_t or element_t is int32_t or element_t is int64_t:
        return find_element_of(c'i', sizeof(element_t))
    else:
        return find_element_of(c'u', sizeof(element_t))


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

cdef int read_list(list values, int element, void* out) except -1:
    cdef str name = element_name(element)
    cdef Py_ssize_t n = len(values)
    if name == "int8": return read_integers(values, <int8_t*>out, n)
    if name == "uint8": return read_integers(values, <uint8_t*>out, n)
    if name == "int16": return read_integers(values, <int16_t*>out, n)
    if name == "uint16": return read_integers(values, <uint16_t*>out, n)
    if name == "int32": return read_integers(values, <int32_t*>out, n)
    if name == "uint32": return read_integers(values, <uint32_t*>out, n)
    if name == "int64": return read_integers(values, <int64_t*>out, n)
    if name == "uint64": return read_integers(values, <uint64_t*>out, n)
    if name == "float32": return read_reals(values, <float*>out, n)
    if name == "float64": return read_reals(values, <double*>out, n)
    raise TypeError(f"a list cannot be computed in {name}")

cdef list numbers_of(const element_t* values, Py_ssize_t n):
    cdef Py_ssize_t i
    return [values[i] for i in range(n)]

cdef list make_list(int element, const void* values, Py_ssize_t n):
    cdef str name = element_name(element)
    if name == "int8": return numbers_of(<const int8_t*>values, n)
    if name == "uint8": return numbers_of(<const uint8_t*>values, n)
    if name == "int16": return numbers_of(<const int16_t*>values, n)
    if name == "uint16": return numbers_of(<const uint16_t*>values, n)
    if name == "int32": return numbers_of(<const int32_t*>values, n)
    if name == "uint32": return numbers_of(<const uint32_t*>values, n)
    if name == "int64": return numbers_of(<const int64_t*>values, n)
    if name == "uint64": return numbers_of(<const uint64_t*>values, n)
    if name == "float32": return numbers_of(<const float*>values, n)
    if name == "float64": return numbers_of(<const double*>values, n)
    raise TypeError(f"a list cannot be computed in {name}")

cdef list double_fixed_width(list values, int element, Policy policy, unsigned int threads):
    cdef Py_ssize_t n = len(values)
    cdef size_t nbytes = n * element_size(element)
    cdef void* elements = PyMem_RawMalloc(nbytes)
    if elements is NULL:
        raise MemoryError(f"{nbytes} bytes for the elements")
    cdef Py_ssize_t index
    try:
        read_list(values, element, elements)
        index = run_with_gil(element, elements, elements, n, nbytes, policy, threads)
        if index < n:
            raise does_not_fit(f"values[{index}]", values[index], element)
        return make_list(element, elements, n)
    finally:
        PyMem_RawFree(elements)
