# distutils: language = c++
"""The table of chunks of claims.hpp, in memory that is passed in, and a worker's loop over it without the GIL.

Arrays are passed as bytes, and element types by name: this module knows no NumPy, and no processes.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t

from twofold._engine.arguments cimport element_from_dtype, policy_argument
from twofold._engine.twofold_engine cimport (
    Kernels, Operation, Policy, clear_float_flags, element_size, raised_float_flags, run,
)

from time import monotonic

cdef extern from "_processes/claims.hpp" namespace "twofold_claims" nogil:
    cdef enum class mode:
        out_of_place
        in_place
        check
    cdef enum class step:
        claimed
        computed
        ready
        copied
        done
    cdef struct identity:
        uint64_t process
        uint64_t started
    cdef struct plan:
        size_t bytes
        size_t chunk_bytes
        size_t workers
        mode how
    const size_t none
    cdef cppclass table:
        table() noexcept
        table(void* memory) noexcept
        size_t bytes() noexcept
        size_t chunks() noexcept
        size_t join(identity process) noexcept
        identity process_of(size_t worker) noexcept
        size_t workers_joined() noexcept
        void leave() noexcept
        size_t bytes_done() noexcept
        size_t bytes_done_by(size_t worker) noexcept
        size_t first_failure() noexcept
        void raise_flags(uint32_t flags) noexcept
        uint32_t flags() noexcept
        void cancel() noexcept
        bint is_cancelled() noexcept
        bint all_done() noexcept
        size_t next_holder(size_t worker) noexcept
        uint32_t workers_left() noexcept
        void wait(uint32_t seen, int64_t nanoseconds) noexcept
    size_t table_bytes "twofold_claims::table::bytes_for"(const plan& wanted) noexcept
    table create_table "twofold_claims::table::create"(void* memory, const plan& wanted) noexcept

# Adapts Cython's function pointers to the callables of claims.hpp.
cdef extern from *:
    """
    #include <signal.h>
    struct twofold_compute {
        std::size_t (*function)(void const* task, std::size_t first, std::size_t n, void* target);
        void const* task;
        std::size_t operator()(std::size_t first, std::size_t n, std::byte* target) const {
            return function(task, first, n, target);
        }
    };
    struct twofold_signal {
        twofold_claims::step at;
        int number;  // 0: none
        void operator()(twofold_claims::step now) const {
            if (number != 0 && now == at) raise(number);
        }
    };
    inline bool twofold_do_chunk(twofold_claims::table const& claims, std::size_t worker, std::size_t* next, void* out,
                                 twofold_compute const& compute, twofold_signal const& signal) {
        return claims.do_chunk(worker, *next, static_cast<std::byte*>(out), compute, signal);
    }
    inline unsigned twofold_bury(twofold_claims::table const& claims, std::size_t worker, void* out) {
        return claims.bury(worker, static_cast<std::byte*>(out));
    }
    """
    cdef struct compute_call "twofold_compute":
        size_t (*function)(const void* task, size_t first, size_t n, void* target) except? 0xFFFFFFFFFFFFFFFE nogil
        const void* task
    cdef struct signal_at_step "twofold_signal":
        step at
        int number
    unsigned int bury_worker "twofold_bury"(const table& claims, size_t worker, void* out) noexcept nogil
    bint do_chunk "twofold_do_chunk"(const table& claims, size_t worker, size_t* next, void* out,
                                     const compute_call& compute, const signal_at_step& signal) except? False nogil

cdef dict modes = {
    "out of place": <int>mode.out_of_place, "in place": <int>mode.in_place, "check": <int>mode.check,
}
cdef dict steps = {
    "claimed": <int>step.claimed, "computed": <int>step.computed, "ready": <int>step.ready, "copied": <int>step.copied,
    "done": <int>step.done,
}

# What `run_bytes` needs to know of a call.
cdef struct Task:
    const Kernels* kernels
    const table* claims
    const char* values
    int element
    size_t itemsize
    Policy policy
    unsigned int threads

cdef size_t run_bytes(const void* task_, size_t first, size_t n, void* target) except? 0xFFFFFFFFFFFFFFFE nogil:
    """`compute` of claims.hpp. The exception stays set."""
    cdef const Task* task = <const Task*>task_
    cdef size_t count = n // task.itemsize
    cdef size_t index = run(task.kernels, task.element, task.values + first, target, count, n, task.policy, task.threads)
    # Before the chunk is seen to be done, and the flags are read.
    if raised_float_flags() != 0:
        task.claims.raise_flags(raised_float_flags())
    return none if index == count else first + index * task.itemsize


@cython.internal
@cython.final
cdef class Held:
    """The bytes of a buffer, until this object goes. Not a memoryview of Cython's, with which `import twofold` takes longer."""
    cdef Py_buffer bytes

    def __cinit__(self, owner, int flags):
        PyObject_GetBuffer(owner, &self.bytes, flags)

    def __dealloc__(self):
        PyBuffer_Release(&self.bytes)


