# distutils: language = c++
"""The public `double`: passes its argument to the module for that kind of container."""
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.number cimport PyNumber_Add
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_TYPE

from _collections_abc import Sequence  # already loaded by Python itself; `collections.abc` takes longer

from twofold._containers.arrow cimport run_arrow, run_chunks, run_columns
from twofold._containers.buffers cimport run_buffer, run_list_into
from twofold._containers.dlpack cimport run_tensor
from twofold._containers.lists cimport run_fixed_width, run_list
from twofold._containers.view cimport exact_ndarray, run_exact_array
from twofold._memory.published cimport load_acquire
from twofold._engine.arguments cimport element_from_dtype, policy_argument
from twofold._engine.messages cimport attribute_if_loaded, is_instance_of_loaded, type_name
from twofold._engine.messages import unexpected_keyword, what_to_pass
from twofold._engine.twofold_engine cimport (
    Operation, Policy, WRAP, kernels_of_doubling, new_operation, threads_argument,
)

# Imported here, like all of twofold: if a call imported anything, a fork in another thread could leave its child with
# the import lock taken.
from twofold._containers import ufunc_route

cdef extern from "_containers/items.hpp" namespace "twofold_wheel":
    Py_ssize_t double_plain_items(PyObject** items, PyObject** doubled, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n,
                                  bint finite_only) except -1

cdef object double_object(object item):
    return PyNumber_Add(item, item)

cdef object double_range(object values):
    return list(range(2 * values.start, 2 * values.stop, 2 * values.step))

cdef Operation doubling = new_operation(kernels_of_doubling(), "doubled", double_object)
doubling.of_plain_items, doubling.of_range = double_plain_items, double_range


def double(values, /, out=None, *, dtype=None, overflow="wrap", threads=None, where=None, casting=None, order=None,
           subok=None, signature=None):
    """Double every element.

    Parameters
    ----------
    values : list, tuple, range or other sequence of numbers; number; array or buffer
        What to double: see what comes back, below.
    out : writable array or buffer, optional
        Where to put the result: of the shape and element type of `values`. It may be `values` itself, or overlap it. A
        list as `values` is read as the elements of `out`.
    dtype : str or dtype, optional
        The element type to compute in, and of the result. The numbers of a list must be in its range; for a float type
        they are taken as Python floats, and rounded, ties to even. An array is cast as `casting` allows, and `overflow`
        also says what becomes of numbers that the type cannot hold. Without it, a list has Python's own arithmetic,
        which has no limits, and an array its own type.
    overflow : {"wrap", "saturate", "raise"}
        What becomes of an integer whose double its type cannot hold: it wraps modulo 2 to the power of its width, as in
        NumPy; or is clamped to the type's limits; or raises `OverflowError`, which names the first index. Floats become
        infinite, and with "raise" that is an error, too. Elements that are masked, missing or not selected by `where`
        do not count.
    threads : int, optional
        The threads that work on this call, at least 1, if it is long enough for more than one. Without it: as many as
        `twofold.threads_info()` says, or one if more have not paid off in similar calls.
    where, casting, order, subok, signature : optional
        The keywords of NumPy's ufuncs, for arrays. Where one is given, the call is that of the ufunc
        `twofold.ufuncs.doubled`.

    Returns
    -------
    What came in decides:

    - list, tuple, range, another sequence of numbers: a list; a number: a number
    - `numpy.ndarray`: a new one of the same dtype and shape, a NumPy scalar where it has no dimensions
    - a subclass of `numpy.ndarray`, or whatever has `__array_ufunc__` (of pandas, dask, xarray, polars ...): what the
      ufunc `twofold.ufuncs.doubled` makes of it
    - `array.array`: another one; any other buffer: a writable `memoryview` of the same format and shape
    - what has `__dlpack__`, on the CPU (of torch, jax ...), or `__arrow_c_array__` or `__arrow_c_stream__` (of pyarrow
      ...): an array of the same library; missing values stay
    - with `out`: that object

    Raises
    ------
    TypeError
        `values` or one of its items (whose index is named) is no number, or an element type cannot be doubled.
    OverflowError
        An item, whose index is named, does not fit `dtype`; or, with ``overflow="raise"``, its double does not.
    ValueError
        `out` is read-only or of another shape; `threads` is below 1; `overflow` is none of the three.

    In all of these cases nothing has been written, except if ``overflow="raise"`` finds an overflow in an exact array,
    a buffer or a list: then the contents of `out` are unspecified, unless it is `values` or overlaps it; then it is
    unchanged.

    KeyboardInterrupt in a long call leaves `out` partly doubled.

    Examples
    --------
    >>> import twofold
    >>> twofold.double([1, 2, 3, 4, 5])
    [2, 4, 6, 8, 10]
    >>> twofold.double([1, 2**31], dtype="uint32")
    [2, 0]
    >>> twofold.double([1, 2**31], dtype="uint32", overflow="saturate")
    [2, 4294967295]
    >>> from array import array
    >>> x = array("I", [1, 2, 3])
    >>> twofold.double(x, out=x)
    array('I', [2, 4, 6])
    """
    cdef Policy policy = WRAP if overflow is "wrap" else policy_argument(overflow)
    cdef unsigned int max_threads = 0 if threads is None else threads_argument(threads)
    cdef bint is_plain = where is None and casting is None and order is None and subok is None and signature is None
    if Py_TYPE(values) is ndarray_if_known() and is_plain and dtype is None:
        return run_exact_array(doubling, values, out, policy, max_threads)
    cdef dict ufunc_keywords = None
    if not is_plain:
        ufunc_keywords = {name: value for name, value in (
            ("where", where), ("casting", casting), ("order", order), ("subok", subok), ("signature", signature),
        ) if value is not None}
    return run_any(doubling, values, out, dtype, policy, max_threads, ufunc_keywords)


