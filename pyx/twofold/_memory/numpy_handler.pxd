# Memory for results, and new NumPy arrays in it: memory of large ones is recycled, see recycled_memory.hpp.

# Must be called before the first array: looks up NumPy. Calling it twice is harmless.
cdef int begin() except -1

# A new exact array of the dtype and shape of another one, in the layout of NumPy's order="K", not filled. `nbytes` is
# the size of either.
cdef object new_like(object values, size_t nbytes)

# New memory, aligned to 64 bytes and not filled.
cdef void* new_memory(size_t nbytes) except NULL
cdef void free_memory(void* block) noexcept nogil  # from any thread; null is ignored

cdef bint recycling_is_on() except -1
cdef size_t recycling_cap() noexcept nogil
