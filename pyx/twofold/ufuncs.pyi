from typing import Any

from numpy import ufunc

__all__ = ["doubled", "doubled_checked", "doubled_saturating"]

doubled: ufunc
doubled_saturating: ufunc
doubled_checked: ufunc

def begin() -> None: ...
def is_bfloat16(dtype: Any) -> bool: ...
