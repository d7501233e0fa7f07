from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from numpy.typing import NDArray

from twofold._segments import Segment

class Place(NamedTuple):
    pid: int
    fd: int
    name: tuple[Any, int]
    is_file: bool
    first: int
    nbytes: int
    def overlaps(self, other: Place) -> bool: ...

def segment_place(segment: Segment, first: int, nbytes: int) -> Place: ...
def is_file_mapping(array: NDArray[Any]) -> bool: ...
def place_of(array: NDArray[Any]) -> AbstractContextManager[Place | None]: ...
def open_place(place: Place) -> memoryview: ...
