from types import ModuleType
from typing import Any, Final, TypedDict

from numpy.typing import NDArray

NEEDED: Final = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"

def find_numpy() -> ModuleType: ...

class _RecycledMemory(TypedDict):
    on: bool
    bytes: int
    cap: int

def empty_like(values: NDArray[Any]) -> NDArray[Any]: ...
def extent_of(array: NDArray[Any]) -> tuple[int, int, int]: ...
def release_memory() -> int: ...
def recycled_memory() -> _RecycledMemory: ...
