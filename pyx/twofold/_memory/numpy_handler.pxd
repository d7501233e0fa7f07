# Memory for results, and new arrays of NumPy in it: that of large ones is recycled, see recycled_memory.hpp.

# Before the first array: finds NumPy, which is imported. Twice does no harm.
cdef int begin() except -1

# An exact array of the dtype and shape of another one, laid out as NumPy's order="K" has it, not filled. `nbytes` is
# the size of either.
cdef object new_like(object values, size_t nbytes)

# The memory itself, aligned to 64 bytes and not filled.
cdef void* new_memory(size_t nbytes) except NULL
cdef void free_memory(void* block) noexcept nogil  # from any thread; null is none

cdef bint recycling_is_on() noexcept nogil
cdef size_t recycling_cap() noexcept nogil
