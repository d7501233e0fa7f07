"""Doubles every element of an array at memory speed, from Python, Cython and C++.

>>> import twofold
>>> twofold.double([1, 2, 3, 4, 5])
[2, 4, 6, 8, 10]
"""

import os

from twofold._after_import import await_threadpoolctl
from twofold._config import show_config
from twofold._core import __version__, simd_target
from twofold._double import double
from twofold._threads import get_num_threads, num_threads, set_num_threads, threads_info

__all__ = [
    "__version__",
    "double",
    "get_include",
    "get_num_threads",
    "num_threads",
    "set_num_threads",
    "show_config",
    "simd_target",
    "threads_info",
]

await_threadpoolctl()


def get_include() -> str:
    """Return the directory of the C++ headers, twofold's own and those of xsimd, for a compiler's include path.

    Examples
    --------
    >>> import os, twofold
    >>> os.path.exists(os.path.join(twofold.get_include(), "twofold", "twofold.hpp"))
    True
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
