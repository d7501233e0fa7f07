"""Which way of exchange is for an array of another library, and columns that have one beside their ufuncs."""
from twofold._containers.arrow cimport is_polars_series, run_arrow, run_chunks
from twofold._containers.dlpack cimport run_tensor
from twofold._engine.messages cimport is_instance_of_loaded, type_name
from twofold._engine.twofold_engine cimport Operation, Policy


cdef object run_exchanged(Operation operation, values, out, dtype, Policy policy, unsigned int threads):
    """What has `__arrow_c_array__`, `__arrow_c_stream__` or `__dlpack__`."""
    cdef type kind = type(values)
    if hasattr(kind, "__arrow_c_array__") or hasattr(kind, "__arrow_c_stream__"):
        if out is not None:
            raise TypeError(f"out= does not go with {type_name(values)}: arrays of Arrow are never changed")
        if hasattr(kind, "__arrow_c_array__"):
            return run_arrow(operation, values, dtype, policy, threads)
        return run_chunks(operation, values, dtype, policy, threads)
    return run_tensor(operation, values, out, dtype, policy, threads)

cdef object run_columns(Operation operation, values, Policy policy, unsigned int threads):
    """Columns that Arrow has the memory of, although their library knows ufuncs: for those it would go through floats, or
    through Python objects, and takes dates for numbers. None for all else.
    """
    if is_polars_series(type(values)):
        return run_chunks(operation, values, None, policy, threads)
    return run_arrow_backed(operation, values, policy, threads) if is_arrow_dtype(getattr(values, "dtype", None)) else None

cdef bint is_arrow_dtype(dtype) except -1:
    return hasattr(dtype, "pyarrow_dtype")  # of pandas.ArrowDtype

cdef object run_arrow_backed(Operation operation, values, Policy policy, unsigned int threads):
    """An array of pandas that Arrow has the memory of, or a Series or an Index of it."""
    array = getattr(values, "array", values)
    result = type(array)(run_chunks(operation, array.__arrow_array__(), None, policy, threads))
    if array is values:
        return result
    if is_instance_of_loaded(values, "pandas", "Series"):
        return values._constructor(result, index=values.index, name=values.name).__finalize__(values)
    return values._constructor(result, name=values.name)
