from typing import Any

def double_of_numpy(
    values: Any, out: Any, dtype: Any, policy: int, threads: int, ufunc_keywords: dict[str, Any] | None
) -> Any: ...
def double_by_ufunc(
    values: Any, out: Any, dtype: Any, policy: int, threads: int, ufunc_keywords: dict[str, Any] | None
) -> Any: ...
