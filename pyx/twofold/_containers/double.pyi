"""The types of `double`. What decides is how other libraries speak, so that none of them has to be there."""

from array import array
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import (
    Any,
    Literal,
    Protocol,
    SupportsComplex,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from typing_extensions import Buffer

class _HasUfuncs(Protocol):  # arrays of NumPy, dask and xarray; columns of pandas and polars
    @property
    def __array_ufunc__(self) -> Any: ...

class _HasArrayStruct(Protocol):  # NumPy's scalars, which are buffers, too
    @property
    def __array_struct__(self) -> Any: ...

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

_IsNumber: TypeAlias = SupportsIndex | SupportsFloat | SupportsComplex
_Number = TypeVar("_Number", int, float, complex, Decimal, Fraction)
_Item = TypeVar("_Item", bound=_IsNumber)
_Out = TypeVar("_Out", bound=Buffer | _HasUfuncs | _HasDLPack)
_Same = TypeVar(
    "_Same", bound=array[Any] | _HasUfuncs | _HasArrayStruct | _HasDLPack | _HasArrowArray | _HasArrowStream
)

class _Options(TypedDict, total=False):
    dtype: Any
    overflow: _Overflow
    threads: SupportsIndex | None
    where: Any
    casting: _Casting | None
    order: _Order | None
    subok: bool | None
    signature: Any

@overload
def double(
    values: Buffer | Sequence[_IsNumber] | _HasUfuncs | _HasDLPack, /, out: _Out, **options: Unpack[_Options]
) -> _Out: ...
@overload
def double(values: _Same, /, out: None = None, **options: Unpack[_Options]) -> _Same: ...  # type: ignore[overload-overlap]
@overload
def double(values: Buffer, /, out: None = None, **options: Unpack[_Options]) -> memoryview[Any]: ...
@overload
def double(values: _Number, /, out: None = None, **options: Unpack[_Options]) -> _Number: ...
@overload
def double(values: Sequence[_Item], /, out: None = None, **options: Unpack[_Options]) -> list[_Item]: ...
