# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""The NumPy ufuncs: `doubled`, `doubled_saturating` and `doubled_checked`.

Real `numpy.ufunc`s of one input: `out=`, `where=`, `casting=`, `dtype=`, broadcasting and `numpy.errstate` work, and so
do the containers of other libraries that know ufuncs. They pickle by name. This module imports NumPy.

>>> import numpy as np
>>> from twofold.ufuncs import doubled, doubled_saturating
>>> doubled(np.array([1, 2, 200], dtype=np.uint8))
array([  2,   4, 144], dtype=uint8)
>>> doubled_saturating(np.array([1, 2, 200], dtype=np.uint8))
array([  2,   4, 255], dtype=uint8)
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_RawMalloc
from cpython.number cimport PyNumber_Add
from cpython.object cimport PyObject

import sys

import numpy as np

from twofold._core cimport (
    Policy, RAISE, SATURATE, View, WRAP, attribute_if_loaded, element_name, element_size, find_element_of, run, run_array,
    short, type_name,
)

cnp.import_array()
cnp.import_umath()

__all__ = ["doubled", "doubled_checked", "doubled_saturating"]

cdef struct LoopData:
    int element
    Policy policy

cdef int double_piece(char** data, const cnp.npy_intp* shape, const cnp.npy_intp* strides, void* loop_data) except -1 nogil:
    """A one-dimensional piece of the arrays, the whole of them where they are contiguous."""
    cdef LoopData* loop = <LoopData*>loop_data
    cdef size_t n = shape[0]
    cdef Py_ssize_t itemsize = element_size(loop.element)
    cdef View values, out
    cdef size_t index
    if strides[0] == itemsize and strides[1] == itemsize:
        index = run(loop.element, data[0], data[1], n, n * itemsize, loop.policy, 0)
    else:
        values.data, values.shape, values.strides = data[0], <const Py_ssize_t*>shape, <const Py_ssize_t*>&strides[0]
        values.n, values.itemsize, values.ndim, values.element = n, itemsize, 1, loop.element
        values.swapped = False
        out = values
        out.data, out.strides = data[1], <const Py_ssize_t*>&strides[1]
        index = run_array(&values, &out, loop.policy, 0)
    if index < n:
        with gil:
            raise OverflowError(f"an element's double does not fit {element_name(loop.element)}")
    return 0

cdef extern from *:
    """
    static int (*twofold_double_piece)(char**, npy_intp const*, npy_intp const*, void*);
    // A loop of NumPy returns nothing: an exception is left for NumPy, which looks after the loop.
    static void twofold_loop(char** data, npy_intp const* shape, npy_intp const* strides, void* loop) {
        (void)twofold_double_piece(data, shape, strides, loop);
    }
    """
    int (*loop_body "twofold_double_piece")(char**, const cnp.npy_intp*, const cnp.npy_intp*, void*) except -1 nogil
    cnp.PyUFuncGenericFunction array_loop "(PyUFuncGenericFunction)twofold_loop"

loop_body = &double_piece

# ---- bool and timedelta64, which have a say in what types a call is about

