"""The system lets nobody make memory to share: arrays in it are an error that says so, and calls do without."""

import ctypes
import errno
import platform
import struct
import sys

import numpy as np
import pytest
import twofold

MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}[platform.machine()]


def refuse_memfd(error):
    """From now on memfd_create fails so. False: there is no such filter here, as in an emulator."""
    load, equal, answer = 0x20, 0x15, 0x06
    lines = [
        (load, 0, 0, 0),  # the number of the call
        (equal, 0, 1, MEMFD_CREATE),
        (answer, 0, 0, 0x00050000 | error),
        (answer, 0, 0, 0x7FFF0000),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    pointer = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(program)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, pointer) == 0


def check_error(make):
    with pytest.raises(OSError, match="memfd_create"):
        make()


def main(name, mapped_file):
    number = getattr(errno, name)
    if not refuse_memfd(number):
        return
    check_error(lambda: twofold.share([1, 2, 3]))
    check_error(lambda: twofold.SharedArray(3))
    for pool in ({"processes": 2}, {}):
        values = list(range(50_000))
        assert twofold.double_in_processes(values, **pool, chunk_bytes=4096) == [2 * value for value in values]
        assert twofold.double_in_processes([1, 2, 3], **pool) == [2, 4, 6]
        assert twofold.double_in_processes([1.5, 2**70], **pool) == [3.0, 2**71]
        assert twofold.double_in_processes([200], dtype="uint8", overflow="saturate", **pool) == [255]
        out = np.zeros(3, np.int64)
        assert twofold.double_in_processes([1, 2, 3], out=out, **pool) is out
        assert out.tolist() == [2, 4, 6]
        for x in (np.arange(300_000), np.ones((300, 20), order="F"), np.arange(9, dtype=">u2"), np.empty(0)):
            y = twofold.double_in_processes(x, **pool)
            assert (type(y), y.dtype, y.shape) == (np.ndarray, x.dtype, x.shape)
            assert (y == x * 2).all()
            assert (twofold.double_in_processes(x, out=x, **pool) == y).all()
            assert (x == y).all()
        x = np.array([1, 2**62, 2**62])
        with pytest.raises(OverflowError, match=r"\[1\]"):
            twofold.double_in_processes(x, out=x, overflow="raise", **pool)
        assert x[0] == 1
        mapped = np.memmap(mapped_file, np.uint32, "w+", shape=(5000,))
        mapped[:] = 3
        assert twofold.double_in_processes(mapped, out=mapped, **pool) is mapped
        assert (mapped == 6).all()


if __name__ == "__main__":
    main(*sys.argv[1:])
