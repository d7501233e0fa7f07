# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""Existing ufuncs of NumPy on the crew of threads.

What can be shared is on a list: loops that cannot raise, for numbers, on arrays that are their memory alone. All else
is one call of the ufunc itself, with the very arguments: so are calls too small to share, and those that are errors.
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcmp, memcpy

from twofold._memory.numpy_handler import find_numpy
from twofold._engine.messages import raise_again_if_callers
from twofold._memory.numpy_api cimport (
    Descr, NPY_NTYPES_LEGACY, PyArray_Check, PyArray_DESCR, PyArray_DIMS, PyArray_NDIM, PyArray_SIZE, descr_of,
    dtype_of, find_functions, npy_intp,
)
from twofold._memory.published cimport load_acquire, push
from twofold._engine.messages cimport attribute_if_loaded, short, type_name, unlocked_in_child
from twofold._engine.shared_loop cimport (
    BYTES_PER_NS, LONG_NS, MAX_OPERANDS, Loop, Work, code_loop, computes_the_same, is_number, loop_function,
    may_overlap, measure, run,
)
from twofold._engine.shared_loop cimport begin as begin_loops
from twofold._engine.twofold_engine cimport (
    bytes_of, bytes_that_pay, is_due_for_timing, learn_item_cost, now_ns, threads_argument, threads_for_loop,
)

cdef extern from *:
    """
    #include <numpy/ufuncobject.h>
    #include <time.h>

    // From NumPy 2.5 on, ufuncs say in the field behind `ntypes` whether the flags that their loops raise mean nothing.
    // Before, it was 0. (2.5 itself does not heed it: see `heeds_no_errors`.)
    _Static_assert(offsetof(PyUFuncObject, name) == offsetof(PyUFuncObject, ntypes) + 2 * sizeof(int), "an int");
    static int twofold_says_no_errors(PyUFuncObject* ufunc) { return (&ufunc->ntypes)[1] & 1; }

    static long long twofold_thread_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
    }

    #define TWOFOLD_GET(variable) __atomic_load_n(variable, __ATOMIC_RELAXED)
    #define TWOFOLD_SET(variable, value) __atomic_store_n(variable, value, __ATOMIC_RELAXED)
    #define TWOFOLD_HAS_METADATA(array) (PyDataType_METADATA(PyArray_DESCR((PyArrayObject*)(array))) != NULL)
    #define TWOFOLD_COUNT(variable) __atomic_fetch_add(variable, 1, __ATOMIC_RELAXED)
    #define TWOFOLD_SET_ITEM(array, value) \\
        PyArray_SETITEM((PyArrayObject*)(array), PyArray_DATA((PyArrayObject*)(array)), value)
    """
    ctypedef struct Ufunc "PyUFuncObject":
        int nin, nout, nargs, ntypes, core_enabled
        loop_function* functions
        void** data
        const char* types
        const char* name
        unsigned int* op_flags
        unsigned int iter_flags
    PyTypeObject UfuncType "PyUFunc_Type"
    int find_ufunc_functions "_import_umath"() except -1
    bint is_instance "PyObject_TypeCheck"(object, PyTypeObject*) noexcept
    bint says_no_errors "twofold_says_no_errors"(Ufunc* ufunc) noexcept
    int give_errors "PyUFunc_GiveFloatingpointErrors"(const char* name, int errors) except -1

    bint PyArray_CheckExact(object) noexcept
    bint can_cast_safely "PyArray_CanCastSafely"(int given, int wanted) noexcept
    object array_of_scalar "PyArray_FromScalar"(object scalar, Descr* descr)
    object new_number "PyArray_SimpleNew"(int ndim, npy_intp* shape, int type_num)
    int set_item "TWOFOLD_SET_ITEM"(object array, object value) except -1
    enum:
        NPY_BOOL, NPY_FLOAT, NPY_CFLOAT, NPY_HALF

    bint has_metadata "TWOFOLD_HAS_METADATA"(object array) noexcept
    size_t get_size "TWOFOLD_GET"(size_t* variable) noexcept nogil
    void set_size "TWOFOLD_SET"(size_t* variable, size_t value) noexcept nogil
    int get_state "TWOFOLD_GET"(int* variable) noexcept nogil
    void set_state "TWOFOLD_SET"(int* variable, int value) noexcept nogil
    int64_t thread_ns "twofold_thread_ns"() noexcept nogil
    size_t count_one "TWOFOLD_COUNT"(size_t* variable) noexcept nogil  # returns what it was

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject* const* arguments, size_t count, PyObject* keywords)
    Py_ssize_t PyVectorcall_NARGS(size_t count) noexcept
    object PyVectorcall_Call(object callable, object arguments, object keywords)


