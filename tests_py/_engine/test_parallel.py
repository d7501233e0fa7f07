"""`twofold.parallel(ufunc)` gives what the ufunc gives, bit for bit, in whatever ranges it is shared.

Most tests have all calls shared that can be, however small, in ranges of seven elements.
"""

import contextlib
import copy
import math
import pickle
import random
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import twofold
from conftest import NUMPY_LETTERS, run_script
from twofold import ufuncs
from twofold._engine import parallel_ufunc

LETTERS = "?" + NUMPY_LETTERS

UFUNCS = {
    value.__name__: value for value in vars(np).values() if isinstance(value, np.ufunc) and value.signature is None
}
OF_SCIPY = ["erf", "gamma", "expit", "jv", "ellipj", "xlogy", "logit", "ndtr", "i0", "gammainc", "betainc", "hyp2f1"]
OF_SCIPY += ["airy", "sici", "psi", "binom", "loggamma", "boxcox", "digamma"]

# The hook is the whole process's.
pytestmark = pytest.mark.thread_unsafe(reason="has all calls shared")


def scipy_ufunc(name: str) -> np.ufunc:
    return getattr(pytest.importorskip("scipy.special"), name)


# ---- operands

SHAPES = [(23,), (24,), (5, 8), (3, 4, 5), (2, 1, 16), (100,)]


def unaligned(values: np.ndarray) -> np.ndarray:
    made = np.zeros(values.nbytes + 1, "b")[1:].view(values.dtype).reshape(values.shape)
    made[...] = values
    return made


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [
    np.asarray,
    np.asfortranarray,
    lambda values: values[..., ::-1],
    lambda values: np.repeat(values, 2, -1)[..., ::2],
    lambda values: np.swapaxes(np.ascontiguousarray(np.swapaxes(values, 0, -1)), 0, -1),
    lambda values: values.astype(values.dtype.newbyteorder()),
    unaligned,
    lambda values: np.pad(values, 1)[(slice(1, -1),) * values.ndim],
]


def numbers(draw: random.Random, letter: str, shape: tuple[int, ...]) -> np.ndarray:
    """A new array of that type, of any layout, byte order and alignment."""
    make = np.random.default_rng(draw.randrange(1 << 30))
    n = int(np.prod(shape))
    if letter in "FDG":
        values = make.normal(0, 3, n) + 1j * make.normal(0, 3, n)
    elif letter in "efdg":
        values = make.normal(0, 1, n) * 10.0 ** make.integers(-3, 4, n)
        values[make.random(n) < 0.1] = draw.choice([np.nan, np.inf, -np.inf, 0.0, -0.0])
    else:
        values = make.integers(-100, 100, n)
    with np.errstate(all="ignore"):
        values = values.astype(letter).reshape(shape)
    return draw.choice(LAYOUTS)(values) if shape else values


def bits(value: object) -> object:
    """What tells two results apart: class, dtype, layout, and each bit of their values."""
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    if not isinstance(value, (np.ndarray, np.generic)):
        return type(value), repr(value)
    if value.dtype.hasobject:
        return type(value), value.dtype, repr(value.tolist())
    values = np.ascontiguousarray(value)
    if value.dtype.char in "gG":  # of whose bytes six have no meaning
        values = values.astype(value.dtype.newbyteorder("=")).reshape(-1).view("g").view("u1").reshape(-1, 16)[:, :10]
    return type(value), value.dtype, value.shape, getattr(value, "strides", None), values.tobytes()


