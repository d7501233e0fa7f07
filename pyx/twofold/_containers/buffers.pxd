# Buffers, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Operation, Policy

# Runs an operation on what a buffer holds, into `out`, or into a new array or memoryview of the same kind.
cdef object run_buffer(Operation operation, values, out, dtype, Policy policy, unsigned int threads)

# A list, as the elements of `out`, a buffer.
cdef object run_list_into(Operation operation, list values, out, dtype, Policy policy, unsigned int threads)
