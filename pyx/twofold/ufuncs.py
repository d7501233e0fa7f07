"""The NumPy ufuncs: `doubled`, `doubled_saturating` and `doubled_checked`.

Real `numpy.ufunc`s of one input: `out=`, `where=`, `casting=`, `dtype=`, broadcasting and `numpy.errstate` work, and so
do the containers of other libraries that know ufuncs. They pickle by name. They are made on first use, which imports
NumPy if it has not been; `import twofold` does not.

>>> import numpy as np
>>> from twofold.ufuncs import doubled, doubled_saturating
>>> doubled(np.array([1, 2, 200], dtype=np.uint8))
array([  2,   4, 144], dtype=uint8)
>>> doubled_saturating(np.array([1, 2, 200], dtype=np.uint8))
array([  2,   4, 255], dtype=uint8)
"""

from twofold._containers import double as _double  # noqa: F401 - which makes the operation
from twofold._engine import ufunc_loops as _loops
from twofold._engine.twofold_engine import operation_named as _operation_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy import ufunc

    doubled: ufunc
    doubled_saturating: ufunc
    doubled_checked: ufunc

__all__ = ["doubled", "doubled_checked", "doubled_saturating"]

_doubling = _operation_named("twofold:double")
_doubling.ufunc_module = __name__
_doubling.ufunc_docs = (
    """
Doubles every element. Integers wrap modulo 2 to the power of their width, floats follow IEEE 754.

Types: all of NumPy's integers, floats and complex numbers, timedelta64 (NaT stays; overflow raises OverflowError),
object (Python's ``x + x``, for numbers), and the bfloat16 of ml_dtypes.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled
>>> doubled(np.array([1.5, -0.0]))
array([ 3., -0.])
""",
    """
Doubles every element. Integers are clamped to the limits of their type; all else is as `doubled` has it. A cast to
`dtype=` or to `out` is NumPy's, which clamps nothing; `twofold.double` does.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled_saturating
>>> doubled_saturating(np.array([100, -100], dtype=np.int8))
array([ 127, -128], dtype=int8)
""",
    """
Doubles every element. Raises OverflowError where one does not fit its type, and for floats where a finite one would
become infinite; `out` then holds anything. All else is as `doubled` has it. A cast to `dtype=` or to `out` is NumPy's,
which checks nothing; `twofold.double` does.

Examples
--------
>>> import numpy as np
>>> from twofold.ufuncs import doubled_checked
>>> doubled_checked(np.array([100], dtype=np.int8))
Traceback (most recent call last):
    ...
OverflowError: an element's double does not fit int8
""",
)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name not in __all__:
        import sys  # noqa: PLC0415 - loaded by Python itself

        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    _loops.begin()
    globals().update({ufunc.__name__: ufunc for ufunc in _doubling.ufuncs})
    # With it, Python looks up every attribute of the module the slow way: 50 ns a call.
    globals().pop("__getattr__", None)
    return globals()[name]
