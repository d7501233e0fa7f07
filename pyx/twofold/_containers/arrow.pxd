# Arrays of Arrow, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Operation, Policy

# Run an operation on what has `__arrow_c_array__`, and on what has `__arrow_c_stream__`. Results are arrays of the same
# library; missing values stay.
cdef object run_arrow(Operation operation, values, dtype, Policy policy, unsigned int threads)
cdef object run_chunks(Operation operation, values, dtype, Policy policy, unsigned int threads)

# The same for columns that Arrow has the memory of, although their library knows ufuncs. None for all else.
cdef object run_columns(Operation operation, values, Policy policy, unsigned int threads)
