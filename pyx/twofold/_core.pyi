from array import array
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, overload

from typing_extensions import Buffer

_Number = TypeVar("_Number", int, float, complex)
_Item = TypeVar("_Item")
_Array = TypeVar("_Array", bound=array[Any])
_Out = TypeVar("_Out", bound=Buffer)

class _NumpyArray(Protocol):
    # Stands for numpy.ndarray, which users without NumPy do not have. No other buffer has this method.
    def __array_finalize__(self, obj: Any, /) -> None: ...

_Numpy = TypeVar("_Numpy", bound=_NumpyArray)

__version__: str

@overload
def double(values: Buffer | Sequence[Any], /, out: _Out, *, dtype: Any = None, threads: int | None = None) -> _Out: ...
@overload
def double(values: _Numpy, /, out: None = None, *, dtype: Any = None, threads: int | None = None) -> _Numpy: ...
@overload
def double(  # type: ignore[overload-overlap]
    values: _Array, /, out: None = None, *, dtype: Any = None, threads: int | None = None
) -> _Array: ...
@overload
def double(
    values: Buffer, /, out: None = None, *, dtype: Any = None, threads: int | None = None
) -> memoryview[Any]: ...
@overload
def double(values: _Number, /, out: None = None, *, dtype: Any = None, threads: int | None = None) -> _Number: ...
@overload
def double(
    values: Sequence[_Item], /, out: None = None, *, dtype: Any = None, threads: int | None = None
) -> list[_Item]: ...
def simd_target() -> str: ...
def supported_simd_targets() -> list[str]: ...
def element_types() -> list[str]: ...
