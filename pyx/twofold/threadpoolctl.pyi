from abc import ABCMeta

from threadpoolctl import LibController

__all__ = ["TwofoldController"]

class TwofoldController(LibController, metaclass=ABCMeta):
    user_api: str
    internal_api: str
    filename_prefixes: tuple[str, ...]
    check_symbols: tuple[str, ...]
    def get_num_threads(self) -> int: ...
    def set_num_threads(self, num_threads: int) -> None: ...
    def get_version(self) -> str: ...
