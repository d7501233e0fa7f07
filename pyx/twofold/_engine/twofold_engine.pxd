# The engine, for the other modules of twofold, which are built together with it. This interface may change at any time.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

cdef enum Policy:  # the values of twofold::overflow_policy
    WRAP
    SATURATE
    RAISE

# The kernels of an operation: a twofold_wheel::operation, which is only a pointer here.
cdef extern from *:
    """
    typedef struct twofold_kernels_of_operation twofold_kernels_of_operation;
    """
    ctypedef struct Kernels "twofold_kernels_of_operation":
        pass

# Computes items i to `end` of a list of n as long as they are of Python's built-in types, and returns the index of the
# first that is not. With `finite_only` it also ends at a finite float whose result is infinite.
ctypedef Py_ssize_t (*item_loop)(PyObject** items, PyObject** results, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n,
                                 bint finite_only) except -1

# What a call does to each element. Public functions have one, which containers and pools are handed.
cdef class Operation:
    cdef const Kernels* kernels
    cdef readonly str name  # "module:attribute", by which a worker finds it: see operation_named
    cdef readonly str noun  # what messages call a result: "double"
    cdef readonly str participle  # what messages say was done to values: "doubled"
    # Computes one object by Python's own arithmetic: items of lists, and of arrays of objects.
    cdef object (*of_object)(object item)
    # Faster forms, for list items of Python's built-in types, and for ranges. Null: of_object is called for each item,
    # which is slower.
    cdef item_loop of_plain_items
    cdef object (*of_range)(object values)
    cdef public object function  # the public one
    # The NumPy ufuncs by policy, once NumPy is loaded: see ufunc_loops; their public module, and their docstrings.
    cdef public tuple ufuncs
    cdef public str ufunc_module
    cdef public tuple ufunc_docs

# `kernels` must live for ever. The other fields are null and can be set.
cdef Operation new_operation(const Kernels* kernels, str participle, object (*of_object)(object item))

# The kernels of doubling, which are linked into this module.
cdef const Kernels* kernels_of_doubling() noexcept

# Runs an operation on n contiguous elements, `nbytes` bytes, with or without the GIL. `values` and `out` are the same or
# do not overlap. Returns n, or with RAISE the index of the first element whose result does not fit.
cdef size_t run(const Kernels* kernels, int element, const void* values, void* out, size_t n, size_t nbytes,
                Policy policy, unsigned int threads) except? 0xFFFFFFFFFFFFFFFF nogil

# The same, called with the GIL, which is released if that pays off.
cdef size_t run_with_gil(const Kernels* kernels, int element, const void* values, void* out, size_t n, size_t nbytes,
                         Policy policy, unsigned int threads) except? 0xFFFFFFFFFFFFFFFF

# The same for a user's pointers, by kind and size of an element; integers wrap. If `values` and `out` overlap and are
# not the same, ValueError is raised, and nothing is written.
cdef int run_pointers(const Kernels* kernels, char kind, size_t size, const void* values, void* out,
                      size_t n) except -1 nogil

# One side of a call, whatever its container: view.pxd has the checks of it.
cdef struct View:
    void* data  # the element whose indices are all 0
    const Py_ssize_t* shape  # the container's own, as are the strides
    const Py_ssize_t* strides  # bytes; of any sign, and 0 for an input
    size_t n  # elements
    Py_ssize_t itemsize  # bytes
    int ndim  # at most 64
    int element
    bint contiguous  # in C order
    bint swapped  # not in the byte order of this machine
    bint writable

# The same as `run` for arrays of one shape and element type, which are the same array or share no byte. Returns the
# number of elements, or with RAISE the index, in C order, of the first that does not fit.
cdef size_t run_array(const Kernels* kernels, const View* values, const View* out, Policy policy,
                      unsigned int threads) except? 0xFFFFFFFFFFFFFFFF nogil
cdef size_t run_array_with_gil(const Kernels* kernels, const View* values, const View* out, Policy policy,
                               unsigned int threads) except? 0xFFFFFFFFFFFFFFFF

# Calls body(first, count, user), which may be C of anybody's, for ranges that cover [0, n) once: see cython_api.pxd, also
# for what it returns. `what` identifies the kind of loops whose items take about the same time.
ctypedef int (*range_function)(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil
cdef int run_loop(const void* what, Py_ssize_t n, Py_ssize_t bytes_each, range_function body, void* user,
                  unsigned int threads) except? -1 nogil

# For ufuncs. The limit of threads for a loop that requests `threads` of them, or 0; called with the GIL.
cdef unsigned int threads_for_loop(const void* what, size_t n, size_t bytes_each,
                                   unsigned int threads) except? 0xFFFFFFFF

# The loop, without the GIL, on at most `limit` threads: as many as pay off, unless they are `requested`. Signal handlers,
# which run in between, leave the floating-point flags as they are.
cdef int run_loop_on(const void* what, Py_ssize_t n, Py_ssize_t bytes_each, range_function body, void* user,
                     unsigned int limit, bint requested) except? -1 nogil

# How many bytes doubling processes in the time of such a loop, the largest number if that is not known; and below how
# many no second thread pays off.
cdef size_t bytes_of(const void* what, size_t n, size_t bytes_each) noexcept nogil
cdef size_t bytes_that_pay() noexcept nogil

# `count` items of such a loop have taken so long on one thread; and the clock for that.
cdef void learn_item_cost(const void* what, size_t count, int64_t ns) noexcept nogil
cdef int64_t now_ns() noexcept nogil

# Whether a call that is known to be short should be timed, since its elements may have come to take longer.
cdef bint is_due_for_timing() noexcept nogil

# Takes the limit of threads over from the current context of Python: called with the GIL before a call of `run` without
# it, which is limited by that of its thread.
cdef int follow_context() except -1

# Lets Python's signal handlers run, if this is the main thread and they have not run for some time: called after each
# piece of a call that NumPy has cut. `nbytes` says how much was done.
cdef int see_to_signals_in_time(size_t nbytes) except -1 nogil

# Copies the elements of one array into another one of its shape bit by bit: `swapped` is ignored.
cdef void copy_array(const View* values, const View* out) noexcept nogil

# Whether two arrays of one shape may share some byte without being the same array.
cdef bint views_overlap(const View* a, const View* b) noexcept nogil

# Whether elements of an array may share bytes.
cdef bint overlaps_itself(const View* view) noexcept nogil

# The floating-point flags of this thread, which after a call include those of its helpers.
cdef void clear_float_flags() noexcept nogil
cdef int raised_float_flags() noexcept nogil  # FE_OVERFLOW, FE_INVALID

# Element types by number, as element_types.def counts them.
cdef int find_element_of(char kind, size_t size) noexcept nogil  # -1: there is none
cdef size_t element_size(int element) noexcept nogil  # in bytes
# Sets elements[letter], of 256, for all letters that rows of element_types.def have in that field; to -1 for others.
cdef int fill_by_letter(signed char* elements, str field) except -1

cdef unsigned int threads_argument(threads) except? 0xFFFFFFFF  # in the engine's form: 0 for None
