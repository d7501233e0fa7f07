"""What a bug report should say about this installation."""

import os

from twofold._engine.threads import threads_info
from twofold._engine.twofold_engine import __version__, cache_size, simd_target, supported_simd_targets
from twofold._memory.numpy_handler import recycled_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, overload

VARIABLES = (
    "TWOFOLD_SIMD",
    "TWOFOLD_CACHE_BYTES",
    "TWOFOLD_NUM_THREADS",
    "TWOFOLD_RECYCLE_MEMORY",
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
)


if TYPE_CHECKING:

    @overload
    def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
    @overload
    def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: str = "stdout") -> "dict[str, Any] | None":
    """Show the version, the instruction set and the threads that calls use here.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it.

    Returns
    -------
    dict or None
        With ``mode="dicts"``:

        - "version": of twofold
        - "simd": "target", the instruction set in use, and "supported", those that could be, weakest first
        - "cache_bytes": the assumed size of the last-level cache; larger results are streamed
        - "threads": what `threads_info` returns
        - "recycled_memory": whether memory is recycled for new arrays, how much is kept for that, and how much may be
        - "environment": the variables that are set, of those that twofold reads

    Raises
    ------
    ValueError
        `mode` is neither of the two; or a variable of twofold's holds what cannot be used.

    Examples
    --------
    >>> import twofold
    >>> twofold.show_config("dicts")["version"] == twofold.__version__
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    config = {
        "version": __version__,
        "simd": {"target": simd_target(), "supported": supported_simd_targets()},
        "cache_bytes": cache_size(),
        "threads": threads_info(),
        "recycled_memory": recycled_memory(),
        "environment": {name: said for name in VARIABLES if (said := os.environ.get(name)) is not None},
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}: {item}" for key, item in value.items()) or "-"  # noqa: PLW2901
        print(f"{name}: {value}")
    return None
