"""What mypy says of calls, in its strictest mode: test_docs.py has it read this, and nobody runs it.

An `ignore` that is not needed is an error, too. What a call returns with dtype= is not known to the types.
"""

from array import array
from decimal import Decimal
from typing import Any, assert_type

import numpy as np
import twofold
from numpy.typing import NDArray

bytes_of_numpy: NDArray[np.uint8] = np.zeros(3, np.uint8)

assert_type(twofold.double([1, 2]), list[int])
assert_type(twofold.double((1.5, 2.5)), list[float])
assert_type(twofold.double(range(3)), list[int])
assert_type(twofold.double([1j]), list[complex])
assert_type(twofold.double([Decimal(1)]), list[Decimal])
assert_type(twofold.double([np.float32(1)]), list[np.float32])
assert_type(twofold.double(3), int)
assert_type(twofold.double(1.5), float)
assert_type(twofold.double(Decimal(1)), Decimal)
assert_type(twofold.double(np.float32(1.5)), np.float32)
assert_type(twofold.double(bytes_of_numpy), NDArray[np.uint8])
assert_type(twofold.double([1, 2, 3], out=bytes_of_numpy), NDArray[np.uint8])
assert_type(twofold.double(array("i", [1])), "array[int]")
assert_type(twofold.double(b"a"), memoryview[Any])  # type: ignore[type-arg, unused-ignore]
assert_type(twofold.double(bytearray(b"a")), memoryview[Any])  # type: ignore[type-arg, unused-ignore]
assert_type(twofold.share(bytes_of_numpy), twofold.SharedArray)
assert_type(twofold.double_in_processes([1]), list[int])
assert_type(twofold.double_in_processes(bytes_of_numpy), twofold.SharedArray)
assert_type(twofold.double_in_processes(bytes_of_numpy, out=bytes_of_numpy), NDArray[np.uint8])
assert_type(twofold.ufuncs.doubled, np.ufunc)
assert_type(twofold.parallel(np.sin).nin, int)
assert_type(twofold.parallel(twofold.parallel(np.sin), raises=False).types, list[str])

assert_type(twofold.Kernel(("module", "name"), "double (double)").nin, int)

twofold.double(["a"])  # type: ignore[type-var]
twofold.double("a")  # type: ignore[type-var]
twofold.double([[1], [2]])  # type: ignore[type-var]
twofold.double([None])  # type: ignore[type-var]
twofold.double({"a": 1})  # type: ignore[call-overload]
twofold.double(None)  # type: ignore[call-overload]
twofold.double(3, out=bytes_of_numpy)  # type: ignore[call-overload]
twofold.double([1], out=[0])  # type: ignore[call-overload]
twofold.double([1], overflow="clip")  # type: ignore[call-overload]
twofold.double([1], overlow="wrap")  # type: ignore[call-overload]
twofold.parallel(len)  # type: ignore[arg-type]
twofold.Kernel(len, 3)  # type: ignore[arg-type]
twofold.double_in_processes(["a"])  # type: ignore[type-var]
twofold.double_in_processes([1], 2)  # type: ignore[call-overload]
