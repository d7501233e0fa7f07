from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar, overload

from numpy.typing import DTypeLike, NDArray
from typing_extensions import Buffer

from twofold.shared import SharedArray

_Overflow: TypeAlias = Literal["wrap", "saturate", "raise"]
_Progress: TypeAlias = bool | Callable[[int, int], object]

_Buffer: TypeAlias = Buffer | NDArray[Any]  # which Python's types before 3.12 do not know for one

_Item = TypeVar("_Item")
_Out = TypeVar("_Out", bound=_Buffer)

class _Submits(Protocol):  # executors of concurrent.futures, loky and joblib; the client of distributed
    @property
    def submit(self) -> Callable[..., Any]: ...

class _Applies(Protocol):  # multiprocessing.Pool and its kin
    @property
    def apply_async(self) -> Callable[..., Any]: ...

class _Schedules(Protocol):  # pebble's
    @property
    def schedule(self) -> Callable[..., Any]: ...

_Lender: TypeAlias = _Submits | _Applies | _Schedules

CHUNK_BYTES: int
CHUNK_STEP: int
MAX_CHUNK_BYTES: int

@overload
def double_in_processes(
    values: Sequence[Any] | _Buffer,
    pool: _Lender | None = None,
    *,
    processes: SupportsIndex | None = None,
    out: _Out,
    dtype: DTypeLike | None = None,
    overflow: _Overflow = "wrap",
    chunk_bytes: SupportsIndex | None = None,
    progress: _Progress = False,
    retries: SupportsIndex = 3,
) -> _Out: ...
@overload
def double_in_processes(
    values: _Buffer,
    pool: _Lender | None = None,
    *,
    processes: SupportsIndex | None = None,
    out: None = None,
    dtype: DTypeLike | None = None,
    overflow: _Overflow = "wrap",
    chunk_bytes: SupportsIndex | None = None,
    progress: _Progress = False,
    retries: SupportsIndex = 3,
) -> SharedArray: ...
@overload
def double_in_processes(
    values: Sequence[_Item],
    pool: _Lender | None = None,
    *,
    processes: SupportsIndex | None = None,
    out: None = None,
    dtype: DTypeLike | None = None,
    overflow: _Overflow = "wrap",
    chunk_bytes: SupportsIndex | None = None,
    progress: _Progress = False,
    retries: SupportsIndex = 3,
) -> list[_Item]: ...
