"""`from twofold.libtwofold cimport ...`: the C++ templates, compiled in here."""
from libc.stdint cimport uint32_t
from libcpp.vector cimport vector

from twofold.libtwofold cimport double_in_place, double_into, options, register_at_fork, span

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
