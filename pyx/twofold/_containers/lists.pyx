# distutils: language = c++
"""Lists in, lists out: exact by Python's own arithmetic, or computed as an array of one element type.

Items of Python's built-in types are processed in loops that run no Python code. These end at the first item of another
type: its arithmetic may run any code and change the list, whose items are looked up again afterwards. In a free-threaded
Python each such loop has the list's lock (a critical section), so that no other thread changes the list meanwhile.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.complex cimport PyComplex_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.list cimport PyList_Check, PyList_New
from cpython.long cimport PyLong_Check
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.number cimport PyNumber_Float, PyNumber_Index
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport int64_t

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.arguments cimport does_not_fit, element_from_dtype, element_name
from twofold._engine.messages cimport attribute_if_loaded, instead_of_item, is_instance_of_loaded, short, type_name
from twofold._engine.twofold_engine cimport Operation, Policy, RAISE, WRAP, element_size, find_element_of, run_with_gil

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED)
    #define TWOFOLD_IS_FREE_THREADED 1
    #else
    #define TWOFOLD_IS_FREE_THREADED 0
    #endif
    """
    const bint IS_FREE_THREADED "TWOFOLD_IS_FREE_THREADED"

cdef extern from "Python.h":
    bint PyIndex_Check(object) noexcept
    void PyObject_GC_Track(object) noexcept
    void PyObject_GC_UnTrack(object) noexcept
    int PyErr_CheckSignals() except -1
    # Of lists and of tuples. The items are borrowed.
    Py_ssize_t PySequence_Fast_GET_SIZE(object) noexcept
    PyObject** PySequence_Fast_ITEMS(object) noexcept

cdef extern from "_containers/items.hpp" namespace "twofold_wheel":
    cdef struct item_functions:
        Py_ssize_t (*read)(PyObject** items, void* out, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n) noexcept
        Py_ssize_t (*make)(const void* values, PyObject** items, Py_ssize_t i, Py_ssize_t end) except -1
    item_functions item_functions_for(int element) noexcept
    Py_ssize_t read_exact_ints(PyObject** items, int64_t* out, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n) noexcept
    void advise_huge_pages(void* start, size_t nbytes) noexcept

# Between slices of this many items, which are some milliseconds' work, other threads and signal handlers may run.
cdef enum:
    SLICE = 1 << 16

cdef inline Py_ssize_t end_of_slice(Py_ssize_t i, Py_ssize_t n) noexcept:
    return min((i | (SLICE - 1)) + 1, n)

cdef inline int yield_after_slice(Py_ssize_t i, Py_ssize_t n) except -1:
    if i % SLICE == 0 and i < n:
        with nogil:
            pass
        PyErr_CheckSignals()
    return 0

cdef inline object lock_of(values):
    """In whose critical section the items are looked up. A tuple needs none, and may be read by many threads at once."""
    return object() if IS_FREE_THREADED and not PyList_Check(values) else values

cdef PyObject** items_of(values, Py_ssize_t n) except NULL:
    """The items of a list or tuple that had n of them when the call began; valid as long as its lock is held."""
    if PySequence_Fast_GET_SIZE(values) != n:  # the arithmetic of an item, say, has changed the list
        raise RuntimeError(f"values changed its length from {n} to {len(values)} while it was read")
    return PySequence_Fast_ITEMS(values)

cdef list new_list(Py_ssize_t n):
    """A list for n items, not filled. Until it is, the garbage collector, which exposes lists, must not track it."""
    if IS_FREE_THREADED:
        # A list for which there is no memory drops the items of the list that it reuses there (python/cpython#152125):
        # it must be one without items.
        PyList_New(0)
    cdef list result = PyList_New(n)
    PyObject_GC_UnTrack(result)
    advise_huge_pages(PySequence_Fast_ITEMS(result), n * sizeof(PyObject*))
    return result


# ---- what counts as a number

cdef object not_a_number(Py_ssize_t i, item, str what="a number"):
    return TypeError(f"values[{i}] is {short(item)} ({type_name(item)}), not {what}{instead_of_item(item)}")

