"""A worker has one thread, or as many as the engine has written into OMP_NUM_THREADS, also after the import."""

import os
import sys

import twofold
from checks import Call, MiB, end_pool, make_pool
from twofold._processes.jobs import threads_of_worker


def set_variable(value):
    os.environ["OMP_NUM_THREADS"] = value


def main(kind, method):
    pool = make_pool(kind, method, workers=1)
    apply = (lambda f, *a: pool.submit(f, *a).result()) if hasattr(pool, "submit") else (lambda f, *a: pool.apply(f, a))
    call = Call("out of place", 64)
    threads = len(apply(os.listdir, "/proc/self/task"))
    call(pool, chunk_bytes=32 * MiB)
    assert apply(threads_of_worker) == 1
    assert len(apply(os.listdir, "/proc/self/task")) == threads
    apply(set_variable, "3")
    apply(twofold.double, call.values)  # a large call, which looks at the environment
    assert apply(threads_of_worker) == 3
    end_pool(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
