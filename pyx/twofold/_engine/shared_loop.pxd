# One call of a ufunc's loop on the crew of threads, for parallel_ufunc.
from cpython.object cimport PyObject
from libc.stdint cimport uintptr_t

from twofold._memory.numpy_api cimport npy_intp

cdef enum:
    MAX_OPERANDS = 16

ctypedef void (*loop_function)(char** data, const npy_intp* count, const npy_intp* strides,
                               void* context) noexcept nogil

# One that may fail: it returns 0, or a code.
ctypedef int (*code_loop)(char** data, const npy_intp* count, const npy_intp* strides, void* context) noexcept nogil

# A loop, of operands of these types: the inputs, then the outputs.
cdef struct Loop:
    loop_function function
    code_loop returning  # is called instead, unless it is null
    void* context
    uintptr_t identity  # loops that have the same one take about the same time
    signed char[MAX_OPERANDS] types
    const unsigned int* flags  # of the operands, which the ufunc has
    int nin, nop

# What a call consists of. `forced`: elements in an item of the crew's loop, in tests; else 0.
cdef struct Work:
    size_t n
    size_t forced
    size_t grain
    size_t bytes_each  # that an element reads or writes, whichever is more
    const void* kind  # stands for the loop, about whose elements is learnt how long they take
    bint is_timed  # `run` sets has_quick_range if a range has taken less than LONG_NS an element
    int has_quick_range

# NumPy's functions, which must be loaded. Calling it twice is harmless.
cdef int begin(numpy) except -1

# Loops of NumPy compute whole vectors first, and what is left of the elements one by one, where the last bit may be
# another one, or the sign of 0. So ranges begin at multiples of this many elements of a row, which is a multiple of any
# vector, unless there are no vectors.
cdef enum:
    GRAIN = 1024
    LONG_NS = 100
    BYTES_PER_NS = 16  # in which loops are measured: see item_cost.hpp

# The types of NumPy that are numbers.
cdef inline bint is_number(int type_num) noexcept nogil:
    return 0 <= type_num <= 16 or type_num == 23  # from bool to clongdouble, and half

# Operands are arrays, or None for an output that is to be made, or one of Python's numbers for an input.

# How much work a call is; False where it has at most one element, or where shapes do not fit.
cdef bint measure(const Loop* loop, list operands, size_t forced, Work* work) except -1

# From here on, operands are arrays or None.

# Whether a given output shares memory with another operand, other than being the same array, or with itself. NumPy may
# then copy, or count on the order of the elements.
cdef bint may_overlap(const Loop* loop, list operands) except -1

# Whether the loop alone computes what the ufunc does, bit for bit, of the first elements of the operands. How long it
# takes is learnt for that kind of loops.
cdef bint computes_the_same(const Loop* loop, ufunc, list operands, const void* kind) except -1

# What is raised of a code that a loop returned.
cdef object new_code_error(int code)

# The output, or the tuple of them; NotImplemented for what is an error. The code that is raised is that of the first
# elements that failed, for any number of threads, if a loop returns that of the first ones it is given. Flags that are
# raised are left in *errors, as NumPy numbers them.
cdef object run(const Loop* loop, list operands, int order, Work* work, unsigned int limit, bint requested,
                int* errors)
