from array import array
from typing import Any, TypeVar

_Array = TypeVar("_Array", bound=array[Any])

def like(template: _Array, n: int) -> _Array: ...
