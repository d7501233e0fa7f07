"""Lists, buffers, arrays of NumPy and of other libraries: each finds its memory, as a `View` or a pointer.

It starts no thread, and knows no process but this one. Which operation it is, double.pyx says, and items.hpp, which has
the fast loops over Python's own numbers for that one.
"""