cdef object np = None  # set when the first is made, as are these
# Subclasses of ndarray that are their memory alone; results are exact arrays.
cdef set plain_classes = unlocked_in_child(set())
cdef set dtype_names = unlocked_in_child(set())  # of its numbers
cdef dict scalar_classes = unlocked_in_child({})  # with their type numbers
cdef bint heeds_no_errors = False  # whether NumPy reports nothing of ufuncs that say so

# In a critical section of it, what was found is set, by the first thread that has it.
cdef object setting = unlocked_in_child(object())

cdef int begin() except -1:
    global np, heeds_no_errors
    cdef bint heeds
    if np is not None:
        return 0
    numpy = find_numpy()
    find_functions()
    find_ufunc_functions()
    begin_loops(numpy)
    for dtype in map(numpy.dtype, "?bBhHiIlLqQefdgFDG"):
        scalar_classes[dtype.type] = dtype.num
        dtype_names.update((dtype.char, dtype.name, dtype.str, dtype.str[1:]))
    dtype_names.update(("int", "float", "complex"))
    plain_classes.add(numpy.memmap)
    # Of the loops of such ufuncs, only comparisons of complex numbers raise flags. NumPy 2.5 has the ufuncs say so after
    # it has made their loops, which so go on reporting.
    with numpy.errstate(invalid="raise"):
        try:
            numpy.less(complex("nan"), 0)
            heeds = True
        except FloatingPointError:
            heeds = False
    with cython.critical_section(setting):
        if np is None:
            heeds_no_errors = heeds
            np = numpy
    return 0

def take_for_plain(kind):
    """Treat a subclass of ndarray as its memory alone; results are exact arrays."""
    plain_classes.add(kind)


# ---- for tests

cdef size_t forced_unit = 0
cdef size_t asked_count = 0
cdef size_t shared_count = 0

# An item of a loop then costs as much: each is a chunk, and not many of them are a slice.
cdef enum:
    FORCED_NS = 1 << 19

def share_all(unit):
    """Share all calls that can be, in ranges of that many elements; 0: as it pays. Returns what it was.

    Less than GRAIN elements are not rounded down to that.
    """
    global forced_unit
    before, forced_unit = forced_unit, unit
    return before

def suppose_slow(ParallelUfunc ufunc not None, ns):
    """Learn that an element of each loop that the ufunc knows takes so many nanoseconds."""
    cdef KnownLoop* known = <KnownLoop*>load_acquire(<void**>&ufunc.loops)
    while known is not NULL:
        for _ in range(30):
            learn_item_cost(<const void*>known.loop.identity, 1, ns)
        known = known.next
    for i in range(NPY_NTYPES_LEGACY):
        if is_number(i):
            ufunc.min_sizes[i] = 2

def asked_calls():
    """How many calls were large enough, or were due for timing."""
    return get_size(&asked_count)

def shared_calls():
    """How many of these were shared."""
    return get_size(&shared_count)


# ---- ufuncs

cdef enum:
    UNKNOWN = 0  # not compared with the ufunc yet
    SHARED = 1
    LEFT = -1  # to NumPy

    NONE = -1  # in a key: no `out`, no `dtype=`
    INT = -2  # Python's numbers
    FLOAT = -3
    COMPLEX = -4

# The loop for calls with such a key.
cdef struct KnownLoop:
    signed char[MAX_OPERANDS + 2] key  # types of the operands, that of `dtype=`, and what `casting=` is
    int state
    int is_quick  # whether a range of it has taken less than LONG_NS an element
    int slow_calls  # in which none did, as long as that is so; counted up to ENOUGH_CALLS
    size_t slow_size  # the elements of the largest one
    Loop loop
    KnownLoop* next

cdef size_t made_count = 0

