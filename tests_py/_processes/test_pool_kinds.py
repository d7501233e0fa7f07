"""Pools of double_in_processes: each is asked as its signature says, and a failure is named.

The pools here imitate those of other libraries, in their signatures and in what happens on a wrong call; the pools
themselves are used in process_scenarios/engines.py.
"""

import functools
import itertools
import multiprocessing
import warnings
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.pool import Pool, ThreadPool

import numpy as np
import pytest
import twofold

VALUES = np.arange(4 << 20, dtype=np.uint32)  # enough for all workers to come, and to be waited for
N_WORKERS = 2


def future_of(function, *arguments, **keywords):
    """As all pools here give it: done at once."""
    future = Future()
    try:
        future.set_result(function(*arguments, **keywords))
    except Exception as error:
        future.set_exception(error)
    return future


class Result:
    """What `apply_async` returns."""

    def __init__(self, function, *arguments, **keywords):
        self._future = future_of(function, *arguments, **keywords)

    def ready(self):
        return True

    def get(self, timeout=None):
        return self._future.result(timeout)


class FakePool:
    """A pool that counts what its workers have done, which are this process."""

    _max_workers = N_WORKERS

    def __init__(self):
        self.asked = 0

    def _run(self, function, *arguments, **keywords):
        self.asked += 1
        return future_of(function, *arguments, **keywords)

    def _result(self, function, *arguments, **keywords):
        self.asked += 1
        return Result(function, *arguments, **keywords)


class OfConcurrent(FakePool):
    def submit(self, fn, /, *args, **kwargs):
        return self._run(fn, *args, **kwargs)


class OfMultiprocessing(FakePool):
    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):  # noqa: B006 - as it is there
        return self._result(func, *args, **kwds)


class OfManager(OfMultiprocessing):  # the proxy of a pool in another process
    def apply_async(self, /, *args, **kwds):
        return OfMultiprocessing.apply_async(self, *args, **kwds)


class OfMpire(FakePool):
    def apply_async(self, func, args=(), kwargs=None, callback=None):
        return self._result(func, *args, **(kwargs or {}))


class OfIpyparallel(FakePool):
    def apply_async(self, f, *args, **kwargs):
        return self._result(f, *args, **kwargs)


class OfPebble(FakePool):
    def submit(self, function, timeout, /, *args, **kwargs):
        assert timeout is None or isinstance(timeout, (int, float))
        return self._run(function, *args, **kwargs)

    def schedule(self, function, args=(), kwargs={}, timeout=None):  # noqa: B006 - as it is there
        return self.submit(function, timeout, *args, **kwargs)


class OfExecutorlib(FakePool):
    def submit(self, fn, /, *args, resource_dict=None, **kwargs):
        return self._run(fn, *args, **kwargs)


class ByHand(FakePool):
    def submit(self, function, argument):
        return self._run(function, argument)


class Decorated(FakePool):
    @functools.wraps(OfIpyparallel.apply_async)
    def apply_async(self, *args, **kwargs):
        return self._result(*args, **kwargs)


class Partial(FakePool):
    def __init__(self):
        super().__init__()
        self.submit = functools.partial(self._run)


class BothWays(OfConcurrent, OfMultiprocessing):
    pass


POOLS = [
    *(OfConcurrent, OfMultiprocessing, OfManager, OfMpire, OfIpyparallel, OfPebble, OfExecutorlib, ByHand, Decorated),
    *(Partial, BothWays),
]


@pytest.mark.parametrize("kind", POOLS, ids=lambda kind: kind.__name__)
def test_each_is_asked_as_its_signature_says(kind):
    pool = kind()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = twofold.double_in_processes(VALUES, pool)
    assert (result == 2 * VALUES).all()
    assert pool.asked == N_WORKERS


class Celery:
    def apply_async(self, args=None, kwargs=None, task_id=None, **options):
        raise AssertionError("asked")


class Parsl:
    def submit(self, func, resource_specification, *args, **kwargs):
        raise AssertionError("asked")


class OldPebble:
    def submit(self, function, timeout, *args):
        raise AssertionError("asked")


class Thunks:
    def submit(self, function, *, arguments):
        raise AssertionError("asked")


class Nothing:
    def submit(self):
        raise AssertionError("asked")


class Coroutine:
    async def submit(self, function, *args):
        raise AssertionError("asked")


class Attribute:
    submit = apply_async = None


