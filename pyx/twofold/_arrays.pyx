# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""Arrays of NumPy, by its C API. Imported when the first one comes, so that `import twofold` does not import NumPy."""
cimport numpy as cnp

import numpy as np

from twofold cimport _double
from twofold._core cimport (
    Policy, RAISE, SATURATE, WRAP, View, clear_float_flags, exchange_thread_limit, find_element_of, overlaps_itself,
    raised_float_flags, type_name,
)
from twofold._lists cimport double_list
from twofold._memory cimport new_like
from twofold._view cimport check_output, overflow_at, run_view
from twofold import ufuncs

cnp.import_array()

cdef extern from "<fenv.h>":
    int FE_INVALID
    int FE_OVERFLOW

cdef type ndarray = np.ndarray

# ---- element types

# By type number of NumPy; -1 where the type is not one that our own loops know.
cdef int element_of_type[cnp.NPY_NTYPES_LEGACY]

cdef int fill_element_of_type() except -1:
    cdef int number
    for number in range(<int>cnp.NPY_NTYPES_LEGACY):
        element_of_type[number] = -1
    for letter in "bhilqBHILQefdgFDGm":
        dtype = np.dtype(letter)
        kind = dtype.kind
        element_of_type[dtype.num] = find_element_of(ord(kind), dtype.itemsize)
    return 0

fill_element_of_type()

cdef int timedelta64 = find_element_of(c'm', 8)

cdef int element_of(cnp.dtype descr) except -2:
    """The element of a dtype; -1 where it is none of ours."""
    if descr.type_num < <int>cnp.NPY_NTYPES_LEGACY:
        return element_of_type[descr.type_num]
    if ufuncs.is_bfloat16(descr):
        return find_element_of(c'b', 2)
    return -1


# ---- exact arrays

cdef inline void fill_view(View* view, cnp.ndarray array, int element) noexcept:
    cdef int i
    view.data = cnp.PyArray_DATA(array)
    view.shape = <const Py_ssize_t*>cnp.PyArray_DIMS(array)
    view.strides = <const Py_ssize_t*>cnp.PyArray_STRIDES(array)
    view.itemsize = cnp.PyArray_ITEMSIZE(array)
    view.ndim = cnp.PyArray_NDIM(array)
    view.n = 1
    for i in range(view.ndim):
        view.n *= view.shape[i]
    view.element = element
    view.contiguous = cnp.PyArray_IS_C_CONTIGUOUS(array)
    view.swapped = not cnp.PyArray_ISNOTSWAPPED(array)
    view.writable = cnp.PyArray_ISWRITEABLE(array)

cdef cnp.ndarray as_array(out):
    """`out`, an array or a buffer, as an array."""
    if cnp.PyArray_Check(out):
        return out
    try:
        return np.asarray(memoryview(out))
    except TypeError:
        raise TypeError(f"out must be a writable array or buffer, not {type_name(out)}") from None

cdef cnp.ndarray as_output(out, cnp.ndarray values, const View* source, View* target):
    """`out` as an array, checked to be one that takes the doubles of `values`."""
    cdef cnp.ndarray array = as_array(out)
    fill_view(target, array, element_of(<cnp.dtype>cnp.PyArray_DESCR(array)))
    if target.writable and (source.element < 0 or target.element < 0 or target.element == timedelta64):
        check_same_type(array, values)  # of which only NumPy knows the name, and the unit
    check_output(target, source)
    return array

cdef int check_same_type(cnp.ndarray out, cnp.ndarray values) except -1:
    if not cnp.PyArray_EquivTypes(native(out), native(values)):
        raise TypeError(f"out holds {out.dtype}, but values holds {values.dtype}; they must be the same")
    return 0

cdef inline cnp.dtype native(cnp.ndarray array):
    cdef cnp.dtype descr = <cnp.dtype>cnp.PyArray_DESCR(array)
    return descr if cnp.PyArray_ISNOTSWAPPED(array) else descr.newbyteorder("=")

cdef object double_ndarray(object values_, object out_, Policy policy, unsigned int threads):
    cdef cnp.ndarray values = values_
    cdef cnp.ndarray out
    cdef int element = element_of(<cnp.dtype>cnp.PyArray_DESCR(values))
    if element < 0:
        return double_other_dtype(values, out_, policy, threads)
    cdef View source, target
    cdef size_t index
    fill_view(&source, values, element)
    if may_raise_flags[element]:
        clear_float_flags()
    if out_ is None:
        out = new_like(values, source.n * source.itemsize)
        fill_view(&target, out, element)
    else:
        out = as_output(out_, values, &source, &target)
        if not target.contiguous and overlaps_itself(&target):
            # As NumPy has it: each is doubled once.
            np.copyto(out, double_ndarray(values, None, policy, threads))
            return out_
    index = run_view(&source, &target, policy, threads)
    if index < source.n:
        raise overflow_at(index, &source, values)
    if may_raise_flags[element] and raised_float_flags():
        report_float_flags(raised_float_flags(), policy)
    if out_ is None:
        return out if target.ndim else cnp.PyArray_ToScalar(target.data, out)
    return out_

