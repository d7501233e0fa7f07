# cython: freethreading_compatible=True
"""`from twofold cimport ...`: needs no header, and is plain C."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from twofold cimport (
    double_i8, double_u8, double_i16, double_u16, double_i32, double_u32, double_i64, double_u64, double_f16, double_bf16,
    double_f32, double_f64, double_c64, double_c128, map_chunks, parallel_for,
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


# ---- loops

cdef struct Squares:
    const double* values
    double* squares
    double largest  # of the values that have a square here

cdef int square(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    """The code is the index of the first value that is too large, and 1."""
    cdef Squares* job = <Squares*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        if job.values[i] > job.largest:
            return <int>i + 1
        job.squares[i] = job.values[i] * job.values[i]
    return 0


def squares(const double[::1] values, double[::1] out, double largest, unsigned int threads=0, bint with_gil=False):
    """The code of the loop."""
    cdef int code
    cdef Squares job
    job.values, job.squares, job.largest = &values[0], &out[0], largest
    if with_gil:
        return parallel_for(values.shape[0], sizeof(double), square, &job, threads)
    with nogil:
        code = parallel_for(values.shape[0], sizeof(double), square, &job, threads)
    return code


cdef int to_single(const void* values, void* out, Py_ssize_t count, void* user) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<float*>out)[i] = <float>((<const double*>values)[i] * (<double*>user)[0])
    return 0

cdef int add_one(const void* values, void* out, Py_ssize_t count, void* user) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<double*>out)[i] = (<const double*>values)[i] + 1
    return 0


def scaled_singles(const double[::1] values, float[::1] out, double factor, unsigned int threads=0):
    cdef int code
    with nogil:
        code = map_chunks(
            &values[0], sizeof(double), &out[0], sizeof(float), values.shape[0], to_single, &factor, threads)
    return code


def increment(double[::1] values, Py_ssize_t shift=0):
    """In place; with a shift an overlap in part."""
    cdef int code
    with nogil:
        code = map_chunks(
            &values[0], sizeof(double), &values[shift], sizeof(double), values.shape[0] - shift, add_one, NULL)
    return code


def narrow_in_place(double[::1] values):
    """One address, but other sizes: refused."""
    cdef double factor = 1
    return map_chunks(&values[0], sizeof(double), &values[0], sizeof(float), values.shape[0], to_single, &factor)


def loop_of(Py_ssize_t n, Py_ssize_t bytes_per_item):
    """With items that nobody has."""
    return parallel_for(n, bytes_per_item, square, NULL)


def loop_without_body():
    return parallel_for(3, 8, NULL, NULL)


def chunks_of(Py_ssize_t n, Py_ssize_t itemsize, Py_ssize_t out_itemsize):
    return map_chunks(NULL, itemsize, NULL, out_itemsize, n, to_single, NULL)


cdef int take_gil(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    """What a body had better not do."""
    cdef Py_ssize_t i
    for i in range(first, first + count):
        with gil:
            (<list>user)[i] += 1
    return 0

cdef int fail(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    return -5


def count_with_gil(list counts):
    """Each item of a list, by a body that takes the GIL, called with the GIL."""
    return parallel_for(len(counts), 1 << 20, take_gil, <void*>counts)


def failing():
    return parallel_for(1, 1, fail, NULL)