# Fewer elements do not tell how long one takes: see item_cost.hpp.
cdef enum:
    MIN_TIMED_COUNT = 16

# Whose loops they are. Those of others may raise exceptions, which would be lost in a helper.
cdef enum Origin:
    OF_NUMPY
    OF_SCIPY
    OF_KERNEL
    OTHER

# scipy.special is asked before each call what it does with errors, which takes about a microsecond. So its calls are
# shared from longer ones on. Measured by `benchmarks/ufuncs.py`.
cdef enum:
    TIMES_AS_LONG = 8

# Those of scipy.special that allocate memory raise if there is none, whatever it does with other errors. So do some of
# its private ones.
cdef tuple allocating = ("pro_", "obl_", "mathieu_", "_")

cdef Origin origin_of(ufunc) except *:
    name = ufunc.__name__
    for module in ("numpy", "numpy._core.umath"):
        if attribute_if_loaded(module, name) is ufunc:
            return OF_NUMPY
    for module in ("scipy.special", "scipy.special._ufuncs"):
        if attribute_if_loaded(module, name) is ufunc and not name.startswith(allocating):
            return OF_SCIPY
    return OTHER


@cython.final
cdef class ParallelUfunc:
    """A ufunc whose large calls run on several threads: see `parallel`, which makes it."""

    cdef vectorcallfunc vectorcall
    cdef readonly object __wrapped__  # what was given
    cdef size_t serial
    cdef object ufunc
    cdef str name
    cdef object geterr  # of scipy.special
    cdef Ufunc* fields
    cdef code_loop returning  # of a kernel, or null
    cdef bint raises
    cdef Origin origin
    cdef int state
    cdef KnownLoop* loops
    # By the type of the first array: how many elements a call has at least that may be worth sharing.
    cdef size_t[NPY_NTYPES_LEGACY] min_sizes
    cdef object __weakref__

    def __cinit__(self, made_by=None):
        if made_by is not setting:
            raise TypeError("a ParallelUfunc is made by twofold.parallel(ufunc)")

    def __dealloc__(self):
        cdef KnownLoop* known = self.loops
        cdef KnownLoop* next
        while known is not NULL:
            next = known.next
            PyMem_RawFree(known)
            known = next

    def __call__(self, *arguments, **keywords):
        return PyVectorcall_Call(self, arguments, keywords)

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __dir__(self):
        return sorted({*object.__dir__(self), *dir(self.__wrapped__)})

    @property
    def __doc__(self):
        return self.__wrapped__.__doc__

    def __repr__(self):
        return f"twofold.parallel({self.__wrapped__!r}{'' if self.raises else ', raises=False'})"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return parallel, (self.__wrapped__,) if self.raises else (self.__wrapped__, False)


def parallel(ufunc, raises=True):
    """A ufunc of NumPy's kind on several threads: called like the ufunc, its results are the very same.

    Parameters
    ----------
    ufunc : numpy.ufunc
        One of NumPy, of scipy.special, or of yours; or what numba's ``vectorize`` makes.
    raises : bool, optional
        False: you know that its loops neither raise an exception nor take the GIL. This is known of those of NumPy and
        of scipy.special. Calls of any other ufunc are shared only with ``raises=False``, since an exception in a helper
        thread would be lost.

    Returns
    -------
    callable
        It takes what the ufunc takes, and ``threads=``, the maximum number of threads for that call; by default these
        are as many as pay off, as `num_threads` limits them. ``reduce``, ``at`` and all other methods and attributes
        are the ufunc's own, which run on one thread.

    Raises
    ------
    TypeError
        `ufunc` is none, or `raises` no bool.

    Notes
    -----
    Shared are calls on NumPy arrays, memmaps and `SharedArray` of booleans, integers, floats and complex numbers, if
    they take long enough, which is learnt from the calls before. All others are calls of the ufunc itself: those on
    small arrays, on objects, strings and dates, with ``where=`` or ``signature=``, with an `out` that overlaps with
    another array without being the same, with a cast that may lose something, and of ``numpy.power`` on integers, which
    raises; and those of scipy.special while `scipy.special.seterr` tells it to warn or to raise.

    It is pickled as this call, if what was given can be pickled.

    Examples
    --------
    >>> import numpy as np, twofold
    >>> sin = twofold.parallel(np.sin)
    >>> x = np.linspace(0, 1, 1_000_000)
    >>> bool((sin(x) == np.sin(x)).all())
    True
    >>> sin
    twofold.parallel(<ufunc 'sin'>)
    """
    begin()
    if type(raises) is not bool:
        raise TypeError(
            f"raises must be True or False, not {short(raises)} ({type_name(raises)}); arrays are given to what parallel"
            " returns: parallel(ufunc)(x)"
        )
    if type(ufunc) is ParallelUfunc:
        return ufunc if raises or not (<ParallelUfunc>ufunc).raises else parallel(ufunc.__wrapped__, False)
    given = ufunc
    held = given if is_instance(given, &UfuncType) else getattr(given, "ufunc", None)  # numba's has one
    if not is_instance(held, &UfuncType):
        raise TypeError(f"ufunc must be a numpy.ufunc, not {short(given)} ({type_name(given)}){instead_of(given)}")
    return new_parallel(given, held, raises, origin_of(held))

