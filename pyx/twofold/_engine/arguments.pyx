"""What calls are told: element types by their names, overflow; and what they answer where something does not fit."""
from twofold._engine.messages cimport attribute_if_loaded, short, unlocked_in_child
from twofold._engine.messages import did_you_mean, raise_again_if_callers
from twofold._engine.twofold_engine cimport Operation, Policy, RAISE, SATURATE, WRAP
from twofold._engine.twofold_engine import element_rows


# ---- element types by number and name

cdef tuple names = tuple([row["name"].decode() for row in element_rows()])
cdef dict numbers = unlocked_in_child({name: i for i, name in enumerate(names)})

cdef str element_name(int element):
    return names[element]

def element_types():
    """The names of the element types, in the order of the C++ list: "int8", "uint8" and so on."""
    return list(names)

cdef int element_from_dtype(dtype) except -1:
    """The element that `dtype` names: a name of ours, or whatever numpy.dtype accepts where NumPy is installed."""
    number = numbers.get(dtype) if type(dtype) is str else None
    if number is not None:
        return number
    try:
        # Also where nobody has imported it yet: or the same call would be right or wrong by what others have done.
        numpy_dtype = attribute_if_loaded("numpy", "dtype")
        if numpy_dtype is None:
            from numpy import dtype as numpy_dtype
        found = numpy_dtype(dtype)
        number = numbers.get(found.name if found.isnative else found.str)
    except (ImportError, TypeError) as error:
        raise_again_if_callers(error)
    if number is None:
        raise unknown_dtype(dtype)
    return number

cdef object unknown_dtype(dtype):
    return TypeError(f"dtype {short(dtype)} is not supported; known are {', '.join(names)}{did_you_mean(dtype, names)}")

def dtype_of_numpy(numpy, dtype):
    """numpy.dtype(dtype), or an error that says which ones are known."""
    try:
        return numpy.dtype(dtype)
    except TypeError as error:
        raise_again_if_callers(error)
        raise unknown_dtype(dtype) from None


# ---- overflow

cdef Policy policy_argument(overflow) except *:
    if overflow == "wrap":
        return WRAP
    if overflow == "saturate":
        return SATURATE
    if overflow == "raise":
        return RAISE
    raise ValueError(f"overflow must be 'wrap', 'saturate' or 'raise', not {short(overflow)}")

cdef object does_not_fit(Operation what, str where, value, int element):
    """The error for an item whose result is beyond its type; `where` is the item: "values[3]"."""
    return OverflowError(f"{where} is {value!s}, whose {what.noun} does not fit {names[element]}")
