# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""One call of a ufunc's loop on the crew of threads.

Operands that are one row are walked as they are. For all others, an iterator of NumPy, made as the ufunc itself would
make it, makes the outputs and says in which order elements are visited. Threads then walk over ranges of that order by
themselves. But where that iterator uses buffers, since operands
have to be converted, or since that takes less time than short rows, each thread that may take part has such an
iterator. (What a loop computes may depend on whether it is given rows or buffers, in the last bit.) All are made and
freed by the caller, with the GIL; the loop runs without it.
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset

from twofold._memory.numpy_api cimport (
    Descr, PyArray_Check, PyArray_DATA, PyArray_DESCR, PyArray_DIMS, PyArray_ISWRITEABLE, PyArray_ITEMSIZE, PyArray_NDIM,
    PyArray_SIZE, PyArray_STRIDES, find_functions, npy_intp,
)
from twofold._engine.messages cimport unlocked_in_child
from twofold._engine.twofold_engine cimport (
    View, bytes_of, learn_item_cost, now_ns, overlaps_itself, run_loop_on,
)

cdef extern from *:
    """
    #include <fenv.h>
    #include <numpy/arrayobject.h>
    #include <numpy/ufuncobject.h>

    // As a ufunc itself has them, but that ranges can be chosen.
    enum {
        TWOFOLD_ITERATOR = NPY_ITER_EXTERNAL_LOOP | NPY_ITER_ZEROSIZE_OK | NPY_ITER_COPY_IF_OVERLAP |
                           NPY_ITER_BUFFERED | NPY_ITER_GROWINNER | NPY_ITER_DELAY_BUFALLOC | NPY_ITER_RANGED,
        TWOFOLD_INPUT = NPY_ITER_READONLY | NPY_ITER_ALIGNED | NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE,
        TWOFOLD_OUTPUT = NPY_ITER_WRITEONLY | NPY_ITER_ALIGNED | NPY_ITER_ALLOCATE | NPY_ITER_NO_BROADCAST |
                         NPY_ITER_NO_SUBTYPE | NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE,
    };
    // `of_ufunc`: flags of operands that it has itself, as those of numba have; null: nothing will be written.
    static NpyIter* twofold_new_iterator(int count, PyObject** operands, int order, const signed char* types, int nin,
                                         const unsigned* of_ufunc, unsigned more) {
        npy_uint32 flags[NPY_MAXARGS];
        PyArray_Descr* descrs[NPY_MAXARGS];
        for (int i = 0; i < count; ++i) {
            if (of_ufunc == NULL) {
                flags[i] = TWOFOLD_INPUT;
            } else if (i < nin) {
                flags[i] = of_ufunc[i] | TWOFOLD_INPUT;
                if (flags[i] & (NPY_ITER_READWRITE | NPY_ITER_WRITEONLY)) flags[i] &= ~NPY_ITER_READONLY;
            } else {
                flags[i] = of_ufunc[i] ? of_ufunc[i] : TWOFOLD_OUTPUT;
            }
            descrs[i] = PyArray_DescrFromType(types[i]);
        }
        NpyIter* made = NpyIter_AdvancedNew(count, (PyArrayObject**)operands, TWOFOLD_ITERATOR | more,
                                            (NPY_ORDER)order, NPY_UNSAFE_CASTING, flags, descrs, -1, NULL, NULL, 0);
        for (int i = 0; i < count; ++i) Py_DECREF(descrs[i]);
        if (made == NULL && !PyErr_Occurred()) PyErr_NoMemory();  // of which NumPy says nothing
        return made;
    }
    static PyObject* twofold_operand(NpyIter* iterator, int i) {
        PyObject* operand = (PyObject*)NpyIter_GetOperandArray(iterator)[i];
        Py_INCREF(operand);
        return operand;
    }
    // In which orders an array is contiguous: NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_F_CONTIGUOUS, both or none.
    static int twofold_contiguity(PyObject* array) {
        return PyArray_FLAGS((PyArrayObject*)array) & (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS);
    }
    static PyObject* twofold_new_array(PyObject* model, int type_num, int is_fortran) {
        return PyArray_Empty(PyArray_NDIM((PyArrayObject*)model), PyArray_DIMS((PyArrayObject*)model),
                             PyArray_DescrFromType(type_num), is_fortran);
    }
    typedef NpyIter_IterNextFunc* twofold_next_function;
    #define TWOFOLD_IS_BEHAVED(array) PyArray_ISBEHAVED_RO((PyArrayObject*)(array))

    static int twofold_raised_errors(void) {
        int raised = fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
        return (raised & FE_DIVBYZERO ? NPY_FPE_DIVIDEBYZERO : 0) | (raised & FE_OVERFLOW ? NPY_FPE_OVERFLOW : 0) |
               (raised & FE_UNDERFLOW ? NPY_FPE_UNDERFLOW : 0) | (raised & FE_INVALID ? NPY_FPE_INVALID : 0);
    }
    static void twofold_clear_errors(void) {
        if (fetestexcept(FE_ALL_EXCEPT) != 0) feclearexcept(FE_ALL_EXCEPT);  // which takes many times as long
    }

    #define TWOFOLD_TAKE(flag) (!__atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE))
    #define TWOFOLD_GIVE_BACK(flag) __atomic_store_n(flag, 0, __ATOMIC_RELEASE)
    """
    ctypedef struct NpyIter:
        pass
    ctypedef int (*next_function "twofold_next_function")(NpyIter*) noexcept nogil
    NpyIter* new_iterator "twofold_new_iterator"(int count, PyObject** operands, int order, const signed char* types,
                                                 int nin, const unsigned int* of_ufunc, unsigned int more) except NULL
    int NpyIter_Deallocate(NpyIter*) noexcept
    npy_intp NpyIter_GetIterSize(NpyIter*) noexcept
    npy_intp NpyIter_GetBufferSize(NpyIter*) noexcept
    int NpyIter_GetNDim(NpyIter*) noexcept
    int NpyIter_GetShape(NpyIter*, npy_intp* shape) noexcept
    npy_intp* NpyIter_GetAxisStrideArray(NpyIter*, int axis) noexcept
    bint NpyIter_IterationNeedsAPI(NpyIter*) noexcept
    next_function NpyIter_GetIterNext(NpyIter*, char** message) except NULL
    int reset "NpyIter_Reset"(NpyIter*, char** message) except 0
    char** NpyIter_GetDataPtrArray(NpyIter*) noexcept
    char** NpyIter_GetInitialDataPtrArray(NpyIter*) noexcept
    npy_intp* NpyIter_GetInnerStrideArray(NpyIter*) noexcept
    npy_intp* NpyIter_GetInnerLoopSizePtr(NpyIter*) noexcept
    int NpyIter_ResetToIterIndexRange(NpyIter*, npy_intp first, npy_intp end, char** message) noexcept nogil
    enum:
        NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_F_CONTIGUOUS
        NPY_ITER_DONT_NEGATE_STRIDES
    int contiguity "twofold_contiguity"(object array) noexcept
    object new_array "twofold_new_array"(object model, int type_num, bint is_fortran)
    object operand_of "twofold_operand"(NpyIter*, int i)
    bint is_behaved "TWOFOLD_IS_BEHAVED"(object array) noexcept  # aligned, and in native byte order
    bint are_equivalent "PyArray_EquivTypenums"(int type_num, int other) noexcept
    object dtype_of_number "(PyObject*)PyArray_DescrFromType"(int type_num)

    int raised_errors "twofold_raised_errors"() noexcept nogil
    void clear_errors "twofold_clear_errors"() noexcept nogil
    bint take "TWOFOLD_TAKE"(int* flag) noexcept nogil
    void give_back "TWOFOLD_GIVE_BACK"(int* flag) noexcept nogil