cdef extern from *:
    """
    #include <numpy/dtype_api.h>

    // The unit of what comes in is that of what goes out.
    static NPY_CASTING twofold_resolve_unit(
        struct PyArrayMethodObject_tag* method, PyArray_DTypeMeta* const* dtypes, PyArray_Descr* const* given,
        PyArray_Descr** loop, npy_intp* view_offset) {
        (void)method, (void)dtypes, (void)view_offset;
        PyArray_Descr* native = PyArray_DescrNewByteorder(given[0], NPY_NATIVE);
        if (native == NULL) return (NPY_CASTING)-1;
        loop[0] = loop[1] = native;
        Py_INCREF(native);
        return NPY_NO_CASTING;
    }

    static PyObject* twofold_timedelta_ufuncs[3];  // by policy
    static void* twofold_timedelta_loops[3];

    static int twofold_timedelta_loop(PyArrayMethod_Context* context, char* const* data, npy_intp const* shape,
                                      npy_intp const* strides, NpyAuxData* unused) {
        (void)unused;
        int policy = 0;
        while (context->caller != twofold_timedelta_ufuncs[policy] && policy < 2) ++policy;
        return twofold_double_piece((char**)data, shape, strides, twofold_timedelta_loops[policy]);
    }

    static int twofold_add_timedelta_loop(PyObject* ufunc, PyObject* dtype, int policy, void* loop) {
        PyArray_DTypeMeta* dtypes[] = {(PyArray_DTypeMeta*)dtype, (PyArray_DTypeMeta*)dtype};
        PyType_Slot slots[] = {{NPY_METH_resolve_descriptors, (void*)&twofold_resolve_unit},
                               {NPY_METH_strided_loop, (void*)&twofold_timedelta_loop},
                               {0, NULL}};
        PyArrayMethod_Spec spec = {"doubled", 1, 1, NPY_NO_CASTING, NPY_METH_NO_FLOATINGPOINT_ERRORS, dtypes, slots};
        twofold_timedelta_ufuncs[policy] = ufunc;
        twofold_timedelta_loops[policy] = loop;
        return PyUFunc_AddLoopFromSpec(ufunc, &spec);
    }

    // Without a loop for it NumPy would take bool for int8. Refused here, before anything is written.
    static NPY_CASTING twofold_refuse_bool(
        struct PyArrayMethodObject_tag* method, PyArray_DTypeMeta* const* dtypes, PyArray_Descr* const* given,
        PyArray_Descr** loop, npy_intp* view_offset) {
        (void)method, (void)dtypes, (void)given, (void)loop, (void)view_offset;
        PyErr_SetString(PyExc_TypeError, "bool cannot be doubled; convert it to an integer type first");
        return (NPY_CASTING)-1;
    }

    static int twofold_add_bool(PyObject* ufunc, PyObject* dtype) {
        PyArray_DTypeMeta* dtypes[] = {(PyArray_DTypeMeta*)dtype, (PyArray_DTypeMeta*)dtype};
        PyType_Slot slots[] = {{NPY_METH_resolve_descriptors, (void*)&twofold_refuse_bool},
                               {NPY_METH_strided_loop, (void*)&twofold_timedelta_loop},  // there must be one
                               {0, NULL}};
        PyArrayMethod_Spec spec = {"refused", 1, 1, NPY_NO_CASTING, NPY_METH_NO_FLOATINGPOINT_ERRORS, dtypes, slots};
        return PyUFunc_AddLoopFromSpec(ufunc, &spec);
    }
    """
    int add_bool "twofold_add_bool"(object ufunc, object dtype) except -1
    int add_timedelta_loop "twofold_add_timedelta_loop"(object ufunc, object dtype, int policy, void* loop) except -1

cdef object double_object(object item):
    if isinstance(item, (str, bytes, bytearray, list, tuple)):  # whose + joins
        raise TypeError(f"{short(item)} ({type_name(item)}) is no number")
    return PyNumber_Add(item, item)

# ---- how they are made

# In the order in which NumPy looks for a type that others can be cast to.
cdef bytes element_letters = b"bBhHiIlLqQefdgFDG"

cdef enum:
    TYPE_COUNT = 18  # those, and object after them

cdef char types[2 * TYPE_COUNT]

