# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""NumPy arrays, by NumPy's C API, looked up when the first one comes: `import twofold` does not import NumPy."""
cimport cython
from cpython.object cimport PyObject

from twofold._engine import ufunc_loops
from twofold._memory.numpy_handler import find_numpy
from twofold._engine.arguments import dtype_of_numpy
from twofold._engine.messages import raise_again_if_callers, refused_output
from twofold._engine.twofold_engine import element_rows
from twofold._containers.view cimport call_for_arrays, check_that_it_fits, overflow_at, run_new_view, run_view
from twofold._memory.numpy_api cimport (
    Descr, NPY_NTYPES_LEGACY, PyArray_Check, PyArray_DATA, PyArray_DESCR, PyArray_DIMS, PyArray_EquivTypes,
    PyArray_IS_C_CONTIGUOUS, PyArray_ISNOTSWAPPED, PyArray_ISWRITEABLE, PyArray_ITEMSIZE, PyArray_NDIM, PyArray_STRIDES,
    PyArray_ToScalar, check_is_array, descr_of, dtype_of, find_functions,
)
from twofold._engine.messages cimport attribute_if_loaded, unlocked_in_child
from twofold._engine.twofold_engine cimport (
    Operation, Policy, View, clear_float_flags, find_element_of, overlaps_itself, raised_float_flags,
)
from twofold._engine.ufunc_loops cimport element_of_type, is_bfloat16
from twofold._memory cimport numpy_handler
from twofold._memory.numpy_handler cimport new_like

cdef extern from "<fenv.h>":
    int FE_INVALID
    int FE_OVERFLOW

# Set when the first array comes, by the first thread that has them.
cdef object np = None

def begin():
    """With NumPy imported: look up what calls need of it, and have `double` call this module.

    Nothing is imported in a call, and no lock is held: a child that is forked in the middle of this starts over, and
    threads that do this at the same time find the same.
    """
    global np, overflowing, signalling
    numpy = find_numpy()
    find_functions()
    numpy_handler.begin()
    ufunc_loops.begin()
    for element, row in enumerate(element_rows()):
        may_raise_flags[element] = row["raises_flags"]
    too_large = numpy.array([1.7976931348623157e308])
    signalling_nan = numpy.array([0x7FF4000000000000], numpy.uint64).view(numpy.float64)
    with cython.critical_section(plain_classes):
        if np is None:
            np, overflowing, signalling = numpy, too_large, signalling_nan
    plain_classes.update((np.ndarray, np.memmap))
    call_for_arrays(np.ndarray, run_ndarray)


# ---- element types

cdef int timedelta64 = find_element_of(c'm', 8)

cdef int element_of(const Descr* descr) except -2:
    """The element of a dtype; -1 if it is none of ours."""
    if 0 <= descr.type_num < <int>NPY_NTYPES_LEGACY:  # -1: a user-defined type of the newer kind
        return element_of_type[descr.type_num]
    if is_bfloat16(<object><PyObject*>descr):
        return find_element_of(c'b', 2)
    return -1


# ---- exact arrays

cdef inline void fill_view(View* view, object array, int element) noexcept:
    cdef size_t n = 1
    cdef int i
    view.data = PyArray_DATA(array)
    view.shape = <const Py_ssize_t*>PyArray_DIMS(array)
    view.strides = <const Py_ssize_t*>PyArray_STRIDES(array)
    view.itemsize = PyArray_ITEMSIZE(array)
    view.ndim = PyArray_NDIM(array)
    for i in range(PyArray_NDIM(array)):
        n *= view.shape[i]
    view.n = n
    view.element = element
    view.contiguous = PyArray_IS_C_CONTIGUOUS(array)
    view.swapped = not PyArray_ISNOTSWAPPED(array)
    view.writable = PyArray_ISWRITEABLE(array)

cdef inline void fill_new_view(View* view, object array, const View* model) noexcept:
    """The same for a new result of the type and shape of `model`, in fewer steps."""
    view.data = PyArray_DATA(array)
    view.strides = <const Py_ssize_t*>PyArray_STRIDES(array)
    view.contiguous = model.contiguous or PyArray_IS_C_CONTIGUOUS(array)
    view.shape, view.n, view.itemsize, view.ndim = model.shape, model.n, model.itemsize, model.ndim
    view.element, view.swapped, view.writable = model.element, model.swapped, True

cdef object as_array(Operation operation, out):
    """`out`, an array or a buffer, as an array."""
    if PyArray_Check(out):
        return out
    try:
        return np.asarray(memoryview(out))
    except TypeError as error:
        raise_again_if_callers(error)
        raise refused_output(out, operation.function.__name__) from None

