# The checks of a call's two sides, once for all containers: each container only fills a View.
from cpython.object cimport PyTypeObject
from libc.stdint cimport uintptr_t

from twofold._engine.twofold_engine cimport Operation, Policy, View, run_array_with_gil, run_with_gil

cdef enum:
    MAX_DIMENSIONS = 64  # also the maximum of NumPy

# For a view of foreign memory that is filled except for n and `contiguous`: sets these. Raises an error for sizes,
# strides and an address that no memory can have. `ndim` must be checked before the strides are filled.
cdef int measure(View* view, str name) except -1
cdef int check_dimensions(Py_ssize_t ndim, const void* shape, str name) except -1

# Fills in the strides of C order, in bytes. Does not check for sizes that no memory can have.
cdef void fill_c_strides(const View* view, Py_ssize_t* strides) noexcept nogil

# Raises an error if `out` is read-only, differs from `values` in type or shape, or has elements that share memory; the
# second function does not check the last.
cdef int check_output(const View* out, const View* values) except -1
cdef int check_that_it_fits(const View* out, const View* values) except -1

# Refuses a dtype= that is not the type of `values`, by our name or by its library's.
cdef int check_dtype(dtype, values, int element) except -1

# numpy.ndarray, and the function that runs an operation on an exact one, into `out`, or into a new array if that is
# None. The module `ndarray` sets them when the first NumPy array comes, and `double` reads them: `import twofold` does
# not import NumPy. Threads that may see the first set (load_acquire) can rely on all that was set up before it.
ctypedef object (*array_function)(Operation operation, object values, object out, Policy policy, unsigned int threads)
cdef PyTypeObject* exact_ndarray
cdef array_function run_exact_array

cdef void call_for_arrays(type ndarray, array_function function) noexcept

# The OverflowError for the element with that index, in C order. It names the element as a number of NumPy if an array
# is given, else as a Python number, read from memory.
cdef object overflow_at(Operation operation, size_t index, const View* values, array=*)

cdef size_t run_strided_view(Operation operation, const View* values, const View* out, Policy policy,
                             unsigned int threads) except? 0xFFFFFFFFFFFFFFFF

# Runs an operation from `values` into `out`, which has the same shape and element type and no elements that share
# memory, and releases the GIL if that pays off. If the two overlap, the result is as if `values` were copied first.
# Returns the number of elements, or with RAISE the index, in C order, of the first that does not fit: then `out` is
# unchanged if it shares memory with `values`, and else unspecified.
cdef inline size_t run_view(Operation operation, const View* values, const View* out, Policy policy,
                            unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    cdef size_t nbytes = values.n * values.itemsize
    cdef uintptr_t first = <uintptr_t>values.data, other = <uintptr_t>out.data
    if values.contiguous and out.contiguous and not values.swapped and not out.swapped and (
            first == other or first + nbytes <= other or other + nbytes <= first):
        return run_with_gil(
            operation.kernels, values.element, values.data, out.data, values.n, nbytes, policy, threads)
    return run_strided_view(operation, values, out, policy, threads)

# The same if they are known to share no byte, as with a new `out`.
cdef inline size_t run_new_view(Operation operation, const View* values, const View* out, Policy policy,
                                unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    if values.contiguous and out.contiguous and not values.swapped and not out.swapped:
        return run_with_gil(operation.kernels, values.element, values.data, out.data, values.n,
                            values.n * values.itemsize, policy, threads)
    return run_array_with_gil(operation.kernels, values, out, policy, threads)