cdef extern from "Python.h":
    object PyContext_CopyCurrent()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1


cdef object np = None

# In a critical section of it, what was found is set, by the first thread that has it.
cdef object setting = unlocked_in_child(object())

cdef int begin(numpy) except -1:
    global np
    find_functions()
    with cython.critical_section(setting):
        if np is None:
            np = numpy
    return 0


# ---- what is asked of the operands

cdef bint measure(const Loop* loop, list operands, size_t forced, Work* work) except -1:
    cdef int i, axis, ndim = 0
    cdef npy_intp length, known
    cdef size_t[2] nbytes  # read, written
    memset(nbytes, 0, sizeof(nbytes))
    for i in range(loop.nop):
        if PyArray_Check(operands[i]):
            ndim = max(ndim, PyArray_NDIM(operands[i]))
            if PyArray_SIZE(operands[i]) > 1:
                nbytes[i >= loop.nin] += PyArray_ITEMSIZE(operands[i])
        elif i >= loop.nin:
            nbytes[1] += 8
    work.n = 1
    for axis in range(1, ndim + 1):
        length = 1
        for i in range(loop.nop):
            if PyArray_Check(operands[i]) and PyArray_NDIM(operands[i]) >= axis:
                known = PyArray_DIMS(operands[i])[PyArray_NDIM(operands[i]) - axis]
                if known != length and known != 1 and length != 1:
                    return False
                if known != 1:
                    length = known
        if length == 0 or work.n > (<size_t>1 << 62) // <size_t>length:
            return False
        work.n *= length
    work.forced = forced
    work.is_timed, work.has_quick_range = False, 0
    work.bytes_each = max(nbytes[0], nbytes[1])
    work.grain = 1 if 0 < forced < GRAIN else GRAIN
    work.kind = kind_of(loop.identity, forced)
    return work.n > 1

