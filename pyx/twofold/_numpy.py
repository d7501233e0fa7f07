"""NumPy as `np`, for all that needs it; or one sentence that says which NumPy that is, and what was found."""

__all__ = ["np"]

NEEDED = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"

try:
    import numpy as np
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise ImportError(f"{NEEDED}, and none is installed", name="numpy") from None

version = getattr(np, "__version__", "")
if not version or int(version.partition(".")[0]) < 2:
    raise ImportError(
        f"{NEEDED}, and found is NumPy {version or '(no version)'} ({getattr(np, '__file__', None)})", name="numpy"
    )
