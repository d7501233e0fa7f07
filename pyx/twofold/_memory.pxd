# New arrays of NumPy, whose memory is recycled where they are large: see _recycling/recycled_memory.hpp.
cimport numpy as cnp

# An exact array of that dtype, not filled. `strides` in bytes as NumPy would lay the shape out in some order; null for
# C's order.
cdef cnp.ndarray new_array(cnp.dtype descr, int ndim, const cnp.npy_intp* shape, const cnp.npy_intp* strides)

# An exact array of the dtype and shape of another one, laid out as NumPy's order="K" has it, not filled. `nbytes` is
# the size of either.
cdef cnp.ndarray new_like(cnp.ndarray values, size_t nbytes)