cdef inline const void* kind_of(uintptr_t what, size_t unit) noexcept nogil:
    return <const void*>(what ^ unit * <uintptr_t>0xC2B2AE3D27D4EB4F)

# The bytes of an array that has elements.
cdef struct Extent:
    uintptr_t first
    uintptr_t end

cdef Extent extent_of(array) noexcept:
    cdef Extent extent
    cdef npy_intp reach
    cdef int i
    extent.first = <uintptr_t>PyArray_DATA(array)
    extent.end = extent.first + PyArray_ITEMSIZE(array)
    for i in range(PyArray_NDIM(array)):
        reach = (PyArray_DIMS(array)[i] - 1) * PyArray_STRIDES(array)[i]
        if reach < 0:
            extent.first += reach
        else:
            extent.end += reach
    return extent

cdef bint is_same_memory(one, other) noexcept:
    cdef size_t nbytes = PyArray_NDIM(one) * sizeof(npy_intp)
    return (PyArray_DATA(one) == PyArray_DATA(other) and PyArray_NDIM(one) == PyArray_NDIM(other)
            and PyArray_DESCR(one) == PyArray_DESCR(other)
            and memcmp(PyArray_DIMS(one), PyArray_DIMS(other), nbytes) == 0
            and memcmp(PyArray_STRIDES(one), PyArray_STRIDES(other), nbytes) == 0)

cdef bint may_overlap(const Loop* loop, list operands) except -1:
    cdef Extent of_out, other
    cdef View view
    cdef int i, j
    for i in range(loop.nin, loop.nop):
        out = operands[i]
        if out is None:
            continue
        view.data, view.n = PyArray_DATA(out), PyArray_SIZE(out)
        view.shape, view.strides = <const Py_ssize_t*>PyArray_DIMS(out), <const Py_ssize_t*>PyArray_STRIDES(out)
        view.ndim, view.itemsize, view.swapped = PyArray_NDIM(out), PyArray_ITEMSIZE(out), False
        if overlaps_itself(&view):
            return True
        of_out = extent_of(out)
        for j in range(loop.nop):
            if j == i or operands[j] is None:
                continue
            other = extent_of(operands[j])
            if of_out.end <= other.first or other.end <= of_out.first:
                continue
            if j >= loop.nin:
                return True
            if not is_same_memory(out, operands[j]):
                if np.may_share_memory(out, operands[j], 1):  # as much as NumPy itself tries to find out
                    return True
            # Of what it has to convert, it makes a copy.
            elif not is_behaved(out) or PyArray_DESCR(out).type_num != loop.types[i] or loop.types[i] != loop.types[j]:
                return True
    return False

# That many are computed by both.
cdef enum:
    COMPARED = 64

cdef object first_elements(array, dtype):
    elements, made = array.flat[:COMPARED], np.zeros(COMPARED, dtype)
    made[: len(elements) if len(elements) > 1 else COMPARED] = elements  # the only one goes everywhere
    return made

