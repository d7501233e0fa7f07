# distutils: language = c++
"""Memory that processes share, as an object with a buffer: see segment.hpp."""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EACCES, EFBIG, ENOENT, ENOMEM, ENOSYS, EPERM, EPROTO, ESTALE
from libc.string cimport memcpy
from posix.types cimport pid_t
from posix.unistd cimport getpid

from twofold._memory.numpy_handler cimport recycling_cap, recycling_is_on

import os
from _weakref import ref  # as weakref has it

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.messages cimport unlocked_in_child

cdef extern from "<sys/prctl.h>" nogil:
    int PR_GET_DUMPABLE
    int prctl(int option, ...) noexcept

cdef extern from "_processes/segment.hpp" namespace "twofold_segments" nogil:
    int create(size_t bytes, segment& made) noexcept
    int attach(pid_t pid, int descriptor, const identity& id, size_t bytes, segment& found) noexcept
    void release(segment& held) noexcept
    void hide(const segment& held) noexcept
    bint show(const segment& held) noexcept
    bint is_lost(const segment& held) noexcept
    void fill(const segment& made, const void* values) noexcept
    void map_ahead(const segment& held, size_t first, size_t bytes) noexcept
    const unsigned int no_ticket
    unsigned int draw_ticket(const segment& held) noexcept
    void hand_in_ticket(const segment& held, unsigned int ticket) noexcept
    bint is_open(const segment& held, unsigned int ticket) noexcept
    size_t kept_bytes() noexcept
    void keep_at_most(size_t bytes) noexcept
    size_t release_kept() noexcept

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

# The segments of this process by token, so that a reference to one of them gives the same object. The child of a fork
# has those of its parent. Weak references without callbacks, unlike a WeakValueDictionary's, in which an exception of a
# signal handler is lost: a segment removes its own entry when it is deallocated.
cdef dict known = unlocked_in_child({})

cdef size_t cap_of_tests = <size_t>-1

# Makes a look-up and a change of `known` atomic in a free-threaded Python. With the GIL they are anyway.
cdef object noting = unlocked_in_child(object())


class SharedArrayError(RuntimeError):
    """An array in shared memory, sent by another process, could not be opened here; or none can be sent from here."""

    __module__ = "twofold.shared"


class AccessError(SharedArrayError):
    """This process can never open the memory of the other one."""


class NoSharedMemoryError(OSError):
    """The system does not let this process make memory that can be shared."""


@cython.final
cdef class Segment:
    """Memory that other processes can attach to; a writable buffer of bytes. `create` or `attach` make one.

    The reference for other processes is `pid`, `fd`, `token` and `nbytes`. It is valid while this object lives, or
    another one in a process that has attached.
    """

    def __dealloc__(self):
        if self.token is not None:
            with cython.critical_section(noting):
                if known_segment(self.token) is None:  # weak references are cleared first
                    known.pop(self.token, None)
        release(self.held)

    @staticmethod
    def create(nbytes):
        """New memory of `nbytes`, not filled. MemoryError if there is not that much, checked before any is taken;
        OSError beyond another limit; NoSharedMemoryError if the system makes no such memory at all."""
        cdef Segment made = Segment.__new__(Segment)
        cdef size_t wanted = nbytes
        cdef int error
        with nogil:
            error = create(wanted, made.held)
        if error == ENOMEM:
            raise MemoryError(f"there is no memory for {wanted} bytes to share between processes")
        if error != 0:
            kind = NoSharedMemoryError if error in (ENOSYS, EPERM, EACCES) else OSError
            raise kind(error, f"cannot make {wanted} bytes to share between processes: {why_not_made(error)}")
        return noted(made)

    @staticmethod
    def attach(pid, fd, bytes token not None, nbytes):
        """The memory that process `pid` refers to by the other three. SharedArrayError if it cannot be opened."""
        cdef Segment found = known_segment(token)
        if found is not None:
            return found
        cdef identity id
        cdef pid_t owner = pid
        cdef int descriptor = fd
        cdef size_t wanted = nbytes
        cdef int error
        if len(token) != sizeof(id):
            raise SharedArrayError("the reference is not one of this version of twofold")
        memcpy(&id, <const char*>token, sizeof(id))
        found = Segment.__new__(Segment)
        with nogil:
            error = attach(owner, descriptor, id, wanted, found.held)
        if error != 0:
            is_refused = error in (EACCES, EPERM) or (error == ENOENT and not os.path.exists("/proc/self/fd"))
            raise (AccessError(why_no_access(owner)) if is_refused else SharedArrayError(why_not(error, owner, wanted)))
        return noted(found)

    @property
    def pid(self):
        """This process, to which the descriptor `fd` belongs."""
        return getpid()

    @property
    def fd(self):
        return self.held.descriptor

    @property
    def address(self):
        return <size_t>self.payload

    @property
    def is_zero(self):
        """Whether all of it was zero when it was made. (Reused memory is not.)"""
        return self.held.is_zero

    @property
    def is_owner(self):
        """Whether this process made it, or a process that it was forked from."""
        return self.held.is_owner

    def fill(self, values):
        """Copy as many bytes as it has into a segment that has just been made."""
        cdef Py_buffer source
        PyObject_GetBuffer(values, &source, PyBUF_SIMPLE)
        try:
            if <size_t>source.len != self.nbytes:
                raise ValueError(f"{source.len} bytes to fill {self.nbytes}")
            with nogil:
                fill(self.held, source.buf)
        finally:
            PyBuffer_Release(&source)

    def map_ahead(self, first, nbytes):
        """Map some of its pages now, which is faster than writing to them first."""
        cdef size_t begin = first, size = nbytes
        if begin > self.nbytes or size > self.nbytes - begin:
            raise ValueError(f"bytes {begin} to {begin + size} of {self.nbytes}")
        with nogil:
            map_ahead(self.held, begin, size)

    def hide(self):
        """Hide it from children of a fork until `show`, since it belongs to a running call."""
        hide(self.held)

    def show(self):
        """RuntimeError in a child that was forked since `hide`, in which it is all zeros."""
        if not show(self.held):
            raise RuntimeError("a call of double_in_processes does not go on in the child of a fork")

    def draw_ticket(self):
        """A ticket for a reference that is sent: until the receiver hands it in, the sender must keep this object.

        None if there are no more of them.
        """
        cdef unsigned int ticket = draw_ticket(self.held)
        return None if ticket == no_ticket else ticket

    def hand_in_ticket(self, ticket):
        hand_in_ticket(self.held, no_ticket if ticket is None else ticket)

    def is_open(self, ticket):
        """Whether the ticket has not been handed in."""
        return bool(is_open(self.held, ticket))

    def __len__(self):
        return self.nbytes

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.payload, self.nbytes, False, flags)

    def __reduce__(self):
        raise TypeError("a Segment is not pickled; its pid, fd, token and nbytes are what another process attaches to")


