from collections.abc import Callable
from typing import Any, TypeAlias

from twofold._engine.twofold_engine import Operation
from twofold._processes.claims import Claims
from twofold._processes.places import Place

_Process: TypeAlias = tuple[int, int]
_Order: TypeAlias = tuple[_Process, Place, Place, Place, str, str, str]
_Progress: TypeAlias = bool | Callable[[int, int], object]

GRACE_SECONDS: float
TURN_SECONDS: float
WAIT_SECONDS: float
SETTLE_SECONDS: float
EXIT_SECONDS: float
MOST_REPLACED_FOR_RETRIES: int

class Bytes:
    view: Any
    place: Place | None
    def __init__(self, view: Any, place: Place | None) -> None: ...

def new_bytes(nbytes: int) -> Bytes: ...
def check_is_callers(own: Bytes) -> None: ...

class Task:
    way: str
    source: Bytes
    target: Bytes
    element: str
    overflow: str
    def __init__(self, way: str, source: Bytes, target: Bytes, element: str, overflow: str) -> None: ...

class Job:
    operation: Operation
    lender: Pool | OwnProcesses
    chunk_bytes: int
    progress: _Progress
    retries: int
    float_flags: tuple[bool, bool]
    def __init__(
        self,
        operation: Operation,
        lender: Pool | OwnProcesses,
        chunk_bytes: int,
        progress: _Progress,
        retries: int,
    ) -> None: ...
    def run(self, task: Task) -> int | None: ...

class Report:
    def __init__(self, progress: _Progress, claims: Claims, itemsize: int, total: int) -> None: ...
    def begin(self) -> None: ...
    def __call__(self) -> None: ...
    def end(self) -> None: ...

def work(order: _Order) -> int: ...

class WorkUndisturbed:
    def __init__(self, order: _Order) -> None: ...
    def __call__(self) -> None: ...
    def __setstate__(self, state: dict[str, Any]) -> None: ...

def threads_of_worker() -> int: ...
def this_process() -> _Process: ...
def identity_of(pid: int) -> tuple[int, int] | None: ...
def is_dead(process: _Process) -> bool: ...
def lender_of(pool: object, processes: int | None) -> Pool | OwnProcesses: ...

VARIABLE_POSITIONAL: int
COROUTINE: int
REFUSALS: tuple[type[Exception], ...]
ENDS: set[str]

class Pool:
    count: int
    failure: BaseException | None
    inherits: bool
    def __init__(self, pool: object, submit: Callable[[_Order], object], count: int) -> None: ...
    def ask(self, order: _Order) -> bool: ...
    def part(self, have_come: bool) -> None: ...

class OwnProcesses:
    count: int
    failure: BaseException | None
    inherits: bool
    def __init__(self, count: int) -> None: ...
    def ask(self, order: _Order) -> bool: ...
    def part(self, have_come: bool) -> None: ...