cdef bint computes_the_same(const Loop* loop, ufunc, list operands, const void* kind) except -1:
    cdef char* data[MAX_OPERANDS]
    cdef npy_intp[MAX_OPERANDS] strides
    cdef npy_intp count = COMPARED
    cdef int i
    cdef list dtypes = [], inputs = [], expected = [], found = []
    # In a context of its own: so the settings for errors are as before, whatever happens.
    context = PyContext_CopyCurrent()
    PyContext_Enter(context)
    try:
        np.seterr(all="ignore")  # also of the casts
        # No comprehension: where there is no memory, Cython's lose a reference.
        for i in range(loop.nop):
            dtype = dtype_of_number(loop.types[i])
            dtypes.append(dtype)
            if i < loop.nin:
                array = first_elements(operands[i], dtype)
                inputs.append(array)
            else:
                # Zeros, since a long double has bytes that are never written.
                array = np.zeros(COMPARED, dtype)
                found.append(array)
                expected.append(np.zeros(COMPARED, dtype))
            data[i], strides[i] = <char*>PyArray_DATA(array), PyArray_ITEMSIZE(array)
        ufunc(*inputs, out=tuple(expected), signature=tuple(dtypes))
    finally:
        PyContext_Exit(context)
    cdef int64_t start = now_ns()
    loop.function(data, &count, strides, loop.context)
    learn_item_cost(kind, COMPARED, now_ns() - start)
    for i in range(len(found)):
        if expected[i].tobytes() != found[i].tobytes():
            return False
    return True


# ---- the run

# Where all inputs are contiguous in one order, NumPy makes the output without an iterator, which would give axes of
# length 1 other strides. None where it does not.
cdef object new_output(const Loop* loop, list operands, int order):
    cdef int i, axis, common = NPY_ARRAY_C_CONTIGUOUS if order == 0 else NPY_ARRAY_F_CONTIGUOUS if order == 1 else 0
    model = None
    for i in range(loop.nin):
        value = operands[i]
        if PyArray_NDIM(value) == 0:
            continue
        if not is_behaved(value) or contiguity(value) == 0:
            return None
        if not are_equivalent(PyArray_DESCR(value).type_num, loop.types[i]):
            return None
        if model is None:
            model = value
        if PyArray_NDIM(value) != PyArray_NDIM(model):
            return None
        for axis in range(PyArray_NDIM(value)):
            if PyArray_DIMS(value)[axis] != PyArray_DIMS(model)[axis]:
                return None
        if common == 0:
            common = contiguity(value)
        if contiguity(value) != common:
            return None
    return new_array(model, loop.types[loop.nin], common == NPY_ARRAY_F_CONTIGUOUS)

cdef enum:
    MAX_DIMENSIONS = 64

# In which order elements are visited, by the axes of an iterator, of which several may have become one. The innermost
# one comes first, as NumPy has it where no multi-index is asked for.
cdef struct Walk:
    int ndim
    size_t[MAX_DIMENSIONS] shape
    const npy_intp* strides[MAX_DIMENSIONS]  # of the operands along an axis
    char** start

# Of one thread that may take part, where buffers are used.
cdef struct Worker:
    NpyIter* iterator
    next_function next
    char** data
    npy_intp* strides
    npy_intp* count
    int is_taken

cdef struct Job:
    const Loop* loop
    Work* work
    Walk walk
    Worker* workers
    size_t worker_count  # 0: no buffers are used
    size_t row, grain  # where ranges begin: at multiples of `grain` from the beginning of a row on
    size_t unit  # elements in an item of the crew's loop
    # The first range that failed, and its code; 0 where it had no memory for buffers.
    size_t failed_at
    int failed_code, is_failing

cdef int run_range(Py_ssize_t first, Py_ssize_t count, void* context) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef size_t begin = beginning_of_range(job, first * job.unit)
    cdef size_t end = beginning_of_range(job, (first + count) * job.unit)
    if begin == end:
        return 0
    cdef int code = 0
    cdef bint has_memory = True
    cdef int64_t start = now_ns() if job.work.is_timed else 0
    if job.worker_count == 0:
        code = walk_range(job.loop, &job.walk, begin, end)
    else:
        has_memory = walk_range_in_buffers(job, begin, end, &code)
    if code == 0 and job.work.is_timed and now_ns() - start < <int64_t>(LONG_NS * (end - begin)):
        take(&job.work.has_quick_range)
    if code == 0 and has_memory:
        return 0
    fail(job, begin, code)
    return 1

