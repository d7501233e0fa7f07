"""Doubles every element of an array at memory speed, from Python, Cython and C++.

>>> import twofold
>>> twofold.double([1, 2, 3, 4, 5])
[2, 4, 6, 8, 10]
"""

import os
import sys

try:
    from twofold._engine.twofold_engine import __version__, simd_target
except ImportError as error:
    if "interpreter" not in str(error):
        raise
    raise ImportError(
        "twofold works in only one interpreter of a process, as NumPy does. Instead of subinterpreters use threads"
        " (ThreadPoolExecutor), since calls run without the GIL, or processes (ProcessPoolExecutor)",
        name="twofold",
    ) from error

from twofold import ufuncs  # noqa: F401
from twofold._containers.double import double
from twofold._engine.config import show_config
from twofold._engine.parallel_ufunc import parallel
from twofold._engine.threads import get_num_threads, num_threads, set_num_threads, threads_info
from twofold._engine.user_kernel import Kernel

TYPE_CHECKING = False  # as in typing, which would take longer to import than all of this
if TYPE_CHECKING:
    # What only compiled modules import, for tools that look for imports in bytecode, as PyInstaller does.
    import math  # noqa: F401

    import twofold._containers.arrow
    import twofold._containers.buffers
    import twofold._containers.dlpack
    import twofold._containers.lists
    import twofold._containers.ndarray
    import twofold._containers.ufunc_route
    import twofold._containers.view
    import twofold._engine.arguments
    import twofold._engine.kernel_source
    import twofold._engine.messages
    import twofold._engine.parallel_ufunc
    import twofold._engine.shared_loop
    import twofold._engine.signals
    import twofold._engine.twofold_engine
    import twofold._engine.ufunc_loops
    import twofold._engine.user_kernel
    import twofold._memory.numpy_handler
    import twofold._processes.claims
    import twofold._processes.segments
    from twofold.shared import SharedArray

__all__ = [
    "Kernel",
    "SharedArray",
    "__version__",
    "double",
    "double_in_processes",
    "get_include",
    "get_num_threads",
    "num_threads",
    "parallel",
    "release_memory",
    "set_num_threads",
    "share",
    "show_config",
    "simd_target",
    "threads_info",
]

# All that calls need is imported here, except NumPy, which is looked up at the first array: if a call imported
# anything, a fork in another thread could leave its child with the import lock taken.
if sys.platform == "linux":  # these use features of Linux
    from twofold.pools import double_in_processes
    from twofold.shared import share
else:
    __all__ = [name for name in __all__ if name not in {"SharedArray", "double_in_processes", "share"}]

for _public in map(globals().get, __all__):
    if callable(_public) and _public.__module__ != "twofold":
        _public.__module__ = "twofold"  # it is pickled by this name; the modules that define it are private
del _public

if hasattr(sys.modules.get("threadpoolctl"), "register"):  # since 3.2. Otherwise it may be imported by hand
    import twofold.threadpoolctl  # noqa: F401


def __getattr__(name: str) -> object:
    if name in __all__:  # SharedArray, which is made on first use, and then imports NumPy
        return sys.modules["twofold.shared"].SharedArray
    # With these Python suggests a name that is close.
    raise AttributeError(f"module 'twofold' has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return [*__all__, *(name for name in ("pools", "shared", "ufuncs") if f"twofold.{name}" in sys.modules)]


def release_memory() -> int:
    """Give all memory that is kept for later results back to the system.

    New NumPy arrays of 32 MiB and more reuse the memory of earlier ones, which is kept for that: at most 512 MiB, or a
    sixteenth of the memory that this process may use. As much again is kept of arrays that processes share. Arrays that
    are in use are not affected.

    Returns
    -------
    int
        How many bytes were given back.

    Examples
    --------
    >>> import twofold
    >>> released = twofold.release_memory()
    >>> twofold.release_memory()
    0
    """
    if "twofold._processes.transit" in sys.modules:
        sys.modules["twofold._processes.transit"].sweep()
    # The second module exists only on Linux.
    memories = map(sys.modules.get, ("twofold._memory.numpy_handler", "twofold._processes.segments"))
    return sum(memory.release_memory() for memory in memories if memory is not None)


def get_include() -> str:
    """Return the directory of the C++ headers, twofold's own and those of xsimd, for a compiler's include path.

    Examples
    --------
    >>> import os, twofold
    >>> os.path.exists(os.path.join(twofold.get_include(), "twofold", "twofold.hpp"))
    True
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
