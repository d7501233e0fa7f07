from typing import Any, Final, Literal, NoReturn, Self, SupportsIndex, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from twofold._processes.segments import Segment, SharedArrayError

__all__ = ["LostArray", "SharedArray", "SharedArrayError", "share"]

MAX_MAPPED_AHEAD: Final = 268435456

class SharedArray(np.ndarray[Any, np.dtype[Any]]):
    def __new__(
        cls, shape: SupportsIndex | tuple[SupportsIndex, ...], dtype: DTypeLike = ..., order: Literal["C", "F"] = "C"
    ) -> Self: ...
    @classmethod
    def empty(
        cls, shape: SupportsIndex | tuple[SupportsIndex, ...], dtype: DTypeLike = ..., order: Literal["C", "F"] = "C"
    ) -> Self: ...

def share(values: ArrayLike, dtype: DTypeLike | None = None) -> SharedArray: ...

@final
class LostArray:
    def __init__(self, reason: str) -> None: ...
    def __getattr__(self, name: str) -> NoReturn: ...

def find_segment(array: NDArray[Any]) -> tuple[Segment, int] | None: ...
