from twofold._memory.numpy_api cimport NPY_NTYPES_LEGACY

# By NumPy's number of a type, once there are ufuncs; -1 where the type is not one that our own loops know.
cdef int[NPY_NTYPES_LEGACY] element_of_type

# Whether a dtype is the bfloat16 of ml_dtypes. If it is, the ufuncs know it from now on. Only where they are made.
cdef bint is_bfloat16(dtype) except -1