# The functions of NumPy that are a method of a ufunc, or a call of one with a condition.
cdef dict methods = {
    "sum": "numpy.add.reduce", "prod": "numpy.multiply.reduce", "cumsum": "numpy.add.accumulate",
    "cumprod": "numpy.multiply.accumulate", "max": "numpy.maximum.reduce", "min": "numpy.minimum.reduce",
}

cdef str instead_of(given):
    cdef str name
    if isinstance(given, str):
        name = given.removeprefix("np.").removeprefix("numpy.")
        return f"; pass numpy.{name}" if is_instance(getattr(np, name, None), &UfuncType) else ""
    if type_name(given) == "twofold.Kernel":
        return "; a Kernel runs on several threads by itself"
    found = getattr(given, "__name__", None)
    if isinstance(found, str) and found in methods and getattr(np, found, None) is given:
        return f"; it is {methods[found]}, which runs on one thread"
    if is_instance(getattr(np, found, None) if isinstance(found, str) else None, &UfuncType):
        return f"; numpy.{found} is one"
    if callable(given):
        return "; numba.vectorize makes a ufunc of a function of numbers, and twofold.Kernel takes compiled functions"
    return ""

cdef object parallel_kernel(ufunc, code_loop returning):
    begin()
    cdef ParallelUfunc made = new_parallel(ufunc, ufunc, False, OF_KERNEL)
    made.returning = returning
    return made

cdef object new_parallel(given, held, bint raises, Origin origin):
    cdef ParallelUfunc made = ParallelUfunc.__new__(ParallelUfunc, setting)
    cdef Ufunc* fields = <Ufunc*><PyObject*>held
    cdef int i
    made.vectorcall, made.serial = <vectorcallfunc>call_parallel, 1 + count_one(&made_count)
    made.__wrapped__, made.ufunc, made.raises, made.fields = given, held, raises, fields
    made.name, made.origin, made.returning = held.__name__, origin, NULL
    if made.origin == OF_SCIPY:
        made.geterr = attribute_if_loaded("scipy.special", "geterr")
    if fields.core_enabled or fields.nargs > MAX_OPERANDS or fields.iter_flags or made.origin == OTHER and raises:
        made.state = LEFT
    for i in range(NPY_NTYPES_LEGACY):
        made.min_sizes[i] = 2 if is_number(i) else ~<size_t>0
    return made

cdef int set_up_type() except -1:
    cdef ParallelUfunc instance = ParallelUfunc.__new__(ParallelUfunc, setting)
    use_vectorcall(<PyTypeObject*>ParallelUfunc, <char*>&instance.vectorcall - <char*><PyObject*>instance)
    return 0

set_up_type()


# ---- a call

cdef object call_parallel(PyObject* callable, PyObject* const* arguments, size_t count, PyObject* keywords):
    cdef ParallelUfunc self = <ParallelUfunc>callable
    cdef Py_ssize_t positional = PyVectorcall_NARGS(count), i = -1
    cdef unsigned int threads = 0
    if keywords is not NULL:
        i = index_of_threads(<tuple>keywords)
        if i >= 0:
            threads = threads_argument(<object>arguments[positional + i])
    if (threads != 1 or self.origin == OF_KERNEL) and may_pay(self, arguments, positional):
        result = share(self, arguments, positional, keywords, i, threads)
        if result is not NotImplemented:
            return result
    return call_alone(self, arguments, positional, keywords, i)