# The engine knows positive codes only.
cdef void fail(Job* job, size_t first, int code) noexcept nogil:
    while not take(&job.is_failing):
        pass
    if first < job.failed_at:
        job.failed_at, job.failed_code = first, code
    give_back(&job.is_failing)

cdef object new_code_error(int code):
    error = RuntimeError(f"the kernel returned {code}, which stands for an error: 0 is success")
    error.code = code
    return error

cdef inline int call(const Loop* loop, char** data, const npy_intp* count, const npy_intp* strides) noexcept nogil:
    if loop.returning is not NULL:
        return loop.returning(data, count, strides, loop.context)
    loop.function(data, count, strides, loop.context)
    return 0

@cython.cdivision(True)
cdef inline size_t beginning_of_range(const Job* job, size_t element) noexcept nogil:
    return job.work.n if element >= job.work.n else element - element % job.row % job.grain

@cython.cdivision(True)
cdef int walk_range(const Loop* loop, const Walk* walk, size_t first, size_t end) noexcept nogil:
    cdef char* row[MAX_OPERANDS]
    cdef char* data[MAX_OPERANDS]  # which some loops change
    cdef size_t[MAX_DIMENSIONS] index
    cdef npy_intp count
    cdef size_t rest = first
    cdef int i, axis, code
    for i in range(loop.nop):
        row[i] = walk.start[i]
    for axis in range(walk.ndim):
        index[axis] = rest % walk.shape[axis]
        rest //= walk.shape[axis]
        for i in range(loop.nop):
            row[i] += <npy_intp>index[axis] * walk.strides[axis][i]
    while True:
        memcpy(data, row, loop.nop * sizeof(row[0]))
        count = min(walk.shape[0] - index[0], end - first)
        code = call(loop, data, &count, walk.strides[0])
        first += count
        if first == end or code != 0:
            return code
        # To the beginning of the next row.
        for i in range(loop.nop):
            row[i] -= <npy_intp>index[0] * walk.strides[0][i]
        index[0] = 0
        for axis in range(1, walk.ndim):
            index[axis] += 1
            for i in range(loop.nop):
                row[i] += walk.strides[axis][i]
            if index[axis] < walk.shape[axis]:
                break
            for i in range(loop.nop):
                row[i] -= <npy_intp>walk.shape[axis] * walk.strides[axis][i]
            index[axis] = 0

# There are as many workers as threads, so one is free. False without memory for buffers.
cdef bint walk_range_in_buffers(Job* job, size_t first, size_t end, int* code) noexcept nogil:
    cdef size_t i = 0
    while not take(&job.workers[i].is_taken):
        i = i + 1 if i + 1 < job.worker_count else 0
    cdef Worker* worker = &job.workers[i]
    cdef char* message = NULL
    cdef int is_ready = NpyIter_ResetToIterIndexRange(worker.iterator, first, end, &message)
    while is_ready:
        code[0] = call(job.loop, worker.data, worker.count, worker.strides)
        if code[0] != 0 or not worker.next(worker.iterator):
            break
    give_back(&worker.is_taken)
    return is_ready

# How many elements buffers hold if nothing has to be converted; 0 where the iterator uses none. One that never writes
# is asked: others would write what they have in buffers when they are freed.
cdef size_t buffer_size(const Loop* loop, PyObject** operands, int order, unsigned int more) except? 0xFFFFFFFFFFFFFFFF:
    cdef NpyIter* iterator = new_iterator(loop.nop, operands, order, loop.types, loop.nin, NULL, more)
    cdef char** data
    cdef char** start
    try:
        reset(iterator, NULL)
        data, start = NpyIter_GetDataPtrArray(iterator), NpyIter_GetInitialDataPtrArray(iterator)
        if memcmp(data, start, loop.nop * sizeof(data[0])) == 0:
            return 0
        return NpyIter_GetInnerLoopSizePtr(iterator)[0]
    finally:
        NpyIter_Deallocate(iterator)

