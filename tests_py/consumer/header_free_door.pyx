"""`from twofold cimport ...`: needs no header, and is plain C."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from twofold cimport (
    double_i8, double_u8, double_i16, double_u16, double_i32, double_u32, double_i64, double_u64, double_f16, double_bf16,
    double_f32, double_f64, double_c64, double_c128,
)


def double_by_name(str name, values, out, size_t n):
    """Doubles n elements of contiguous memory with the function for the type `name`, without the GIL. No checks."""
    cdef const unsigned char[::1] source = memoryview(values).cast("B")
    cdef unsigned char[::1] target = memoryview(out).cast("B")
    cdef const void* p = &source[0]
    cdef void* q = &target[0]
    cdef str wanted = name
    if wanted == "int8":
        with nogil: double_i8(<const int8_t*>p, <int8_t*>q, n)
    elif wanted == "uint8":
        with nogil: double_u8(<const uint8_t*>p, <uint8_t*>q, n)
    elif wanted == "int16":
        with nogil: double_i16(<const int16_t*>p, <int16_t*>q, n)
    elif wanted == "uint16":
        with nogil: double_u16(<const uint16_t*>p, <uint16_t*>q, n)
    elif wanted == "int32":
        with nogil: double_i32(<const int32_t*>p, <int32_t*>q, n)
    elif wanted == "uint32":
        with nogil: double_u32(<const uint32_t*>p, <uint32_t*>q, n)
    elif wanted == "int64":
        with nogil: double_i64(<const int64_t*>p, <int64_t*>q, n)
    elif wanted == "uint64":
        with nogil: double_u64(<const uint64_t*>p, <uint64_t*>q, n)
    elif wanted == "float16":
        with nogil: double_f16(<const uint16_t*>p, <uint16_t*>q, n)
    elif wanted == "bfloat16":
        with nogil: double_bf16(<const uint16_t*>p, <uint16_t*>q, n)
    elif wanted == "float32":
        with nogil: double_f32(<const float*>p, <float*>q, n)
    elif wanted == "float64":
        with nogil: double_f64(<const double*>p, <double*>q, n)
    elif wanted == "complex64":
        with nogil: double_c64(<const float complex*>p, <float complex*>q, n)
    elif wanted == "complex128":
        with nogil: double_c128(<const double complex*>p, <double complex*>q, n)
    else:
        raise KeyError(name)


def double_with_the_gil(unsigned int[::1] values):
    """In place, called with the GIL held."""
    double_u32(&values[0], &values[0], values.shape[0])


def double_next(unsigned int[::1] values):
    """An overlap in part: ValueError."""
    with nogil:
        double_u32(&values[0], &values[1], values.shape[0] - 1)
