"""Code that no signal interrupts.

Python runs a signal's handler between two steps of Python code: for example after a file was opened and before its
descriptor is stored, or (since 3.14) in a `with` that has been entered, but does not handle exceptions yet. If the
handler raises, the file stays open. It runs no handler within C code.
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

# Signals of a fault of the process itself, and the one that ends it from a terminal if nothing else does.
cdef int[8] never_blocked = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP]

# Blocking is not enough: a handler also runs in this thread if another thread has received the signal.
cdef int max_tries = 3

cdef sigset_t block_signals() noexcept:
    """Block signals; returns those that were blocked before."""
    cdef sigset_t signals, before
    sigfillset(&signals)
    for signal in never_blocked:
        sigdelset(&signals, signal)
    pthread_sigmask(SIG_BLOCK, &signals, &before)
    return before

def call_undisturbed(function, *arguments):
    """Call a function. Signals are delivered after it; processes that it starts begin with signals blocked."""
    cdef sigset_t before = block_signals()
    try:
        PyErr_CheckSignals()  # for signals that have come already
        return function(*arguments)
    finally:
        pthread_sigmask(SIG_SETMASK, &before, NULL)

def call_and_end(function, end):
    """Call a function, then `end` in any case, with signals blocked. `end` is called again if it raises, as a handler
    may in it.
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
    """A descriptor, closed at the latest when this object is deallocated."""

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
        cdef bint was_open
        with cython.critical_section(self):
            was_open, self.is_open = self.is_open, False
        if was_open:
            close(self.fd)

    def __dealloc__(self):
        self.close()