ITSELF = r"pool is the class \w+ itself; call it: \w+\(\)"
OTHER = "takes other arguments"
REFUSED = {
    "ProcessPoolExecutor": (ProcessPoolExecutor, ITSELF),
    "ThreadPoolExecutor": (ThreadPoolExecutor, ITSELF),
    "Pool": (Pool, ITSELF),
    "a class of anything": (int, ITSELF),
    "a class of this file": (OfConcurrent, "pool is the class OfConcurrent"),
    "multiprocessing.Pool": (
        multiprocessing.Pool,
        r"pool is multiprocessing.Pool itself; call it: multiprocessing.Pool\(\)",
    ),
    "a context's Pool": (multiprocessing.get_context("spawn").Pool, "pool is multiprocessing.Pool itself"),
    "Celery": (Celery(), OTHER),
    "Parsl": (Parsl(), OTHER),
    "OldPebble": (OldPebble(), f"pool is a OldPebble, but its submit {OTHER}"),
    "Thunks": (Thunks(), OTHER),
    "Nothing": (Nothing(), OTHER),
    "Coroutine": (Coroutine(), OTHER),
    "Attribute": (Attribute(), "pool is a Attribute; accepted is"),
    "2": (2, "processes=2"),
    "True": (True, "processes=1"),
    "a string": ("processes", r"pool is a str; accepted is what has `submit` or `apply_async`"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("values", [VALUES, [1, 2, 3], np.arange(0)], ids=["array", "list", "empty"])
def test_what_is_no_pool_is_a_type_error(name, values):
    """Also where nothing would be asked of it."""
    pool, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        twofold.double_in_processes(values, pool)


class Failing:
    """A pool that takes every order and fails with it; or refuses it."""

    _max_workers = N_WORKERS

    def __init__(self, error, refuses=False):
        self.error = error
        self.refuses = refuses

    def _fail(self, *_):
        raise self.error

    def submit(self, function, /, *args):
        return self._fail() if self.refuses else future_of(self._fail)


class FailingPool(Failing):
    submit = None

    def apply_async(self, func, args=()):
        return self._fail() if self.refuses else Result(self._fail)


class KilledWorker(Exception):  # noqa: N818
    """As distributed has it."""


WRONG = [TypeError("f() takes 1 argument"), ModuleNotFoundError("No module named 'twofold'"), AttributeError("work")]
ENDED = [
    *(BrokenProcessPool("terminated abruptly"), CancelledError(), KilledWorker("a task"), OSError("gone")),
    *(RuntimeError("Worker-0 died unexpectedly"), EOFError()),
]


def calls():
    """Each way in: how it is called, and what it is to give."""
    yield lambda pool: (twofold.double_in_processes(VALUES, pool) == 2 * VALUES).all()
    yield lambda pool: (twofold.double_in_processes(x := VALUES.copy(), pool, out=x) == 2 * VALUES).all()
    yield lambda pool: twofold.double_in_processes([1, 2, 3], pool, chunk_bytes=1) == [2, 4, 6]
    yield lambda pool: (twofold.double_in_processes(VALUES[:99], pool, overflow="raise") == 2 * VALUES[:99]).all()


@pytest.mark.parametrize("kind", [Failing, FailingPool])
@pytest.mark.parametrize("error", WRONG, ids=lambda error: type(error).__name__)
def test_a_pool_that_fails_at_once_is_named(kind, error):
    for call in itertools.islice(calls(), 2):
        with pytest.warns(RuntimeWarning, match=rf"a {kind.__name__}, .* failed: {type(error).__name__}: ") as caught:
            assert call(kind(error))
        assert [warning.filename for warning in caught] == [__file__]
        with pytest.raises(type(error)) as raised:
            call(kind(error, refuses=True))
        assert raised.value.__notes__[-1] == f"(raised by the pool, a {kind.__name__}, when it was asked for a worker)"


@pytest.mark.parametrize("kind", [Failing, FailingPool])
@pytest.mark.parametrize("error", ENDED, ids=lambda error: type(error).__name__)
def test_a_pool_that_has_come_to_its_end_says_nothing(kind, error):
    """It was a right one: the caller does all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in calls():
            assert call(kind(error))


def test_answers_of_other_kinds_are_left_alone():
    class Mute(FakePool):
        def submit(self, function, *args):
            return self.answer

    class Never:
        def ready(self):
            return False

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for answer in (None, 7, object(), Future(), Never()):
            pool = Mute()
            pool.answer = answer
            assert next(calls())(pool)


@pytest.mark.parametrize("make", [ProcessPoolExecutor, ThreadPoolExecutor, Pool, ThreadPool])
def test_the_pools_themselves(make):
    with warnings.catch_warnings(), make(2) as pool:
        warnings.simplefilter("error", RuntimeWarning)
        for call in calls():
            assert call(pool)
