# Checked arithmetic with numbers from other libraries: see checked.h.
from libc.stdint cimport uint64_t, uintptr_t

cdef extern from "_memory/checked.h" nogil:
    bint add "twofold_add"(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* sum) noexcept
    bint multiply "twofold_multiply"(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* product) noexcept
    Py_ssize_t product_or_limit "twofold_product_or_limit"(Py_ssize_t a, Py_ssize_t b) noexcept
    void* at "twofold_at"(const void* data, uint64_t nbytes) noexcept

cdef extern from "_memory/checked.h":
    void* pointer_of "twofold_pointer_of"(object capsule) noexcept

cdef enum:
    CACHE_LINE = 64  # bytes; Arrow recommends this alignment, too

cdef inline void* aligned(void* address) noexcept nogil:
    return <void*>((<uintptr_t>address + CACHE_LINE - 1) & ~<uintptr_t>(CACHE_LINE - 1))
