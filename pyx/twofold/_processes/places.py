"""Where the bytes of an array are, so that another process on this machine finds them: a segment, or a file.

A worker opens a file by the caller's descriptor, and checks that it is the same file, so its name may change meanwhile.
"""

import mmap
import os

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.signals import OpenFile
from twofold._memory.numpy_handler import find_numpy
from twofold._processes.segments import Segment
from twofold._processes.transit import PROC, find_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray


class Place:
    """Where bytes are: `first` to `first + nbytes` of the memory that process `pid` has under the descriptor `fd`.

    `name` identifies the memory: (token, its bytes) of a segment, (device, inode) of a file.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self, pid: int, fd: int, name: "tuple[Any, int]", is_file: bool, first: int, nbytes: int
    ) -> None:
        self.pid = pid
        self.fd = fd
        self.name = name
        self.is_file = is_file
        self.first = first
        self.nbytes = nbytes

    def is_same(self, other: "Place") -> bool:
        """Whether it is the same memory, through any descriptor."""
        return (self.name, self.first, self.nbytes) == (other.name, other.first, other.nbytes)

    def overlaps(self, other: "Place") -> bool:
        return (
            self.name == other.name
            and self.first < other.first + other.nbytes
            and other.first < self.first + self.nbytes
        )


def segment_place(segment: Segment, first: int, nbytes: int) -> Place:
    return Place(segment.pid, segment.fd, (segment.token, segment.nbytes), False, first, nbytes)


class HeldPlace:
    """A context whose value is a place, or None; if the place is in a file, that is open until the end of the block."""

    def __init__(self, place: Place | None = None, file: OpenFile | None = None) -> None:
        self._place = place
        self._file = file

    def __enter__(self) -> Place | None:
        return self._place

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def place_of(array: "NDArray[Any]") -> HeldPlace:
    """The `HeldPlace` of a contiguous array that is not empty; of None if no other process can find it."""
    found = find_segment(array)
    if found is not None:
        return HeldPlace(segment_place(*found, array.nbytes))
    opened = _open_file_of(array)
    if opened is None:
        return HeldPlace()
    file, first = opened
    status = os.fstat(file.fd)
    name = status.st_dev, status.st_ino
    return HeldPlace(Place(os.getpid(), file.fd, name, True, first, array.nbytes), file)


def open_place(place: Place) -> memoryview:
    """The bytes of a place, as a buffer. Raises what opening it raises, or ValueError if it is another file by now."""
    if not place.is_file:
        token, nbytes = place.name
        segment: Any = Segment.attach(place.pid, place.fd, token, nbytes)
        return memoryview(segment)[place.first : place.first + place.nbytes]
    # The descriptor may be another file by now; opening that must have no effect.
    harmless = os.O_NONBLOCK | os.O_NOCTTY
    path = f"{PROC}/{place.pid}/fd/{place.fd}"
    is_writable = bool(int(_first_line(f"{PROC}/{place.pid}/fdinfo/{place.fd}", "flags:"), 8) & os.O_RDWR)
    file = OpenFile(path, (os.O_RDWR if is_writable else os.O_RDONLY) | harmless)
    try:
        status = os.fstat(file.fd)
        if (status.st_dev, status.st_ino) != place.name:
            raise ValueError(f"{path} is another file by now")
        before = place.first % mmap.ALLOCATIONGRANULARITY
        access = mmap.ACCESS_WRITE if is_writable else mmap.ACCESS_READ
        mapped = mmap.mmap(file.fd, before + place.nbytes, offset=place.first - before, access=access)
    finally:
        file.close()
    return memoryview(mapped)[before:]


def _first_line(path: str, key: str) -> str:
    with open(path) as lines:
        return next(line.removeprefix(key) for line in lines if line.startswith(key))


# ---- arrays that are mapped files, as those of numpy.memmap


def _open_file_of(array: "NDArray[Any]") -> tuple[OpenFile, int] | None:
    """The file that an array is mapped from, opened, and the array's first byte in it; None if it is not mapped."""
    if not is_file_mapping(array):
        return None
    address = array.__array_interface__["data"][0]
    mapping = _mapping_at(address)
    if mapping is None or not mapping.is_shared or not mapping.path:
        return None
    flags = os.O_RDWR if array.flags.writeable else os.O_RDONLY
    try:
        file = OpenFile(mapping.path, flags | os.O_NONBLOCK)
    except OSError as error:  # it was deleted, say
        raise_again_if_callers(error)
        return None
    is_same = False
    try:
        is_same = _is_mapped_as(file.fd, mapping)
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise_again_if_callers(error)
    finally:
        if not is_same:
            file.close()
    return (file, address - mapping.begin + mapping.offset) if is_same else None


def is_file_mapping(array: "NDArray[Any]") -> bool:
    """Whether the array's memory may be a mapped file."""
    return isinstance(_end_of_bases(array), mmap.mmap)


def _end_of_bases(array: object) -> object:
    owner: Any = array
    while True:
        base = owner.obj if type(owner) is memoryview else getattr(owner, "base", None)
        if base is None:
            return owner
        owner = base


class _Mapping:
    def __init__(self, begin: int, offset: int, file: tuple[str, str], is_shared: bool, path: str) -> None:
        self.begin = begin
        self.offset = offset
        self.file = file  # (device, inode) as the kernel shows them here; fstat differs on some file systems
        self.is_shared = is_shared  # not copied on write
        self.path = path


def _mapping_at(address: int) -> _Mapping | None:
    # File names are bytes, of any encoding. Except line feeds, the kernel writes them unchanged.
    try:
        opened = open(f"{PROC}/self/maps", encoding="utf-8", errors="surrogateescape", newline="\n")  # noqa: SIM115
    except FileNotFoundError as error:  # there is no /proc
        raise_again_if_callers(error)
        return None
    with opened as lines:
        for line in lines:
            span, modes, offset, device, inode, *path = line.rstrip("\n").split(" ", 5)
            begin, end = (int(number, 16) for number in span.split("-"))
            if begin <= address < end:
                return _Mapping(begin, int(offset, 16), (device, inode), modes[3] == "s", "".join(path).lstrip(" "))
    return None


def _is_mapped_as(fd: int, mapping: _Mapping) -> bool:
    """Whether `fd` is the mapping's file: then a new mapping of it shows the same device and inode."""
    with mmap.mmap(fd, 1, access=mmap.ACCESS_READ) as page:
        address = find_numpy().frombuffer(page, "u1").__array_interface__["data"][0]
        other = _mapping_at(address)
    return other is not None and other.file == mapping.file
