"""NumPy, for all that needs it; or one sentence that says which NumPy that is, and what was found."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

NEEDED = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"


def find_numpy() -> "ModuleType":
    """The module `numpy`, which is imported where nobody has done so.

    Where it is there already, this takes no lock of an import.
    """
    try:
        import numpy  # noqa: PLC0415 - `import twofold` does not
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise ImportError(f"{NEEDED}, and none is installed", name="numpy") from None
    version = getattr(numpy, "__version__", "")
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < 2:
        found = f"NumPy {version or '(no version)'} ({getattr(numpy, '__file__', None)})"
        raise ImportError(f"{NEEDED}, and found is {found}", name="numpy")
    return numpy
