"""What NumPy leaves to the loops of a ufunc: the order where operands overlap, errors in any piece, signals."""

import itertools

import numpy as np
import pytest
import twofold
from conftest import run_script
from twofold import ufuncs

UFUNCS = {"wrap": ufuncs.doubled, "saturate": ufuncs.doubled_saturating, "raise": ufuncs.doubled_checked}
by_ufunc = pytest.mark.parametrize("ufunc", UFUNCS.values(), ids=lambda ufunc: ufunc.__name__)

# Those that numbers up to a thousand fit in, doubled, and one of each kind of kernel.
DTYPES = ["h", "H", "i", "q", "e", "f", "d", "g", "D", "m8[s]", ">i", ">d", "O"]

# ---- operands that overlap, so that the input runs ahead of the output, behind it, or across it

LARGE = 300_000  # elements, enough for several threads
SMALL = 700


def pairs(n: int) -> dict[str, tuple[slice, slice]]:
    """Where in an array of 2 n + 8 elements the n of the input and those of the output are."""
    return {
        "ahead by one": (slice(1, n + 1), slice(n)),
        "behind by one": (slice(n), slice(1, n + 1)),
        "ahead by seven": (slice(7, n + 7), slice(n)),
        "every second one, gathered": (slice(0, 2 * n, 2), slice(n)),
        "every second one, gathered from behind": (slice(2 * n, 0, -2), slice(n)),
        "spread": (slice(n), slice(0, 2 * n, 2)),
        "reversed": (slice(n), slice(n - 1, None, -1)),
        "both backwards": (slice(n, 0, -1), slice(n - 1, None, -1)),
        "both backwards, behind": (slice(n - 1, None, -1), slice(n, 0, -1)),
        "the same": (slice(n), slice(n)),
        "half of it": (slice(n), slice(n // 2, n // 2 + n)),
        "strided alike": (slice(2, 2 * n + 2, 2), slice(0, 2 * n, 2)),
    }


def numbers(n: int, dtype: str) -> np.ndarray:
    return (np.arange(n) % 1000).astype(dtype)


@pytest.mark.parametrize("n", [1, 3, SMALL, LARGE])
@pytest.mark.parametrize("dtype", DTYPES)
@by_ufunc
def test_operands_that_overlap(ufunc, dtype, n):
    for what, (source, target) in pairs(n).items():
        x = numbers(2 * n + 8, dtype)
        expected = x.copy()
        expected[target] = np.add(x[source], x[source])
        with twofold.num_threads(3):
            ufunc(x[source], out=x[target])
        assert (x == expected).all(), what


@by_ufunc
def test_operands_that_overlap_and_are_shared_by_threads(ufunc):
    """Large ones, again and again: helpers then come in, which would take the last elements first."""
    x = np.arange(4_000_000)
    expected = np.add(x[1:], x[1:])
    for _ in range(15):
        x[:] = np.arange(len(x))
        ufunc(x[1:], out=x[:-1])
        assert (x[:-1] == expected).all()


@pytest.mark.parametrize("dtype", ["h", "d", "O", ">i"])
@by_ufunc
def test_operands_of_two_dimensions_that_overlap(ufunc, dtype):
    corners = [np.s_[:-1, :-1], np.s_[1:, :-1], np.s_[:-1, 1:], np.s_[1:, 1:], np.s_[:0:-1, :-1], np.s_[1:, :0:-1]]
    for (source, target), order, masked in itertools.product(itertools.product(corners, corners), "CF", (False, True)):
        x = np.asarray(numbers(40 * 30, dtype).reshape(40, 30), order=order)
        where = (np.arange(39 * 29) % 3 > 0).reshape(39, 29) if masked else True
        expected = x.copy(order)
        np.add(x[source], x[source], out=expected[target], where=where)
        ufunc(x[source], out=x[target], where=where)
        assert (x == expected).all(), (source, target, order)


@by_ufunc
def test_an_output_that_is_one_element_again_and_again(ufunc):
    x = np.arange(1000)
    out = np.zeros(1, x.dtype)
    ufunc(x, out=np.lib.stride_tricks.as_strided(out, x.shape, (0,)))
    assert out[0] == np.add(x, x)[-1]
    values = np.array([1, 2, 3], "u2")
    for step, expected in ((1, [2, 4, 6, 0]), (-1, [6, 0, 0, 0])):  # each element shares a byte with the next one
        memory = np.zeros(4, "u1")
        shared = np.ndarray((3,), "u2", memory, 0 if step > 0 else 2, (step,))
        ufunc(values, out=shared)
        assert memory.tolist() == expected


# ---- errors

PIECES = {
    "rows": lambda dtype: np.ones((30, 2000), dtype)[:, 1:],
    "byte-swapped": lambda dtype: np.ones(60_000, np.dtype(dtype).newbyteorder("S")),
    "unaligned": lambda dtype: np.zeros(60_000 * np.dtype(dtype).itemsize + 1, "u1")[1:].view(dtype),
    "three dimensions": lambda dtype: np.ones((9, 30, 50), dtype)[::2, :, ::3],
    "one": lambda dtype: np.ones(60_000, dtype),
}
TOO_LARGE = {"b": 100, "H": 50_000, "q": -(2**62) - 1, "f": 3e38, "d": 1.7e308, "D": 1.7e308j, "m8[s]": 2**62}


def places(x: np.ndarray) -> list[int]:
    return [0, 5, x.size // 2, x.size - 1]


@pytest.mark.parametrize("layout", PIECES)
@pytest.mark.parametrize("dtype", TOO_LARGE)
def test_an_overflow_in_any_piece_is_raised(dtype, layout):
    # After one of floats that NumPy has warned of: flags that it left behind made a SystemError of the exception.
    with np.errstate(all="ignore"):
        np.float32(3e38) * np.float32(3e38)
    for place in places(PIECES[layout](dtype)):
        x = PIECES[layout](dtype)
        x[np.unravel_index(place, x.shape)] = TOO_LARGE[dtype]
        into = np.empty_like(x)
        others = [{"out": x.astype("O")}] if x.dtype.kind != "m" else []
        for arguments in ({}, {"out": into}, {"out": into, "where": np.ones(x.shape, bool)}, *others):
            with pytest.raises(OverflowError, match="double does not fit"), np.errstate(all="ignore"):
                ufuncs.doubled_checked(x, **arguments)


@pytest.mark.parametrize("layout", PIECES)
def test_what_where_leaves_out_may_overflow(layout):
    x = PIECES[layout]("q")
    fits = np.ones(x.shape, bool)
    for place in places(x):
        index = np.unravel_index(place, x.shape)
        x[index], fits[index] = 2**62, False
    out = np.zeros_like(x)
    ufuncs.doubled_checked(x, out=out, where=fits)
    assert (out == np.where(fits, x + x, 0)).all()


def test_float_errors_are_reported_as_errstate_says():
    x = np.full((30, 8), 3e38, "f4")[:, 1:]
    for ufunc in (ufuncs.doubled, ufuncs.doubled_saturating):
        with pytest.raises(FloatingPointError, match="overflow"), np.errstate(over="raise"):
            ufunc(x)
        with pytest.warns(RuntimeWarning, match="overflow"):
            ufunc(x)


class Refuses:
    def __add__(self, other):
        raise ZeroDivisionError("of the item's own")


@by_ufunc
def test_what_an_item_raises_comes_out(ufunc):
    x = np.ones((30, 20), object)[:, 1:]
    for item, error in ((Refuses(), ZeroDivisionError), ("text", TypeError), (None, TypeError), ([1], TypeError)):
        x[7, 3] = item
        with pytest.raises(error):
            ufunc(x)


@by_ufunc
def test_bool_is_refused_however_it_comes(ufunc):
    for value in (True, np.True_, np.array(True), np.ones(3, bool), np.ones((3, 4), bool)[:, ::2]):
        for keywords in ({}, {"out": np.zeros(np.shape(value), bool)}, {"dtype": bool}, {"signature": "?->?"}):
            with pytest.raises(TypeError, match="values holds bool; convert it to an integer type first"):
                ufunc(value, **keywords)


# ---- signals

# `call` doubles 1 to 2 in `out`, all of which is something else before.
CALLS = {
    "pieces": "U.doubled(wide[:, 1:], out=out)",
    "pieces, checked": "U.doubled_checked(wide[:, 1:], out=out)",
    "casts": "U.doubled(wide[:, :-1], out=out, dtype='f8', casting='unsafe')",
    "byte-swapped": "U.doubled(wide.view('>u4')[:, 1:], out=out.view('>u4'))",
    "where": "U.doubled(wide[:, 1:], out=out, where=thirds)",
    "overlapping": "U.doubled(flat[1:], out=flat[:-1])",
    "objects": "U.doubled(wide[:, 1:].astype(object), out=objects)",
}

INTERRUPT = """
    import signal
    import numpy as np
    from twofold import ufuncs as U

    # Short rows, so that a call takes several times as long as signals may have to wait: 10 ms.
    rows = 1 << (17 if "{name}" == "objects" else 20)
    wide = np.ones((rows, 19), np.uint32)
    out = np.zeros((rows, 18), np.uint32)
    if "{name}" == "byte-swapped":
        wide.byteswap(inplace=True)
    if "{name}" == "casts":
        wide = wide[:, :-1]
        out = np.zeros((rows, 17), np.uint32)
    thirds = (np.arange(out.size) % 3 != 1).reshape(out.shape)
    flat = np.ones(1 << 28, np.uint8)
    objects = np.zeros(out.shape, object)
    changed = {{"overlapping": flat[:-1], "objects": objects}}.get("{name}", out)

    def reset():
        flat[:] = 1
        out[:] = 0
        objects[:] = 0
        thirds[0, 0] = thirds[-1, -1] = True

    class Alarm(Exception):
        pass

    def handler(number, frame):
        global called
        called += 1
        is_two = changed[0, 0] if changed.ndim > 1 else changed[0], changed[-1, -1] if changed.ndim > 1 else changed[-1]
        if (is_two[0] == two) != (is_two[1] == two):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Alarm

    two = 1 << 25 if "{name}" == "byte-swapped" else 2
    called = 0
    signal.signal(signal.SIGALRM, handler)
    for _ in range(300):
        reset()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            {call}
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm:
            break
    else:
        raise AssertionError(f"{{called}} signals, and no handler ever ran in the middle of a call")
"""


@pytest.mark.parametrize("name", CALLS)
def test_a_signal_is_seen_to_between_pieces(name):
    run_script(INTERRUPT.format(name=name, call=CALLS[name]))
