# Arrays of Arrow, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Operation, Policy

# Run an operation on what has `__arrow_c_array__`, and on what has `__arrow_c_stream__`. Results are arrays of the same
# library; missing values stay.
cdef object run_arrow(Operation operation, values, dtype, Policy policy, unsigned int threads)
cdef object run_chunks(Operation operation, values, dtype, Policy policy, unsigned int threads)

cdef bint is_polars_series(type kind) except -1