doubling.function = double


# ---- what is said of keywords
#
# Cython's code for arguments is left as it is: only where a call with keywords has failed is its error looked at.

cdef extern from *:
    """
    static vectorcallfunc twofold_unexplained;
    static int (*twofold_explain)(PyObject* error, PyObject* keywords);

    static PyObject* twofold_call_explained(PyObject* self, PyObject* const* values, size_t n, PyObject* keywords) {
        if (keywords == NULL) return twofold_unexplained(self, values, n, NULL);  // a jump
        PyObject* const result = twofold_unexplained(self, values, n, keywords);
        if (result == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyObject *type, *error, *trace;
            PyErr_Fetch(&type, &error, &trace);
            PyErr_NormalizeException(&type, &error, &trace);
            if (twofold_explain(error, keywords) < 0) PyErr_Clear();
            PyErr_Restore(type, error, trace);
        }
        return result;
    }

    static void twofold_explain_calls_of(PyObject* function, int (*explain)(PyObject*, PyObject*)) {
        char* const place = (char*)function + Py_TYPE(function)->tp_vectorcall_offset;
        memcpy(&twofold_unexplained, place, sizeof(twofold_unexplained));
        twofold_explain = explain;
        vectorcallfunc const explained = &twofold_call_explained;
        memcpy(place, &explained, sizeof(explained));
    }
    """
    void explain_calls_of "twofold_explain_calls_of"(object function, int (*explain)(object, object) except -1) noexcept

cdef tuple keywords_of_double = ("out", "dtype", "overflow", "threads", "where", "casting", "order", "subok", "signature")

cdef int advise_on_keywords(object error, object keywords) except -1:
    text = str(error)
    if "unexpected keyword" in text:
        for name in keywords:
            if name not in keywords_of_double:
                error.args = (text + unexpected_keyword("double", name, keywords_of_double),)
                break
    elif "at least 1 positional argument" in text and "values" in keywords:
        error.args = (text + "; values is positional: double(x)",)
    elif "Cannot cast ufunc" in text and not hasattr(error, "__notes__"):  # NumPy's, which has no text that can be changed
        error.add_note('pass casting="unsafe" to have it cast all the same')
    return 0

explain_calls_of(double, advise_on_keywords)


