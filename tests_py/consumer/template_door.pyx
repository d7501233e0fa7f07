"""`from twofold.libtwofold cimport ...`: the C++ templates, compiled in here."""
from libc.stdint cimport int64_t, uint32_t
from libcpp.optional cimport optional
from libcpp.vector cimport vector

from twofold.libtwofold cimport (
    array_view, double_array, double_in_place, double_into, double_strided, endian, first_overflow, options,
    raise_overflow, register_at_fork, span, transform, view_of,
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
