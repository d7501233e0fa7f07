"""What no signal cuts short.

Python runs a signal's handler between two steps of Python code: also where a file has been opened and nobody has noted
it, or in a `with` that has been entered, but does not yet see to exceptions (from 3.14 on). What the handler raises
leaves such things behind. It runs none in what is written in C.
"""
cimport cython
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrnoWithFilenameObject
from libc.errno cimport EINTR, errno
from libc.signal cimport SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP
from posix.fcntl cimport O_CLOEXEC, open
from posix.signal cimport SIG_BLOCK, SIG_SETMASK, sigdelset, sigfillset, sigset_t
from posix.unistd cimport close

import os

cdef extern from "<signal.h>":
    int pthread_sigmask(int how, const sigset_t* mask, sigset_t* before) noexcept

# What tells of a fault of the process itself, and what ends it from a terminal where nothing else does.
cdef int[8] never_blocked = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP]

# A handler runs in this thread also where another thread has taken the signal.
cdef int max_tries = 3

cdef sigset_t block_signals() noexcept:
    """Returns the signals that were blocked before."""
    cdef sigset_t signals, before
    sigfillset(&signals)
    for signal in never_blocked:
        sigdelset(&signals, signal)
    pthread_sigmask(SIG_BLOCK, &signals, &before)
    return before

def call_undisturbed(function, *arguments):
    """What a function returns. Signals that come meanwhile come afterwards; what it starts begins with them blocked."""
    cdef sigset_t before = block_signals()
    try:
        PyErr_CheckSignals()  # for those that have come already
        return function(*arguments)
    finally:
        pthread_sigmask(SIG_SETMASK, &before, NULL)

def call_and_end(function, end):
    """What `function` returns. `end` is called in any case, undisturbed; again if it raises something, as
    a handler may in it.
    """
    cdef sigset_t before
    try:
        return function()
    finally:
        before = block_signals()
        try:
            call_to_the_end(end, max_tries)
        finally:
            pthread_sigmask(SIG_SETMASK, &before, NULL)

cdef int call_to_the_end(function, int tries) except -1:
    try:
        function()
    except BaseException:
        if tries > 1:
            call_to_the_end(function, tries - 1)
        raise
    return 0


@cython.final
cdef class OpenFile:
    """A descriptor, closed at the latest when nobody has this object any more."""

    cdef readonly int fd
    cdef bint is_open

    def __cinit__(self, path, int flags):
        cdef bytes name = os.fsencode(path)
        if 0 in name:
            raise ValueError("embedded null byte")
        cdef const char* name_ = name
        cdef int how = flags | O_CLOEXEC
        while not self.is_open:
            with nogil:
                self.fd = open(name_, how)
            self.is_open = self.fd >= 0
            if not self.is_open and errno != EINTR:
                PyErr_SetFromErrnoWithFilenameObject(OSError, path)
            PyErr_CheckSignals()

    cpdef void close(self) noexcept:
        if self.is_open:
            close(self.fd)
        self.is_open = False

    def __dealloc__(self):
        self.close()
