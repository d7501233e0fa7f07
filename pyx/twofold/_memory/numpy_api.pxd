# NumPy's C API, without the classes that Cython's own numpy.pxd imports from NumPy when a module is loaded: so modules
# that use it can be loaded with twofold, which does not import NumPy. Arrays and dtypes are plain objects; the caller
# checks their types.
from cpython.object cimport PyObject

cdef extern from *:
    """
    #include <numpy/arrayobject.h>
    #define TWOFOLD_ARRAY(array) ((PyArrayObject*)(array))
    #define TWOFOLD_DATA(array) PyArray_DATA(TWOFOLD_ARRAY(array))
    #define TWOFOLD_DESCR(array) PyArray_DESCR(TWOFOLD_ARRAY(array))
    #define TWOFOLD_DIMS(array) PyArray_DIMS(TWOFOLD_ARRAY(array))
    #define TWOFOLD_EQUIV_TYPES(a, b) PyArray_EquivTypes((PyArray_Descr*)(a), (PyArray_Descr*)(b))
    #define TWOFOLD_ITEMSIZE(array) PyArray_ITEMSIZE(TWOFOLD_ARRAY(array))
    #define TWOFOLD_NBYTES(array) PyArray_NBYTES(TWOFOLD_ARRAY(array))
    #define TWOFOLD_NDIM(array) PyArray_NDIM(TWOFOLD_ARRAY(array))
    #define TWOFOLD_SIZE(array) PyArray_SIZE(TWOFOLD_ARRAY(array))
    #define TWOFOLD_STRIDES(array) PyArray_STRIDES(TWOFOLD_ARRAY(array))
    #define TWOFOLD_IS_C_CONTIGUOUS(array) PyArray_IS_C_CONTIGUOUS(TWOFOLD_ARRAY(array))
    #define TWOFOLD_ISNOTSWAPPED(array) PyArray_ISNOTSWAPPED(TWOFOLD_ARRAY(array))
    #define TWOFOLD_ISWRITEABLE(array) PyArray_ISWRITEABLE(TWOFOLD_ARRAY(array))
    #define TWOFOLD_TO_SCALAR(data, array) PyArray_ToScalar(data, TWOFOLD_ARRAY(array))
    #define TWOFOLD_NEW_ARRAY(descr, ndim, shape, strides) \
        PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr*)(descr), ndim, shape, strides, NULL, 0, NULL)
    """
    # Looks up the functions of NumPy, which must be imported, for the calling module; must be called before any other
    # of these. Calling it twice is harmless.
    int find_functions "_import_array"() except -1

    ctypedef Py_ssize_t npy_intp
    ctypedef struct Descr "PyArray_Descr":
        int type_num
    enum:
        NPY_NTYPES_LEGACY

    bint PyArray_Check(object) noexcept
    bint PyArray_DescrCheck(object) noexcept
    void* PyArray_DATA "TWOFOLD_DATA"(object array) noexcept
    Descr* PyArray_DESCR "TWOFOLD_DESCR"(object array) noexcept
    npy_intp* PyArray_DIMS "TWOFOLD_DIMS"(object array) noexcept
    bint PyArray_EquivTypes "TWOFOLD_EQUIV_TYPES"(object dtype, object other) noexcept
    npy_intp PyArray_ITEMSIZE "TWOFOLD_ITEMSIZE"(object array) noexcept
    npy_intp PyArray_NBYTES "TWOFOLD_NBYTES"(object array) noexcept
    int PyArray_NDIM "TWOFOLD_NDIM"(object array) noexcept
    npy_intp PyArray_SIZE "TWOFOLD_SIZE"(object array) noexcept
    npy_intp* PyArray_STRIDES "TWOFOLD_STRIDES"(object array) noexcept
    bint PyArray_IS_C_CONTIGUOUS "TWOFOLD_IS_C_CONTIGUOUS"(object array) noexcept
    bint PyArray_ISNOTSWAPPED "TWOFOLD_ISNOTSWAPPED"(object array) noexcept
    bint PyArray_ISWRITEABLE "TWOFOLD_ISWRITEABLE"(object array) noexcept
    object PyArray_ToScalar "TWOFOLD_TO_SCALAR"(void* data, object array)
    # A new exact array; steals a reference to `descr`.
    object new_exact_array "TWOFOLD_NEW_ARRAY"(Descr* descr, int ndim, const npy_intp* shape, const npy_intp* strides)

cdef inline int check_is_array(object value) except -1:
    if not PyArray_Check(value):
        raise TypeError(f"a numpy.ndarray is wanted, not {type(value).__name__}")
    return 0

# Checks what an array gives as its dtype, which a subclass may set to anything.
cdef inline Descr* descr_of(object dtype) except NULL:
    if not PyArray_DescrCheck(dtype):
        raise TypeError(f"a numpy.dtype is wanted, not {type(dtype).__name__}")
    return <Descr*><PyObject*>dtype

cdef inline object dtype_of(object array):
    return <object><PyObject*>PyArray_DESCR(array)
