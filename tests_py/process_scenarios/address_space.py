"""The address space is limited, in the caller or in its workers: a clear error, or the others do the work."""

import os
import resource
import sys

import numpy as np
import twofold
from checks import Call, MiB, descriptors, end_pool, make_pool


def limit(more):
    """Lets this process have as much address space as it has, and so many bytes more."""
    with open("/proc/self/statm") as statm:
        has = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (has + more, resource.RLIM_INFINITY))


def main(kind, method):
    # Workers that cannot map the array.
    call = Call("elsewhere", 64)
    pool = make_pool(kind, method)
    run = pool.submit if hasattr(pool, "submit") else lambda *call: pool.apply_async(call[0], call[1:])
    for limited in [run(limit, 32 * MiB) for _ in range(8)]:  # some for each of them
        limited.result() if hasattr(limited, "result") else limited.get()
    for way in ("elsewhere", "in place"):
        call.way = way
        call(pool)
        call(pool)
    end_pool(pool)

    # A caller who cannot map the result.
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
