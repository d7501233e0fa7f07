"""The checks of a call's two sides, whatever their containers: whether they fit each other, overlap, overflow."""
from libc.stdint cimport UINTPTR_MAX
from libc.string cimport memcmp, memcpy

from twofold._containers.lists cimport make_list
from twofold._memory.checked cimport add, multiply, product_or_limit
from twofold._memory.published cimport store_release
from twofold._memory.numpy_handler cimport free_memory, new_memory
from twofold._engine.arguments cimport does_not_fit, element_from_dtype, element_name
from twofold._engine.messages cimport short
from twofold._engine.messages import raise_again_if_callers
from twofold._engine.twofold_engine cimport copy_array, overlaps_itself, run_array_with_gil, views_overlap


cdef tuple shape_of(const View* view):
    cdef list shape = []
    for i in range(view.ndim):
        shape.append(view.shape[i])
    return tuple(shape)

cdef int check_dimensions(Py_ssize_t ndim, const void* shape, str name) except -1:
    if ndim < 0 or ndim > MAX_DIMENSIONS:
        raise ValueError(f"{name} has {ndim} dimensions; 0 to {MAX_DIMENSIONS} will do")
    if ndim > 0 and shape is NULL:
        raise BufferError(f"{name} has {ndim} dimensions and does not say of which sizes")
    return 0

cdef int measure(View* view, str name) except -1:
    cdef Py_ssize_t nbytes = view.itemsize, low = 0, high = 0, extent
    cdef bint fits = True, has_elements = True
    cdef int i
    for i in range(view.ndim):
        if view.shape[i] < 0:
            raise ValueError(f"{name} has shape {shape_of(view)}, and no size can be negative")
        has_elements = has_elements and view.shape[i] != 0
    view.n, view.contiguous = 0, True
    if not has_elements:  # then the other sizes and the strides do not matter
        view.swapped = False
        return 0
    if view.data is NULL:
        raise BufferError(f"{name} has elements, but no memory that holds them")
    for i in range(view.ndim - 1, -1, -1):
        view.contiguous = view.contiguous and (view.shape[i] == 1 or view.strides[i] == nbytes)
        fits = fits and multiply(nbytes, view.shape[i], &nbytes) and multiply(view.shape[i] - 1, view.strides[i], &extent)
        fits = fits and (add(low, extent, &low) if extent < 0 else add(high, extent, &high))
    fits = fits and add(high, view.itemsize, &high) and add(high, -(low + 1), &extent)  # +1, since the smallest cannot be negated
    if not fits or <uintptr_t>view.data > UINTPTR_MAX - <uintptr_t>high or <uintptr_t>view.data < -<uintptr_t>low:
        raise ValueError(f"{name} has shape {shape_of(view)}, {view.itemsize} bytes each, and strides with which that is "
                         "more than any memory holds")
    view.n = nbytes // view.itemsize
    return 0

cdef int check_output(const View* out, const View* values) except -1:
    check_that_it_fits(out, values)
    if not out.contiguous and overlaps_itself(out):
        raise ValueError("out has elements that share memory")
    return 0

cdef int check_that_it_fits(const View* out, const View* values) except -1:
    if not out.writable:
        raise ValueError("out is read-only")
    if out.element != values.element:
        raise TypeError(f"out holds {element_name(out.element)}, but values holds {element_name(values.element)}; "
                        "they must be the same")
    if out.ndim != values.ndim or out.ndim > 0 and memcmp(out.shape, values.shape, out.ndim * sizeof(Py_ssize_t)) != 0:
        raise ValueError(f"out has shape {shape_of(out)}, but values has {shape_of(values)}; they must be the same")
    return 0

cdef size_t run_strided_view(Operation operation, const View* values, const View* out, Policy policy,
                             unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    cdef View aside
    cdef Py_ssize_t strides[MAX_DIMENSIONS]
    cdef size_t index
    if not views_overlap(values, out):
        return run_array_with_gil(operation.kernels, values, out, policy, threads)
    # The results are copied, not the values, so nothing is written before all results are known to fit.
    aside = out[0]
    aside.strides = strides
    aside.contiguous = True
    fill_c_strides(&aside, strides)
    aside.data = new_memory(values.n * values.itemsize)
    try:
        index = run_array_with_gil(operation.kernels, values, &aside, policy, threads)
        if index == values.n:
            copy_array(&aside, out)
        return index
    finally:
        free_memory(aside.data)

cdef void fill_c_strides(const View* view, Py_ssize_t* strides) noexcept nogil:
    cdef Py_ssize_t stride = view.itemsize
    cdef int i
    for i in range(view.ndim - 1, -1, -1):
        strides[i] = stride
        stride = product_or_limit(stride, max(view.shape[i], 1))


cdef int check_dtype(dtype, values, int element) except -1:
    """Refuse a dtype= that is not the type of `values`, by our name or by its library's."""
    if dtype is None or dtype is getattr(values, "dtype", None):
        return 0
    try:
        same = element_from_dtype(dtype) == element
    except TypeError as error:
        raise_again_if_callers(error)
        same = False
    if not same:
        raise TypeError(f"values holds {element_name(element)}, and dtype is {short(dtype)}; convert values first")
    return 0


cdef PyTypeObject* exact_ndarray = NULL
cdef array_function run_exact_array = NULL

cdef void call_for_arrays(type ndarray, array_function function) noexcept:
    global exact_ndarray, run_exact_array
    run_exact_array = function
    store_release(<void**>&exact_ndarray, <void*>ndarray)


cdef object overflow_at(Operation operation, size_t index, const View* values, array=None):
    cdef tuple where = index_of(index, values.shape, values.ndim)
    name = f"values[{', '.join(map(str, where))}]" if where else "values"
    item = item_at(where, values) if array is None else array[where]
    return does_not_fit(operation, name, item, values.element)

cdef tuple index_of(size_t index, const Py_ssize_t* shape, int ndim):
    """An index in C order, by dimensions."""
    cdef list where = []
    for i in reversed(range(ndim)):
        where.append(index % shape[i])
        index //= shape[i]
    return tuple(reversed(where))

cdef object item_at(tuple where, const View* values):
    """An element as a Python number, read from memory, since containers may have no uniform access to one."""
    cdef char item[32]
    cdef char swapped[32]
    cdef const char* start = <const char*>values.data
    cdef bint is_complex = element_name(values.element).startswith("complex")
    cdef Py_ssize_t scalar = values.itemsize // (2 if is_complex else 1)
    cdef Py_ssize_t i
    for i, index in enumerate(where):
        start += values.strides[i] * <Py_ssize_t>index
    memcpy(item, start, values.itemsize)
    if values.swapped:
        for i in range(values.itemsize):
            swapped[i] = item[i // scalar * scalar + scalar - 1 - i % scalar]
        memcpy(item, swapped, values.itemsize)
    return make_list(values.element, item, 1)[0]