def outcome(function: Callable[..., object], arguments: list, keywords: dict) -> object:
    """What a call gives, or warns of, or raises, and what is in its arrays after it; anything may be, if it raises."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = bits(function(*arguments, **keywords))
        except Exception as error:
            return type(error), str(error)
    out = keywords.get("out")
    arrays = [*arguments, *(out if isinstance(out, tuple) else (out,))]
    said = [(warning.category, str(warning.message), warning.filename) for warning in warned]
    return result, said, [bits(array) for array in arrays if isinstance(array, np.ndarray)]


def check(shared: Callable[..., object], make: Callable[[random.Random], tuple[list, dict]], seed: int) -> None:
    """Have it and its ufunc do the same call, each on operands of its own."""
    expected = outcome(shared.__wrapped__, *make(random.Random(seed)))
    found = outcome(shared, *make(random.Random(seed)))
    assert found == expected, (shared, seed)


# ---- results


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_every_ufunc_on_every_type(all_shared, name):
    ufunc = twofold.parallel(UFUNCS[name])
    for letter in LETTERS:
        for seed in range(12):

            def make(draw: random.Random, letter: str = letter) -> tuple[list, dict]:
                shape = draw.choice(SHAPES)
                return [numbers(draw, letter, shape) for _ in range(ufunc.nin)], {}

            check(ufunc, make, seed)
    assert all_shared() > 10 or name == "isnat"


@pytest.mark.parametrize("name", OF_SCIPY)
def test_ufuncs_of_scipy(all_shared, name):
    ufunc = twofold.parallel(scipy_ufunc(name))
    for letter in "fd":
        for seed in range(12):

            def make(draw: random.Random, letter: str = letter) -> tuple[list, dict]:
                shape = draw.choice(SHAPES)
                return [numbers(draw, letter, shape) for _ in range(ufunc.nin)], {}

            check(ufunc, make, seed)
    assert all_shared() > 10


def drawn_input(draw: random.Random, letter: str, shape: tuple[int, ...]) -> object:
    match draw.randrange(25):
        case 0 | 1:
            return draw.choice([2, 2.5, 1j, True, -1, 2**40, 2**70, 1e300, np.float32(3), np.int8(7), 0])
        case 2:
            return draw.choice([[1, 2], "a", None, np.array(["x"]), np.array([1], object), np.ma.ones(3)])
        case 3 | 4 | 5 | 6 | 7:
            shape = tuple(1 if draw.random() < 0.5 else n for n in shape)[draw.randrange(len(shape) + 1) :]
    return numbers(draw, letter, shape)


def drawn_out(draw: random.Random, shape: tuple[int, ...], inputs: list) -> np.ndarray | None:
    given = [value for value in inputs if isinstance(value, np.ndarray) and value.shape]
    kind = draw.randrange(10)
    if kind < 2:
        return None
    if kind < 5 and given:
        return draw.choice(given)
    if kind < 6 and given:
        return draw.choice(given)[::-1]
    letter, shape = draw.choice("?ilfdgFDO"), draw.choice([shape, shape, shape, (7,)])
    return np.zeros(shape, "O") if letter == "O" else numbers(draw, letter, shape)


KEYWORDS = {
    "dtype": ["f", "d", "i", float, np.float32, np.dtype(">f8"), "O", None, "nothing"],
    "casting": ["no", "equiv", "safe", "same_kind", "unsafe", "x"],
    "order": ["C", "F", "K", "A", "x"],
    "subok": [True, False],
}


def drawn_call(ufunc: np.ufunc) -> Callable[[random.Random], tuple[list, dict]]:
    """Operands of several types, broadcast, and any keywords."""

    def make(draw: random.Random) -> tuple[list, dict]:
        shape, letter = draw.choice(SHAPES), draw.choice("?bhilqBLefdgFD")
        letters = [letter if draw.random() < 0.5 else draw.choice("bilqfdD") for _ in range(ufunc.nin)]
        inputs = [drawn_input(draw, letter, shape) for letter in letters]
        keywords = {name: draw.choice(values) for name, values in KEYWORDS.items() if draw.random() < 0.15}
        outs = [drawn_out(draw, shape, inputs) for _ in range(ufunc.nout if draw.random() < 0.4 else 0)]
        # With `where`, NumPy 2.5 crashes if it compares with such a number.
        huge = any(type(value) is int and value > 2**64 for value in inputs)
        # Where nothing is computed, an output that is not given is uninitialized memory.
        if draw.random() < 0.1 and outs and all(out is not None for out in outs) and not huge:
            keywords["where"] = draw.choice([True, False, np.arange(shape[-1]) % 2 == 0])
        if outs and draw.random() < 0.3:
            return [*inputs, *outs], keywords
        if outs:
            keywords["out"] = outs[0] if ufunc.nout == 1 and draw.random() < 0.6 else tuple(outs)
        return inputs, keywords

    return make


DRAWN = ["add", "subtract", "multiply", "power", "divmod", "modf", "frexp", "ldexp", "less", "sin", "exp", "negative"]
DRAWN += ["maximum", "hypot", "isnan", "floor_divide", "bitwise_and", "left_shift", "absolute", "sqrt", "heaviside"]


@pytest.mark.parametrize("name", DRAWN)
def test_any_call(all_shared, name):
    ufunc = twofold.parallel(UFUNCS[name])
    make = drawn_call(UFUNCS[name])
    for seed in range(300):
        check(ufunc, make, seed)
    assert all_shared() >= 15


def test_zero_and_one_element_are_the_ufuncs_own(all_shared):
    sin, divmod_ = twofold.parallel(np.sin), twofold.parallel(np.divmod)
    for values in (np.ones(0), np.ones((3, 0)), np.ones(()), np.ones(1), np.float32(2), 2, True):
        assert bits(sin(values)) == bits(np.sin(values))
        assert bits(divmod_(values, 2)) == bits(np.divmod(values, 2))
    assert all_shared() == 0


def test_large_calls_are_shared_as_they_pay():
    before = parallel_ufunc.shared_calls()
    values = np.linspace(-9, 9, 1 << 20)
    for name in ("sin", "log", "cbrt", "add"):
        ufunc, rest = UFUNCS[name], [values] * (UFUNCS[name].nin - 1)
        with np.errstate(all="ignore"):
            for threads in (None, 1, 2, 3):
                found = twofold.parallel(ufunc)(values, *rest, threads=threads)
                assert (found.view("u8") == ufunc(values, *rest).view("u8")).all()
    assert parallel_ufunc.shared_calls() - before >= 8


LARGE_SHAPES = [(20_011,), (30_000,), (7, 4001), (50, 70, 9), (300, 2, 31), (4000, 5)]


def test_large_calls_give_the_same_bits():
    """Though loops of NumPy compute the last elements of an array otherwise, where there are vectors."""
    seen = parallel_ufunc.shared_calls()
    for name in sorted(set(UFUNCS) - {"gcd", "lcm"}):  # which take long
        ufunc = twofold.parallel(UFUNCS[name])
        for seed, letter in enumerate("efdFDq"):
            draw = random.Random(seed)
            shape = draw.choice(LARGE_SHAPES)
            arguments = [numbers(draw, letter, shape) for _ in range(ufunc.nin)]
            expected = outcome(ufunc.__wrapped__, arguments, {})
            found = outcome(partial(ufunc, threads=3), arguments, {})
            assert found == expected, (name, letter, seed)
    assert parallel_ufunc.shared_calls() - seen > 300


def test_ranges_begin_where_vectors_do(all_shared):
    """Of 0 and -0 NumPy gives one in its vectors, and the other one in the elements that are left."""
    parallel_ufunc.share_all(1501)
    zeros, negative = np.zeros(20_000), np.full(20_000, -0.0)
    swapped = zeros.astype(">f8")
    for ufunc in (np.fmax, np.fmin, np.maximum, np.minimum):
        for one in (zeros, swapped, zeros.reshape(4, -1)[:, :4999], zeros.reshape(-1, 5)[:, :3]):
            other = negative[: one.size].reshape(one.shape)
            assert bits(twofold.parallel(ufunc)(one, other)) == bits(ufunc(one, other))
    assert all_shared() == 16


@pytest.mark.parametrize("name", ["fmax", "fmin", "maximum", "minimum", "sin"])
def test_a_loop_that_seems_slow_gives_the_same_bits(name):
    """As it does where its thread has had to wait."""
    ufunc = twofold.parallel(UFUNCS[name])
    draw = np.random.default_rng(1)
    for n in (3001, 5003, 20_011):
        arguments = [draw.choice([0.0, -0.0], n) for _ in range(ufunc.nin)]
        ufunc(*arguments, threads=2)
        before = parallel_ufunc.shared_calls()
        for _ in range(3):
            parallel_ufunc.suppose_slow(ufunc, 10_000)
            assert bits(ufunc(*arguments, threads=2)) == bits(UFUNCS[name](*arguments))
        assert name in ("maximum", "minimum", "sin") or parallel_ufunc.shared_calls() - before == 3


def test_the_first_call_warns_as_numpy_does():
    quiet, signalling = np.linspace(1, 2, 100_000), np.full(100_000, 0x7FA00000, np.uint32).view(np.float32)
    for ufunc in (np.copysign, np.add):
        shared = twofold.parallel(ufunc)
        for action in ("warn", "raise", "warn"):
            with np.errstate(all=action):
                assert outcome(shared, [quiet, signalling], {}) == outcome(ufunc, [quiet, signalling], {})


def test_the_metadata_of_a_dtype_stays():
    dtype = np.dtype("d", metadata={"unit": "m"})
    sin, divmod_ = twofold.parallel(np.sin), twofold.parallel(np.divmod)
    for n in (1000, 1 << 20):
        values = np.ones(n).astype(dtype)
        assert sin(values).dtype.metadata == np.sin(values).dtype.metadata == {"unit": "m"}
        assert sin(np.ones(n), out=values) is values
        expected = np.divmod(values, 2)
        assert [r.dtype.metadata for r in divmod_(values, 2)] == [r.dtype.metadata for r in expected]


def test_it_is_its_own_copy():
    sin = twofold.parallel(np.sin)
    assert copy.copy(sin) is copy.deepcopy(sin) is sin


def test_a_dtype_that_is_deprecated_is_warned_of_once():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with contextlib.suppress(TypeError):
            np.sin(np.ones(3), dtype="a5")
        expected = len(seen)
        with contextlib.suppress(TypeError):
            twofold.parallel(np.sin)(np.ones(1 << 20), dtype="a5")
    assert len(seen) == 2 * expected


def test_small_calls_are_the_ufuncs_own():
    add = twofold.parallel(np.add)
    values = np.ones(1 << 16)

    def asked_and_shared(n, calls):
        for _ in range(5):
            add(values, values)
        asked, shared = parallel_ufunc.asked_calls(), parallel_ufunc.shared_calls()
        for _ in range(calls):
            add(values[:n], values[:n])
        return parallel_ufunc.asked_calls() - asked, parallel_ufunc.shared_calls() - shared

    # At best: a thread that has to wait makes elements look costly for some calls.
    assert min(asked_and_shared(1000, 100) for _ in range(5)) <= (1, 0)  # one that is due for timing
    assert min(asked_and_shared(15, 1000) for _ in range(5)) == (0, 0)


# ---- operands that overlap

PAIRS = [
    (slice(1, 61), slice(60)),
    (slice(60), slice(1, 61)),
    (slice(0, 120, 2), slice(60)),
    (slice(60), slice(59, None, -1)),
    (slice(0, 120, 2), slice(1, 121, 2)),
    (slice(60), slice(60, 120)),
    (slice(60), slice(60)),
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("letter", ["f", "d", "i", ">f8"])
def test_operands_that_overlap(all_shared, letter, source, target):
    for ufunc in (np.sin, np.negative, np.sqrt):
        memory = np.arange(130).astype(letter)
        expected = memory.copy()
        with np.errstate(all="ignore"), contextlib.suppress(TypeError):
            expected[target] = ufunc(memory[source].copy())
            ufunc(memory[source].copy(), out=memory[target].copy())
            twofold.parallel(ufunc)(memory[source], out=memory[target])
            assert bits(memory) == bits(expected)
    memory = np.arange(130.0)
    expected = memory.copy()
    expected[target] = memory[source] + memory[5:65]
    assert twofold.parallel(np.add)(memory[source], memory[5:65], memory[target]) is not None
    assert bits(memory) == bits(expected)


def test_an_out_whose_elements_overlap(all_shared):
    for strides in ((0,), (8, 0), (4,)):
        shape = (20,) * len(strides)
        one, other = np.zeros(200), np.zeros(200)
        outs = [np.lib.stride_tricks.as_strided(memory, shape, strides) for memory in (one, other)]
        np.negative(np.arange(20.0), out=outs[0])
        twofold.parallel(np.negative)(np.arange(20.0), out=outs[1])
        assert bits(one) == bits(other)
    assert all_shared() == 0


def test_two_outs_that_overlap(all_shared):
    one, other = np.zeros(40), np.zeros(40)
    np.modf(np.arange(30) / 4, out=(one[:30], one[10:]))
    twofold.parallel(np.modf)(np.arange(30) / 4, out=(other[:30], other[10:]))
    assert bits(one) == bits(other)
    assert all_shared() == 0


# ---- errors

ZEROS = np.zeros(60)
RAISING = {
    "divide": (np.divide, [np.ones(60), ZEROS]),
    "invalid": (np.sqrt, [np.arange(60.0) - 58]),
    "over": (np.exp, [np.arange(60.0) * 20]),
    "under": (np.multiply, [np.full(60, 1e-200), np.full(60, 1e-200)]),
    "integers": (np.floor_divide, [np.arange(60), np.arange(60) - 30]),
    "complex": (np.divide, [np.ones(60, "D"), np.zeros(60, "D")]),
    "comparison": (np.less, [np.full(60, np.nan, "D"), np.ones(60, "D")]),
    "half": (np.multiply, [np.full(60, 60000, "e"), np.full(60, 2, "e")]),
    "none": (np.add, [ZEROS, ZEROS]),
}


@pytest.mark.parametrize("mode", ["ignore", "warn", "raise", "call", "log", "print"])
@pytest.mark.parametrize("name", RAISING)
def test_floating_point_errors(all_shared, capfd, name, mode):
    ufunc, arguments = RAISING[name]
    outcomes = []
    for function in (ufunc, twofold.parallel(ufunc)):
        said: list = []

        class Log:
            def write(self, text: str, said: list = said) -> None:
                said.append(text)

        call = Log() if mode == "log" else lambda *seen, said=said: said.append(seen)
        with np.errstate(all=mode, call=call):
            outcomes.append((outcome(function, arguments, {}), said, capfd.readouterr()))
    assert outcomes[0] == outcomes[1]
    assert all_shared() == 1


def test_comparisons_with_nan_warn_of_nothing(all_shared):
    values = np.full(60, np.nan)
    with np.errstate(all="raise"):
        assert not twofold.parallel(np.less)(values, values).any()
        assert twofold.parallel(np.isnan)(values).all()
    assert all_shared() == 2


def test_flags_from_before_count_for_nothing(all_shared):
    with np.errstate(all="ignore"):
        np.divide(np.ones(2), np.zeros(2))
    with np.errstate(all="raise"):
        twofold.parallel(np.add)(ZEROS, ZEROS)
    assert all_shared() == 1


def test_integer_power_raises(all_shared):
    power = twofold.parallel(np.power)
    with pytest.raises(ValueError, match="negative integer powers"):
        power(np.full(200, 2), np.arange(200, 0, -1) - 100)  # those of which the first are positive
    assert power(np.full(200, 2), 3).sum() == 1600
    assert all_shared() == 0
    assert power(np.arange(60.0), -1.0)[2] == 0.5
    assert all_shared() == 1


def test_errors_have_the_words_of_the_ufunc(all_shared):
    add, values = twofold.parallel(np.add), np.arange(20.0)
    read_only = np.zeros(20)
    read_only.setflags(write=False)
    for arguments, keywords in [
        ((values,), {}),
        ((values,) * 4, {}),
        ((values, values[:3]), {}),
        ((values, "a"), {}),
        ((values, values), {"out": np.zeros(3)}),
        ((values, values), {"out": [1]}),
        ((values, values), {"out": (values, values)}),
        ((values, values, values), {"out": values}),
        ((values, values), {"out": read_only}),
        ((values, values), {"out": np.zeros(20, "i")}),
        ((values, values), {"casting": "no", "dtype": "f"}),
        ((values, values), {"casting": 7}),
        ((values, values), {"order": "x"}),
        ((values, values), {"dtype": "x"}),
        ((values, values), {"wher": True}),
        ((np.arange(20, dtype="u1"), 300), {}),
        ((np.arange(20), 2**70), {}),
    ]:
        assert outcome(add, list(arguments), keywords) == outcome(np.add, list(arguments), keywords)
    assert all_shared() == 0


def test_errors_of_threads():
    add = twofold.parallel(np.add)
    for threads, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="threads must be"):
            add(1, 2, threads=threads)
    assert add(1, 2, threads=None) == add(1, 2, **{"".join(["thr", "eads"]): 3}) == 3


# ---- what is left to NumPy


class Sub(np.ndarray):
    pass


class Overrides:
    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return ufunc, method, len(inputs), keywords


def test_what_is_not_on_the_list(all_shared):
    add, values = twofold.parallel(np.add), np.arange(20.0)
    assert type(add(values.view(Sub), 1)) is Sub
    assert type(add(values, 1, out=values.copy().view(Sub))) is Sub
    assert add(values, Overrides()) == (np.add, "__call__", 2, {})
    overrides = Overrides()
    assert add(values, values, out=overrides) == (np.add, "__call__", 2, {"out": (overrides,)})
    assert add(np.ma.masked_less(values, 3), 1).mask.sum() == 3
    assert add(np.array([1, 2**70], object), 1).tolist() == [2, 2**70 + 1]
    assert add(np.array(["a", "b"]), "c").tolist() == ["ac", "bc"]
    assert add(np.array(["2020-01-01"], "M8[D]"), 1)[0] == np.datetime64("2020-01-02")
    assert add([1, 2], [3, 4]).tolist() == [4, 6]
    assert add(values, 1, where=values > 3, out=np.zeros(20)).sum() == sum(range(5, 21))
    assert add(values, 1, signature="dd->d")[0] == 1
    assert add(values, 1, casting="unsafe", dtype="f").dtype == "f"
    assert add(np.matrix([[1.0, 2.0]]), 1).tolist() == [[2, 3]]
    assert type(add(np.matrix([[1.0, 2.0]]), 1)) is np.matrix
    assert twofold.parallel(np.matmul)(np.ones((3, 3)), np.ones((3, 3))).sum() == 27
    assert twofold.parallel(ufuncs.doubled)(values)[3] == 6
    assert twofold.parallel(np.frompyfunc(lambda x: x, 1, 1))(values).dtype == object
    assert all_shared() == 0


def test_pandas(all_shared):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(np.arange(20.0), index=range(20, 40))
    assert twofold.parallel(np.sin)(series).equals(np.sin(series))
    assert twofold.parallel(np.add)(series, values := np.ones(20)).equals(series + values)


def test_memmaps_and_shared_arrays(all_shared, tmp_path):
    values = np.linspace(0, 1, 50)
    mapped = np.memmap(tmp_path / "values", "d", "w+", shape=50)
    mapped[:] = values
    made = [mapped]
    if sys.platform == "linux":
        made.append(twofold.share(values))
    sin = twofold.parallel(np.sin)
    for array in made:
        out = array.copy() if array is mapped else twofold.share(array)
        for arguments, keywords in (((array,), {}), ((array[::2],), {}), ((values,), {"out": out})):
            expected, found = np.sin(*arguments, **keywords), sin(*arguments, **keywords)
            assert type(found) is type(expected)
            assert found.tolist() == expected.tolist()
        assert sin(values, out=out) is out
    assert all_shared() == 4 * len(made)


def test_a_subclass_of_memmap_is_numpys(all_shared, tmp_path):
    class Mapped(np.memmap):
        pass

    mapped = Mapped(tmp_path / "values", "d", "w+", shape=50)
    assert type(twofold.parallel(np.sin)(mapped)) is type(np.sin(mapped)) is Mapped
    assert all_shared() == 0


# ---- other ufuncs


def test_what_scipy_does_with_errors(all_shared):
    special = pytest.importorskip("scipy.special")
    gamma, values = twofold.parallel(special.gammaln), np.array([-1.0, 2.0] * 20)
    assert np.isinf(gamma(values)).any()
    assert all_shared() == 1
    with special.errstate(all="raise"), pytest.raises(special.SpecialFunctionError, match="singularity"):
        gamma(values)
    with special.errstate(singular="warn"), pytest.warns(special.SpecialFunctionWarning, match="singularity"):
        gamma(values)
    assert all_shared() == 0
    gamma(values)
    assert all_shared() == 1
    assert twofold.parallel(special.pro_cv)(1, 1, np.linspace(1, 2, 20)).shape == (20,)
    assert all_shared() == 0  # it allocates memory


def of_python(name: str) -> np.ufunc:
    """A ufunc of nobody's whose loop is `name`'s of NumPy, for doubles."""
    kernels = pytest.importorskip("numpy._core._umath_tests", reason="NumPy's own test modules")
    return getattr(kernels, name)


def test_numba(all_shared):
    numba = pytest.importorskip("numba")
    ufunc = numba.vectorize(["f8(f8, f8)"], cache=False)(lambda a, b: a * b + 1)
    values = np.arange(30.0)
    assert (twofold.parallel(ufunc)(values, values) == ufunc(values, values)).all()
    assert all_shared() == 0
    assert (twofold.parallel(ufunc, raises=False)(values, values) == values * values + 1).all()
    assert all_shared() == 1
    late = twofold.parallel(numba.vectorize(lambda a: a + a), raises=False)  # compiled at its first call
    assert late(values)[2] == late(values)[2] == 4
    assert all_shared() == 1


# A ufunc as an extension module makes one, of which the loop for a type that is said to be NumPy's is another one.
EXTENSION = r"""
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

