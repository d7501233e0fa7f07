# What calls are told.
from twofold._engine.twofold_engine cimport Operation, Policy

# Element types, by number and name: "int8", "uint8" and so on.
cdef str element_name(int element)
cdef int element_from_dtype(dtype) except -1

cdef Policy policy_argument(overflow) except *

cdef object does_not_fit(Operation what, str where, value, int element)