# Where operands of the very types of the loop are rows, or contiguous in one order, as if they were: NumPy makes no
# iterator for them, which would take most of the time that this does. False where they are not. The strides are left
# in `strides`, and the first elements in `start`; both must outlive the walk.
cdef bint fill_row(Walk* walk, const Loop* loop, list operands, npy_intp* strides, char** start, size_t n) except -1:
    cdef int i, ndim = -1, common = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS
    cdef const npy_intp* shape = NULL
    for i in range(loop.nop):
        value = operands[i]
        # Those of numba have flags of their own.
        if value is None or loop.flags[i] or i >= loop.nin and not PyArray_ISWRITEABLE(value):
            return False
        start[i], strides[i] = <char*>PyArray_DATA(value), 0
        if i < loop.nin and PyArray_NDIM(value) == 0:
            continue
        if ndim < 0:
            ndim, shape = PyArray_NDIM(value), PyArray_DIMS(value)
        elif PyArray_NDIM(value) != ndim or memcmp(PyArray_DIMS(value), shape, ndim * sizeof(npy_intp)) != 0:
            return False
        common &= contiguity(value)
        strides[i] = PyArray_STRIDES(value)[0] if ndim == 1 else PyArray_ITEMSIZE(value)
    if ndim < 1 or common == 0 and (ndim > 1 or loop.nop > loop.nin + 1):
        return False
    if <size_t>PyArray_SIZE(operands[loop.nin]) != n:
        return False
    walk.ndim, walk.shape[0], walk.strides[0], walk.start = 1, n, strides, start
    return True

# `iterator` must outlive the walk.
cdef int fill_walk(Walk* walk, NpyIter* iterator) except -1:
    cdef int axis
    walk.ndim = NpyIter_GetNDim(iterator)
    NpyIter_GetShape(iterator, <npy_intp*>walk.shape)
    for axis in range(walk.ndim):
        walk.strides[axis] = NpyIter_GetAxisStrideArray(iterator, axis)
    walk.start = NpyIter_GetInitialDataPtrArray(iterator)
    return 0

cdef int add_worker(Job* job, PyObject** operands, int order, unsigned int more) except -1:
    cdef Worker* worker = &job.workers[job.worker_count]
    # All have the same operands, so they visit elements in the same order. (NpyIter_Copy, which takes less time,
    # crashes where there is no memory.)
    worker.iterator = new_iterator(
        job.loop.nop, operands, order, job.loop.types, job.loop.nin, job.loop.flags, more)
    job.worker_count += 1
    if NpyIter_IterationNeedsAPI(worker.iterator):
        raise RuntimeError("a cast of numbers needs the GIL")
    worker.next = NpyIter_GetIterNext(worker.iterator, NULL)
    worker.data = NpyIter_GetDataPtrArray(worker.iterator)
    worker.strides = NpyIter_GetInnerStrideArray(worker.iterator)
    worker.count = NpyIter_GetInnerLoopSizePtr(worker.iterator)
    worker.is_taken = 0
    return 0

# Converts inputs without a dimension. Returns which others have to be converted: INPUT, OUTPUT, both or none.
cdef enum:
    INPUT = 1
    OUTPUT = 2

cdef int to_be_converted(const Loop* loop, list operands) except -1:
    cdef int i, which = 0
    for i in range(loop.nop):
        value = operands[i]
        if value is None or is_behaved(value) and are_equivalent(PyArray_DESCR(value).type_num, loop.types[i]):
            continue
        if i < loop.nin and PyArray_NDIM(value) == 0:
            operands[i] = value.astype(dtype_of_number(loop.types[i]))
        else:
            which |= INPUT if i < loop.nin else OUTPUT
    return which

# Whether NumPy calls the loop without an iterator, which would give strides that are all negative another sign. (Where
# all operands are contiguous, it does, too, and there is no difference.)
cdef bint is_one_row(const Loop* loop, list operands, int converted, size_t n) except -1:
    cdef int i
    for i in range(loop.nop):
        if operands[i] is not None and PyArray_NDIM(operands[i]) > 1:
            return False
    return loop.nop == loop.nin + 1 and (converted == 0 or converted == INPUT and n <= BUFFER_SIZE)

