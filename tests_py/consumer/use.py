"""Uses the consumer, whose directory is the argument: every function of both doors, on few elements and on many."""

import random
import sys
from array import array
from collections.abc import Callable

sys.path.insert(0, sys.argv[1])
import header_free_door
import template_door

# What array.array calls them. A complex number is two floats; a 16-bit float is given as its bits.
INTEGERS = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
}
FLOATS = {"float32": ("f", 1), "float64": ("d", 1), "complex64": ("f", 2), "complex128": ("d", 2)}
EXPONENT_ONE = {"float16": 1 << 10, "bfloat16": 1 << 7}


def check_door(name: str, values: array, n: int, expected: array) -> None:
    out = array(values.typecode, bytes(len(values) * values.itemsize))
    header_free_door.double_by_name(name, values, out, n)
    assert out == expected, (name, n)


def refused(why: str, function: Callable[..., object], *arguments: object) -> None:
    said = ""
    try:
        function(*arguments)
    except ValueError as error:
        said = str(error)
    assert why in said, said


for n in (1, 5, 1000, 300_000):
    for name, letter in INTEGERS.items():
        values = array(letter, random.Random(n).randbytes(n * array(letter).itemsize))
        span = 256**values.itemsize
        lowest = 0 if letter.isupper() else -span // 2
        check_door(name, values, n, array(letter, [(2 * v - lowest) % span + lowest for v in values]))
    for name, (letter, parts) in FLOATS.items():
        values = array(letter, [0.375 * i for i in range(n * parts)])
        check_door(name, values, n, array(letter, [v + v for v in values]))
    for name, one in EXPONENT_ONE.items():
        values = array("H", [one + i % 0x7000 for i in range(n)])  # normal numbers, whose double is finite
        check_door(name, values, n, array("H", [bits + one for bits in values]))

values = array("I", [1, 2**31, 3])
header_free_door.double_with_the_gil(values)
assert values.tolist() == [2, 0, 6]
for n in (3, 1_000_000):
    values = array("I", range(n))
    refused("overlap", header_free_door.double_next, values)
    assert values == array("I", range(n))

assert template_door.double_vector([1, 2, 2**31]) == ([2, 4, 0], [2, 4, 0])
values, out = array("I", range(1_000_000)), array("I", bytes(4_000_000))
for threads in (0, 1, 4):
    template_door.double_memory(values, out, threads)
    assert out == array("I", range(0, 2_000_000, 2))
refused("the input has 2 elements, but the output has 0", template_door.double_into_too_short, [1.0, 2.0])

matrix = memoryview(array("I", range(6))).cast("B").cast("I", (2, 3))
turned = memoryview(bytearray(24)).cast("I", (3, 2))
template_door.double_transposed(matrix, turned)
assert turned.tolist() == [[0, 6], [2, 8], [4, 10]]
refused("dimension 0", template_door.double_transposed, matrix, matrix)
matrix[0, 2] = matrix[1, 0] = 2**31
template_door.double_transposed(matrix, turned)
assert turned.tolist() == [[0, 0], [2, 8], [0, 10]]
try:
    template_door.double_transposed(matrix, turned, checked=True)
    raise AssertionError
except OverflowError as error:
    assert "element 2" in str(error), error

numbers = [1, -2, 2**62 - 1]
values, out = (array("q", numbers) for _ in range(2))
if sys.byteorder == "little":
    values.byteswap()
template_door.double_big_endian(values, out)
if sys.byteorder == "little":
    out.byteswap()
assert out.tolist() == [2 * number for number in numbers]

values = array("I", [1, 2, 3])
template_door.double_every_other(values)
assert values.tolist() == [2, 2, 6]
assert template_door.where_it_overflows([1, 2**31 - 1, 2**31]) == 2
assert template_door.where_it_overflows([]) is None
assert template_door.triple([1, 2**31, 5], threads=1) == ([3, 2**31, 15], [3, 2**31, 15])
numbers = list(range(300_000))
assert template_door.triple(numbers, threads=2)[0] == [3 * number for number in numbers]
