"""Doubles structs of DLPack and Arrow and buffers with random numbers in them: `python fuzz_foreign.py 100000 [seed]`.

Some are right, and then the result has to be; where a number is impossible, there has to be an error, and no byte that
may not be written is. A wrong number that memory might have cannot be told from a right one: such structs are not made.
"""

import collections
import gc
import math
import random
import sys
from array import array

import foreign
import twofold
from foreign import MAX_DIMENSIONS, RELEASED, addresses, c_strides

MAX = 2**63 - 1
IMPOSSIBLE = [-1, -2, -(2**31), -(2**63), 2**31, 2**32, 2**60, 2**61 + 1, 2**62, MAX, MAX - 7]
ERRORS = (BufferError, ValueError, TypeError, MemoryError)
MAX_BYTES = 1 << 14  # of a result that is looked at


class UnclearError(Exception):
    """Nobody can tell whether there is memory behind such numbers."""


class RefusedError(Exception):
    """What has to become an error."""


def elements_of(memory, address, shape, strides, itemsize):
    """Where the elements are, or one of the two exceptions: what twofold knows, in numbers that do not overflow."""
    if any(size < 0 for size in shape):
        raise RefusedError("negative size")
    if 0 in shape:
        return []
    if not address:
        raise RefusedError("no memory")
    extents = [(size - 1) * stride for size, stride in zip(shape, strides, strict=True)]
    low = sum(extent for extent in extents if extent < 0)
    high = sum(extent for extent in extents if extent > 0) + itemsize
    nbytes = math.prod(shape) * itemsize
    if max(nbytes, high - low) > MAX or address + low < 0 or address + high >= 2**64:
        raise RefusedError("more than any memory holds")
    if not memory.holds(address + low, address + high) or MAX_BYTES < nbytes < 2**48:
        raise UnclearError
    if nbytes > MAX_BYTES:
        raise RefusedError("more than this machine has")
    return list(addresses(address, shape, strides))


def check_target(places, shape, strides, itemsize):
    if len({place + i for place in places for i in range(itemsize)}) < len(places) * itemsize:
        raise RefusedError("elements share memory")
    axes = sorted((abs(stride), size) for stride, size in zip(strides, shape, strict=True) if size > 1)
    reach = itemsize
    for stride, size in axes if places else ():
        if stride < reach:  # they lie between each other, which twofold takes for sharing memory
            raise UnclearError
        reach += stride * (size - 1)