cdef object new_ufunc(str name, Policy policy, str doc):
    # NumPy keeps pointers to these for as long as the ufunc lives, which is for ever.
    cdef cnp.PyUFuncGenericFunction* functions = <cnp.PyUFuncGenericFunction*>PyMem_RawMalloc(
        TYPE_COUNT * sizeof(cnp.PyUFuncGenericFunction))
    cdef void** data = <void**>PyMem_RawMalloc(TYPE_COUNT * sizeof(void*))
    cdef LoopData* loops = <LoopData*>PyMem_RawMalloc((TYPE_COUNT + 1) * sizeof(LoopData))
    if functions is NULL or data is NULL or loops is NULL:
        raise MemoryError
    for i, letter in enumerate(element_letters):
        dtype = np.dtype(chr(letter))
        loops[i].element = find_element_of(ord(dtype.kind), dtype.itemsize)
        loops[i].policy = policy
        functions[i], data[i] = array_loop, &loops[i]
        types[2 * i] = types[2 * i + 1] = dtype.num
    i = TYPE_COUNT - 1
    functions[i], data[i] = <cnp.PyUFuncGenericFunction>cnp.PyUFunc_O_O, <void*>double_object
    types[2 * i] = types[2 * i + 1] = cnp.NPY_OBJECT
    names.extend((name.encode(), doc.encode()))
    ufunc = cnp.PyUFunc_FromFuncAndData(functions, data, types, TYPE_COUNT, 1, 1, cnp.PyUFunc_None, names[-2], names[-1], 0)
    if hasattr(ufunc, "__dict__"):  # of NumPy 2.2 and later: pickle then need not search all modules for it
        ufunc.__module__ = "twofold.ufuncs"
    # Object has no loop data: its place is free for bfloat16, and one more is for timedelta64.
    loops[i].element = find_element_of(c'b', 2)
    loops[i].policy = policy
    for_bfloat16[name] = (<size_t>&loops[i], ufunc)
    loops[TYPE_COUNT].element = find_element_of(c'm', 8)
    loops[TYPE_COUNT].policy = policy
    add_timedelta_loop(ufunc, type(np.dtype("m8")), policy, &loops[TYPE_COUNT])
    add_bool(ufunc, type(np.dtype("?")))
    return ufunc

cdef list names = []  # NumPy keeps pointers to these, too
cdef dict for_bfloat16 = {}

doubled = new_ufunc("doubled", WRAP, """
Doubles every element. Integers wrap modulo 2 to the power of their width, floats follow IEEE 754.

Types: all of NumPy's integers, floats and complex numbers, timedelta64 (NaT stays; overflow raises OverflowError), object
(Python's ``x + x``, for numbers), and the bfloat16 of ml_dtypes.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled
>>> doubled(np.array([1.5, -0.0]))
array([ 3., -0.])
""")

doubled_saturating = new_ufunc("doubled_saturating", SATURATE, """
Doubles every element. Integers are clamped to the limits of their type; all else is as `doubled` has it.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled_saturating
>>> doubled_saturating(np.array([100, -100], dtype=np.int8))
array([ 127, -128], dtype=int8)
""")

doubled_checked = new_ufunc("doubled_checked", RAISE, """
Doubles every element. Raises OverflowError where one does not fit its type, and for floats where a finite one would become
infinite; `out` then holds anything. All else is as `doubled` has it.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled_checked
>>> doubled_checked(np.array([100], dtype=np.int8))
Traceback (most recent call last):
    ...
OverflowError: an element's double does not fit int8
""")


# ---- bfloat16

cdef object known_bfloat16 = None

cpdef bint is_bfloat16(dtype) except -1:
    """Whether a dtype is the bfloat16 of ml_dtypes. If it is, the ufuncs know it from now on."""
    global known_bfloat16
    if known_bfloat16 is None:
        scalar = attribute_if_loaded("ml_dtypes", "bfloat16")
        if scalar is None:
            return False
        found = np.dtype(scalar)
        register_bfloat16(found)
        known_bfloat16 = found
    return dtype == known_bfloat16

cdef int register_bfloat16(dtype) except -1:
    cdef int number = dtype.num
    cdef int numbers[2]
    cdef size_t loop
    numbers[0] = numbers[1] = number
    for loop, ufunc in for_bfloat16.values():
        if cnp.PyUFunc_RegisterLoopForType(ufunc, number, array_loop, numbers, <void*>loop) < 0:
            raise TypeError("NumPy takes no loop for bfloat16")
    return 0

if attribute_if_loaded("ml_dtypes", "bfloat16") is not None:
    is_bfloat16(None)
