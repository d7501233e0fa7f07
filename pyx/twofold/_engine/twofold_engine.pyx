# distutils: language = c++
"""The engine for Cython: called with pointers, handles threads and signals. The only module that holds kernels."""
cimport cython
from cpython.contextvars cimport PyContextVar_Get, PyContextVar_New, PyContextVar_Reset, PyContextVar_Set
from cpython.number cimport PyNumber_Index
from cpython.ref cimport Py_DECREF
from libcpp cimport bool as cpp_bool
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.messages cimport short, type_name, unlocked_in_child

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept
    PyObject* PyErr_Occurred() noexcept

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    static bool twofold_is_main_thread() { return syscall(SYS_gettid) == getpid(); }
    """
    cpp_bool is_main_thread "twofold_is_main_thread"() noexcept nogil

cdef extern from *:
    """
    // The state of this thread, if it has the GIL. (PyGILState_Check() says yes to all once there are subinterpreters.)
    static PyThreadState* twofold_state_with_gil() {
    #if PY_VERSION_HEX >= 0x030D0000
        PyThreadState* const current = PyThreadState_GetUnchecked();
    #else
        PyThreadState* const current = _PyThreadState_UncheckedGet();  // in Python 3.11 that of any thread
    #endif
        return current == PyGILState_GetThisThreadState() ? current : NULL;
    }

    #if PY_VERSION_HEX < 0x030D0000
        #define Py_IsFinalizing _Py_IsFinalizing
    #endif
    """
    # Then a thread that has released the GIL must not ask for it: when its state is gone, PyGILState_Ensure crashes. (A
    # daemon thread ends where it takes the GIL back, so nobody sees what it computed.)
    cpp_bool is_finalizing "Py_IsFinalizing"() noexcept nogil
    ctypedef struct PyThreadState:
        pass
    PyThreadState* state_with_gil "twofold_state_with_gil"() noexcept nogil

cdef extern from "Python.h":
    PyThreadState* PyEval_SaveThread() noexcept nogil
    void PyEval_RestoreThread(PyThreadState* state) noexcept nogil

cdef extern from "_engine/loaded_modules.h":
    cpp_bool has_variable "twofold_has_variable"(object module_name, object name) noexcept

cdef extern from "twofold/version.hpp":
    const char* TWOFOLD_VERSION

cdef extern from "twofold/python.hpp":
    int register_at_fork "twofold::register_at_fork"() except -1

cdef extern from "_memory/os_environ.hpp" namespace "twofold_memory":
    int use_os_environ() except -1

cdef extern from "_engine/dispatch.hpp" namespace "twofold" nogil:
    cdef enum class overflow_policy:
        pass

cdef extern from "_engine/dispatch.hpp" namespace "twofold::detail" nogil:
    cdef enum class thread_rule:
        pass
    cdef struct thread_decision:
        unsigned int count
        thread_rule rule
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
    size_t cache_size_here "twofold_wheel::cache_size"() except +
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
    thread_decision decide_threads(bint pool_worker) except +
    unsigned int decided_threads(bint pool_worker) except +
    unsigned int recently_decided_threads() noexcept
    ctypedef cpp_bool (*go_on_function)() noexcept
    size_t run_elements(const operation& what, int set, int element, const void* values, void* out, size_t n,
                        allowance threads, overflow_policy policy, go_on_function go_on) noexcept
    size_t run_array_here "twofold_wheel::run_array"(
        const operation& what, int set, int element, array_side values, array_side out, const size_t* shape, int ndim,
        allowance threads, overflow_policy policy, go_on_function go_on) noexcept
    bint is_time_for_signals(size_t nbytes) noexcept
    cdef cppclass user_loop:
        const void* what
        size_t n
        size_t bytes_each
        range_function body
        void* user
    size_t bytes_of_loop(const user_loop& loop) noexcept
    int run_loop_here "twofold_wheel::run_loop"(
        const user_loop& loop, allowance threads, go_on_function go_on) noexcept
    void learn_item_cost_here "twofold_wheel::learn_item_cost"(const void* what, size_t count, int64_t ns) noexcept
    cpp_bool is_due_here "twofold_wheel::is_due_for_timing"() noexcept
    int64_t now_ns_here "twofold::detail::now_ns"() noexcept
    uint32_t all_float_flags() noexcept
    void set_float_flags(uint32_t flags) noexcept
    void copy_elements(int element, array_side values, array_side out, const size_t* shape, int ndim) noexcept
    void clear_float_flags_here "twofold_wheel::clear_float_flags"() noexcept
    int raised_float_flags_here "twofold_wheel::raised_float_flags"() noexcept

__version__ = TWOFOLD_VERSION.decode()

register_at_fork()
use_os_environ()

# A call on fewer bytes takes less time than releasing the GIL and getting it back. Measured by
# `benchmarks/gil_threshold.py`.
cdef size_t keep_gil_bytes = 1 << 14


# ---- operations

cdef dict operations = unlocked_in_child({})  # by name

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
    # The environment is read only with the GIL: see os_environ.hpp.
    if chosen < 0:
        if is_finalizing():
            return 0
        with gil:
            chosen = chosen_set()
    return chosen

cdef bint is_pool_worker() noexcept:
    """Whether this process is a child that multiprocessing started, as are the workers of its pools and of executors.

    This is what multiprocessing.parent_process() returns, without calling it, since a signal handler could run in the
    call. Looked up each time, since hooks of os.register_at_fork run before it is set.
    """
    return has_variable("multiprocessing.process", "_parent_process")

cdef inline unsigned int max_threads_of(size_t nbytes, unsigned int threads) except? 0xFFFFFFFF nogil:
    """The threads for a call on arrays of `nbytes` that requests `threads` of them; 0 requests no particular number."""
    cdef unsigned int limit = threads
    if nbytes < threads_pay_bytes:
        limit = 1
    elif threads == 0:
        limit = recently_decided_threads()
        if limit == 0:
            if is_finalizing():
                return 1
            with gil:
                limit = decided_threads(is_pool_worker())
    return limit

cdef inline allowance allowed(unsigned int limit, unsigned int threads) noexcept nogil:
    cdef allowance threads_of_call
    threads_of_call.limit = limit
    threads_of_call.requested = threads != 0
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
    cdef int kernel_set = set_of_kernels()
    cdef unsigned int limit = max_threads_of(nbytes, threads)
    return run_elements((<const operation*>kernels)[0], kernel_set, element, values, out, n, allowed(limit, threads),
                        as_policy(policy), &see_to_signals)

cdef size_t run_with_gil(const Kernels* kernels, int element, const void* values, void* out, size_t n, size_t nbytes,
                         Policy policy, unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    if nbytes < keep_gil_bytes:
        return run(kernels, element, values, out, n, nbytes, policy, threads)
    if nbytes >= threads_pay_bytes:
        follow_context()
    with nogil:
        return run(kernels, element, values, out, n, nbytes, policy, threads)

cdef int run_loop(const void* what, Py_ssize_t n, Py_ssize_t bytes_each, range_function body, void* user,
                  unsigned int threads) except? -1 nogil:
    cdef user_loop loop
    loop.what, loop.n, loop.bytes_each, loop.body, loop.user = what, n, bytes_each, body, user
    cdef size_t nbytes = bytes_of_loop(loop)
    cdef PyThreadState* state = NULL
    # A body may take the GIL, on any thread, although it should not.
    if nbytes >= keep_gil_bytes:
        state = state_with_gil()
    if state is not NULL:
        with gil:
            follow_context()
    cdef unsigned int limit = max_threads_of(nbytes, threads)
    if state is not NULL:
        PyEval_SaveThread()
    cdef int code = run_loop_here(loop, allowed(limit, threads), &see_to_signals)
    if state is not NULL:
        PyEval_RestoreThread(state)
    return code  # -1: with the exception that see_to_signals has left

cdef inline array_side side_of(const View* view) noexcept nogil:
    cdef array_side side
    side.data = view.data
    side.strides = view.strides
    side.swapped = view.swapped
    return side

cdef size_t run_array(const Kernels* kernels, const View* values, const View* out, Policy policy,
                      unsigned int threads) except? 0xFFFFFFFFFFFFFFFF nogil:
    cdef int kernel_set = set_of_kernels()
    cdef unsigned int limit = max_threads_of(values.n * values.itemsize, threads)
    return run_array_here(
        (<const operation*>kernels)[0], kernel_set, values.element, side_of(values), side_of(out),
        <const size_t*>values.shape, values.ndim, allowed(limit, threads), as_policy(policy), &see_to_signals)

cdef size_t run_array_with_gil(const Kernels* kernels, const View* values, const View* out, Policy policy,
                               unsigned int threads) except? 0xFFFFFFFFFFFFFFFF:
    cdef size_t nbytes = values.n * values.itemsize
    if nbytes < keep_gil_bytes:
        return run_array(kernels, values, out, policy, threads)
    if nbytes >= threads_pay_bytes:
        follow_context()
    with nogil:
        return run_array(kernels, values, out, policy, threads)

cdef void copy_array(const View* values, const View* out) noexcept nogil:
    copy_elements(values.element, side_of(values), side_of(out), <const size_t*>values.shape, values.ndim)

cdef bint views_overlap(const View* a, const View* b) noexcept nogil:
    return arrays_overlap(side_of(a), side_of(b), <const size_t*>a.shape, a.ndim, a.itemsize)

cdef bint overlaps_itself(const View* view) noexcept nogil:
    return array_overlaps_itself(side_of(view), <const size_t*>view.shape, view.ndim, view.itemsize)

# ---- loops that know more: see twofold_engine.pxd

cdef size_t bytes_of(const void* what, size_t n, size_t bytes_each) noexcept nogil:
    cdef user_loop loop
    loop.what, loop.n, loop.bytes_each = what, n, bytes_each
    return bytes_of_loop(loop)

cdef size_t bytes_that_pay() noexcept nogil:
    return threads_pay_bytes

cdef unsigned int threads_for_loop(const void* what, size_t n, size_t bytes_each, unsigned int threads) except? 0xFFFFFFFF:
    follow_context()
    return max_threads_of(bytes_of(what, n, bytes_each), threads)

# A handler of Python may raise flags, and NumPy's functions clear them.
cdef cpp_bool see_to_signals_and_keep_flags() noexcept nogil:
    cdef uint32_t flags = all_float_flags()
    cdef cpp_bool goes_on = see_to_signals()
    set_float_flags(flags)
    return goes_on

cdef int run_loop_on(const void* what, Py_ssize_t n, Py_ssize_t bytes_each, range_function body, void* user,
                     unsigned int limit, bint requested) except? -1 nogil:
    cdef user_loop loop
    loop.what, loop.n, loop.bytes_each, loop.body, loop.user = what, n, bytes_each, body, user
    return run_loop_here(loop, allowed(limit, requested), &see_to_signals_and_keep_flags)

cdef void learn_item_cost(const void* what, size_t count, int64_t ns) noexcept nogil:
    learn_item_cost_here(what, count, ns)

cdef bint is_due_for_timing() noexcept nogil:
    return is_due_here()

cdef int64_t now_ns() noexcept nogil:
    return now_ns_here()

# ---- the limit of threads
#
# It is a context variable of Python, so asyncio tasks have their own. The engine runs without the GIL and knows threads
# alone: before a call that is large enough for several, the thread takes the limit over from the context.

cdef object limit_of_context = PyContextVar_New("twofold.num_threads", NULL)  # an Entry
cdef bint was_limited = False  # whether any limit was ever set: else calls need not look for one

@cython.internal
@cython.final
cdef class Entry:
    """A limit that was set in a context. Once it is over, it is not in effect, even if there was no memory to take it out
    of the context."""
    cdef unsigned int limit  # 0: none
    cdef bint is_over
    cdef bint has_end  # of a block or a call; else it holds until another one is set
    cdef Entry before
    cdef object token

cdef Entry last_entry():
    """The limit of the context that was set last and is not over, or None."""
    cdef PyObject* found = NULL
    cdef Entry entry = None
    PyContextVar_Get(limit_of_context, NULL, &found)
    if found is not NULL:
        entry = <Entry>found
        Py_DECREF(<object>found)
    while entry is not None and entry.is_over:
        entry = entry.before
    return entry

cdef int follow_context() except -1:
    cdef Entry entry
    if was_limited:
        entry = last_entry()
        exchange_thread_limit(0 if entry is None else entry.limit)
    return 0

cdef Entry set_limit(unsigned int limit, bint has_end):
    global was_limited
    cdef Entry entry = Entry.__new__(Entry)
    entry.limit, entry.has_end, entry.before = limit, has_end, last_entry()
    while not has_end and entry.before is not None and not entry.before.has_end:
        entry.before = entry.before.before  # which this one replaces
    was_limited = True
    try:
        entry.token = PyContextVar_Set(limit_of_context, entry)
    except MemoryError:
        entry.is_over = True  # it may have been set all the same
        raise
    exchange_thread_limit(limit)
    return entry

cdef bint undo(Entry entry) except -1:
    """End a limit of the current context. False if it is of another one."""
    cdef Entry other = last_entry()
    while other is not None and other is not entry:
        other = other.before
    if other is None:
        return False
    entry.is_over = True
    try:
        PyContextVar_Reset(limit_of_context, entry.token)
    except (ValueError, MemoryError):  # of a copy of the context; or without memory. It is over in any case
        pass
    entry.token = None
    follow_context()
    return True

cdef class ThreadLimit:
    """A context manager that limits the threads of calls in the current context; None: no limit.

    In C, so that no signal handler can run, and raise, between a change and the note of it. Since Python 3.14 one can
    run after `with` has called __enter__, but before it handles exceptions: then this object is finalized, which
    restores the limit.
    """
    cdef unsigned int limit
    cdef list entries  # one for each time that this object was entered, in any context

    def __init__(self, limit):
        self.limit = threads_argument(limit)
        self.entries = []

    def __reduce__(self):
        return type(self), (self.limit or None,)  # a copy has entered nothing

    def __enter__(self):
        cdef Entry entry = set_limit(self.limit, True)
        try:
            self.entries.append(entry)
        except MemoryError:
            undo(entry)
            raise
        return self

    def __exit__(self, kind, error, trace):
        self.leave()

    def __del__(self):
        while self.entries and self.leave():
            pass

    cdef bint leave(self) except -1:
        """Restore the limit from before this object was last entered in this context. False if it was not, as where a
        generator is closed by another one: then nothing changes."""
        cdef Py_ssize_t i
        with cython.critical_section(self):
            for i in range(len(self.entries) - 1, -1, -1):
                if undo(self.entries[i]):
                    del self.entries[i]
                    return True
        return False

def call_with_limit(limit, function, /, *arguments, **keywords):
    """Call a function with such a limit. In C, for the same reason as ThreadLimit."""
    cdef Entry entry = set_limit(threads_argument(limit), True)
    try:
        return function(*arguments, **keywords)
    finally:
        undo(entry)

def set_thread_limit(limit):
    """Limit the threads of calls in the current context; None: no limit."""
    set_limit(threads_argument(limit), False)

def decided_by():
    """How many threads a call may use here if it does not request a number, and which rule says so; and the limit of the
    context, or None, and whether this process is a worker of a process pool."""
    cdef bint pool_worker = is_pool_worker()
    follow_context()
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
