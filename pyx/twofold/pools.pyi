from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar, overload

from numpy.typing import DTypeLike
from typing_extensions import Buffer

from twofold.shared import SharedArray

_Overflow: TypeAlias = Literal["wrap", "saturate", "raise"]
_Progress: TypeAlias = bool | Callable[[int, int], object]

_Item = TypeVar("_Item")
_Out = TypeVar("_Out", bound=Buffer)

class _Submits(Protocol):  # executors of concurrent.futures, loky and joblib; the client of distributed
    @property
    def submit(self) -> Callable[..., Any]: ...

class _Applies(Protocol):  # multiprocessing.Pool and its kin
    @property
    def apply_async(self) -> Callable[..., Any]: ...

CHUNK_BYTES: int
CHUNK_STEP: int
MOST_CHUNK_BYTES: int

@overload
def double_in_processes(
    values: Sequence[Any] | Buffer,
    pool: _Submits | _Applies | None = None,
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
    values: Buffer,
    pool: _Submits | _Applies | None = None,
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
    pool: _Submits | _Applies | None = None,
    *,
    processes: SupportsIndex | None = None,
    out: None = None,
    dtype: DTypeLike | None = None,
    overflow: _Overflow = "wrap",
    chunk_bytes: SupportsIndex | None = None,
    progress: _Progress = False,
    retries: SupportsIndex = 3,
) -> list[_Item]: ...
