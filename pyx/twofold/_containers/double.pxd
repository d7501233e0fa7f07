# How `ndarray` tells `double` that it is there, once NumPy is.
from twofold._engine.twofold_engine cimport Operation, Policy

# Runs an operation on an exact numpy.ndarray into `out`, or into a new one where that is None.
ctypedef object (*array_function)(Operation operation, object values, object out, Policy policy, unsigned int threads)

cdef void call_for_arrays(type ndarray, array_function run_array) noexcept
