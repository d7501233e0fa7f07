# Lists in, lists out: for twofold's own modules in Cython, see lists.pxd; and these, for calls in processes.
from typing import Any

from typing_extensions import Buffer

from twofold._engine.twofold_engine import Operation

def read(operation: Operation, values: list[Any] | tuple[Any, ...], element: str, out: Buffer) -> None: ...
def read_ints(values: list[Any] | tuple[Any, ...], out: Buffer) -> bool: ...
def make(element: str, values: Buffer) -> list[Any]: ...