static int drifts;  // whether results depend on how a loop is called

static void triple(char** args, npy_intp const* n, npy_intp const* steps, void* data) {
    for (npy_intp i = 0; i < n[0]; ++i) {
        double x = *(double*)(args[0] + i * steps[0]);
        *(double*)(args[1] + i * steps[1]) = 3 * x + (drifts ? (double)drifts++ : 0);
    }
}
static PyUFuncGenericFunction functions[] = {triple};
static char types[] = {NPY_DOUBLE, NPY_DOUBLE};
static void* data[] = {NULL};
static PyObject* set_drift(PyObject* self, PyObject* on) { drifts = PyObject_IsTrue(on); Py_RETURN_NONE; }
static PyMethodDef methods[] = {{"set_drift", set_drift, METH_O, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "triples", NULL, -1, methods};
PyMODINIT_FUNC PyInit_triples(void) {
    import_array();
    import_umath();
    PyObject* made = PyModule_Create(&module);
    PyObject* ufunc = PyUFunc_FromFuncAndData(functions, data, types, 1, 1, 1, PyUFunc_None, "triple", "", 0);
    PyModule_AddObject(made, "triple", ufunc);
    return made;
}
"""


@pytest.fixture(scope="module")
def triples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triples")
    (folder / "triples.c").write_text(EXTENSION)
    import sysconfig  # noqa: PLC0415

    library = folder / f"triples{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{np.get_include()}"]
    subprocess.run(["cc", "-shared", "-fPIC", *includes, "-o", library, folder / "triples.c"], check=True)
    sys.path.insert(0, str(folder))
    yield __import__("triples")
    sys.path.remove(str(folder))


def test_a_ufunc_of_an_extension_module(all_shared, triples):
    values = np.arange(50.0)
    assert (twofold.parallel(triples.triple)(values) == 3 * values).all()
    assert all_shared() == 0
    shared = twofold.parallel(triples.triple, raises=False)
    assert (shared(values) == 3 * values).all()
    assert (shared(np.arange(50)) == 3 * values).all()  # with a cast
    assert all_shared() == 2


def test_a_loop_that_computes_something_else_is_left_to_numpy(all_shared, triples):
    shared, values = twofold.parallel(triples.triple, raises=False), np.arange(50.0)
    triples.set_drift(True)
    shared(values)
    triples.set_drift(False)
    assert (shared(values) == 3 * values).all()
    assert (shared(np.arange(50)) == 3 * values).all()
    assert all_shared() == 0


@pytest.mark.parametrize(
    ("ufunc", "says"),
    [
        (None, "None (NoneType)"),
        (3, "3 (int)"),
        ("np.sin", "'np.sin' (str); pass numpy.sin"),
        ("sine", "'sine' (str)"),
        (np.sum, "; it is numpy.add.reduce, which runs on one thread"),
        (math.exp, "; numpy.exp is one"),
        (np.add.reduce, "; numba.vectorize makes a ufunc of a function of numbers"),
        (np.vectorize(len), "; numba.vectorize makes a ufunc of a function of numbers"),
        (abs, "; numpy.abs is one"),
    ],
)
def test_what_is_no_ufunc(ufunc, says):
    with pytest.raises(TypeError, match=r"ufunc must be a numpy\.ufunc, not") as caught:
        twofold.parallel(ufunc)
    assert says in str(caught.value)


@pytest.mark.parametrize("raises", [None, 0, "no", np.ones(3), np.False_])
def test_raises_is_a_bool(raises):
    with pytest.raises(TypeError, match=r"raises must be True or False, not .*: parallel\(ufunc\)\(x\)"):
        twofold.parallel(np.sin, raises)


def test_what_is_parallel_already_keeps_what_was_said_of_it():
    sin = twofold.parallel(np.sin)
    sure = twofold.parallel(np.sin, raises=False)
    assert twofold.parallel(sin) is sin
    assert twofold.parallel(sure) is sure
    assert repr(twofold.parallel(sin, raises=False)) == repr(sure)


# ---- the object


def test_it_is_like_the_ufunc():
    add = twofold.parallel(np.add)
    assert (add.nin, add.nout, add.nargs, add.identity, add.types) == (2, 1, 3, 0, np.add.types)
    assert (add.__name__, add.__doc__, add.__wrapped__) == ("add", np.add.__doc__, np.add)
    assert add.reduce([1, 2, 3]) == 6
    assert add.accumulate([1, 2]).tolist() == [1, 3]
    assert add.outer([1, 2], [3]).tolist() == [[4], [5]]
    values = np.zeros(3)
    add.at(values, [0, 0], 1)
    assert values.tolist() == [2, 0, 0]
    assert set(dir(np.add)) <= set(dir(add))
    assert add(1, 2) == add.__call__(1, 2) == 3
    assert callable(add)
    with pytest.raises(AttributeError, match=r"'numpy\.ufunc' object has no attribute 'nothing'"):
        add.nothing  # noqa: B018
    with pytest.raises(TypeError, match=re.escape("twofold.parallel(ufunc)")):
        type(add)()


def test_what_it_says_and_how_it_is_pickled():
    for raises, text in (
        (True, "twofold.parallel(<ufunc 'sin'>)"),
        (False, "twofold.parallel(<ufunc 'sin'>, raises=False)"),
    ):
        sin = twofold.parallel(np.sin, raises)
        assert repr(sin) == repr(pickle.loads(pickle.dumps(sin))) == repr(twofold.parallel(sin, raises)) == text
        assert b"_engine" not in pickle.dumps(sin)
    assert pickle.loads(pickle.dumps(twofold.parallel(ufuncs.doubled)))(3) == 6
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(twofold.parallel(np.frompyfunc(abs, 1, 1)))


def test_no_reference_is_lost_or_left(all_shared):
    values, out = np.arange(40.0), np.zeros(40)
    divmod_ = twofold.parallel(np.divmod)
    twofold.parallel(np.add)
    counts = []
    for _ in range(3):
        for _ in range(50):
            divmod_(values, 3, out=(out, None), casting="same_kind", dtype="d")
            divmod_(values.astype(">f8"), np.float32(3))
            with contextlib.suppress(ValueError):
                divmod_(values, values[:3])
        counts.append(
            [sys.getrefcount(item) for item in (values, out, divmod_, np.divmod, values.dtype, np.dtype("f"))]
        )
    assert counts[0][:4] == counts[1][:4] == counts[2][:4]


# ---- threads


def test_the_limits_of_threads_are_those_of_other_calls():
    run_script("""
        import os, threading
        import numpy as np
        import twofold
        from twofold._engine import parallel_ufunc
        sin, x = twofold.parallel(np.sin), np.linspace(0, 1, 1 << 22)  # long enough for helpers at any speed
        def threads():
            return len(os.listdir("/proc/self/task"))
        at_first = threads()  # NumPy may have some
        sin(x, threads=1)
        with twofold.num_threads(1):
            sin(x)
        assert threads() == at_first
        seen = []
        def call():
            with twofold.num_threads(1):
                sin(x)
            seen.append(threads())
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        assert seen == [at_first + 1], seen
        sin(x)  # learns what it costs
        sin(x, threads=3)
        assert threads() == at_first + 2, threads()
        with twofold.num_threads(4):
            sin(x)
            sin(x, threads=2)
    """)


def test_many_callers_at_once(all_shared):
    sin, divmod_, values = twofold.parallel(np.sin), twofold.parallel(np.divmod), np.linspace(0, 99, 300)
    failures: list[BaseException] = []
    expected = [np.sin(values), *np.divmod(values, 7)]

    def call() -> None:
        try:
            for _ in range(60):
                found = [sin(values), *divmod_(values, 7)]
                assert all((a == b).all() for a, b in zip(expected, found, strict=True))
                assert (twofold.parallel(np.sin)(values[::2]) == expected[0][::2]).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_calls_in_children_of_forks_beside_calls():
    run_script(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import threading
        import numpy as np
        import twofold
        from checks import in_child
        sin, x = twofold.parallel(np.sin), np.linspace(0, 9, 1 << 18)
        y = np.sin(x)
        done = threading.Event()
        wrong = []
        def call():
            out = np.empty_like(x)
            while not done.is_set():
                sin(x, out=out, threads=3)
                if not (out == y).all():
                    wrong.append(out)
        def check():
            for threads in (3, 2):
                assert (sin(x, threads=threads) == y).all()
            in_child(lambda: (sin(x, threads=3) == y).all() or 1 / 0)
        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                in_child(check)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert not wrong
    """,
        str(Path(__file__).with_name("fork_scenarios")),
        options=("-W", "ignore"),
    )