cdef object as_output(Operation operation, out, object values, const View* source, View* target):
    """`out` as an array, checked to be one that can hold the results of `values`."""
    cdef object array = as_array(operation, out)
    fill_view(target, array, element_of(PyArray_DESCR(array)))
    if target.writable and (source.element < 0 or target.element < 0 or target.element == timedelta64):
        check_same_type(array, values)  # only NumPy knows the type's name, and the unit
    check_that_it_fits(target, source)
    return array

cdef int check_same_type(object out, object values) except -1:
    if not PyArray_EquivTypes(native(out), native(values)):
        raise TypeError(f"out holds {out.dtype}, but values holds {values.dtype}; they must be the same")
    return 0

cdef inline object native(object array):
    dtype = dtype_of(array)
    return dtype if PyArray_ISNOTSWAPPED(array) else dtype.newbyteorder("=")

cdef object run_ndarray(Operation operation, object values, object out_, Policy policy, unsigned int threads):
    cdef int element = element_of(PyArray_DESCR(values))
    if element < 0:
        return run_objects(operation, values, out_, policy)
    cdef View source, target
    cdef size_t index
    fill_view(&source, values, element)
    if may_raise_flags[element]:
        clear_float_flags()
    if out_ is None:
        out = new_like(values, source.n * source.itemsize)
        fill_new_view(&target, out, &source)
        index = run_new_view(operation, &source, &target, policy, threads)
    elif out_ is values and source.writable and source.contiguous:
        index = run_view(operation, &source, &source, policy, threads)
    else:
        out = as_output(operation, out_, values, &source, &target)
        if not target.contiguous and overlaps_itself(&target):
            # As in NumPy: each element is computed once.
            np.copyto(out, run_ndarray(operation, values, None, policy, threads))
            return out_
        index = run_view(operation, &source, &target, policy, threads)
    if index < source.n:
        raise overflow_at(operation, index, &source, values)
    if may_raise_flags[element] and raised_float_flags():
        report_float_flags(raised_float_flags(), operation.ufuncs[policy])
    if out_ is None:
        return out if source.ndim else PyArray_ToScalar(PyArray_DATA(out), out)
    return out_

# ---- floating-point flags, which numpy.errstate handles

cdef bint may_raise_flags[64]  # by element

cdef object overflowing = None  # arrays of one number
cdef object signalling = None

cpdef int report_float_flags(int flags, ufunc) except -1:
    """Report flags through NumPy: by a ufunc call that raises the same flags."""
    if flags & FE_OVERFLOW:
        ufunc(overflowing)
    if flags & FE_INVALID:
        ufunc(signalling)
    return 0


# ---- other NumPy types: see ufunc_route

plain_classes = unlocked_in_child(set())  # classes that add no meaning to the elements

def cannot_fail(values, dtype, ufunc_keywords):
    """Whether an array or a scalar goes to the ufunc, and no number of its type can fail: results wrap."""
    if not is_wrapped(values.dtype) or is_masked(values):
        return False
    if dtype is not None:
        wanted = dtype_of_numpy(np, dtype)
        if not is_wrapped(wanted) or not ufunc_keywords and wanted == values.dtype:
            return False
    elif not ufunc_keywords:
        return type(values) not in plain_classes
    return not ufunc_keywords or "signature" not in ufunc_keywords

def is_masked(values):
    """Whether it is numpy.ma.masked; if that module is not loaded, it cannot be."""
    return values is not None and values is attribute_if_loaded("numpy.ma.core", "masked")

cdef bint is_wrapped(dtype) except -1:
    cdef int number = descr_of(dtype).type_num
    return 0 <= number < <int>NPY_NTYPES_LEGACY and element_of_type[number] not in (-1, timedelta64)

cdef object run_objects = None  # set by ufunc_route, which imports this module

def call_for_other_dtypes(function):
    """Set the function for exact arrays of types without loops of ours."""
    global run_objects
    run_objects = function

def run_exact(Operation operation not None, values, out, Policy policy, unsigned int threads):
    """Run on an exact array, or on one of which only the memory counts."""
    check_is_array(values)
    return run_ndarray(operation, values, out, policy, threads)

def check_out(Operation operation not None, out, values):
    """`out` as an array, checked to be one that can hold the results of `values`."""
    cdef View source, target
    check_is_array(values)
    fill_view(&source, values, element_of(PyArray_DESCR(values)))
    return as_output(operation, out, values, &source, &target)

def has_element(dtype):
    """Whether our own loops support the type."""
    return element_of(descr_of(dtype)) >= 0
