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

# ---- loops without headers

numbers = array("d", range(200_000))
squares = array("d", [x * x for x in numbers])
for threads in (0, 1, 3):
    for with_gil in (False, True):
        for n in (1, 7, 200_000):
            out = array("d", bytes(8 * n))
            for _ in range(3):
                assert header_free_door.squares(numbers[:n], out, 1e9, threads, with_gil) == 0
            assert out == squares[:n], (n, threads)
        for largest in (0, 5, 99_999, 199_998):
            out = array("d", [-1] * len(numbers))
            assert header_free_door.squares(numbers, out, largest, threads, with_gil) == largest + 2
            assert out[: largest + 1] == squares[: largest + 1], (largest, threads)
    singles = array("f", bytes(4 * len(numbers)))
    assert header_free_door.scaled_singles(numbers, singles, 0.5, threads) == 0
    assert singles == array("f", [x / 2 for x in numbers])
values = numbers[:]
assert header_free_door.increment(values) == 0
assert values == array("d", [x + 1 for x in numbers])
refused("values and out overlap without being the same array", header_free_door.increment, values, 1)
refused("values and out overlap without being the same array", header_free_door.narrow_in_place, values)
assert values == array("d", [x + 1 for x in numbers])
assert header_free_door.loop_of(0, 8) == 0
refused("n must be at least 0, not -3", header_free_door.loop_of, -3, 8)
refused("an item must have at least 0 bytes, not -1", header_free_door.loop_of, 3, -1)
refused("the body is NULL", header_free_door.loop_without_body)
refused("n must be at least 0, not -1", header_free_door.chunks_of, -1, 8, 8)
refused("an item must have at least 0 bytes, not -8", header_free_door.chunks_of, 5, -8, 8)
refused("values or out is NULL, but its items have bytes", header_free_door.chunks_of, 5, 8, 0)
refused("more bytes than there can be", header_free_door.chunks_of, 2**60, 16, 8)
refused("more bytes than there can be", header_free_door.chunks_of, 2**62, 0, 4)
assert header_free_door.chunks_of(0, 8, 8) == 0
counts = [0] * 5000
for _ in range(3):
    assert header_free_door.count_with_gil(counts) == 0
assert counts == [3] * 5000
assert header_free_door.failing() == 2**31 - 1

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
for n in (0, 1, 5, 100_000):
    x, y = [float(i % 100) for i in range(n)], [float(i % 7) for i in range(n)]
    for threads in (1, 3):
        sums, fused, total, product = template_door.of_several_inputs(x, y, threads)
        assert sums == [a + b for a, b in zip(x, y, strict=True)]
        assert fused == [a * b + a for a, b in zip(x, y, strict=True)]
        assert (total, product) == (sum(x), sum(a * b for a, b in zip(x, y, strict=True)))  # whole numbers
refused("was their number negative?", template_door.loop_of_a_negative_number)
refused("the first input has 2 elements, but the second has 1", template_door.reduce_unequal)

numbers = array("d", range(100_000))
for threads in (0, 1, 3):
    values = numbers[:]
    assert template_door.square_in_place(values, 1e9, threads) == 0
    assert values == array("d", [x * x for x in numbers])
    values = numbers[:]
    assert template_door.square_in_place(values, 70_000, threads) == 70_002
    assert values[:70_001] == array("d", [x * x for x in numbers[:70_001]])
counts = array("I", bytes(400_000))
for times in (1, 2, 3):
    assert template_door.count(counts) == 0
    assert counts == array("I", [times]) * 100_000
