# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""The loops of ufuncs, and the NumPy ufuncs of an operation: one for each policy.

They are made when NumPy is loaded, which `import twofold` does not import. Their loops are of NumPy's newer kind, which
return whether they have failed; `types` lists only loops of the older kind, and is empty.
"""
cimport cython
from cpython.mem cimport PyMem_RawMalloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from twofold._memory.numpy_handler import find_numpy
from twofold._engine.twofold_engine import all_operations, element_rows
from twofold._memory.numpy_api cimport Descr, NPY_NTYPES_LEGACY, find_functions, npy_intp
from twofold._memory.published cimport load_acquire, push
from twofold._engine.arguments cimport element_name
from twofold._engine.messages cimport attribute_if_loaded, instead_of_item, is_instance_of_loaded, short, type_name
from twofold._engine.messages cimport unlocked_in_child
from twofold._engine.messages import what_to_convert
from twofold._engine.twofold_engine cimport (
    Kernels, Operation, Policy, RAISE, View, WRAP, copy_array, element_size, find_element_of, follow_context, run, run_array,
    see_to_signals_in_time, views_overlap,
)

cdef extern from *:
    """
    #include <numpy/ufuncobject.h>
    #include <numpy/dtype_api.h>

    // Without legacy loops; add_loop adds loops later.
    static PyObject* twofold_new_ufunc(const char* name, const char* doc) {
        return PyUFunc_FromFuncAndData(NULL, NULL, NULL, 0, 1, 1, PyUFunc_None, name, doc, 0);
    }

    // `resolve` may be null: then a result has the input's type.
    static int twofold_add_loop(PyObject* ufunc, PyObject* dtype, void* loop, void* resolve, int flags) {
        PyArray_DTypeMeta* dtypes[] = {(PyArray_DTypeMeta*)dtype, (PyArray_DTypeMeta*)dtype};
        PyType_Slot slots[] = {{NPY_METH_strided_loop, loop},
                               {NPY_METH_unaligned_strided_loop, loop},
                               {resolve != NULL ? NPY_METH_resolve_descriptors : 0, resolve},
                               {0, NULL}};
        PyArrayMethod_Spec spec = {"twofold", 1, 1, NPY_NO_CASTING, (NPY_ARRAYMETHOD_FLAGS)flags, dtypes, slots};
        if (flags & NPY_METH_REQUIRES_PYAPI) slots[1].slot = 0;  // pointers to objects are aligned
        return PyUFunc_AddLoopFromSpec(ufunc, &spec);
    }

    static int twofold_add_promoter(PyObject* ufunc, void* promote) {
        PyObject* any = PyTuple_Pack(2, Py_None, Py_None);
        PyObject* promoter = PyCapsule_New(promote, "numpy._ufunc_promoter", NULL);
        int failed = any == NULL || promoter == NULL ? -1 : PyUFunc_AddPromoter(ufunc, any, promoter);
        Py_XDECREF(any);
        Py_XDECREF(promoter);
        return failed;
    }

    static PyObject* twofold_native(PyObject* dtype) {
        PyArray_Descr* descr = (PyArray_Descr*)dtype;
        if (!PyArray_ISNBO(descr->byteorder)) return (PyObject*)PyArray_DescrNewByteorder(descr, NPY_NATIVE);
        Py_INCREF(dtype);
        return dtype;
    }
    """
    int find_ufunc_functions "_import_umath"() except -1
    object new_bare_ufunc "twofold_new_ufunc"(const char* name, const char* doc)
    int add_loop "twofold_add_loop"(object ufunc, object dtype, void* loop, void* resolve, int flags) except -1
    int add_promoter "twofold_add_promoter"(object ufunc, void* promote) except -1
    object native "twofold_native"(PyObject* dtype)
    object dtype_of_number "(PyObject*)PyArray_DescrFromType"(int number)
    int NO_CASTING "NPY_NO_CASTING"

    ctypedef struct Context "PyArrayMethod_Context":
        PyObject* caller
        Descr** descriptors

    int REQUIRES_PYAPI "NPY_METH_REQUIRES_PYAPI"
    int NO_FLOATINGPOINT_ERRORS "NPY_METH_NO_FLOATINGPOINT_ERRORS"
    int SUPPORTS_UNALIGNED "NPY_METH_SUPPORTS_UNALIGNED"


# ---- loops
#
# A loop gets a one-dimensional piece of the arrays, or all of them if they are contiguous. If it fails it returns -1
# with an exception set, and NumPy calls it no more.

# What a ufunc does. Its loops look this up by the ufunc, their caller. There are few of these, and they live for ever.
cdef struct LoopData:
    PyObject* ufunc
    PyObject* operation
    const Kernels* kernels
    Policy policy
    LoopData* next

cdef LoopData* all_loop_data = NULL

cdef inline const LoopData* loop_data_of(const PyObject* ufunc) except NULL nogil:
    cdef const LoopData* loop_data = <const LoopData*>load_acquire(<void**>&all_loop_data)
    while loop_data is not NULL and loop_data.ufunc is not ufunc:
        loop_data = loop_data.next
    if loop_data is NULL:
        with gil:
            raise RuntimeError("a loop of twofold was called for another ufunc than its own")
    return loop_data

memset(element_of_type, -1, sizeof(element_of_type))
cdef int bfloat16 = find_element_of(c'b', 2)  # the only one with a number beyond those

cdef inline int element_of(const Descr* descr) noexcept nogil:
    return element_of_type[descr.type_num] if 0 <= descr.type_num < <int>NPY_NTYPES_LEGACY else bfloat16

cdef int number_loop(Context* context, char** data, const npy_intp* shape, const npy_intp* strides,
                     void* auxiliary) except -1 nogil:
    cdef const LoopData* loop_data = loop_data_of(context.caller)
    cdef int element = element_of(context.descriptors[0])
    cdef Py_ssize_t itemsize = element_size(element)
    cdef size_t n = shape[0], nbytes = n * itemsize
    cdef uintptr_t first = <uintptr_t>data[0], other = <uintptr_t>data[1]
    cdef View values, out
    cdef size_t index
    if (n == 1 or strides[0] == itemsize and strides[1] == itemsize) and (
            first == other or first + nbytes <= other or other + nbytes <= first):
        index = run(loop_data.kernels, element, data[0], data[1], n, nbytes, loop_data.policy, 0)
    else:
        values.data, values.shape, values.strides = data[0], <const Py_ssize_t*>shape, <const Py_ssize_t*>&strides[0]
        values.n, values.itemsize, values.ndim, values.element, values.swapped = n, itemsize, 1, element, False
        out = values
        out.data, out.strides = data[1], <const Py_ssize_t*>&strides[1]
        if views_overlap(&values, &out) or n > 1 and -itemsize < strides[1] < itemsize:
            index = run_in_order(loop_data, &values, &out)
        else:
            index = run_array(loop_data.kernels, &values, &out, loop_data.policy, 0)
    if index < n:
        with gil:
            raise OverflowError(f"an element's {(<Operation>loop_data.operation).noun} does not fit {element_name(element)}")
    return see_to_signals_in_time(nbytes)

# NumPy passes overlapping operands if, processed first to last, no element is written before it is read, and `out` may
# be one element repeated. So that order is kept: on this thread, through a buffer, into which some elements are read
# before any of them is written.
cdef enum:
    BUFFER_BYTES = 1 << 13  # a part of a first-level cache

cdef size_t run_in_order(const LoopData* loop_data, const View* values, const View* out) except? 0xFFFFFFFFFFFFFFFF nogil:
    cdef char[BUFFER_BYTES] memory
    cdef Py_ssize_t itemsize = values.itemsize
    cdef Py_ssize_t count, at_most = BUFFER_BYTES // itemsize
    cdef size_t index, done = 0
    cdef View source = values[0], target = out[0], buffer = values[0]
    if -itemsize < out.strides[0] < itemsize:
        at_most = 1
    source.shape = target.shape = buffer.shape = &count
    buffer.data, buffer.strides = memory, &itemsize
    while done < values.n:
        count = min(at_most, <Py_ssize_t>(values.n - done))
        source.n = target.n = buffer.n = count
        source.data = <char*>values.data + <Py_ssize_t>done * values.strides[0]
        target.data = <char*>out.data + <Py_ssize_t>done * out.strides[0]
        index = run_array(loop_data.kernels, &source, &buffer, loop_data.policy, 1)
        if index < <size_t>count:
            return done + index
        copy_array(&buffer, &target)
        done += count
        see_to_signals_in_time(count * itemsize)
    return done

cdef int object_loop(Context* context, char** data, const npy_intp* shape, const npy_intp* strides,
                     void* auxiliary) except -1:
    cdef const LoopData* loop_data = loop_data_of(context.caller)
    cdef Operation operation = <Operation>loop_data.operation
    cdef char* source = data[0]
    cdef char* target = data[1]
    cdef PyObject* item
    cdef PyObject* before
    cdef Py_ssize_t i
    for i in range(shape[0]):
        item = (<PyObject**>source)[0]
        result = result_of(operation, loop_data.policy, None if item is NULL else <object>item)
        before = (<PyObject**>target)[0]
        Py_INCREF(result)
        (<PyObject**>target)[0] = <PyObject*>result
        Py_XDECREF(before)
        source += strides[0]
        target += strides[1]
        see_to_signals_in_time(sizeof(PyObject*))
    return 0

cdef object result_of(Operation operation, Policy policy, object item):
    if isinstance(item, (str, bytes, bytearray, list, tuple)):  # whose + joins
        raise TypeError(f"an item is {short(item)} ({type_name(item)}), not a number{instead_of_item(item)}")
    if policy != WRAP and is_instance_of_loaded(item, "numpy", "generic"):  # whose own arithmetic wraps
        return operation.function(item, overflow="raise" if policy == RAISE else "saturate")
    return operation.of_object(item)

# Without a loop for it, NumPy would promote bool to int8.
cdef int refuse_bool(Context* context, char** data, const npy_intp* shape, const npy_intp* strides,
                     void* auxiliary) except -1 nogil:
    with gil:
        raise TypeError("values holds bool; convert it to an integer type first")

# Of which dtypes a loop's input and output are. NumPy asks with the GIL, before each call, so this is also where the limit
# of threads is taken over from the context.
cdef int resolve_number(void* method, void** dtypes, PyObject** given, PyObject** loop, npy_intp* view_offset) except -1:
    cdef object input = native(given[0])
    cdef object output = native(given[1]) if given[1] is not NULL else dtype_of_number((<Descr*>given[0]).type_num)
    return set_dtypes(loop, input, output)

cdef int resolve_unit(void* method, void** dtypes, PyObject** given, PyObject** loop, npy_intp* view_offset) except -1:
    cdef object input = native(given[0])
    return set_dtypes(loop, input, input)  # the result has the unit of the input

cdef int set_dtypes(PyObject** loop, object input, object output) except -1:
    follow_context()
    Py_INCREF(input)
    Py_INCREF(output)
    loop[0], loop[1] = <PyObject*>input, <PyObject*>output
    return NO_CASTING

# Called before anything is written.
cdef int refuse_bool_type(void* method, void** dtypes, void** given, void** loop, npy_intp* view_offset) except -1:
    raise TypeError("values holds bool; convert it to an integer type first")


# ---- which type a call computes in, if it is not the input's type

# In the order in which types are tried to cast others to.
cdef str element_letters = b"".join([row["numpy_letters"] for row in element_rows() if row["kind"] != c'm']).decode()

cdef object timedelta_class = None
cdef set classes = unlocked_in_child(set())  # those that have loops

cdef int promote(PyObject* ufunc, PyObject** op_dtypes, PyObject** signature, PyObject** promoted) except? -1:
    """What `dtype=` and `signature=` say, else the first type that the input can be cast to safely. Returns -1 without
    an exception if no loop has their types: NumPy then raises its own error."""
    given = <object>op_dtypes[0]
    if signature[0] is not NULL:
        wanted = <object>signature[0]
        if signature[1] is not NULL and signature[1] is not signature[0]:
            return -1
    elif signature[1] is not NULL:
        wanted = <object>signature[1]
        if wanted is timedelta_class:
            return -1  # a number has no unit
    else:
        wanted = class_for(given)
    if wanted not in classes and not is_bfloat16_class(wanted):
        operation = <Operation>loop_data_of(ufunc).operation
        name = np.dtype(wanted.type).name
        raise TypeError(f"{name} cannot be {operation.participle}{what_to_convert(name)}")
    Py_INCREF(wanted)
    Py_INCREF(wanted)
    promoted[0] = promoted[1] = <PyObject*>wanted
    return 1

cdef object class_for(given):
    if is_bfloat16_class(given):
        return given
    dtype = np.dtype(given.type)
    for letter in element_letters:
        if np.can_cast(dtype, letter):
            return type(np.dtype(letter))
    return given


# ---- how they are made

cdef object new_ufunc(Operation operation, Policy policy):
    cdef LoopData* loop_data = <LoopData*>PyMem_RawMalloc(sizeof(LoopData))
    if loop_data is NULL:
        raise MemoryError
    cdef bytes name = (operation.participle + ("", "_saturating", "_checked")[policy]).encode()
    cdef bytes docs = operation.ufunc_docs[policy].encode()
    ufunc = new_bare_ufunc(name, docs)
    if hasattr(ufunc, "__dict__"):  # since NumPy 2.2: pickle then need not search all modules for it
        ufunc.__module__ = operation.ufunc_module
    for element, row in enumerate(element_rows()):
        for dtype in map(np.dtype, row["numpy_letters"].decode()):
            element_of_type[dtype.num] = element
            add_loop(ufunc, type(dtype), <void*>number_loop, <void*>resolve_unit if row["kind"] == c'm' else <void*>resolve_number,
                     SUPPORTS_UNALIGNED | (0 if row["raises_flags"] else NO_FLOATINGPOINT_ERRORS))
    add_loop(ufunc, type(np.dtype("O")), <void*>object_loop, NULL, REQUIRES_PYAPI)
    add_loop(ufunc, type(np.dtype("?")), <void*>refuse_bool, <void*>refuse_bool_type, SUPPORTS_UNALIGNED)
    add_promoter(ufunc, <void*>promote)
    Py_INCREF(name)  # the ufunc points to these two
    Py_INCREF(docs)
    Py_INCREF(ufunc)  # for loop_data, which is never freed
    Py_INCREF(operation)
    loop_data.ufunc, loop_data.operation, loop_data.kernels, loop_data.policy = <PyObject*>ufunc, <PyObject*>operation, operation.kernels, policy
    push(<void**>&all_loop_data, loop_data, <void**>&loop_data.next)
    return ufunc

cdef object np = None  # set when a ufunc is first used

# In a critical section of it, what was found or made is set, by the first thread that has it.
cdef object setting = unlocked_in_child(object())

def begin():
    """Make the ufuncs of all operations that have none. Nothing is imported but NumPy itself, if it has not been.

    No lock is held: if several threads do this at once, the first one's ufuncs stay, and a child that is forked in the
    middle of it starts over.
    """
    global np, timedelta_class
    cdef Operation operation
    numpy = find_numpy()
    find_functions()
    find_ufunc_functions()
    of_time = type(numpy.dtype("m8"))
    with cython.critical_section(setting):
        if np is None:
            np, timedelta_class = numpy, of_time
    classes.update(map(type, map(np.dtype, element_letters + "m?O")))
    for operation in all_operations():
        if operation.ufuncs is None:
            made = tuple([new_ufunc(operation, <Policy>policy) for policy in range(3)])
            with cython.critical_section(setting):
                if operation.ufuncs is None:
                    if known_bfloat16 is not None:
                        add_loops_of_bfloat16(made, known_bfloat16)
                    operation.ufuncs = made


# ---- bfloat16

cdef object known_bfloat16 = None

cdef bint is_bfloat16(dtype) except -1:
    global known_bfloat16
    cdef Operation operation
    if known_bfloat16 is None:
        scalar = attribute_if_loaded("ml_dtypes", "bfloat16")
        if scalar is None:
            return False
        found, operations = np.dtype(scalar), all_operations()
        with cython.critical_section(setting):
            if known_bfloat16 is None:
                for operation in operations:
                    add_loops_of_bfloat16(operation.ufuncs or (), found)
                known_bfloat16 = found
    return dtype == known_bfloat16

cdef int add_loops_of_bfloat16(tuple ufuncs, dtype) except -1:
    for ufunc in ufuncs:
        add_loop(ufunc, type(dtype), <void*>number_loop, <void*>resolve_number, SUPPORTS_UNALIGNED)
    return 0

cdef bint is_bfloat16_class(kind) except -1:
    scalar = getattr(kind, "type", None)
    return scalar is not None and scalar is attribute_if_loaded("ml_dtypes", "bfloat16") and is_bfloat16(np.dtype(scalar))
