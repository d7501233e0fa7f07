# distutils: language = c++
"""The engine for Cython: called with pointers, handles threads and signals. The only module that holds kernels."""
from cpython.number cimport PyNumber_Index
from libcpp cimport bool as cpp_bool
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.messages cimport short, type_name

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept
    PyObject* PyErr_Occurred() noexcept

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    static bool twofold_is_main_thread() { return syscall(SYS_gettid) == getpid(); }
    static PyObject* twofold_look_up(PyObject* dict, PyObject* name) {
        PyObject* found = nullptr;
    #if PY_VERSION_HEX >= 0x030D0000
        (void)PyDict_GetItemRef(dict, name, &found);
    #else
        found = PyDict_GetItemWithError(dict, name);
        Py_XINCREF(found);
    #endif
        return found;
    }
    // Whether that module is loaded and has a variable of that name that is not None. Runs no Python code, and keeps an
    // exception that is set: both dicts have only strings as keys.
    static bool twofold_has_variable(PyObject* module_name, PyObject* name) {
        PyObject* module = twofold_look_up(PyImport_GetModuleDict(), module_name);
        PyObject* value =
            module != nullptr && PyModule_Check(module) ? twofold_look_up(PyModule_GetDict(module), name) : nullptr;
        bool const found = value != nullptr && value != Py_None;
        Py_XDECREF(value);
        Py_XDECREF(module);
        return found;
    }
    """
    cpp_bool is_main_thread "twofold_is_main_thread"() noexcept nogil
    cpp_bool has_variable "twofold_has_variable"(object module_name, object name) noexcept

cdef extern from "twofold/version.hpp":
    const char* TWOFOLD_VERSION

cdef extern from "twofold/python.hpp":
    int register_at_fork "twofold::register_at_fork"() except -1

cdef extern from "_engine/dispatch.hpp" namespace "twofold" nogil:
    cdef enum class overflow_policy:
        pass

cdef extern from "_engine/dispatch.hpp" namespace "twofold::detail" nogil:
    cdef enum class thread_rule:
        pass
    cdef struct thread_decision:
        unsigned int count
        thread_rule rule
    size_t cache_size_here "twofold::detail::cache_size"() noexcept
    const char* name_of_rule "twofold::detail::name_of"(thread_rule rule) noexcept
    cdef struct allowance:
        unsigned int limit
        bint requested
    cdef struct array_side:
        void* data
        const Py_ssize_t* strides
        bint swapped
    bint partly_overlap(const void* a, const void* b, size_t size) noexcept
    bint arrays_overlap(array_side a, array_side b, const size_t* shape, int ndim, size_t itemsize) noexcept
    bint array_overlaps_itself "twofold::detail::overlaps_itself"(
        const array_side& side, const size_t* shape, int ndim, size_t itemsize) noexcept

cdef extern from "_engine/dispatch.hpp" namespace "twofold_wheel" nogil:
    cdef cppclass operation:
        const char* name
        const char* noun
    const operation doubling_operation
    cdef struct instruction_set:
        const char* name
        bint supported
    cdef cppclass instruction_set_array "std::array<twofold_wheel::instruction_set, twofold_wheel::instruction_set_count>":
        instruction_set operator[](size_t) noexcept
    const size_t instruction_set_count
    const size_t element_count
    const size_t threads_pay_bytes
    instruction_set_array instruction_sets() noexcept
    int chosen_set() except +
    int set_if_chosen() noexcept
    cdef struct element_row:
        const char* name
        char kind
        unsigned int bits
        const char* numpy_letters
        const char* struct_letters
        int dlpack_code
        const char* arrow_letter
        bint raises_flags, in_library
    const element_row[] element_rows_here "twofold_wheel::element_rows"
    int find_element(char kind, size_t size) noexcept
    unsigned int exchange_thread_limit(unsigned int limit) noexcept
    unsigned int current_thread_limit() noexcept
    uint64_t number_of_this_thread() noexcept
    thread_decision decide_threads(bint pool_worker) noexcept
    unsigned int decided_threads(bint pool_worker) noexcept
    unsigned int recently_decided_threads() noexcept
    ctypedef cpp_bool (*go_on_function)() noexcept
    size_t run_elements(const operation& what, int set, int element, const void* values, void* out, size_t n,
                        allowance threads, overflow_policy policy, go_on_function go_on) noexcept
    size_t run_array_here "twofold_wheel::run_array"(
        const operation& what, int set, int element, array_side values, array_side out, const size_t* shape, int ndim,
        allowance threads, overflow_policy policy, go_on_function go_on) noexcept
    bint is_time_for_signals(size_t nbytes) noexcept
    void copy_elements(int element, array_side values, array_side out, const size_t* shape, int ndim) noexcept
    void clear_float_flags_here "twofold_wheel::clear_float_flags"() noexcept
    int raised_float_flags_here "twofold_wheel::raised_float_flags"() noexcept

__version__ = TWOFOLD_VERSION.decode()

register_at_fork()

# A call on fewer bytes takes less time than releasing the GIL and getting it back. Measured by
# `benchmarks/gil_threshold.py`.
cdef size_t keep_gil_bytes = 1 << 14


# ---- operations

cdef dict operations = {}  # by name

cdef class Operation:
    """What a call does to each element: see twofold_engine.pxd."""

    def __init__(self):
        raise TypeError("an Operation is made by new_operation of twofold_engine.pxd")

cdef Operation new_operation(const Kernels* kernels, str participle, object (*of_object)(object item)):
    cdef Operation made = Operation.__new__(Operation)
    made.kernels = kernels
    made.name = (<const operation*>kernels).name.decode()
    made.noun = (<const operation*>kernels).noun.decode().removeprefix("the ")
    made.participle = participle
    made.of_object = of_object
    made.ufunc_module = made.name.partition(":")[0]
    made.ufunc_docs = ("", "", "")
    operations[made.name] = made
    return made

def all_operations():
    return list(operations.values())

def operation_named(str name not None):
    """The operation of that name, "module:attribute"; its module is imported if it has not been."""
    if name not in operations:
        __import__(name.partition(":")[0])
    if name not in operations:
        raise LookupError(f"there is no operation {name!r}; its module was imported, and has not made it")
    return operations[name]

cdef const Kernels* kernels_of_doubling() noexcept:
    return <const Kernels*>&doubling_operation


# ---- the engine, called with pointers

cdef inline overflow_policy as_policy(Policy policy) noexcept nogil:
    return <overflow_policy><int>policy  # the values are the same as in C++

cdef inline int set_of_kernels() except -1 nogil:
    cdef int chosen = set_if_chosen()
    # The environment is read only with the GIL: os.environ is changed under it, and getenv must not run meanwhile.
    if chosen < 0:
        with gil:
            chosen = chosen_set()
    return chosen

cdef bint is_pool_worker() noexcept:
    """Whether this process is a child that multiprocessing started, as are the workers of its pools and of executors.

    This is what multiprocessing.parent_process() returns, without calling it, since a signal handler could run in the
    call. Looked up each time, since hooks of os.register_at_fork run before it is set.
    """
    return has_variable("multiprocessing.process", "_parent_process")

cdef inline allowance allowed(size_t nbytes, unsigned int threads) noexcept nogil:
    """The threads for a call on arrays of `nbytes` that requests `threads` of them; 0 requests no particular number."""
    cdef allowance threads_of_call
    threads_of_call.limit = threads
    threads_of_call.requested = threads != 0
    if nbytes < threads_pay_bytes:
        threads_of_call.limit = 1
    elif threads == 0:
        threads_of_call.limit = recently_decided_threads()
        if threads_of_call.limit == 0:
            with gil:
                threads_of_call.limit = decided_threads(is_pool_worker())
    return threads_of_call

# Called between slices of a long call. Python's signal handlers run only in the main thread. Other threads do not ask
# for the GIL here: when the interpreter shuts down, that would end a daemon thread, in the middle of C++ that cannot be
# unwound.
cdef cpp_bool see_to_signals() noexcept nogil:
    if not is_main_thread():
        return True
    with gil:
        return PyErr_Occurred() is NULL and PyErr_CheckSignals() == 0

cdef int see_to_signals_in_time(size_t nbytes) except -1 nogil:
    return -1 if is_time_for_signals(nbytes) and not see_to_signals() else 0  # -1: with the exception that is set

cdef size_t run(const Kernels* kernels, int element, const void* values, void* out, size_t n, size_t nbytes,
                Policy policy, unsigned int threads) except? 0xFFFFFFFFFFFFFFFF nogil:
    # What it returns where see_to_signals has left an exception is the very number by which callers know of one.
    return run_elements((<const operation*>kernels)[0], set_of_kernels(), element, values, out, n,
                        allowed(nbytes, threads), as_policy(policy), &see_to_signals)

cdef size_t run_with_gil(const Kernels* kernels, int element, const void* values, void* out, size_t n, size_t nbytes,
                         Policy policy, unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    if nbytes < keep_gil_bytes:
        return run(kernels, element, values, out, n, nbytes, policy, threads)
    with nogil:
        return run(kernels, element, values, out, n, nbytes, policy, threads)

cdef inline array_side side_of(const View* view) noexcept nogil:
    cdef array_side side
    side.data = view.data
    side.strides = view.strides
    side.swapped = view.swapped
    return side

cdef size_t run_array(const Kernels* kernels, const View* values, const View* out, Policy policy,
                      unsigned int threads) except? 0xFFFFFFFFFFFFFFFF nogil:
    return run_array_here(
        (<const operation*>kernels)[0], set_of_kernels(), values.element, side_of(values), side_of(out),
        <const size_t*>values.shape, values.ndim, allowed(values.n * values.itemsize, threads), as_policy(policy), &see_to_signals)

cdef size_t run_array_with_gil(const Kernels* kernels, const View* values, const View* out, Policy policy,
                               unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    if values.n * values.itemsize < keep_gil_bytes:
        return run_array(kernels, values, out, policy, threads)
    with nogil:
        return run_array(kernels, values, out, policy, threads)

cdef void copy_array(const View* values, const View* out) noexcept nogil:
    copy_elements(values.element, side_of(values), side_of(out), <const size_t*>values.shape, values.ndim)

cdef bint views_overlap(const View* a, const View* b) noexcept nogil:
    return arrays_overlap(side_of(a), side_of(b), <const size_t*>a.shape, a.ndim, a.itemsize)

cdef bint overlaps_itself(const View* view) noexcept nogil:
    return array_overlaps_itself(side_of(view), <const size_t*>view.shape, view.ndim, view.itemsize)

cdef class ThreadLimit:
    """A context that limits the threads of calls that this thread makes; None: no limit.

    In C, so that no signal handler can run, and raise, between a change and the note of it. Since Python 3.14 one can
    run after `with` has called __enter__, but before it handles exceptions: then this object is deallocated, which
    restores the limit.
    """
    cdef unsigned int limit
    cdef list before  # the previous limit, for each time that this object was entered
    cdef bint is_entered
    cdef unsigned int outermost  # the limit before the first time
    cdef uint64_t thread

    def __init__(self, limit):
        self.limit = threads_argument(limit)
        self.before = []

    def __reduce__(self):
        return type(self), (self.limit or None,)  # a copy has entered nothing

    def __enter__(self):
        cdef unsigned int before = current_thread_limit()
        self.before.append(before)
        exchange_thread_limit(self.limit)
        if not self.is_entered:
            self.is_entered = True
            self.outermost = before
            self.thread = number_of_this_thread()
        return self

    def __exit__(self, kind, error, trace):
        exchange_thread_limit(self.before[-1])  # first, since the rest may fail for lack of memory
        self.is_entered = len(self.before) > 1
        del self.before[-1]

    def __dealloc__(self):
        if self.is_entered and self.thread == number_of_this_thread():
            exchange_thread_limit(self.outermost)

def call_with_limit(limit, function, /, *arguments, **keywords):
    """Call a function with such a limit. In C, for the same reason as ThreadLimit."""
    cdef unsigned int before = exchange_thread_limit(threads_argument(limit))
    try:
        return function(*arguments, **keywords)
    finally:
        exchange_thread_limit(before)

def set_thread_limit(limit):
    """Limit the threads of calls that this thread makes; None: no limit."""
    exchange_thread_limit(threads_argument(limit))

def decided_by():
    """How many threads a call of this thread may use if it does not request a number, and which rule says so; and this
    thread's limit, or None, and whether this process is a worker of a process pool."""
    cdef bint pool_worker = is_pool_worker()
    cdef thread_decision decision = decide_threads(pool_worker)
    return decision.count, name_of_rule(decision.rule).decode(), current_thread_limit() or None, pool_worker

