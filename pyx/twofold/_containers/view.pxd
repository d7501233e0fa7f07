# What is asked of a call's two sides, once for all containers: each only fills a View.
from cpython.object cimport PyTypeObject
from libc.stdint cimport uintptr_t

from twofold._engine.twofold_engine cimport Operation, Policy, View, run_array_with_gil, run_with_gil

cdef enum:
    MAX_DIMENSIONS = 64  # of arrays of NumPy, too

# For a view from outside, all of which is filled but n and whether it is contiguous: fills these. Of errors: sizes,
# strides and an address that no memory can have. Its `ndim` has to be checked before its strides are filled.
cdef int measure(View* view, str name) except -1
cdef int check_dimensions(Py_ssize_t ndim, const void* shape, str name) except -1

# Strides in C's order, in bytes. Nothing is said of sizes that no memory can have.
cdef void fill_c_strides(const View* view, Py_ssize_t* strides) noexcept nogil

# Of errors: an `out` that is read-only, not of the type and shape of `values`, or of which elements share memory; the
# second function leaves out the last.
cdef int check_output(const View* out, const View* values) except -1
cdef int check_that_it_fits(const View* out, const View* values) except -1

# Refuses a dtype= that is not the type of `values`, whether it is named in our way or in that of its library.
cdef int check_dtype(dtype, values, int element) except -1

# numpy.ndarray and what runs an operation on an exact one, into `out`, or into a new one where that is None: once the
# first array of NumPy has come. `ndarray` says so, and `double` looks. `import twofold` does not import NumPy.
ctypedef object (*array_function)(Operation operation, object values, object out, Policy policy, unsigned int threads)
cdef PyTypeObject* exact_ndarray
cdef array_function run_exact_array

cdef void call_for_arrays(type ndarray, array_function function) noexcept

# The OverflowError for the element with that index, in C order. An array of NumPy has numbers of its own for it; of all
# else it is one of Python, read from memory.
cdef object overflow_at(Operation operation, size_t index, const View* values, array=*)

cdef size_t run_strided_view(Operation operation, const View* values, const View* out, Policy policy,
                             unsigned int threads) except? 0xFFFFFFFFFFFFFFFF

# Runs an operation from `values` into `out`, which has its shape and element type and of which no elements share memory,
# and lets others have the GIL where that pays. If the two overlap, as if `values` were copied first. Returns the number of
# elements, or with RAISE the index, in C order, of the first that does not fit: then `out` is as it was if it shares
# memory with `values`, and else unspecified.
cdef inline size_t run_view(Operation operation, const View* values, const View* out, Policy policy,
                            unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    cdef size_t nbytes = values.n * values.itemsize
    cdef uintptr_t first = <uintptr_t>values.data, other = <uintptr_t>out.data
    if values.contiguous and out.contiguous and not values.swapped and not out.swapped and (
            first == other or first + nbytes <= other or other + nbytes <= first):
        return run_with_gil(
            operation.kernels, values.element, values.data, out.data, values.n, nbytes, policy, threads)
    return run_strided_view(operation, values, out, policy, threads)

# The same where it is known that they share no byte, as a new `out` does not.
cdef inline size_t run_new_view(Operation operation, const View* values, const View* out, Policy policy,
                                unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    if values.contiguous and out.contiguous and not values.swapped and not out.swapped:
        return run_with_gil(operation.kernels, values.element, values.data, out.data, values.n,
                            values.n * values.itemsize, policy, threads)
    return run_array_with_gil(operation.kernels, values, out, policy, threads)