# A call of the ufunc itself. `i`: the index of `threads=` among the keywords, or -1.
cdef inline object call_alone(ParallelUfunc self, PyObject* const* arguments, Py_ssize_t positional, PyObject* keywords,
                              Py_ssize_t i):
    if i >= 0:
        return call_without(self.__wrapped__, arguments, positional, <tuple>keywords, i)
    return PyObject_Vectorcall(self.__wrapped__, arguments, positional, keywords)

cdef inline Py_ssize_t index_of_threads(tuple keywords) except? -2:
    cdef Py_ssize_t i
    for i in range(len(keywords)):
        if keywords[i] is "threads" or <str>keywords[i] == "threads":
            return i
    return -1

cdef object call_without(function, PyObject* const* arguments, Py_ssize_t positional, tuple keywords, Py_ssize_t index):
    cdef Py_ssize_t i
    cdef list given = []
    cdef dict others = {}
    for i in range(positional):
        given.append(<object>arguments[i])
    for i in range(len(keywords)):
        if i != index:
            others[keywords[i]] = <object>arguments[positional + i]
    return function(*given, **others)

cdef inline bint may_pay(ParallelUfunc self, PyObject* const* arguments, Py_ssize_t positional) noexcept:
    """Whether a call may be worth sharing. Asked before each, so it takes a few nanoseconds."""
    if get_state(&self.state) == LEFT or positional < self.fields.nin:
        return False
    cdef size_t size = 1, part
    cdef int i, type_num = -1, ndim = -1
    cdef const npy_intp* shape = NULL
    for i in range(self.fields.nin):
        if PyArray_Check(<object>arguments[i]):
            if type_num < 0:
                type_num = PyArray_DESCR(<object>arguments[i]).type_num
            elif PyArray_NDIM(<object>arguments[i]) == ndim and (
                    memcmp(PyArray_DIMS(<object>arguments[i]), shape, ndim * sizeof(npy_intp)) == 0):
                continue
            ndim, shape = PyArray_NDIM(<object>arguments[i]), PyArray_DIMS(<object>arguments[i])
            part = PyArray_SIZE(<object>arguments[i])
            # A broadcast call has at most as many elements as this product. It is capped, not to overflow.
            size = size * part if part < <size_t>1 << 31 and size < <size_t>1 << 31 else <size_t>1 << 62
    if not 0 <= type_num < <int>NPY_NTYPES_LEGACY:
        return False
    return (forced_unit != 0 or size >= get_size(&self.min_sizes[type_num])
            or size >= MIN_TIMED_COUNT and is_number(type_num) and is_due_for_timing())

