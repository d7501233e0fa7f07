# cython: freethreading_compatible=True
"""A module of somebody else's, whose loops run on twofold's threads."""
from libc.stdint cimport uint32_t

from array import array

from twofold cimport map_chunks, parallel_for

cdef struct Job:
    const uint32_t* values
    uint32_t* out

cdef int double_range(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef Job* job = <Job*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        job.out[i] = 2 * job.values[i]
    return 0


def double(const uint32_t[::1] values, out=None, unsigned int threads=0):
    """What twofold.double does for an array of unsigned integers."""
    cdef Job job
    cdef uint32_t[::1] target
    if out is None:
        out = array("I", bytes(values.nbytes))
    target = out
    job.values, job.out = &values[0], &target[0]
    cdef Py_ssize_t n = min(values.shape[0], target.shape[0])
    with nogil:
        parallel_for(n, sizeof(uint32_t), double_range, &job, threads)
    return out


cdef api int double_chunk(const uint32_t* values, uint32_t* out, Py_ssize_t n) noexcept nogil:
    """For twofold.Kernel."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = 2 * values[i]
    return 0


cdef int count_with_gil(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    cdef Py_ssize_t i
    with gil:
        for i in range(first, first + count):
            (<list>user)[i] += 1
    return 0


def count(list counts, unsigned int threads=0):
    """Adds 1 to each item, with a body that takes the GIL."""
    return parallel_for(len(counts), 1 << 20, count_with_gil, <void*>counts, threads)


cdef struct Visits:
    Py_ssize_t* seen
    Py_ssize_t failing

cdef int visit(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil:
    """Fails at each index from `failing` on, with a code of its own."""
    cdef Visits* visits = <Visits*>user
    cdef Py_ssize_t i
    for i in range(first, first + count):
        if i >= visits.failing:
            return <int>i + 1
        visits.seen[i] += 1
    return 0


def first_code(Py_ssize_t[::1] seen, Py_ssize_t failing, Py_ssize_t bytes_per_item, unsigned int threads=0):
    """The code of a loop that fails from `failing` on."""
    cdef Visits visits
    visits.seen, visits.failing = &seen[0], failing
    return parallel_for(seen.shape[0], bytes_per_item, visit, &visits, threads)


cdef int add_one(const void* values, void* out, Py_ssize_t count, void* user) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<uint32_t*>out)[i] = (<const uint32_t*>values)[i] + 1
    return 0


def increment(uint32_t[::1] values, Py_ssize_t shift=0):
    """Into the same array, `shift` items behind."""
    return map_chunks(&values[0], 4, &values[shift], 4, values.shape[0] - abs(shift), add_one, NULL)