# ---- floating-point flags, which numpy.errstate says what to do with

cdef bint may_raise_flags[64]  # by element

for dtype in map(np.dtype, "efdgFDG"):
    may_raise_flags[find_element_of(ord(dtype.kind), dtype.itemsize)] = True
del dtype
may_raise_flags[find_element_of(c'b', 2)] = True

cdef object overflowing = np.array([np.finfo(np.float64).max])
cdef object signalling = np.array([0x7FF4000000000000], np.uint64).view(np.float64)

cdef int report_float_flags(int flags, Policy policy) except -1:
    """Leaves it to NumPy: to a ufunc call that raises the same flags."""
    if flags & FE_OVERFLOW:
        ufunc_for(policy)(overflowing)
    if flags & FE_INVALID:
        ufunc_for(policy)(signalling)
    return 0

cdef object ufunc_for(Policy policy):
    return ufuncs.doubled if policy == WRAP else ufuncs.doubled_saturating if policy == SATURATE else ufuncs.doubled_checked


# ---- whatever else NumPy has

def double_of_numpy(values, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords):
    """An array of any class, or a scalar, of NumPy."""
    if isinstance(values, np.generic) and not isinstance(values, np.object_) and element_of(values.dtype) < 0:
        raise TypeError(f"values is a {type_name(values)}, which cannot be doubled")
    if isinstance(values, np.ndarray) and is_plain_class(type(values)) and not ufunc_keywords and (
            dtype is None or np.dtype(dtype) == values.dtype) and (
            out is None or is_plain_class(type(out)) or not hasattr(type(out), "__array_ufunc__")):
        return double_ndarray(values, out, policy, threads)
    return double_by_ufunc(values, out, dtype, policy, threads, ufunc_keywords)

cdef set plain_classes = {np.ndarray, np.memmap}

cdef bint is_plain_class(kind) except -1:
    """Whether an array's class gives its elements no meaning of its own."""
    return kind in plain_classes

def take_for_plain(kind):
    """Make a subclass of ndarray one that `double` takes for what its memory is; results are exact arrays."""
    plain_classes.add(kind)

def double_by_ufunc(values, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords):
    """Whatever has `__array_ufunc__`. `threads` then is a limit for all that this thread does meanwhile."""
    keywords = dict(ufunc_keywords or ())
    if out is not None:
        keywords["out"] = out
    if dtype is not None:
        keywords["dtype"] = dtype
    cdef unsigned int before = exchange_thread_limit(threads) if threads else 0
    try:
        if policy == RAISE and isinstance(values, np.ma.MaskedArray):
            result = double_unmasked(values, keywords)
        else:
            result = ufunc_for(policy)(values, **keywords)
        return result if out is None or isinstance(out, tuple) else out  # pandas would return another one
    except OverflowError:
        if hasattr(type(values), "isna") and hasattr(type(values), "mask") and not keywords:
            return double_known(values, policy)
        raise
    finally:
        if threads:
            exchange_thread_limit(before)

cdef object double_unmasked(values, dict keywords):
    """A masked array of NumPy. What stands under the mask does not count."""
    if "out" not in keywords:
        keywords["out"] = values.copy()
    keywords.setdefault("where", ~np.ma.getmaskarray(values))
    return ufuncs.doubled_checked(values, **keywords)

cdef object double_known(values, Policy policy):
    """A Series or DataFrame of pandas. What stands where values are missing does not count."""
    missing = values.isna()
    return ufunc_for(policy)(values.fillna(0)).mask(missing)

cdef object double_other_dtype(values, out, Policy policy, unsigned int threads):
    """An exact array of a dtype without loops of ours: of objects, which are doubled as those of a list are."""
    if values.dtype != object:
        raise TypeError(f"values holds {values.dtype}, which cannot be doubled")
    cdef cnp.ndarray target = None
    cdef View source, other
    if out is not None:
        fill_view(&source, values, -1)
        target = as_output(out, values, &source, &other)
    try:
        doubled = double_list(values.ravel().tolist(), policy)
    except (TypeError, OverflowError) as error:
        if values.ndim == 1:
            raise
        raise type(error)(str(error).replace("values[", "values.flat[", 1)) from None
    result = np.empty_like(values) if out is None else target
    result[...] = np.fromiter(doubled, object, len(doubled)).reshape(values.shape)
    return out if out is not None else result if values.ndim else result[()]


_double.call_for_arrays(np.ndarray, double_ndarray)
