# cython: freethreading_compatible=True
"""`from twofold.libtwofold cimport ...`: the C++ templates, compiled in here."""
from libc.stdint cimport int64_t, uint32_t
from libcpp.optional cimport optional
from libcpp.vector cimport vector

from twofold.libtwofold cimport (
    array_view, double_array, double_in_place, double_into, double_strided, endian, first_overflow, loop_body, options,
    parallel_for, raise_overflow, register_at_fork, span, transform, transform_reduce, transform_reduce_two,
    transform_three, transform_two, view_of,
)

register_at_fork()


def double_vector(list values):
    cdef vector[uint32_t] source = values
    cdef vector[uint32_t] target = vector[uint32_t](source.size())
    with nogil:
        double_into(source, target)
        double_in_place(source)
    return target, source


def double_memory(const uint32_t[::1] values, uint32_t[::1] out, unsigned int threads):
    cdef options how
    how.threads = threads
    with nogil:
        double_into(
            span[uint32_t](<uint32_t*>&values[0], values.shape[0]), span[uint32_t](&out[0], out.shape[0]), how
        )


def double_into_too_short(list values):
    cdef vector[double] source = values
    cdef vector[double] target
    double_into(source, target)


def double_transposed(const uint32_t[:, :] values, uint32_t[:, :] out, bint checked=False):
    """Into columns what comes from rows."""
    cdef uint32_t[:, :] columns = out.T
    cdef options how
    if checked:
        how.overflow = raise_overflow
    with nogil:
        double_array[uint32_t](
            view_of(&values[0, 0], values.shape, values.strides, 2),
            view_of(&columns[0, 0], columns.shape, columns.strides, 2),
            how,
        )


def double_big_endian(const int64_t[::1] values, int64_t[::1] out):
    cdef array_view[const int64_t] source = view_of(&values[0], values.shape, values.strides, 1)
    cdef array_view[int64_t] target = view_of(&out[0], out.shape, out.strides, 1)
    source.byte_order = target.byte_order = endian.big
    with nogil:
        double_array[int64_t](source, target)


def double_every_other(uint32_t[::1] values):
    with nogil:
        double_strided(&values[0], 2, &values[0], 2, (values.shape[0] + 1) // 2)


def where_it_overflows(list values):
    cdef vector[uint32_t] elements = values
    cdef optional[size_t] index = first_overflow(elements)
    return index.value() if index.has_value() else None


cdef extern from * nogil:
    """
    struct times_three {
        auto operator()(auto x) const noexcept { return x * 3u; }
    };
    """
    cdef cppclass times_three:
        times_three() noexcept


def triple(list values, unsigned int threads):
    cdef vector[uint32_t] source = values
    cdef vector[uint32_t] target = vector[uint32_t](source.size())
    cdef options how
    how.threads = threads
    with nogil:
        transform(source, target, times_three(), how)
        transform(source, source, times_three())
    return target, source


cdef extern from * nogil:
    """
    struct sum_of_two {
        auto operator()(auto x, auto y) const noexcept { return x + y; }
    };
    struct product_of_two {
        auto operator()(auto x, auto y) const noexcept { return x * y; }
    };
    struct product_and_sum {
        auto operator()(auto x, auto y, auto z) const noexcept { return x * y + z; }
    };
    struct the_same {
        auto operator()(auto x) const noexcept { return x; }
    };
    """
    cdef cppclass sum_of_two:
        sum_of_two() noexcept
    cdef cppclass product_of_two:
        product_of_two() noexcept
    cdef cppclass product_and_sum:
        product_and_sum() noexcept
    cdef cppclass the_same:
        the_same() noexcept


def of_several_inputs(list values, list others, unsigned int threads):
    """The sums, x * y + x of each, the sum of the first, and that of the products."""
    cdef vector[double] x = values, y = others
    cdef vector[double] sums = vector[double](x.size()), fused = vector[double](x.size())
    cdef double total, product
    cdef options how
    how.threads = threads
    with nogil:
        transform_two(x, y, sums, sum_of_two())
        transform_two(x, y, sums, sum_of_two(), how)
        transform_three(x, y, x, fused, product_and_sum())
        transform_three(x, y, x, fused, product_and_sum(), how)
        total = transform_reduce(x, <double>0, sum_of_two(), the_same())
        if total != transform_reduce(x, <double>0, sum_of_two(), the_same(), how):
            total = -1
        product = transform_reduce_two(x, y, <double>0, sum_of_two(), product_of_two())
        if product != transform_reduce_two(x, y, <double>0, sum_of_two(), product_of_two(), how):
            product = -1
    return sums, fused, total, product


def reduce_unequal():
    cdef vector[double] x = [1, 2], y = [1]
    return transform_reduce_two(x, y, <double>0, sum_of_two(), product_of_two())


cdef struct Squares:
    double* values
    double largest  # of those that have a square here

cdef int square(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef Squares* job = <Squares*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        if job.values[i] > job.largest:
            return <int>i + 1
        job.values[i] *= job.values[i]
    return 0


def square_in_place(double[::1] values, double largest, unsigned int threads):
    """The code of the loop, whose body is a function of Cython's."""
    cdef Squares job
    cdef options how
    job.values, job.largest = &values[0], largest
    cdef loop_body body = loop_body(square, &job)
    how.threads = threads
    cdef int code
    with nogil:
        code = parallel_for(values.shape[0], sizeof(double), body, how)
    return code


cdef extern from * nogil:
    """
    struct count_up {
        unsigned* counts;
        int operator()(std::size_t first, std::size_t count) const noexcept {
            for (std::size_t i = first; i < first + count; ++i) ++counts[i];
            return 0;
        }
    };
    """
    cdef cppclass count_up:
        unsigned int* counts


def loop_of_a_negative_number():
    cdef count_up body
    body.counts = NULL
    return parallel_for(<size_t>-1, 4, body)


def count(unsigned int[::1] counts):
    """With a body that is written in C++."""
    cdef count_up body
    body.counts = &counts[0]
    return parallel_for(counts.shape[0], 4, body)
