# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_1_22_API_VERSION
"""New NumPy arrays, whose memory is recycled if they are large.

NumPy asks the current memory handler (NEP 49) for an array's memory, and later uses the same handler to resize or free
it. So ours is set only during an allocation, and does not affect other arrays.
"""
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF
from libc.string cimport strcpy

from twofold._memory.numpy_api cimport (
    Descr, PyArray_DATA, PyArray_DESCR, PyArray_DIMS, PyArray_IS_C_CONTIGUOUS, PyArray_ITEMSIZE, PyArray_NBYTES,
    PyArray_NDIM, PyArray_SIZE, PyArray_STRIDES, check_is_array, find_functions, new_exact_array,
    npy_intp,
)
from twofold._memory.published cimport load_acquire, store_release

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void* ctx
        void* (*malloc)(void* ctx, size_t size) noexcept nogil
        void* (*calloc)(void* ctx, size_t count, size_t size) noexcept nogil
        void* (*realloc)(void* ctx, void* block, size_t size) noexcept nogil
        void (*free)(void* ctx, void* block, size_t size) noexcept nogil

    ctypedef struct PyDataMem_Handler:
        char[127] name
        unsigned char version
        PyDataMemAllocator allocator

    object PyDataMem_SetHandler(object handler)
    object PyDataMem_GetHandler()
    PyObject* PyDataMem_DefaultHandler

cdef extern from "_memory/os_environ.hpp" namespace "twofold_memory":
    int use_os_environ() except -1

cdef extern from "_memory/recycled_memory.hpp" namespace "twofold_memory" nogil:
    const size_t recycled_bytes
    void* allocate(size_t nbytes) noexcept
    void* allocate_zeros(size_t count, size_t nbytes) noexcept
    void* reallocate(void* block, size_t nbytes) noexcept
    void release(void* block) noexcept
    bint is_on_or_invalid() except +
    size_t cap() noexcept
    size_t kept_bytes() noexcept
    size_t release_kept() noexcept


use_os_environ()


# ---- NumPy, for all modules that need it; or an error that says which NumPy is needed, and which was found

NEEDED = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"

def find_numpy():
    """The module `numpy`, which is imported if it has not been.

    If it has been, this takes no import lock.
    """
    try:
        numpy = __import__("numpy")  # Cython's import statement would accept None in sys.modules
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise ImportError(f"{NEEDED}, and none is installed", name="numpy") from None
    version = getattr(numpy, "__version__", "")
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < 2:
        found = f"NumPy {version or '(no version)'} ({getattr(numpy, '__file__', None)})"
        raise ImportError(f"{NEEDED}, and found is {found}", name="numpy")
    return numpy


# ---- memory, for other modules

cdef void* new_memory(size_t nbytes) except NULL:
    is_on_or_invalid()  # reads the environment once, with the GIL
    cdef void* block = allocate(nbytes)
    if block is NULL:
        raise MemoryError(f"{nbytes} bytes for the result")
    return block

cdef void free_memory(void* block) noexcept nogil:
    release(block)

cdef bint recycling_is_on() except -1:
    return is_on_or_invalid()

cdef size_t recycling_cap() noexcept nogil:
    return cap()



# ---- the handler: the four functions as NumPy calls them

cdef void* handler_malloc(void* ctx, size_t size) noexcept nogil:
    return allocate(size)

cdef void* handler_calloc(void* ctx, size_t count, size_t size) noexcept nogil:
    return allocate_zeros(count, size)

cdef void* handler_realloc(void* ctx, void* block, size_t size) noexcept nogil:
    return reallocate(block, size)

cdef void handler_free(void* ctx, void* block, size_t size) noexcept nogil:
    release(block)

# Never destroyed, since some arrays outlive everything else.
cdef PyDataMem_Handler recycling
strcpy(recycling.name, b"twofold_recycled_memory")
recycling.version = 1
recycling.allocator.ctx = NULL
recycling.allocator.malloc = handler_malloc
recycling.allocator.calloc = handler_calloc
recycling.allocator.realloc = handler_realloc
recycling.allocator.free = handler_free

cdef object handler = PyCapsule_New(&recycling, "mem_handler", NULL)


# ---- arrays

cdef void* found = NULL  # not null: NumPy's functions have been looked up

