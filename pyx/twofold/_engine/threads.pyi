from collections.abc import Callable
from typing import Literal, ParamSpec, SupportsIndex, TypedDict, TypeVar

from twofold._engine.twofold_engine import ThreadLimit

_P = ParamSpec("_P")
_R = TypeVar("_R")

class _ThreadsInfo(TypedDict):
    num_threads: int
    rule: Literal["thread limit", "TWOFOLD_NUM_THREADS", "OMP_NUM_THREADS", "pool worker", "affinity", "cgroup"]
    limit: int | None
    pool_worker: bool

def set_num_threads(n: SupportsIndex | None) -> None: ...
def get_num_threads() -> int: ...

class num_threads(ThreadLimit):  # noqa: N801
    def __init__(self, n: SupportsIndex | None) -> None: ...
    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]: ...

def threads_info() -> _ThreadsInfo: ...