class Fuzzer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seen = collections.Counter()
        self.memories = [foreign.Memory(letter, self.random) for letter in foreign.BYTES_OF_LETTERS for _ in range(2)]

    def wild(self):
        return self.random.choice(IMPOSSIBLE)

    def choose(self, probability):
        return self.random.random() < probability

    def layout(self, memory):
        """A shape and strides in bytes, of elements round the middle of the memory."""
        draw = self.random
        shape = [draw.choice([0, 1, 1, 2, 3, 4, 5, 7]) for _ in range(draw.choice([0, 1, 1, 2, 3, 4]))]
        if self.choose(0.02):
            shape = [1] * (MAX_DIMENSIONS - len(shape)) + shape
        order = draw.sample(range(len(shape)), len(shape))
        strides, stride = [0] * len(shape), memory.itemsize * draw.choice([1, 1, 1, 2])
        for i in order:
            strides[i] = stride * draw.choice([1, 1, 1, -1, 0]) if self.choose(0.5) else stride
            stride *= max(shape[i], 1)
        if draw.choice([0, 0, 1]):
            strides = c_strides(shape, memory.itemsize)
        return shape, strides

    def spoil(self, fields, ways):
        """Puts wild numbers into some of the fields."""
        if self.choose(0.3):
            return
        for _ in range(self.random.choice([1, 1, 2])):
            name = self.random.choice(list(ways))
            old, new = fields[name], ways[name]
            if new == "item":
                if old:
                    fields[name] = old = list(old)
                    old[self.random.randrange(len(old))] = (
                        self.random.choice([self.wild(), self.wild(), 0, 1, None]) or 0
                    )
            else:
                fields[name] = new() if callable(new) else self.random.choice(new)

    def double(self, values, **arguments):
        overflow = self.random.choice(["wrap", "wrap", "saturate", "raise"])  # of small numbers: there is none
        return twofold.double(values, overflow=overflow, **arguments)

    # ---- each kind: what is exported, and where its elements are

    def tensor(self, memory, is_out):
        draw = self.random
        shape, strides = self.layout(memory)
        before = draw.randrange(64) * memory.itemsize
        f = {
            "data": memory.middle - before,
            "byte_offset": before,
            "ndim": len(shape),
            "shape": shape,
            "strides": [stride // memory.itemsize for stride in strides],
            "code": foreign.DLPACK_CODES[memory.letter],
            "bits": 8 * memory.itemsize,
            "lanes": 1,
            "device": 1,
            "said_device": 1,
            "flags": 0,
            "version": (1, draw.randrange(4)),
            "deleter": True,
        }
        self.spoil(
            f,
            {
                "data": [None],
                "byte_offset": lambda: self.wild() % 2**64,
                "ndim": [-1, -(2**31), 0, 65, 66, 2**31 - 1],
                "shape": "item",
                "strides": "item",
                "code": lambda: draw.randrange(256),
                "bits": lambda: draw.choice([0, 1, 7, 8, 16, 32, 64, 128, 255]),
                "lanes": [0, 2, 65535],
                "device": [0, -1, 2, 2**31 - 1],
                "said_device": [-1, 2, 10, 2**70],
                "flags": [1, 2, 3],
                "version": [(0, 8), (2, 0), (2**32 - 1, 0)],
                "deleter": [False],
            },
        )
        if self.choose(0.05):
            f["shape"] = None
        if self.choose(0.05):
            f["strides"] = None
        way = draw.choice(["versioned", "plain", "api"])
        kind = foreign.DLPackArrayOfAPI if way == "api" else foreign.DLPackArray

        def expected():
            itemsize = f["bits"] // 8
            if (
                (way != "plain" and f["version"][0] != 1)
                or f["device"] != 1
                or (way != "api" and f["said_device"] != 1)
            ):
                raise RefusedError("version or device")
            if (f["code"], f["bits"], f["lanes"]) != (foreign.DLPACK_CODES[memory.letter], 8 * memory.itemsize, 1):
                if (f["code"], f["bits"]) in KNOWN_TYPES and f["lanes"] == 1:
                    raise UnclearError  # another type than that of the numbers in memory
                raise RefusedError("type")
            if not 0 <= f["ndim"] <= MAX_DIMENSIONS or (f["ndim"] and f["shape"] is None):
                raise RefusedError("dimensions")
            n = f["ndim"]
            shape = ((f["shape"] or []) + [0] * n)[:n]
            if f["strides"] is None:
                strides = c_strides(shape, itemsize)
            else:
                strides = [stride * itemsize for stride in (f["strides"] + [0] * n)[:n]]
            start = f["data"] and f["data"] + f["byte_offset"]
            places = elements_of(memory, start if (start or 0) < 2**64 else None, shape, strides, itemsize)
            if is_out and (way == "plain" or f["flags"] & 1):
                raise RefusedError("read-only")
            return places, tuple(shape), strides

        return kind(way, keep=memory, **f), expected

    def buffer(self, memory, is_out):
        draw = self.random
        shape, strides = self.layout(memory)
        f = {
            "buf": memory.middle,
            "len": math.prod(shape) * memory.itemsize,
            "itemsize": memory.itemsize,
            "ndim": len(shape),
            "format": memory.letter.encode(),
            "shape": shape,
            "strides": strides,
            "readonly": 0,
            "suboffsets": None,
        }
        spoiled = dict(f)
        self.spoil(
            spoiled,
            {
                "buf": [None],
                "len": lambda: draw.choice([self.wild(), 0, 1, f["len"] + 1]),
                "itemsize": lambda: draw.choice([self.wild(), 0, 1, 2, 4, 8, 16, 32]),
                "ndim": [-1, -(2**31), 0, 65, 66, 2**31 - 1],
                "format": lambda: draw.choice(
                    [b"", b"x", b"ii", b"2i", b"Z", b"Zf", b"Zi", b"@", b"<", b">g", b"T{i:x:}"]
                ),
                "shape": "item",
                "strides": "item",
                "readonly": [1],
                "suboffsets": lambda: [draw.choice([-1, 0, 8])] * MAX_DIMENSIONS,
            },
        )
        if spoiled["shape"] != shape and self.choose(0.7):  # a lie that its own length agrees with
            n = math.prod(spoiled["shape"]) * memory.itemsize
            spoiled["len"] = n if abs(n) <= MAX else spoiled["len"]
        for name in ("shape", "strides"):
            if self.choose(0.05):
                spoiled[name] = None
        f = spoiled

        def expected():
            if (f["format"], f["itemsize"]) != (memory.letter.encode(), memory.itemsize):
                if (f["format"], f["itemsize"]) == (b"Zf", 8):
                    raise UnclearError  # another type than that of the numbers in memory
                raise RefusedError("format")
            if not 0 <= f["ndim"] <= MAX_DIMENSIONS or (f["ndim"] and f["shape"] is None):
                raise RefusedError("dimensions")
            n = f["ndim"]
            shape = ((f["shape"] or []) + [0] * n)[:n]
            strides = c_strides(shape, memory.itemsize) if f["strides"] is None else (f["strides"] + [0] * n)[:n]
            if any(size < 0 for size in shape) or f["len"] != math.prod(shape) * memory.itemsize:
                raise RefusedError("length")
            if f["suboffsets"] and any(offset >= 0 for offset in f["suboffsets"][:n]):
                raise RefusedError("suboffsets")
            places = elements_of(memory, f["buf"], shape, strides, memory.itemsize)
            if is_out and f["readonly"]:
                raise RefusedError("read-only")
            return places, tuple(shape), strides

        return foreign.Buffer(memory, **f), expected

    def schema(self, memory):
        draw = self.random
        schema = {"format": foreign.ARROW_LETTERS[memory.letter].encode(), "metadata": None, "dictionary": None}
        if self.choose(0.2):
            text = b"ARROW:extension:name"
            schema |= draw.choice(
                [
                    {"format": None},
                    {"format": b""},
                    {"format": draw.choice([b"u", b"tD", b" ", b"+s", b"ii", b"\xff"])},
                    {"dictionary": memory.start},
                    {"metadata": foreign.metadata(self.wild() % 2**31 - 2**31)},
                    {"metadata": foreign.metadata(1, -draw.choice([1, 4, 2**31]), b"k")},
                    {"metadata": foreign.metadata(1, len(text), text, -1)},
                    {"metadata": foreign.metadata(1, len(text), text, 4, b"mine")},
                    {"metadata": foreign.metadata(2, 1, b"k", 2, b"vv", 1, b"l", 0)},
                    {"metadata": foreign.metadata(0)},
                ]
            )
        return schema

    def arrow(self, memory, schema):
        draw = self.random
        n = draw.choice([0, 1, 2, 3, 30])
        offset = draw.choice([0, 0, 1, 7, 64, 65])
        start = memory.middle - offset * memory.itemsize
        valid = draw.choice([None, memory.start])
        f = {
            "length": n,
            "null_count": 0 if valid is None else -1,
            "offset": offset,
            "n_buffers": 2,
            "n_children": 0,
            "buffers": [valid, start],
            "dictionary": None,
        }
        kind = foreign.ARROW_LETTERS[memory.letter].encode()
        self.spoil(
            f,
            {
                "length": self.wild,
                "null_count": self.wild,
                "offset": self.wild,
                "n_buffers": lambda: draw.choice([self.wild(), 0, 1, 3]),
                "n_children": lambda: draw.choice([self.wild(), 1]),
                "buffers": lambda: draw.choice(
                    [None, [valid, None], [None, start], [2**64 - 1, start], [valid, 2**64 - 8]]
                ),
                "dictionary": [memory.start],
            },
        )

        def expected():
            fine = (None, foreign.metadata(0), foreign.metadata(2, 1, b"k", 2, b"vv", 1, b"l", 0))
            if schema["format"] != kind or schema["dictionary"] or schema["metadata"] not in fine:
                raise RefusedError("schema")
            n, offset, buffers = f["length"], f["offset"], f["buffers"]
            if n < 0 or offset < 0 or not -1 <= f["null_count"] <= n or f["n_buffers"] != 2 or buffers is None:
                raise RefusedError("array")
            if f["n_children"] or f["dictionary"]:
                raise RefusedError("children")
            if n == 0:
                return []
            if not buffers[1] or (not buffers[0] and f["null_count"] > 0):
                raise RefusedError("no memory")
            end = offset + n
            if end * memory.itemsize > MAX or buffers[1] + end * memory.itemsize >= 2**64:
                raise RefusedError("more than any memory holds")
            if buffers[0] and buffers[0] + end // 8 >= 2**64:
                raise RefusedError("more than any memory holds")
            start = buffers[1] + offset * memory.itemsize
            if not memory.holds(start, start + n * memory.itemsize):
                raise UnclearError
            if buffers[0] and f["null_count"] and not memory.holds(buffers[0], buffers[0] + end // 8):
                raise UnclearError
            items = []
            for i in range(offset, end):
                bits = foreign.ctypes.string_at(buffers[0] + i // 8, 1)[0] if buffers[0] and f["null_count"] else 255
                place = buffers[1] + i * memory.itemsize
                items.append(foreign.doubled(memory.item(place), memory.letter) if bits >> i % 8 & 1 else None)
            return items

        return foreign.ArrowArray(schema, f, memory), expected

    # ---- a call each

    def call(self, what, expected, compute, check, *exporters):
        """Calls, and compares what comes with what has to."""
        self.call_and_compare(what, expected, compute, check, [exporter.said for exporter in exporters])
        gc.collect(0)
        for exporter in exporters:
            exporter.close()

    def call_and_compare(self, what, expected, compute, check, said):
        try:
            answer = expected()
        except UnclearError:
            self.seen["not made"] += 1
            return
        except RefusedError as reason:
            answer, reason_of_error = None, reason
        try:
            result = compute()
        except ERRORS as error:
            if answer is not None:
                raise AssertionError(f"{what} is right, and there is an error: {said}") from error
            self.seen[f"{what} refused: {reason_of_error}"] += 1
        else:
            assert answer is not None, f"{what} has to be refused ({reason_of_error}), and gives {result!r}; {said}"
            check(result, answer)
            self.seen[f"{what} right"] += 1

    def strided(self, what, make, take):
        """A tensor or a buffer, alone, in place, or into another one."""
        memory, other = (self.random.choice(self.memories) for _ in range(2))
        way = self.random.choice(["alone", "in place", "out"])
        source, expected_source = make(memory, way == "in place")
        target, expected_target = source, expected_source
        if way == "out":
            if self.choose(0.9):
                other = next(m for m in self.memories if m.letter == memory.letter and m is not memory)
            state = self.random.getstate()
            target, expected_target = make(other, True)
            if self.choose(0.7):  # of the same shape
                self.random.setstate(state)
        before = {m: m.bytes.raw for m in (memory, other)}
        places_to_write = []

        def expected():
            source_places, shape, _ = expected_source()
            items = b"".join(foreign.doubled(memory.item(place), memory.letter) for place in source_places)
            if way != "alone":
                places, out_shape, strides = expected_target()
                if (way == "out" and other.letter != memory.letter) or shape != out_shape:
                    raise RefusedError("another type or shape")
                check_target(places, shape, strides, memory.itemsize)
                places_to_write.extend(places)
            return items, shape

        def check(result, answer):
            items, shape = answer
            if way == "alone":
                assert take(result) == (shape, items), (take(result), answer)
            else:
                assert result is target
                wanted = bytearray(before[other if way == "out" else memory])
                start = (other if way == "out" else memory).start
                for i, place in enumerate(places_to_write):
                    size = memory.itemsize
                    wanted[place - start : place - start + size] = items[i * size : (i + 1) * size]
                before[other if way == "out" else memory] = bytes(wanted)

        self.call(
            what,
            expected,
            lambda: self.double(source, **({} if way == "alone" else {"out": target})),
            check,
            *{source, target},
        )
        for m, content in before.items():
            assert m.bytes.raw == content, f"{what}: other bytes than those of the elements were written"
        for m in (memory, other):  # numbers stay small
            m.bytes.raw = m.original

    def chunks(self):
        memory = self.random.choice(self.memories)
        schema = self.schema(memory)
        made = [self.arrow(memory, schema) for _ in range(self.random.choice([1, 1, 2, 3]))]
        if self.choose(0.5):
            exporter, expected = made[0]
            self.call("arrow", expected, lambda: self.double(exporter), self.same, exporter)
            return
        fields = {}
        if self.choose(0.1):
            fields = {self.random.choice(["get_schema", "get_next"]): None}
        stream = foreign.ArrowStream([exporter for exporter, _ in made], **fields)

        def expected():
            if fields:
                raise RefusedError("a function is missing")
            return [item for _, expected in made for item in expected()]

        self.call("stream", expected, lambda: self.double(stream), self.same, stream, *(e for e, _ in made))

    @staticmethod
    def same(result, answer):
        items = foreign.read_arrow(result)
        assert items == answer, (items, answer)

    def run(self, count):
        for memory in self.memories:
            memory.original = memory.bytes.raw
        while self.seen.total() - self.seen["not made"] < count:
            kind = self.random.choice(["tensor", "tensor", "buffer", "buffer", "arrow"])
            RELEASED.counts.clear()
            if kind == "tensor":
                self.strided(kind, self.tensor, lambda result: getattr(result, "taken", result))
            elif kind == "buffer":
                self.strided(kind, self.buffer, lambda result: (result.shape, result.tobytes()))
            else:
                self.chunks()
            assert RELEASED.once(), f"{kind}: released {RELEASED.counts} times"


KNOWN_TYPES = {(c, 8 * foreign.BYTES_OF_LETTERS[letter]) for letter, c in foreign.DLPACK_CODES.items()}
KNOWN_TYPES |= {(4, 16), (5, 64), (5, 128)}


def main(count, seed=1):
    fuzzer = Fuzzer(int(seed))
    fuzzer.run(int(count))
    assert twofold.double(array("i", [1])) == array("i", [2])
    for what, how_often in sorted(fuzzer.seen.items()):
        print(f"{how_often:8} {what}")


if __name__ == "__main__":
    main(*sys.argv[1:])
