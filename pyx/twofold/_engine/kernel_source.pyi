from typing import final

@final
class CompiledFunction: ...  # made by user_kernel alone, by cimport
