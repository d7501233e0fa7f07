# Buffers, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Policy

# Doubles what a buffer holds, into `out`, or into a new array or memoryview of the same kind.
cdef object double_buffer(values, out, dtype, Policy policy, unsigned int threads)

# A list, as the elements of `out`, a buffer.
cdef object double_list_into(list values, out, dtype, Policy policy, unsigned int threads)
