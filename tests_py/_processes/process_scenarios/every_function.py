"""Each public callable of the package, used in a worker, before or after its parent has used threads."""

import ctypes
import multiprocessing
import pickle
import sys

import numpy as np
import twofold

VALUES = np.arange(1 << 20, dtype=np.uint32)


def check_shared_array():
    array = twofold.SharedArray(1000, "int16")
    pickle.loads(pickle.dumps(array))[...] = 7
    assert (array == 7).all()


def check_kernel():
    fabs = ctypes.CDLL(None).fabs
    fabs.argtypes, fabs.restype = [ctypes.c_double], ctypes.c_double
    assert (twofold.Kernel(fabs)(-1.0 * VALUES, threads=2) == VALUES).all()


def check_num_threads():
    with twofold.num_threads(2):
        assert twofold.get_num_threads() == 2


def check_set_num_threads():
    twofold.set_num_threads(2)
    assert twofold.threads_info()["num_threads"] == 2
    twofold.set_num_threads(None)


USES = {
    "Kernel": check_kernel,
    "SharedArray": check_shared_array,
    "double": lambda: check(twofold.double(VALUES, threads=2)),
    "double_in_processes": lambda: check(twofold.double_in_processes(VALUES, processes=2)),
    "get_include": twofold.get_include,
    "get_num_threads": twofold.get_num_threads,
    "num_threads": check_num_threads,
    "parallel": lambda: check(twofold.parallel(np.add)(VALUES, VALUES, threads=2)),
    "release_memory": twofold.release_memory,
    "set_num_threads": check_set_num_threads,
    "share": lambda: check(twofold.share(VALUES) * 2),
    "show_config": lambda: twofold.show_config("dicts"),
    "simd_target": twofold.simd_target,
    "threads_info": twofold.threads_info,
}


def check(doubled):
    assert (doubled == VALUES * 2).all()


def use(name):
    USES[name]()


def main(method, threads):
    assert set(USES) == {name for name in twofold.__all__ if callable(getattr(twofold, name))}, "one is not tested"
    if threads == "used":
        twofold.double(VALUES, threads=3)
    context = multiprocessing.get_context(method)
    for name in USES:
        process = context.Process(target=use, args=(name,))
        process.start()
        process.join()
        assert process.exitcode == 0, f"{name}: {process.exitcode}"
        use(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
