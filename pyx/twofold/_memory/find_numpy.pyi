from types import ModuleType
from typing import Final

NEEDED: Final = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"

def find_numpy() -> ModuleType: ...
