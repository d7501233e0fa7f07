# Arrays of other libraries, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Operation, Policy

# Runs an operation on what has `__arrow_c_array__`, `__arrow_c_stream__` or `__dlpack__`.
cdef object run_exchanged(Operation operation, values, out, dtype, Policy policy, unsigned int threads)

# The same for columns that Arrow has the memory of, although their library knows ufuncs. None for all else.
cdef object run_columns(Operation operation, values, Policy policy, unsigned int threads)
