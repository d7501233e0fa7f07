# cython: freethreading_compatible=True
"""Another operation than doubling, as a module of somebody else's would have it; a worker of a pool finds it by name."""
from twofold._containers.double cimport run_any
from twofold._engine.twofold_engine cimport Kernels, Operation, Policy, new_operation, threads_argument

cdef extern from *:
    """
    #define TWOFOLD_OPERATION more_operations::halving
    #define TWOFOLD_TABLES halving_kernels
    #define TWOFOLD_OPERATION_VALUE halving_operation
    #define TWOFOLD_OPERATION_NAME "halving:halve"
    #include "_engine/halving_operation.hpp"
    #include "_engine/kernels/define_operation.hpp"
    static twofold_kernels_of_operation const* kernels_of_halving() {
        return reinterpret_cast<twofold_kernels_of_operation const*>(&twofold_wheel::halving_operation);
    }
    """
    const Kernels* kernels_of_halving() noexcept

cdef object halve_object(object item):
    return item >> 1 if isinstance(item, int) else item / 2

cdef Operation halving = new_operation(kernels_of_halving(), "halved", halve_object)


def halve(values, /, out=None, *, dtype=None, overflow="wrap", threads=None, **ufunc_keywords):
    cdef int policy = ("wrap", "saturate", "raise").index(overflow)
    return run_any(halving, values, out, dtype, <Policy>policy, threads_argument(threads), ufunc_keywords or None)


halving.function = halve