def test_ctrl_c_ends_a_long_call_and_keeps_what_was_raised_before():
    run_script("""
        import signal
        import numpy as np
        import twofold
        power = twofold.parallel(np.cbrt)
        x = np.linspace(0, 9, 1 << 23)
        out = np.full_like(x, -1)
        power(x, out=out)
        def half_done():
            return out[0] != -1 and out[-1] == -1
        def on_timer(signum, frame):
            if half_done():
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, on_timer)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for _ in range(100):
            out[:] = -1
            try:
                power(x, out=out)
            except KeyboardInterrupt:
                break
        else:
            raise AssertionError("no handler ran in the middle of a call")
        assert half_done()
        assert (power(x[:100]) == np.cbrt(x[:100])).all()

        # A handler that calls NumPy, which clears the flags.
        seen = []
        def calls_numpy(signum, frame):
            if half_done():
                np.add(x[:3], 1)
                seen.append(True)
        signal.signal(signal.SIGALRM, calls_numpy)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        x[:] = 1
        x[0] = 0  # the first element alone raises
        log = twofold.parallel(np.log)
        with np.errstate(divide="raise"):
            for _ in range(100):
                out[:] = -1
                try:
                    log(x, out=out)
                except FloatingPointError:
                    pass
                else:
                    raise AssertionError("the error was lost")
                if seen:
                    break
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert seen
    """)
