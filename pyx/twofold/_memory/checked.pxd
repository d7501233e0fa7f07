# Arithmetic with numbers that other libraries hand over: see checked.h.
from libc.stdint cimport uint64_t

cdef extern from "_memory/checked.h" nogil:
    bint add "twofold_add"(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* sum) noexcept
    bint multiply "twofold_multiply"(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* product) noexcept
    Py_ssize_t product_or_limit "twofold_product_or_limit"(Py_ssize_t a, Py_ssize_t b) noexcept
    void* at "twofold_at"(const void* data, uint64_t nbytes) noexcept
