"""How many threads a call may use: functions to set it, and to query it."""

from twofold._engine.twofold_engine import ThreadLimit, call_with_limit, decided_by, set_thread_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, SupportsIndex, TypedDict, TypeVar

    from twofold._engine.twofold_engine import _Rule

    _P = ParamSpec("_P")
    _R = TypeVar("_R")

    class _ThreadsInfo(TypedDict):
        num_threads: int
        rule: _Rule
        limit: int | None
        pool_worker: bool


def set_num_threads(n: "SupportsIndex | None") -> None:
    """Limit the threads of the calls that this thread makes from now on.

    The limit is a context variable, as that of `numpy.errstate` is: each thread has its own, and each task of asyncio,
    and each greenlet. A new thread starts without one (in a free-threaded Python, since 3.14, with that of the thread
    that started it); a task starts with that of its creator. The child of a fork goes on with the limit of the thread
    that forked. Modules that `cimport` twofold and call it without the GIL are limited as their thread was last.

    Parameters
    ----------
    n : int or None
        The maximum number of threads of a call, at least 1; `threads=` of a call overrides it. None removes the limit:
        then the environment or the CPUs decide again.

    See Also
    --------
    num_threads : for a block or a function only
    threads_info : what is in effect now

    Examples
    --------
    >>> import twofold
    >>> twofold.set_num_threads(1)
    >>> twofold.get_num_threads()
    1
    >>> twofold.set_num_threads(None)
    """
    set_thread_limit(n)


def get_num_threads() -> int:
    """Return how many threads a call of this thread may use if it does not say so itself.

    Short calls use fewer, as do calls in which more have not paid off.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import twofold
    >>> with twofold.num_threads(3):
    ...     twofold.get_num_threads()
    3
    """
    return decided_by()[0]


class num_threads(ThreadLimit):  # noqa: N801 - used like a function, as decimal.localcontext is
    """Limit the threads of the calls that this thread, or task of asyncio, makes in a block, or in a function.

    Afterwards the previous limit is restored, also after an exception. Blocks may be nested: the innermost limit is in
    effect, even if it allows more. Threads that are started in the block have no limit: see `set_num_threads`.

    As a decorator it is in effect while the function runs; for a generator or a coroutine, that does not include its
    body. A generator that is suspended in a block leaves the limit to its caller, as with other context variables
    (PEP 567).

    Parameters
    ----------
    n : int or None
        As `set_num_threads` takes it.

    Examples
    --------
    >>> import twofold
    >>> from array import array
    >>> with twofold.num_threads(1):
    ...     twofold.double(array("I", [1, 2, 3]))
    array('I', [2, 4, 6])

    >>> @twofold.num_threads(2)
    ... def count():
    ...     return twofold.get_num_threads()
    >>> count()
    2
    """

    def __init__(self, n: "SupportsIndex | None") -> None:
        super().__init__(n)
        self._n = n

    def __call__(self, function: "Callable[_P, _R]") -> "Callable[_P, _R]":
        import functools  # noqa: PLC0415 - importing it costs a fifth of `import twofold`; docs/threads.md says so

        @functools.wraps(function)
        def limited(*args: "_P.args", **kwargs: "_P.kwargs") -> "_R":
            return call_with_limit(self._n, function, *args, **kwargs)

        return limited


def threads_info() -> "_ThreadsInfo":
    """Return how many threads a call of this thread may use, and why.

    Returns
    -------
    dict
        - "num_threads": what `get_num_threads` returns
        - "rule": what decided: "thread limit" (`set_num_threads`, `num_threads`), "TWOFOLD_NUM_THREADS",
          "OMP_NUM_THREADS" (which OMP_THREAD_LIMIT caps), "pool worker" (a child process of multiprocessing has one
          thread), "cgroup" (the quota of its container, where it is less than the next) or "affinity" (the CPUs that
          this process may run on). The first of these that says something decides
        - "limit": the limit of this thread or task; None if there is none
        - "pool_worker": whether this process is a child that multiprocessing started, as those of process pools are

    Raises
    ------
    ValueError
        `TWOFOLD_NUM_THREADS` would decide, and is no whole number of at least 1. The other variables are ignored then.

    Examples
    --------
    >>> import twofold
    >>> with twofold.num_threads(2):
    ...     twofold.threads_info()
    {'num_threads': 2, 'rule': 'thread limit', 'limit': 2, 'pool_worker': False}
    """
    count, rule, limit, pool_worker = decided_by()
    return {"num_threads": count, "rule": rule, "limit": limit, "pool_worker": pool_worker}
