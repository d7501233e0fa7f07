"""The door for `cimport`. Its functions and its name are compiled into modules of others, so both are frozen."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

from twofold._engine.twofold_engine cimport Kernels, kernels_of_doubling, run_loop, run_pointers

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


# ---- loops

cdef int check(bint has_body, Py_ssize_t n, Py_ssize_t first_size, Py_ssize_t second_size) except -1 nogil:
    if has_body and n >= 0 and first_size >= 0 and second_size >= 0:
        return 0
    with gil:
        if not has_body:
            raise ValueError("the body is NULL")
        if n < 0:
            raise ValueError(f"n must be at least 0, not {n}")
        raise ValueError(f"an item must have at least 0 bytes, not {min(first_size, second_size)}")

cdef int parallel_for(Py_ssize_t n, Py_ssize_t bytes_per_item, range_body body, void* user,
                      unsigned int threads=0) except? -1 nogil:
    check(body is not NULL, n, bytes_per_item, 0)
    return run_loop(<const void*>body, n, bytes_per_item, body, user, threads)

cdef struct Chunks:
    const char* values
    Py_ssize_t itemsize
    char* out
    Py_ssize_t out_itemsize
    chunk_body body
    void* user

cdef int run_chunk(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef const Chunks* chunks = <const Chunks*>user
    return chunks.body(
        chunks.values + first * chunks.itemsize, chunks.out + first * chunks.out_itemsize, count, chunks.user)

cdef int check_arrays(const Chunks* chunks, Py_ssize_t n) except -1 nogil:
    if n > PY_SSIZE_T_MAX // max(chunks.itemsize, chunks.out_itemsize, 1):
        raise ValueError("values or out has more bytes than there can be")
    cdef size_t nbytes = n * chunks.itemsize
    cdef size_t out_nbytes = n * chunks.out_itemsize
    cdef bint is_in_place = chunks.values == chunks.out and nbytes == out_nbytes
    if (nbytes > 0 and chunks.values is NULL) or (out_nbytes > 0 and chunks.out is NULL):
        raise ValueError("values or out is NULL, but its items have bytes")
    if not is_in_place and chunks.values < chunks.out + out_nbytes and chunks.out < chunks.values + nbytes:
        raise ValueError("values and out overlap without being the same array")
    return 0

cdef int map_chunks(const void* values, Py_ssize_t itemsize, void* out, Py_ssize_t out_itemsize, Py_ssize_t n,
                    chunk_body body, void* user, unsigned int threads=0) except? -1 nogil:
    cdef Chunks chunks
    check(body is not NULL, n, itemsize, out_itemsize)
    chunks.values, chunks.itemsize, chunks.out, chunks.out_itemsize = <const char*>values, itemsize, <char*>out, out_itemsize
    chunks.body, chunks.user = body, user
    check_arrays(&chunks, n)
    return run_loop(<const void*>body, n, max(itemsize, out_itemsize), run_chunk, &chunks, threads)
