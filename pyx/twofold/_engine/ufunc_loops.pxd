# Whether a dtype is the bfloat16 of ml_dtypes. If it is, the ufuncs know it from now on. Only where they are made.
cdef bint is_bfloat16(dtype) except -1
