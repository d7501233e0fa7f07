# A compiled function: where it is, and what it takes.
cimport cython

from twofold._memory.numpy_api cimport npy_intp

cdef extern from "_engine/kernel_loops.h":
    enum:
        MAX_POINTERS "TWOFOLD_MAX_POINTERS"
    ctypedef void (*loop_function "twofold_loop")(char** data, const npy_intp* count, const npy_intp* strides,
                                                  void* function) noexcept nogil
    ctypedef struct Function "twofold_function":
        void* address
        void* user_data
        int tail, returns_code
        int nin, nop
        npy_intp[8] sizes
    int run_on_chunks "twofold_run_on_chunks"(char** data, const npy_intp* count, const npy_intp* strides,
                                              void* function) noexcept nogil

# No cycle is broken here, where a ufunc has pointers to its memory.
@cython.final
@cython.no_gc_clear
cdef class CompiledFunction:
    cdef Function fields
    cdef bytes types  # of NumPy
    cdef loop_function loop  # null of a function on chunks
    cdef str name, signature
    cdef tuple kept  # what the pointers belong to
    cdef object given

cdef CompiledFunction read_function(given, signature, user_data)

# Module and name under which `given` is found; None where it is not.
cdef tuple place_of(given)