cdef object run_any(Operation operation, values, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords):
    cdef type kind = type(values)
    if kind is list or kind is tuple:
        return run_items(operation, values, out, dtype, policy, threads, ufunc_keywords)
    if kind is int or kind is float or kind is complex:
        return run_number(operation, values, out, dtype, policy, threads, ufunc_keywords)
    if kind is range and out is None and dtype is None and not ufunc_keywords and operation.of_range is not NULL:
        return operation.of_range(values)
    if is_of_numpy(values):
        if not has_begun(operation):
            ufunc_route.begin()
        return ufunc_route.run_of_numpy(operation, values, out, dtype, policy, threads, ufunc_keywords)
    if isinstance(values, (int, float, complex)):
        return run_number(operation, values, out, dtype, policy, threads, ufunc_keywords)
    if kind is not bytes and kind is not bytearray and kind is not memoryview:
        if getattr(kind, "__array_ufunc__", None) is not None:
            if out is None and dtype is None and not ufunc_keywords and may_hold_arrow(kind):
                result = run_columns(operation, values, policy, threads)
                if result is not None:
                    return result
            if not has_begun(operation):
                ufunc_route.begin()
            return ufunc_route.run_by_ufunc(operation, values, out, dtype, policy, threads, ufunc_keywords)
        if hasattr(kind, "__arrow_c_array__") or hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__dlpack__"):
            check_no_keywords(ufunc_keywords, values)
            return run_exchanged(operation, values, out, dtype, policy, threads)
    if PyObject_CheckBuffer(values):
        check_no_keywords(ufunc_keywords, values)
        return run_buffer(operation, values, out, dtype, policy, threads)
    if isinstance(values, (list, tuple)) or isinstance(values, Sequence) and not isinstance(values, str):
        return run_items(operation, list(values), out, dtype, policy, threads, ufunc_keywords)
    if is_instance_of_loaded(values, "numbers", "Number"):  # Decimal, Fraction: as an item of a list
        return run_number(operation, values, out, dtype, policy, threads, ufunc_keywords)
    raise TypeError(f"values must be a list or another sequence of numbers, a number, or an array or buffer, "
                    f"not {type_name(values)}{what_to_pass(values)}")

cdef inline PyTypeObject* ndarray_if_known() noexcept:
    return <PyTypeObject*>load_acquire(<void**>&exact_ndarray)

cdef bint has_begun(Operation operation) noexcept:
    """Whether NumPy has been looked up, also for this operation."""
    return ndarray_if_known() is not NULL and operation.ufuncs is not None

cdef bint is_of_numpy(values) except -1:
    return is_instance_of_loaded(values, "numpy", "ndarray") or is_instance_of_loaded(values, "numpy", "generic")

cdef bint may_hold_arrow(type kind) except -1:
    """Whether it is of a library with columns: pandas marks its classes, and others export Arrow streams."""
    return hasattr(kind, "__pandas_priority__") or hasattr(kind, "__arrow_c_stream__")

cdef int check_no_keywords(dict ufunc_keywords, values) except -1:
    if ufunc_keywords:
        raise TypeError(f"{next(iter(ufunc_keywords))}= goes with arrays of NumPy and what has __array_ufunc__, "
                        f"not with {type_name(values)}")
    return 0

cdef object run_exchanged(Operation operation, values, out, dtype, Policy policy, unsigned int threads):
    """Run on an object with `__arrow_c_array__`, `__arrow_c_stream__` or `__dlpack__`."""
    cdef type kind = type(values)
    if hasattr(kind, "__arrow_c_array__") or hasattr(kind, "__arrow_c_stream__"):
        if out is not None:
            raise TypeError(f"out= does not go with {type_name(values)}: arrays of Arrow are never changed; leave out= away, "
                            "and take what the call returns")
        if hasattr(kind, "__arrow_c_array__"):
            return run_arrow(operation, values, dtype, policy, threads)
        return run_chunks(operation, values, dtype, policy, threads)
    return run_tensor(operation, values, out, dtype, policy, threads)

cdef object run_items(Operation operation, values, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords):
    check_no_keywords(ufunc_keywords, values)
    if out is not None:
        return run_list_into(operation, values if type(values) is list else list(values), out, dtype, policy, threads)
    if dtype is not None:
        return run_fixed_width(operation, values, element_from_dtype(dtype), policy, threads)
    return run_list(operation, values, policy)

cdef object run_number(Operation operation, value, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords):
    check_no_keywords(ufunc_keywords, value)
    if out is not None:
        raise TypeError("out= goes with arrays, buffers and lists, not with a single number")
    if dtype is not None:
        return run_fixed_width(operation, (value,), element_from_dtype(dtype), policy, threads)[0]
    return run_list(operation, (value,), policy)[0]
