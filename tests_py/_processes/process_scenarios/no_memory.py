"""Each allocation of a call fails, one after another: MemoryError comes out, or the call goes on without.

What CPython 3.11 itself makes of it is no fault of the call: "error return without exception set", when it finds no
memory for a traceback. And NumPy's ufuncs return NULL without an exception where they find none for their keywords.
"""

import _testcapi
import ctypes
import faulthandler
import sys
from array import array
from fractions import Fraction

import numpy as np
import twofold
from twofold import ufuncs
from twofold._engine import parallel_ufunc

FREE = 25  # so many calls on end in which nothing failed, and there is nothing left to fail
WIDTHS = 1, 2, 5  # allocations that fail, one after another
# CPython 3.11 to 3.13 crashes if ContextVar.set finds no memory for a token, and none for the value either.
# So does np.seterr, which is called when a loop is first used.
WIDTHS_OF = {"limit": (1,), "parallel for the first time": (1,)}
OF_PYTHON = "error return without exception set", "returned NULL without setting an exception"

values = np.arange(6, dtype="i4").reshape(2, 3)
too_large = np.full((2, 3), 127, "i1")
durations = np.array([1, 2], "m8[s]")
large = np.ones(40_000, "i8")
out = np.zeros_like(values)
numbers = [1, 2, 3]
ints, ints_out = array("i", numbers), array("i", numbers)
numbers_of_float, float_out = np.arange(40.0), np.zeros(40)
swapped = numbers_of_float.astype(">f8") + 1
large_out = np.zeros_like(large)


def refused(function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except (OverflowError, TypeError, ValueError):
        return
    raise AssertionError("nothing was wrong with it")


def limited():
    with twofold.num_threads(2):
        return twofold.double(values)


def all_shared(function, *arguments, **keywords):
    before = parallel_ufunc.share_all(7)
    try:
        return function(*arguments, **keywords)
    finally:
        parallel_ufunc.share_all(before)


double = twofold.double
divmod_ = twofold.parallel(np.divmod)
doubled = twofold.Kernel(("twofold.cython_api", "double_f64"))
# Made before, since NumPy crashes where it finds no memory for a ufunc.
kernels = iter([twofold.Kernel(("twofold.cython_api", "double_f64")) for _ in range(500)])
cbrt = ctypes.CDLL(None).cbrt
cbrt.argtypes, cbrt.restype = [ctypes.c_double], ctypes.c_double
CALLS = {
    "list": lambda: double(numbers),
    "list of any numbers": lambda: double([1.5, True, 2**70, Fraction(1, 2)]),
    "tuple": lambda: double((1, 2)),
    "range": lambda: double(range(3)),
    "number": lambda: double(2**80),
    "list of a type": lambda: double(numbers, dtype="int16"),
    "list of NumPy's type": lambda: double(numbers, dtype=np.float32),
    "no number": lambda: refused(double, [1, "a"]),
    "no type": lambda: refused(double, numbers, dtype="nothing"),
    "list that overflows": lambda: refused(double, [1, 100], dtype="int8", overflow="raise"),
    "list into": lambda: double(numbers, out=ints_out),
    "bytes": lambda: double(b"abc"),
    "memoryview": lambda: double(memoryview(values)),
    "memoryview in Fortran order": lambda: double(memoryview(values.T)),
    "memoryview into": lambda: double(memoryview(values), out=memoryview(out)),
    "memoryviews that overlap": lambda: double(memoryview(large)[1:], out=memoryview(large)[:-1]),
    "memoryview that overflows": lambda: refused(double, memoryview(too_large), overflow="raise"),
    "array.array": lambda: double(ints),
    "array.array into": lambda: double(ints, out=ints_out),
    "array": lambda: double(values),
    "array into": lambda: double(values, out=out),
    "array with strides": lambda: double(values[:, ::2]),
    "array of another byte order": lambda: double(values.astype(">i4")),
    "array that overflows": lambda: refused(double, too_large, overflow="raise"),
    "array of another type": lambda: double(values, dtype="i8"),
    "where": lambda: double(values, where=values > 1, out=out),
    "no dimensions": lambda: double(np.array(3)),
    "scalar": lambda: double(np.float32(3)),
    "large array": lambda: double(large),
    "objects": lambda: double(np.array([1, 2**70], object)),
    "timedeltas": lambda: double(durations),
    "ufunc": lambda: ufuncs.doubled(values),
    "ufunc that overflows": lambda: refused(ufuncs.doubled_checked, too_large),
    "saturating ufunc": lambda: ufuncs.doubled_saturating(values, out=out),
    "parallel": lambda: all_shared(divmod_, numbers_of_float, 3),
    "parallel into": lambda: all_shared(divmod_, numbers_of_float, swapped, out=(float_out, None)),
    "parallel for the first time": lambda: all_shared(twofold.parallel(np.add), numbers_of_float, 1.5),
    "parallel that is not shared": lambda: refused(divmod_, numbers_of_float, values),
    "kernel": lambda: all_shared(doubled, numbers_of_float),
    "kernel into": lambda: all_shared(doubled, swapped, out=float_out),
    "kernel of a list": lambda: all_shared(doubled, numbers),
    "kernel for the first time": lambda: all_shared(next(kernels), numbers_of_float),
    "kernel that is none": lambda: refused(twofold.Kernel, cbrt, "double (double, nothing)"),
    "kernel of another type": lambda: refused(twofold.Kernel, cbrt, "float (float, void *)"),
    "kernel without user data": lambda: refused(twofold.Kernel, ("twofold.cython_api", "double_u8"), None, values),
    "share": lambda: twofold.share(values),
    "SharedArray": lambda: twofold.SharedArray((2, 3)),
    "limit": limited,
    "threads_info": twofold.threads_info,
}


def ways_out(call, width):
    """How the call ended, while `width` allocations failed: those after none, after one, and so on."""
    first = free = 0
    while free < FREE:
        error = None
        _testcapi.set_nomemory(first, first + width)
        try:
            call()
        except BaseException as raised:
            error = raised
        finally:
            _testcapi.remove_mem_hooks()
        free = free + 1 if error is None else 0
        first += 1
        yield error


def main():
    faulthandler.enable()
    held = [object_ for object_ in globals().values() if isinstance(object_, (np.ndarray, list, array))]
    for name, call in CALLS.items():
        for _ in range(3):
            call()
        failed = 0
        for width in WIDTHS_OF.get(name, WIDTHS):
            before = list(map(sys.getrefcount, held))
            for error in ways_out(call, width):
                failed += error is not None
                assert (
                    error is None
                    or isinstance(error, MemoryError)
                    # Python 3.11.2 also finds no memory for the text.
                    or (type(error) is SystemError and (str(error).endswith(OF_PYTHON) or not error.args))
                ), (name, width, error)
                assert twofold.threads_info()["limit"] is None, (name, width)
            del error
            assert list(map(sys.getrefcount, held)) == before, (name, width)
        print(name, failed)


main()
