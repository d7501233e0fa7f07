"""NumPy's own tests, which its wheel holds, with our ufuncs in the place of its own of one input."""

import importlib
import inspect

import numpy as np
import pytest
from twofold import ufuncs

# Those that never raise: NumPy's tests draw any integers.
UFUNCS = [ufuncs.doubled, ufuncs.doubled_saturating]

by_ufunc = pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)


class Substitute:
    """NumPy, but for some of its ufuncs."""

    def __init__(self, ufunc: np.ufunc, *names: str) -> None:
        self.__dict__.update(dict.fromkeys(names, ufunc))

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)


@pytest.fixture
def of_numpy(monkeypatch):
    """A class of NumPy's tests, in which `names` are the ufunc."""

    def find(module: str, kind: str, ufunc: np.ufunc, *names: str) -> object:
        tests = importlib.import_module(f"numpy._core.tests.{module}")
        monkeypatch.setattr(tests, "np", Substitute(ufunc, *names))
        return getattr(tests, kind)()

    return find


OVERLAPS = ["test_unary_ufunc_call_complex_fuzz", "test_unary_ufunc_1d_manual", "test_ufunc_at_manual"]
CALLS = [*((test, ufunc) for test in OVERLAPS for ufunc in UFUNCS), ("test_unary_ufunc_call_fuzz", ufuncs.doubled)]


@pytest.mark.thread_unsafe(reason="puts something into a module of NumPy")
@pytest.mark.parametrize(("test", "ufunc"), CALLS, ids=lambda item: getattr(item, "__name__", item))
def test_memory_overlap(of_numpy, test, ufunc):
    # A divisor of 0 or a number that overflows is none of its subjects.
    with np.errstate(all="ignore"):
        getattr(of_numpy("test_mem_overlap", "TestUFunc", ufunc, "invert", "negative", "reciprocal"), test)()


@pytest.mark.thread_unsafe(reason="puts something into a module of NumPy")
@by_ufunc
def test_calls(of_numpy, ufunc):
    tests = of_numpy("test_ufunc", "TestUfunc", ufunc, "negative", "positive")
    tests.test_cast_safety(ufunc)
    for values, out in (([2], np.empty(())), ([1, 2], np.empty(1)), (np.ones((4, 3)), np.empty((4, 1)))):
        tests.test_out_broadcast_errors(values, out)
    if hasattr(tests, "test_output_ellipsis_errors"):  # of NumPy 2.3 and later
        tests.test_output_ellipsis_errors()


@pytest.mark.thread_unsafe(reason="puts something into a module of NumPy")
@by_ufunc
def test_resolved_dtypes(of_numpy, ufunc):
    tests = of_numpy("test_ufunc", "TestLowlevelAPIAccess", ufunc, "negative")
    tests.test_resolve_dtypes_basic()
    i4 = np.dtype("i4")
    assert ufunc.resolve_dtypes((i4, None)) == (i4, i4)
    assert ufunc.resolve_dtypes((i4, None), signature=(None, np.float64)) == (np.dtype("f8"), np.dtype("f8"))


@by_ufunc
def test_it_is_documented_like_one_of_numpy(ufunc):
    assert inspect.getdoc(ufunc).startswith(f"{ufunc.__name__}(x")
    assert ufunc.signature is None
    assert (ufunc.nin, ufunc.nout, ufunc.identity) == (1, 1, None)
