# Tensors, for the other modules of twofold.
from twofold._engine.twofold_engine cimport Operation, Policy

# Runs an operation on what has `__dlpack__`, into `out`, or into a new tensor of the same library.
cdef object run_tensor(Operation operation, values, out, dtype, Policy policy, unsigned int threads)
