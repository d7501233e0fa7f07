# Memory that processes share: see segment.hpp.
cimport cython

cdef extern from "_processes/segment.hpp" namespace "twofold_segments" nogil:
    cdef struct identity:
        pass
    cdef struct segment:
        char* payload
        size_t bytes
        identity id
        int descriptor
        bint is_zero
        bint is_owner

@cython.final
cdef class Segment:
    cdef segment held
    cdef object __weakref__
    cdef readonly bytes token  # identifies this memory with these contents
    # `nbytes` bytes, aligned to a page.
    cdef char* payload
    cdef readonly size_t nbytes
