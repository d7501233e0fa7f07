# The header-free API for Cython: one function per element type, named after its kind and width in bits.
#
# out[i] = 2 * values[i] for i in [0, n); n counts elements. Integers wrap modulo 2 to the power of their width, floats
# follow IEEE 754; 16-bit floats are given as their bits. `out` may be `values` itself; if the two overlap otherwise,
# ValueError is raised, and nothing is written. Any alignment will do.
#
# Call them with or without the GIL. A large call takes the GIL for a moment, to read how many threads it may use, and
# between slices of some tens of megabytes, to handle signals: KeyboardInterrupt then leaves whole slices doubled.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef int double_i8(const int8_t* values, int8_t* out, size_t n) except -1 nogil
cdef int double_u8(const uint8_t* values, uint8_t* out, size_t n) except -1 nogil
cdef int double_i16(const int16_t* values, int16_t* out, size_t n) except -1 nogil
cdef int double_u16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil
cdef int double_i32(const int32_t* values, int32_t* out, size_t n) except -1 nogil
cdef int double_u32(const uint32_t* values, uint32_t* out, size_t n) except -1 nogil
cdef int double_i64(const int64_t* values, int64_t* out, size_t n) except -1 nogil
cdef int double_u64(const uint64_t* values, uint64_t* out, size_t n) except -1 nogil
cdef int double_f16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil
cdef int double_bf16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil
cdef int double_f32(const float* values, float* out, size_t n) except -1 nogil
cdef int double_f64(const double* values, double* out, size_t n) except -1 nogil
cdef int double_c64(const float complex* values, float complex* out, size_t n) except -1 nogil
cdef int double_c128(const double complex* values, double complex* out, size_t n) except -1 nogil

# parallel_for calls body(first, count, user) for ranges of indices that cover [0, n) once, on as many threads as pay
# off, or on at most `threads`. `bytes_per_item` is what one index reads or writes, whichever is more; how long it takes
# is learnt from the calls before with this body. map_chunks does the same for arrays: it calls body(values, out, count,
# user) with pointers into `values` and `out`, whose items have those sizes in bytes. `out` may be `values` itself, if
# the sizes are the same; if the two overlap otherwise, ValueError is raised, and no body is called.
#
# A body returns 0, or a positive code if it failed. Then ranges behind its own may be left out, those before it never,
# and the code of the first range that failed is returned, else 0. If each body ends at its first item that fails, that
# is the same code for any number of threads. A negative code comes back as INT_MAX. With an exception, -1 is returned.
#
# A body runs on any thread, without the GIL. It raises nothing, and neither forks nor ends its thread. It may sleep,
# take a lock, and call twofold, which then runs on that thread alone. It should not take the GIL. Both functions
# release the GIL if they are called with it.
ctypedef int (*range_body)(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil
ctypedef int (*chunk_body)(const void* values, void* out, Py_ssize_t count, void* user) noexcept nogil

cdef int parallel_for(Py_ssize_t n, Py_ssize_t bytes_per_item, range_body body, void* user,
                      unsigned int threads=*) except? -1 nogil
cdef int map_chunks(const void* values, Py_ssize_t itemsize, void* out, Py_ssize_t out_itemsize, Py_ssize_t n,
                    chunk_body body, void* user, unsigned int threads=*) except? -1 nogil