cdef int learn_size(ParallelUfunc self, PyObject* const* arguments, const KnownLoop* known, Work* work) except -1:
    """Keep from how many elements on a call like this one may be worth sharing."""
    cdef size_t nbytes = bytes_of(work.kind, 1, work.bytes_each), enough = bytes_that_pay()
    cdef int i
    if forced_unit or nbytes == ~<size_t>0:
        return 0
    choose_grain(self, known, work)
    if self.origin == OF_SCIPY:
        enough *= TIMES_AS_LONG
    if work.grain > 1 and not (has_unknown_vectors(self) and not known.is_quick):  # else that is to be found out
        enough = max(enough, 2 * work.grain * nbytes)
    for i in range(self.fields.nin):
        if PyArray_Check(<object>arguments[i]):
            set_size(&self.min_sizes[PyArray_DESCR(<object>arguments[i]).type_num], max(enough // nbytes, <size_t>2))
            break
    return 0

# What a call gives, or NotImplemented where it is left to the ufunc.
cdef object share(ParallelUfunc self, PyObject* const* arguments, Py_ssize_t positional, PyObject* keywords,
                  Py_ssize_t index_of_threads, unsigned int threads):
    cdef Call call = Call.__new__(Call)
    cdef KnownLoop* known
    cdef Work work
    cdef unsigned int limit
    cdef int errors = 0
    count_one(&asked_count)
    call.nin, call.nop = self.fields.nin, self.fields.nargs
    if positional > call.nop or not call.read_keywords(keywords, arguments + positional):
        return NotImplemented
    if positional > call.nin and self.name in ("maximum", "minimum"):
        return NotImplemented  # which warn
    if not call.read_operands(arguments, positional) or self.geterr is not None and not ignores_errors(self.geterr):
        return NotImplemented
    known = loop_of(self, call)
    if known is NULL or get_state(&known.state) == LEFT:
        return NotImplemented
    if not measure(&known.loop, call.operands, forced_unit, &work):
        return NotImplemented
    if forced_unit:
        learn_item_cost(work.kind, 1, FORCED_NS)
        threads = threads or 2
    limit = threads_for_loop(work.kind, work.n, work.bytes_each, threads)
    # On one thread it is NumPy's, unless that is the only way to learn how long it takes. But a kernel may take long
    # for few elements, for which NumPy would keep the GIL; and its calls can be interrupted.
    if limit == 1 and bytes_of(work.kind, 1, work.bytes_each) != ~<size_t>0:
        learn_size(self, arguments, known, &work)
        if self.origin != OF_KERNEL or bytes_of(work.kind, work.n, work.bytes_each) < bytes_that_pay():
            return call_timed(self, arguments, positional, keywords, index_of_threads, known, &work)
    if not call.convert_numbers(&known.loop) or not call.casts_safely(&known.loop):
        return NotImplemented
    if may_overlap(&known.loop, call.operands):
        return NotImplemented
    if known.state == UNKNOWN:
        # A kernel is its function, which should be called for elements of the call alone.
        if self.origin != OF_KERNEL and not computes_the_same(&known.loop, self.ufunc, call.operands, work.kind):
            set_state(&self.state, LEFT)
            return NotImplemented
        set_state(&known.state, SHARED)
    choose_grain(self, known, &work)
    work.is_timed = has_unknown_vectors(self) and not known.is_quick and not forced_unit
    result = run(&known.loop, call.operands, call.order, &work, limit, threads != 0, &errors)
    if result is not NotImplemented:
        count_one(&shared_count)
        if work.has_quick_range:
            set_state(&known.is_quick, 1)
        elif work.is_timed:
            set_state(&known.slow_calls, min(known.slow_calls + 1, <int>ENOUGH_CALLS))
            set_size(&known.slow_size, max(known.slow_size, work.n))
        learn_size(self, arguments, known, &work)
        if errors and not (heeds_no_errors and says_no_errors(self.fields)):
            give_errors(self.fields.name, errors)
    return result

# A call of the ufunc itself. If it takes long enough to be shared, but is known not to, that is learnt.
cdef object call_timed(ParallelUfunc self, PyObject* const* arguments, Py_ssize_t positional, PyObject* keywords,
                       Py_ssize_t index_of_threads, const KnownLoop* known, Work* work):
    # Not the time that it waits for the GIL, which NumPy takes again at the end.
    cdef int64_t start = thread_ns()
    result = call_alone(self, arguments, positional, keywords, index_of_threads)
    cdef int64_t ns = thread_ns() - start
    cdef size_t pays = bytes_that_pay()
    if bytes_of(work.kind, work.n, work.bytes_each) < pays and ns >= <int64_t>(pays // BYTES_PER_NS):
        learn_item_cost(work.kind, work.n, ns)
        learn_size(self, arguments, known, work)
    return result

# How long elements seem to take decides no bits: a thread may have had to wait. So loops that are known to have vectors
# are always cut at multiples of GRAIN elements, and those of which that is not known until they have been slow in so
# many calls, without a single range that was not. (In calls of not many fewer elements: what a call takes whatever it
# computes makes few elements slow.)
cdef enum:
    ENOUGH_CALLS = 3

cdef bint has_unknown_vectors(ParallelUfunc self) noexcept:
    return self.origin == OTHER or self.origin == OF_KERNEL and self.returning is not NULL

cdef void choose_grain(ParallelUfunc self, const KnownLoop* known, Work* work) noexcept:
    if forced_unit:
        return
    if has_unknown_vectors(self):
        if not known.is_quick and known.slow_calls >= ENOUGH_CALLS and work.n <= 2 * known.slow_size:
            work.grain = 1
    # A kernel on elements has no vectors, nor has a loop of scipy.special: it calls a function for each.
    elif self.origin == OF_KERNEL or self.origin == OF_SCIPY and is_long(work.kind, work.bytes_each):
        work.grain = 1

cdef bint is_long(const void* kind, size_t bytes_each) noexcept:
    """Whether an element takes so long that there need not be many in a range."""
    cdef size_t nbytes = bytes_of(kind, 1, bytes_each)
    return nbytes != ~<size_t>0 and nbytes >= LONG_NS * BYTES_PER_NS

cdef bint ignores_errors(geterr) except -1:
    """Whether scipy.special neither warns nor raises, as it does in no helper: it has settings for each thread."""
    for category, action in geterr().items():
        if action != "ignore" and category != "memory":
            return False
    return True

cdef inline bint is_plain(value) except -1:
    return PyArray_CheckExact(value) or PyArray_Check(value) and type(value) in plain_classes

cdef tuple orders = ("C", "F", "K")  # as NumPy numbers them; "A" is left to it
# Others are left to it: "no" depends on byte orders, which are not in the key, and resolve_dtypes of NumPy 2.4 crashes
# with "equiv" and a number of Python.
cdef tuple castings = ("safe", "same_kind", "unsafe")


@cython.final
@cython.internal
cdef class Call:
    """The arguments of a call. Methods return False where they are not on the list of what can be shared."""

    cdef list operands  # arrays, numbers of Python, or None
    cdef signed char[MAX_OPERANDS + 2] key
    cdef int nin, nop, order
    cdef object out, dtype, casting

    cdef bint read_keywords(self, PyObject* keywords, PyObject* const* values) except -1:
        cdef int i
        self.order = orders.index("K")
        self.key[self.nop] = self.key[self.nop + 1] = NONE
        if keywords is NULL:
            return True
        for i, name in enumerate(<tuple>keywords):
            value = <object>values[i]
            if name == "out":
                self.out = value
            elif name in ("where", "subok"):
                if value is not True:
                    return False
            elif name == "dtype":
                self.dtype = native_number(value)
                if self.dtype is None:
                    return False
                self.key[self.nop] = descr_of(self.dtype).type_num
            elif name in ("order", "casting"):
                known = orders if name == "order" else castings
                if type(value) is not str or value not in known:
                    return False
                if name == "order":
                    self.order = orders.index(value)
                else:
                    self.casting, self.key[self.nop + 1] = value, castings.index(value)
            elif name != "threads":
                return False
        return True

    cdef bint read_operands(self, PyObject* const* arguments, Py_ssize_t positional) except -1:
        cdef int i
        self.operands = []
        for i in range(positional):
            self.operands.append(<object>arguments[i])
        if self.out is None:
            self.operands += [None] * (self.nop - positional)
        elif positional > self.nin:
            return False
        else:
            self.operands += self.out if type(self.out) is tuple else (self.out,)
        if len(self.operands) != self.nop:
            return False
        for i, value in enumerate(self.operands):
            if is_plain(value):
                # What a dtype has beside its type would be lost.
                self.key[i] = PyArray_DESCR(value).type_num if (
                    is_number(PyArray_DESCR(value).type_num) and not has_metadata(value)) else -128
            elif i >= self.nin:
                self.key[i] = NONE if value is None else -128
            elif type(value) is float:
                self.key[i] = FLOAT
            elif type(value) is int:
                self.key[i] = INT
            elif type(value) is complex:
                self.key[i] = COMPLEX
            else:
                if type(value) is bool:
                    value = np.bool_(value)
                self.key[i] = scalar_classes.get(type(value), -128)
                if self.key[i] >= 0:
                    self.operands[i] = array_of_scalar(value, NULL)
            if self.key[i] == -128:
                return False
        return True

    cdef bint convert_numbers(self, const Loop* loop) except -1:
        cdef int i
        for i in range(self.nin):
            if self.key[i] < 0:
                self.operands[i] = array_of_number(self.operands[i], loop.types[i])
                if self.operands[i] is None:
                    return False
        return True

    cdef bint casts_safely(self, const Loop* loop) noexcept:
        """Others raise flags, of which NumPy takes not all into account."""
        cdef int i
        for i in range(self.nop):
            if self.key[i] >= 0 and not (can_cast_safely(self.key[i], loop.types[i]) if i < self.nin
                                         else can_cast_safely(loop.types[i], self.key[i])):
                return False
        return True

cdef object native_number(given):
    """A dtype of numbers in native byte order; None for any other."""
    # Of other texts NumPy may say that they are deprecated, and should do so once.
    if type(given) is str and given not in dtype_names or not isinstance(given, (str, type, np.dtype)):
        return None
    try:
        dtype = np.dtype(given)
    except TypeError as error:
        raise_again_if_callers(error)
        return None
    return dtype if is_number(descr_of(dtype).type_num) and dtype.isnative else None

cdef object array_of_number(value, int type_num):
    """An array of no dimension of a number of Python; None where NumPy would warn or raise."""
    if type_num in (NPY_HALF, NPY_FLOAT, NPY_CFLOAT):
        low, high = (1e-4, 65504.0) if type_num == NPY_HALF else (1e-37, 3.4e38)
        for part in (value.real, value.imag):
            if part and not low <= abs(part) <= high:
                return None
    made = new_number(0, NULL, type_num)
    try:
        set_item(made, value)
    except (OverflowError, TypeError):
        return None
    return made


# ---- the loop of a call

cdef dict classes_of_numbers = {NONE: None, INT: int, FLOAT: float, COMPLEX: complex}

cdef KnownLoop* loop_of(ParallelUfunc self, Call call) except? NULL:
    """Null where NumPy has none, or does not allow the casts: it will say so."""
    cdef KnownLoop* known = <KnownLoop*>load_acquire(<void**>&self.loops)
    cdef int i
    while known is not NULL:
        if memcmp(known.key, call.key, call.nop + 2) == 0:
            return known
        known = known.next
    cdef list given = []  # no comprehension: where there is no memory, Cython's lose a reference
    for i in range(call.nop):
        given.append(dtype_of(call.operands[i]) if call.key[i] >= 0 else classes_of_numbers[call.key[i]])
    more = {}
    if call.casting is not None:
        more["casting"] = call.casting
    if call.dtype is not None:
        more["signature"] = (None,) * call.nin + (type(call.dtype),) * (call.nop - call.nin)
    try:
        resolved = self.ufunc.resolve_dtypes(tuple(given), **more)
    except TypeError as error:
        raise_again_if_callers(error)
        return NULL
    known = <KnownLoop*>PyMem_RawMalloc(sizeof(KnownLoop))
    if known is NULL:
        raise MemoryError
    memcpy(known.key, call.key, call.nop + 2)
    known.loop.nin, known.loop.nop, known.loop.flags = call.nin, call.nop, self.fields.op_flags
    known.is_quick = known.slow_calls = 0
    known.slow_size = 0
    known.state = UNKNOWN if find_loop(self, &known.loop, resolved) else LEFT
    push(<void**>&self.loops, known, <void**>&known.next)
    return known

cdef bint find_loop(ParallelUfunc self, Loop* loop, tuple resolved) except -1:
    """The first one of exactly these types, which is the one that NumPy runs."""
    cdef int i, which, type_num
    cdef bint all_integers = True
    for i in range(loop.nop):
        type_num = (<Descr*><PyObject*>resolved[i]).type_num
        if not is_number(type_num):
            return False
        loop.types[i] = type_num
        all_integers = all_integers and NPY_BOOL < type_num < NPY_FLOAT
    if all_integers and self.origin == OF_NUMPY and self.name == "power":
        return False  # it raises for negative exponents
    for which in range(self.fields.ntypes):
        if memcmp(self.fields.types + which * loop.nop, loop.types, loop.nop) == 0:
            loop.function = self.fields.functions[which]
            loop.context = self.fields.data[which] if self.fields.data is not NULL else NULL
            if self.origin == OF_NUMPY or self.origin == OF_SCIPY:
                # Many ufuncs have one loop, to which the context says what to compute.
                loop.identity = <uintptr_t>loop.function * <uintptr_t>0x9E3779B97F4A7C15 + <uintptr_t>loop.context
            else:
                # Addresses of those that were freed may be used again. 0 stands for nothing: see item_cost.hpp.
                loop.identity = (self.serial << 16 | which) * <uintptr_t>0x9E3779B97F4A7C15
            loop.returning = self.returning
            return True
    return False