cdef object check_number(item, Py_ssize_t i):
    """TypeError unless the item is a number: by its type, by numbers.Number, or because it can be used as an int.

    Having __int__ or __float__ is not enough: strings of other libraries, UUIDs and addresses have them. Returns the
    type of the item if all objects of that type are numbers.
    """
    cdef type kind = type(item)
    if PyLong_Check(item) or PyFloat_Check(item) or PyComplex_Check(item):
        return kind
    if is_instance_of_loaded(item, "numbers", "Number"):  # a module with such a class imports `numbers`
        return kind if issubclass(kind, attribute_if_loaded("numbers", "Number")) else None
    try:
        if PyIndex_Check(item) and not is_instance_of_loaded(item, "numpy", "bool"):  # which NumPy 2.0 accepts as indices
            PyNumber_Index(item)
            return None
    except TypeError as error:  # an array of NumPy, say
        raise_again_if_callers(error)
    raise not_a_number(i, item)

cdef bint is_complex(item) except -1:
    if PyComplex_Check(item):
        return True
    return is_instance_of_loaded(item, "numbers", "Complex") and not is_instance_of_loaded(item, "numbers", "Real")


# ---- exactly

cdef object result_of(Operation operation, item, Py_ssize_t i, Policy policy):
    """The result of a number; `i` is its index."""
    if policy != WRAP and is_instance_of_loaded(item, "numpy", "generic"):  # whose own arithmetic wraps
        return result_of_scalar(operation, item, i, "raise" if policy == RAISE else "saturate")
    if policy == RAISE:
        check_result_is_finite(operation, item, i)
    try:
        return operation.of_object(item)
    except TypeError as error:
        raise_again_if_callers(error)
        raise not_a_number(i, item, "a number that can be added") from error

cdef object result_of_scalar(Operation operation, item, Py_ssize_t i, str overflow):
    try:
        return operation.function(item, overflow=overflow)
    except OverflowError as error:
        raise_again_if_callers(error)
        raise OverflowError(str(error).replace("values", f"values[{i}]", 1)) from None

cdef int check_result_is_finite(Operation operation, item, Py_ssize_t i) except -1:
    """OverflowError for a finite float or complex number whose result is infinite. Other types check their own limits."""
    cdef double real, imag = 0
    if PyComplex_Check(item):
        real, imag = item.real, item.imag
    elif PyFloat_Check(item):
        real = PyFloat_AS_DOUBLE(item)
    else:
        return 0
    if becomes_infinite(operation, real) or becomes_infinite(operation, imag):
        raise does_not_fit(operation, f"values[{i}]", item, find_element_of(c'f', sizeof(double)))
    return 0

cdef bint becomes_infinite(Operation operation, double number) except -1:
    return isfinite(number) and not isfinite(<double>operation.of_object(number))

cdef list run_list(Operation operation, values, Policy policy):
    cdef Py_ssize_t n = PySequence_Fast_GET_SIZE(values)
    cdef list result = new_list(n)
    cdef PyObject** results = PySequence_Fast_ITEMS(result)
    cdef PyObject** items
    cdef Py_ssize_t end, i = 0
    lock = lock_of(values)
    number = None  # the type of the last checked item
    while i < n:
        end = end_of_slice(i, n)
        with cython.critical_section(lock):
            items = items_of(values, n)
            if operation.of_plain_items is not NULL:
                i = operation.of_plain_items(items, results, i, end, n, policy == RAISE)
            item = <object>items[i] if i < end else None
        if i < end:
            if type(item) is not number:
                number = check_number(item, i)
            other = result_of(operation, item, i, policy)
            Py_INCREF(other)
            results[i] = <PyObject*>other
            i += 1
        yield_after_slice(i, n)
    PyObject_GC_Track(result)
    return result


# ---- computed in an element type

cdef object plain_number(item, Py_ssize_t i, int element):
    """The item as an int, a float or a complex number, depending on the element type."""
    cdef str name = element_name(element)
    check_number(item, i)
    if "int" in name:
        try:
            return PyNumber_Index(item)
        except TypeError as error:
            raise_again_if_callers(error)
            raise not_a_number(i, item, f"an integer as {name} wants") from None
    cdef str wanted = "a complex number" if "complex" in name else "a real number"
    if "float" in name and is_complex(item):
        raise not_a_number(i, item, wanted)
    try:
        return PyNumber_Float(item) if "float" in name else complex(item)
    except OverflowError as error:
        raise_again_if_callers(error)
        raise item_does_not_fit(i, item, element) from None
    except TypeError as error:
        raise_again_if_callers(error)
        raise not_a_number(i, item, wanted) from error

cdef object item_does_not_fit(Py_ssize_t i, item, int element):
    return OverflowError(f"values[{i}] is {short(item)}, which does not fit {element_name(element)}")