cdef enum:
    BUFFER_SIZE = 8192  # elements, NumPy's

cdef enum:
    MIN_CHUNK_BYTES = 1 << 15  # no chunk is shorter but the last one: see chunks.hpp

cdef object run(const Loop* loop, list operands, int order, Work* work, unsigned int limit, bint requested,
                int* errors):
    cdef PyObject* given[MAX_OPERANDS]
    cdef npy_intp[MAX_OPERANDS] strides
    cdef char* start[MAX_OPERANDS]
    cdef NpyIter* iterator = NULL
    cdef Job job
    cdef unsigned int more = 0
    cdef int i, code, converted = to_be_converted(loop, operands)
    cdef size_t buffered = 0, items, bytes_each, known
    cdef const void* kind
    if is_one_row(loop, operands, converted, work.n):
        more = NPY_ITER_DONT_NEGATE_STRIDES
    if loop.nop == loop.nin + 1 and operands[loop.nin] is None:
        operands[loop.nin] = new_output(loop, operands, order)
    job.loop, job.work, job.worker_count, job.workers = loop, work, 0, NULL
    job.failed_at, job.failed_code, job.is_failing = ~<size_t>0, 0, 0
    try:
        if converted or not fill_row(&job.walk, loop, operands, strides, start, work.n):
            for i in range(loop.nop):
                given[i] = <PyObject*>operands[i] if operands[i] is not None else NULL
            try:
                iterator = new_iterator(loop.nop, given, order, loop.types, loop.nin, loop.flags, more)
            except (TypeError, ValueError):  # of shapes, or of an output that is read-only
                return NotImplemented
            if <size_t>NpyIter_GetIterSize(iterator) != work.n:
                return NotImplemented
            for i in range(loop.nin, loop.nop):
                if operands[i] is None:
                    operands[i] = operand_of(iterator, i)
                    given[i] = <PyObject*>operands[i]
                    more = NPY_ITER_DONT_NEGATE_STRIDES  # as it is where one is made
            if converted:
                buffered = NpyIter_GetBufferSize(iterator)
            elif NpyIter_GetNDim(iterator) > 1:
                buffered = buffer_size(loop, given, order, more)
            if buffered == 0:
                fill_walk(&job.walk, iterator)
        if buffered == 0:
            job.row, job.grain = job.walk.shape[0], work.grain
        else:
            # A buffer of NumPy's is one call of the loop, so it is of ours.
            job.row, job.grain = work.n, 1 if work.grain == 1 else buffered
        job.unit = work.forced or job.grain
        items, bytes_each = (work.n + job.unit - 1) // job.unit, job.unit * work.bytes_each
        kind = work.kind
        if not work.forced:
            # Items have a record of their own, which begins with what is known of elements.
            kind = kind_of(<uintptr_t>work.kind, job.unit)
            known = bytes_of(work.kind, job.unit, work.bytes_each)
            if known != ~<size_t>0 and bytes_of(kind, 1, bytes_each) == ~<size_t>0:
                learn_item_cost(kind, 1, known // BYTES_PER_NS)
        limit = <unsigned int>min(<size_t>limit, items, bytes_of(kind, items, bytes_each) // MIN_CHUNK_BYTES + 1)
        if buffered > 0:
            job.workers = <Worker*>PyMem_RawMalloc(limit * sizeof(Worker))
            if job.workers is NULL:
                raise MemoryError
            while job.worker_count < limit:
                add_worker(&job, given, order, more)
        clear_errors()
        with nogil:
            code = run_loop_on(kind, items, bytes_each, run_range, &job, limit, requested)
        if not work.forced:
            learn_item_cost(work.kind, job.unit, bytes_of(kind, 1, 0) // BYTES_PER_NS)
        errors[0] = raised_errors()
        clear_errors()
        if code != 0:
            raise new_code_error(job.failed_code) if job.failed_code != 0 else MemoryError()
    finally:
        for i in range(<int>job.worker_count):
            NpyIter_Deallocate(job.workers[i].iterator)
        PyMem_RawFree(job.workers)
        if iterator is not NULL:
            NpyIter_Deallocate(iterator)
    return operands[loop.nin] if loop.nop == loop.nin + 1 else tuple(operands[loop.nin:])