cdef Segment known_segment(bytes token):
    reference = known.get(token)
    cdef Segment there = None if reference is None else reference()
    return None if there is None or is_lost(there.held) else there

cdef Segment noted(Segment segment):
    """The segment, entered into `known`; or the one that another thread has entered for the same memory meanwhile.

    So comparing addresses, as NumPy does, shows which arrays overlap.
    """
    # As much is kept as of recycled memory, by the same rule, which reads the environment at its first use.
    keep_at_most(min(recycling_cap(), cap_of_tests) if recycling_is_on() else 0)
    segment.payload = segment.held.payload
    segment.nbytes = segment.held.bytes
    segment.token = (<const char*>&segment.held.id)[:sizeof(identity)]
    cdef Segment there
    cdef object reference = ref(segment)
    with cython.critical_section(noting):
        there = known_segment(segment.token)
        if there is None:
            known[segment.token] = reference
    return segment if there is None else there

cdef str why_not_made(int error):
    if error == EFBIG:
        return "beyond the limit of file sizes (RLIMIT_FSIZE, ulimit -f), which holds for files in memory, too"
    if error in (ENOSYS, EPERM, EACCES):
        return f"this process may make no files in memory (memfd_create: {os.strerror(error)})"
    return os.strerror(error)


cdef str why_not(int error, pid_t pid, size_t nbytes):
    if error == ENOENT:
        return (f"process {pid}, which sent it, has ended or has dropped it before it was opened here; or it is a "
                "process of another machine or container")
    if error == ESTALE:
        return (f"process {pid} has dropped it before it was opened here; or it was sent by a process of another "
                "machine or container")
    if error == EPROTO:
        return f"process {pid} has another version of twofold"
    if error == ENOMEM:
        return f"there is no room for another {nbytes} bytes among the addresses of this process"
    return f"opening it failed: {os.strerror(error)}"

cdef str why_no_access(pid_t pid):
    cdef str refusal = f"this process may not open what process {pid} has"
    try:
        user = os.stat(f"/proc/{pid}").st_uid
        shown_to = os.stat(f"/proc/{pid}/fd").st_uid
    except OSError as error:
        raise_again_if_callers(error)
        return refusal if os.path.exists("/proc/self/fd") else NO_PROC
    if shown_to != user:
        return f"{refusal}: {NOT_DUMPABLE}"
    if user != os.geteuid():
        return f"{refusal}, which is of user {user}, not of user {os.geteuid()}"
    return f"{refusal}, although it is of the same user: it lacks capabilities, or the other one is not dumpable"


# Why other processes cannot open this one's memory.
NO_PROC = "there is no /proc (of this PID namespace) here, by which processes open each other's memory"
NOT_DUMPABLE = (
    "it has given up privileges (by setuid, say), and since then the kernel shows what it has open to no other process;"
    " prctl(PR_SET_DUMPABLE, 1) in it permits that again (ctypes.CDLL(None).prctl(4, 1)), also for those that it forks"
    " from then on"
)

def is_dumpable():
    """Whether other processes of the same user may open this one's files. (1: yes; -1: the system does not tell.)"""
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) not in (0, 2)


def segment_beneath(owner):
    """The segment at the end of a chain of bases, as NumPy's views have them; None if there is none."""
    while owner is not None and type(owner) is not Segment:
        owner = owner.obj if type(owner) is memoryview else getattr(owner, "base", None)
    return owner


@cython.final
cdef class AnyMemory:
    """A buffer of maximum length without memory: only for the strides that NumPy gives to an array."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self, PY_SSIZE_T_MAX, True, flags)


def kept():
    """The bytes of dropped segments that are kept for reuse."""
    return kept_bytes()

def keep(size_t nbytes):
    """For tests: from now on at most this much is kept."""
    global cap_of_tests
    cap_of_tests = nbytes

def release_memory():
    """Give them back to the system, and return how many they were."""
    return release_kept()