@cython.final
cdef class Claims:
    """A worker of a call on an array: its number, and the table of which worker does which chunk.

    `create` makes a table, with this process as worker 0; `join` makes another worker of an existing one, or None.
    One thread at a time works: RuntimeError for another.
    """
    cdef Held memory
    cdef table claims
    cdef size_t worker
    cdef size_t next
    cdef signal_at_step signal
    cdef bint is_at_work

    @staticmethod
    def bytes_for(size_t nbytes, size_t chunk_bytes, size_t workers, mode):
        """The size of a table for an array of `nbytes`, done in chunks of `chunk_bytes` by at most `workers` workers.

        `mode` is "out of place" (into another array), "in place" or "check" (nothing is stored)."""
        return table_bytes(plan_of(nbytes, chunk_bytes, workers, mode))

    @staticmethod
    def create(memory, size_t nbytes, size_t chunk_bytes, size_t workers, mode, process):
        """`process` is a pair of ints that identifies this process."""
        cdef plan wanted = plan_of(nbytes, chunk_bytes, workers, mode)
        cdef Held held = Held(memory, PyBUF_WRITABLE)
        if table_bytes(wanted) > <size_t>held.bytes.len:
            raise ValueError(f"the table takes {table_bytes(wanted)} bytes, and there are {held.bytes.len}")
        create_table(held.bytes.buf, wanted)
        return Claims.join(memory, process)

    @staticmethod
    def join(memory, process):
        cdef Claims claims = Claims.__new__(Claims)
        cdef identity own
        own.process, own.started = process
        claims.memory = Held(memory, PyBUF_WRITABLE)
        claims.claims = table(claims.memory.bytes.buf)
        claims.worker = claims.claims.join(own)
        return None if claims.worker == none else claims

    def work(self, Operation operation not None, values, out, element, overflow, threads, double seconds):
        """Run the operation on chunks for that many seconds. Returns False if no chunk is left free."""
        cdef Task task
        cdef compute_call compute
        cdef bint goes_on = True
        cdef double end = monotonic() + seconds
        cdef Held source = Held(values, PyBUF_SIMPLE)
        cdef Held target = Held(out, PyBUF_WRITABLE)
        check_length(self.claims, source)
        check_length(self.claims, target)
        task.kernels = operation.kernels
        task.claims = &self.claims
        task.values = <const char*>source.bytes.buf
        task.element = element_from_dtype(element)
        task.itemsize = element_size(task.element)
        task.policy = policy_argument(overflow)
        task.threads = threads
        compute.function = &run_bytes
        compute.task = &task
        with cython.critical_section(self):
            if self.is_at_work:
                raise RuntimeError("another thread is at work as this worker")
            self.is_at_work = True
        try:
            clear_float_flags()
            while goes_on and monotonic() < end:
                with nogil:
                    goes_on = do_chunk(self.claims, self.worker, &self.next, target.bytes.buf, compute, self.signal)
        finally:
            self.is_at_work = False
        return goes_on

    def signal_at(self, step_, int number):
        """For tests: this worker sends itself that signal at that step of each chunk, to die or stop there."""
        self.signal.at = <step><int>steps[step_]
        self.signal.number = number

    def leave(self):
        """Record that this worker has found nothing more to do."""
        self.claims.leave()

    def cancel(self):
        """Let no worker begin another chunk."""
        self.claims.cancel()

    def all_done(self):
        return self.claims.all_done()

    def holders(self):
        """The other workers that have a chunk right now: their numbers and processes."""
        cdef list found = []
        cdef identity holder
        cdef size_t worker = self.claims.next_holder(none)
        while worker != none:
            if worker != self.worker:
                holder = self.claims.process_of(worker)
                found.append((worker, (holder.process, holder.started)))
            worker = self.claims.next_holder(worker)
        return found

    def bury(self, size_t worker, out):
        """Take over from a worker whose process is dead. Returns how many workers have died over its chunk by now."""
        cdef Held target = Held(out, PyBUF_WRITABLE)
        check_length(self.claims, target)
        return bury_worker(self.claims, worker, target.bytes.buf)

    def workers_left(self):
        """What `wait` compares with."""
        return self.claims.workers_left()

    def wait(self, uint32_t seen, double seconds):
        """Wait until more workers have left than `seen`, a signal comes, or the time has passed."""
        cdef int64_t nanoseconds = <int64_t>(max(seconds, 0) * 1e9)
        with nogil:
            self.claims.wait(seen, nanoseconds)

    @property
    def workers_joined(self):
        return self.claims.workers_joined()

    @property
    def bytes_done(self):
        """By all workers."""
        return self.claims.bytes_done()

    @property
    def own_bytes_done(self):
        return self.claims.bytes_done_by(self.worker)

    @property
    def first_failure(self):
        """The first byte of the first element that was found not to fit, or None."""
        cdef size_t byte = self.claims.first_failure()
        return None if byte == none else byte

    @property
    def float_flags(self):
        """The floating-point flags that all workers have raised, as the engine's raised_float_flags."""
        return self.claims.flags()


cdef plan plan_of(size_t nbytes, size_t chunk_bytes, size_t workers, mode_) except *:
    cdef plan wanted
    if not (nbytes and chunk_bytes and workers):
        raise ValueError("a table needs an array, chunks and workers that are not empty")
    wanted.bytes = nbytes
    wanted.chunk_bytes = chunk_bytes
    wanted.workers = workers
    wanted.how = <mode><int>modes[mode_]
    return wanted

cdef int check_length(table claims, Held array) except -1:
    if claims.bytes() != <size_t>array.bytes.len:
        raise ValueError(f"the table is for {claims.bytes()} bytes, not {array.bytes.len}")
    return 0

def itemsize_of(element):
    return element_size(element_from_dtype(element))
