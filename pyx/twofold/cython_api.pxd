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
