"""The address space is limited, in the caller or in its workers: a clear error, or the others do the work."""

import os
import resource
import sys
import time

import numpy as np
import twofold
from checks import Call, MiB, descriptors, end_pool, make_pool, workers_of


def limit(more):
    """Lets this process have as much address space as it has, and so many bytes more. Returns its number."""
    with open("/proc/self/statm") as statm:
        has = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (has + more, resource.RLIM_INFINITY))
    return os.getpid()


def class_of(array):
    return type(array).__name__


def main(kind, method):
    # Workers that cannot map the array.
    pool = make_pool(kind, method)
    if hasattr(pool, "submit"):
        apply = lambda f, *a: pool.submit(f, *a).result()  # noqa: E731
        list(pool.map(time.sleep, [0.1] * 4))  # that all are there
    else:
        apply = lambda f, *a: pool.apply(f, a)  # noqa: E731
    call = Call("out of place", 64)  # which no worker has from its parent
    limited = set()
    while limited != set(workers_of(pool)):
        limited.add(apply(limit, 32 * MiB))
    assert apply(class_of, call.shared) == "LostArray", "there is no limit"
    for mode in ("out of place", "in place"):
        call.mode = mode
        call(pool)
        call(pool)
    end_pool(pool)

    # A caller that cannot map the result.
    values = twofold.share(np.ones(256 * MiB, np.uint8))
    before = descriptors()
    limit(128 * MiB)
    for _ in range(3):
        try:
            twofold.double_in_processes(values, processes=2)
        except MemoryError as error:
            said = str(error)
        else:
            raise AssertionError("no error")
        assert str(values.nbytes) in said, said
        assert descriptors() == before
    small = twofold.double_in_processes(values[: 8 * MiB], processes=2)
    assert (small == 2).all()
    assert (values[::4096] == 1).all()


if __name__ == "__main__":
    main(*sys.argv[1:])
