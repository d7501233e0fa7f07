# New arrays of NumPy, whose memory is recycled where they are large: see recycled_memory.hpp.
from twofold._engine.numpy_api cimport Descr, npy_intp

# Before the first array: finds NumPy, which is imported. Twice does no harm.
cdef int begin() except -1

# An exact array of that dtype, not filled. `strides` in bytes as NumPy would lay the shape out in some order; null for
# C's order.
cdef object new_array(Descr* descr, Py_ssize_t itemsize, int ndim, const npy_intp* shape, const npy_intp* strides)

# An exact array of the dtype and shape of another one, laid out as NumPy's order="K" has it, not filled. `nbytes` is
# the size of either.
cdef object new_like(object values, size_t nbytes)
