"""There is no /proc: all works but what takes another process, which says so.

no_proc.py HOW: "mounted over", as far as this process may do so, or "somewhere else", as far as twofold knows.
"""

import ctypes
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import twofold
from checks import MODES, Call
from closed_process import refusal_of, warning_of
from twofold._processes import jobs, places, transit

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 1 << 18


def hide_proc():
    """False where this process may not."""
    libc = ctypes.CDLL(None)
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) == 0
        and libc.mount(b"none", b"/proc", b"tmpfs", 0, None) == 0
    )


def check_call(call, pool, **keywords):
    (warning,) = warning_of(partial(call, **keywords), pool)
    assert "there is no /proc" in warning, warning


def main(how):
    multiprocessing.set_start_method("fork")
    calls = [Call(mode, 2) for mode in MODES]
    pool = multiprocessing.Pool(2)
    before = twofold.share(np.arange(9))
    if how != "mounted over" or not hide_proc():
        for module in (jobs, places, transit):
            module.PROC = "/nowhere"
    else:
        assert not os.path.exists("/proc/self")
    with tempfile.NamedTemporaryFile() as file:
        mapped = np.memmap(file, np.uint32, "w+", shape=1 << 20)
        mapped[:] = 7
        check_call(lambda pool: twofold.double_in_processes(mapped, pool, out=mapped), None)
        assert (mapped == 14).all()
    for call in calls:
        check_call(call, None, processes=2)
        check_call(call, pool)
        with ThreadPoolExecutor(2) as threads:
            check_call(call, threads)
    after = twofold.SharedArray(9)
    after[:] = before
    assert twofold.double(after).tolist() == list(range(0, 18, 2))
    for array in before, after[1:]:
        assert "there is no /proc" in refusal_of(array)
    pool.terminate()
    pool.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