cdef item_functions functions_for(int element, str participle) except *:
    cdef item_functions functions = item_functions_for(element)
    if functions.read is NULL:
        raise TypeError(f"a list cannot be {participle} with dtype {element_name(element)}: Python has no such numbers")
    return functions

cdef int read_list(Operation operation, values, Py_ssize_t n, int element, void* out) except -1:
    cdef item_functions functions = functions_for(element, operation.participle)
    cdef Py_ssize_t end, i = 0
    cdef PyObject** items
    cdef PyObject* plain
    lock = lock_of(values)
    while i < n:
        end = end_of_slice(i, n)
        with cython.critical_section(lock):
            items = items_of(values, n)
            i = functions.read(items, out, i, end, n)
            item = <object>items[i] if i < end else None
        if i < end:
            number = plain_number(item, i, element)
            plain = <PyObject*>number
            if functions.read(&plain, <char*>out + i * element_size(element), 0, 1, 1) == 0:
                raise item_does_not_fit(i, item, element)
            i += 1
        yield_after_slice(i, n)
    return 0

cdef list make_list(int element, const void* values, Py_ssize_t n):
    cdef item_functions functions = functions_for(element, "made")
    cdef list result = new_list(n)
    cdef Py_ssize_t i = 0
    while i < n:
        i = functions.make(values, PySequence_Fast_ITEMS(result), i, end_of_slice(i, n))
        yield_after_slice(i, n)
    PyObject_GC_Track(result)
    return result

cdef list run_fixed_width(Operation operation, values, int element, Policy policy, unsigned int threads):
    cdef Py_ssize_t n = PySequence_Fast_GET_SIZE(values)
    cdef size_t nbytes = n * element_size(element)
    cdef char* elements = <char*>PyMem_RawMalloc(nbytes)
    if elements is NULL:
        raise MemoryError(f"{nbytes} bytes for the elements")
    cdef Py_ssize_t index
    advise_huge_pages(elements, nbytes)
    try:
        read_list(operation, values, n, element, elements)
        index = run_with_gil(operation.kernels, element, elements, elements, n, nbytes, policy, threads)
        if index < n:
            # Not from the list, which may hold others by now, or none.
            item = make_list(element, elements + index * element_size(element), 1)[0]
            raise does_not_fit(operation, f"values[{index}]", item, element)
        return make_list(element, elements, n)
    finally:
        PyMem_RawFree(elements)


# ---- for calls in processes, whose memory is passed in
#
# Not as Cython's memoryviews, since a module that uses these imports `collections`.

cdef int get_bytes(object buffer, Py_buffer* found, Py_ssize_t nbytes, int flags) except -1:
    PyObject_GetBuffer(buffer, found, flags)
    if found.len != nbytes:
        there_are = found.len
        PyBuffer_Release(found)
        raise ValueError(f"there is room for {there_are} bytes, and there are {nbytes}")
    return 0

def read(Operation operation not None, values, element, out):
    """read_list into the bytes of `out`; `values` is a non-empty exact list or tuple."""
    cdef Py_buffer elements
    cdef int number = element_from_dtype(element)
    cdef Py_ssize_t n = len(values)
    get_bytes(out, &elements, n * <Py_ssize_t>element_size(number), PyBUF_WRITABLE)
    try:
        read_list(operation, values, n, number, elements.buf)
    finally:
        PyBuffer_Release(&elements)

def read_ints(values, out):
    """The same as int64. Returns False, and raises nothing, if any item is not an exact int that fits."""
    cdef Py_buffer elements
    cdef Py_ssize_t n = PySequence_Fast_GET_SIZE(values)
    cdef Py_ssize_t end, i = 0
    lock = lock_of(values)
    get_bytes(out, &elements, n * <Py_ssize_t>sizeof(int64_t), PyBUF_WRITABLE)
    try:
        while i < n:
            end = end_of_slice(i, n)
            with cython.critical_section(lock):
                i = read_exact_ints(items_of(values, n), <int64_t*>elements.buf, i, end, n)
            if i < end:
                return False
            yield_after_slice(i, n)
        return True
    finally:
        PyBuffer_Release(&elements)

def make(element, values):
    """The bytes of elements, at least one, as a list of Python numbers."""
    cdef Py_buffer elements
    cdef int number = element_from_dtype(element)
    PyObject_GetBuffer(values, &elements, PyBUF_SIMPLE)
    try:
        return make_list(number, elements.buf, elements.len // <Py_ssize_t>element_size(number))
    finally:
        PyBuffer_Release(&elements)