cdef int begin() except -1:
    if load_acquire(&found) is NULL:
        find_numpy()  # its error is clearer
        find_functions()
        store_release(&found, &recycling)
    return 0

cdef enum:
    MAX_DIMENSIONS = 64  # of an array of NumPy

cdef void fill_strides_like(object values, npy_intp* strides) noexcept:
    """The strides of a ufunc's new result: contiguous, with the dimensions in the order that they have in `values`.

    PyArray_NewLikeArray differs for broadcast values: it makes dimensions of stride 0 the innermost.
    """
    cdef const npy_intp* shape = PyArray_DIMS(values)
    cdef int ndim = PyArray_NDIM(values)
    cdef int axes[MAX_DIMENSIONS]  # from the innermost
    cdef int known, i, position
    cdef npy_intp own, other
    cdef npy_intp nbytes = PyArray_ITEMSIZE(values)
    for known in range(ndim):
        own = stride_or_none(values, ndim - 1 - known)
        position = known
        for i in range(known - 1, -1, -1):
            other = stride_or_none(values, axes[i])
            if own and other:
                if other <= own:
                    break
                position = i
        for i in range(known, position, -1):
            axes[i] = axes[i - 1]
        axes[position] = ndim - 1 - known
    for i in range(ndim):
        strides[axes[i]] = nbytes
        nbytes *= shape[axes[i]]

cdef inline npy_intp stride_or_none(object values, int axis) noexcept:
    """The stride's absolute value; 0, which says nothing about the order, if the dimension has at most one element."""
    cdef npy_intp stride = PyArray_STRIDES(values)[axis] if PyArray_DIMS(values)[axis] > 1 else 0
    return stride if stride >= 0 else -stride

cdef object like_from_numpy(object values):
    cdef npy_intp strides[MAX_DIMENSIONS]
    cdef const npy_intp* layout = NULL
    if not PyArray_IS_C_CONTIGUOUS(values):
        fill_strides_like(values, strides)
        layout = strides
    cdef Descr* descr = PyArray_DESCR(values)
    Py_INCREF(<object><PyObject*>descr)  # which the call takes over
    return new_exact_array(descr, PyArray_NDIM(values), PyArray_DIMS(values), layout)

cdef object new_like(object values, size_t nbytes):
    # A program that has set a handler of its own wants that.
    if nbytes < recycled_bytes or not is_on_or_invalid() or PyDataMem_GetHandler() is not <object>PyDataMem_DefaultHandler:
        return like_from_numpy(values)
    before = PyDataMem_SetHandler(handler)
    try:
        return like_from_numpy(values)
    finally:
        PyDataMem_SetHandler(before)

def empty_like(values):
    """As `numpy.empty_like(values, subok=False)`, with memory that is recycled.

    For broadcast values the layout differs: it is that of a ufunc's result.
    """
    begin()
    check_is_array(values)
    return new_like(values, PyArray_NBYTES(values))


def extent_of(array):
    """Three addresses: of the element at index 0, of the first byte, and of the byte behind the last one.

    In Python's ints, which do not overflow; and not from `__array_interface__`, in which NumPy crashes if memory is
    short.
    """
    begin()
    check_is_array(array)
    data = first = end = <size_t>PyArray_DATA(array)
    cdef int i
    for i in range(PyArray_NDIM(array) if PyArray_SIZE(array) else 0):
        last, stride = PyArray_DIMS(array)[i] - 1, PyArray_STRIDES(array)[i]
        if stride < 0:
            first += last * stride
        else:
            end += last * stride
    return data, first, end + PyArray_ITEMSIZE(array) if PyArray_SIZE(array) else end


# ---- what is kept

def release_memory():
    """Give it back to the system. Returns how many bytes that were."""
    return release_kept()

def recycled_memory():
    """What is kept for later results.

    Returns
    -------
    dict
        `on`: whether memory is recycled, which the environment variable `TWOFOLD_RECYCLE_MEMORY=0` turns off; `bytes`:
        how much is kept right now; `cap`: the maximum.

    Examples
    --------
    >>> from twofold._memory.numpy_handler import recycled_memory
    >>> sorted(recycled_memory())
    ['bytes', 'cap', 'on']
    """
    on = bool(is_on_or_invalid())
    return {"on": on, "bytes": kept_bytes(), "cap": cap() if on else 0}
