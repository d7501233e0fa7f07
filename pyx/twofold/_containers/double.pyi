"""The types of `double`. What decides is how other libraries speak, so that none of them has to be there."""

from array import array
from collections.abc import Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar, overload

from typing_extensions import Buffer

class _HasUfuncs(Protocol):  # arrays of NumPy, dask and xarray; columns of pandas and polars
    @property
    def __array_ufunc__(self) -> Any: ...

class _HasDLPack(Protocol):  # tensors of PyTorch and JAX
    @property
    def __dlpack__(self) -> Any: ...

class _HasArrowArray(Protocol):
    @property
    def __arrow_c_array__(self) -> Any: ...

class _HasArrowStream(Protocol):
    @property
    def __arrow_c_stream__(self) -> Any: ...

_Overflow: TypeAlias = Literal["wrap", "saturate", "raise"]
_Casting: TypeAlias = Literal["no", "equiv", "safe", "same_kind", "unsafe"]
_Order: TypeAlias = Literal["K", "A", "C", "F"]

_Number = TypeVar("_Number", int, float, complex)
_Item = TypeVar("_Item")
_Out = TypeVar("_Out", bound=Buffer | _HasUfuncs | _HasDLPack)
_Same = TypeVar("_Same", bound=array[Any] | _HasUfuncs | _HasDLPack | _HasArrowArray | _HasArrowStream)

@overload
def double(
    values: Buffer | Sequence[Any] | _HasUfuncs | _HasDLPack,
    /,
    out: _Out,
    *,
    dtype: Any = None,
    overflow: _Overflow = "wrap",
    threads: SupportsIndex | None = None,
    where: Any = None,
    casting: _Casting | None = None,
    order: _Order | None = None,
    subok: bool | None = None,
    signature: Any = None,
) -> _Out: ...
@overload
def double(  # type: ignore[overload-overlap]
    values: _Same,
    /,
    out: None = None,
    *,
    dtype: Any = None,
    overflow: _Overflow = "wrap",
    threads: SupportsIndex | None = None,
    where: Any = None,
    casting: _Casting | None = None,
    order: _Order | None = None,
    subok: bool | None = None,
    signature: Any = None,
) -> _Same: ...
@overload
def double(
    values: Buffer,
    /,
    out: None = None,
    *,
    dtype: Any = None,
    overflow: _Overflow = "wrap",
    threads: SupportsIndex | None = None,
    where: Any = None,
    casting: _Casting | None = None,
    order: _Order | None = None,
    subok: bool | None = None,
    signature: Any = None,
) -> memoryview[Any]: ...
@overload
def double(
    values: _Number,
    /,
    out: None = None,
    *,
    dtype: Any = None,
    overflow: _Overflow = "wrap",
    threads: SupportsIndex | None = None,
    where: Any = None,
    casting: _Casting | None = None,
    order: _Order | None = None,
    subok: bool | None = None,
    signature: Any = None,
) -> _Number: ...
@overload
def double(
    values: Sequence[_Item],
    /,
    out: None = None,
    *,
    dtype: Any = None,
    overflow: _Overflow = "wrap",
    threads: SupportsIndex | None = None,
    where: Any = None,
    casting: _Casting | None = None,
    order: _Order | None = None,
    subok: bool | None = None,
    signature: Any = None,
) -> list[_Item]: ...
