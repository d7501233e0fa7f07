"""The door for `cimport`. Its functions and its name are compiled into modules of others, so both are frozen."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from twofold._engine.twofold_engine cimport Kernels, kernels_of_doubling, run_pointers

cdef const Kernels* kernels = kernels_of_doubling()

cdef int double_i8(const int8_t* values, int8_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'i', 1, values, out, n)

cdef int double_u8(const uint8_t* values, uint8_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'u', 1, values, out, n)

cdef int double_i16(const int16_t* values, int16_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'i', 2, values, out, n)

cdef int double_u16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'u', 2, values, out, n)

cdef int double_i32(const int32_t* values, int32_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'i', 4, values, out, n)

cdef int double_u32(const uint32_t* values, uint32_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'u', 4, values, out, n)

cdef int double_i64(const int64_t* values, int64_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'i', 8, values, out, n)

cdef int double_u64(const uint64_t* values, uint64_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'u', 8, values, out, n)

cdef int double_f16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'f', 2, values, out, n)

cdef int double_bf16(const uint16_t* values, uint16_t* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'b', 2, values, out, n)

cdef int double_f32(const float* values, float* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'f', 4, values, out, n)

cdef int double_f64(const double* values, double* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'f', 8, values, out, n)

cdef int double_c64(const float complex* values, float complex* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'c', 8, values, out, n)

cdef int double_c128(const double complex* values, double complex* out, size_t n) except -1 nogil:
    return run_pointers(kernels, c'c', 16, values, out, n)
