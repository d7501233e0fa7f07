"""Registers twofold with threadpoolctl, so that `threadpool_info` lists it and `threadpool_limits` limits it.

`import twofold` imports it if threadpoolctl is imported already; otherwise import it yourself.

A limit applies to the calling thread or task, as with `twofold.set_num_threads`: threads that are started in a block of
`threadpool_limits` are not limited.

>>> import twofold.threadpoolctl
>>> from threadpoolctl import threadpool_limits
>>> with threadpool_limits(limits=1, user_api="twofold"):
...     twofold.get_num_threads()
1
"""

from threadpoolctl import LibController, register

from twofold._engine.threads import get_num_threads, set_num_threads, threads_info
from twofold._engine.twofold_engine import __version__

__all__ = ["TwofoldController"]


class Unlimited(int):
    """The number of threads where there is no limit. Set again, it takes the limit away.

    threadpoolctl restores the number that it was given before, and would otherwise set a limit where there was none:
    then changes of the environment would be ignored.
    """


class TwofoldController(LibController):  # type: ignore[misc]
    """What threadpoolctl asks."""

    user_api = internal_api = "twofold"
    filename_prefixes = ("twofold_engine",)  # the extension module's
    check_symbols = ("twofold_version",)

    def get_num_threads(self) -> int:
        """Return what `twofold.get_num_threads` says."""
        return get_num_threads() if threads_info()["limit"] else Unlimited(get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        """Limit the calling thread."""
        set_num_threads(None if isinstance(num_threads, Unlimited) else num_threads)

    def get_version(self) -> str:
        """Return the version of twofold."""
        return __version__


register(TwofoldController)