# ---- floating-point flags

cdef void clear_float_flags() noexcept nogil:
    clear_float_flags_here()

cdef int raised_float_flags() noexcept nogil:
    return raised_float_flags_here()

# ---- for cython_api

cdef int run_pointers(const Kernels* kernels, char kind, size_t size, const void* values, void* out,
                      size_t n) except -1 nogil:
    cdef size_t nbytes = n * size
    if partly_overlap(values, out, nbytes):
        raise ValueError("values and out overlap without being the same array")
    run(kernels, find_element(kind, size), values, out, n, nbytes, WRAP, 0)
    return 0


# ---- element types

cdef int find_element_of(char kind, size_t size) noexcept nogil:
    return find_element(kind, size)

cdef size_t element_size(int element) noexcept nogil:
    return element_rows_here[element].bits // 8

def element_rows():
    """The rows of element_types.def, in the order of their numbers: the fields of each."""
    cdef size_t i
    return [element_rows_here[i] for i in range(element_count)]

cdef int fill_by_letter(signed char* elements, str field) except -1:
    memset(elements, -1, 256)
    for element, row in enumerate(element_rows()):
        for letter in row[field]:
            elements[<int>letter] = element
    return 0

cdef unsigned int threads_argument(threads) except? 0xFFFFFFFF:
    """`threads` of a call in the engine's form: 0 for None."""
    if threads is None:
        return 0
    try:
        count = PyNumber_Index(threads)
    except TypeError as error:
        raise_again_if_callers(error)
        raise TypeError(f"threads must be an integer or None, not {short(threads)} ({type_name(threads)})") from None
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {short(count)}")
    return min(count, 1 << 16)


# ---- instruction sets

def simd_target():
    """The name of the instruction set that doubles arrays: the best one of this machine, or what `TWOFOLD_SIMD` names.

    The first call that needs it decides, once in a process.

    Raises
    ------
    ValueError
        `TWOFOLD_SIMD` names an instruction set that is unknown here or not supported.

    Examples
    --------
    >>> import twofold
    >>> twofold.simd_target() in ("sse2", "avx2", "avx512", "neon")
    True
    """
    return instruction_sets()[chosen_set()].name.decode()

def supported_simd_targets():
    """The names of the instruction sets of this build that this machine supports, weakest first."""
    sets = instruction_sets()
    return [sets[i].name.decode() for i in range(instruction_set_count) if sets[i].supported]

def cache_size():
    """The size of the last-level cache that the engine assumes, in bytes."""
    return cache_size_here()
