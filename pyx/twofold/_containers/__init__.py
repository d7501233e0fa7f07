"""Lists, buffers, arrays of NumPy and of other libraries: each module finds their memory, as a `View` or a pointer.

It starts no thread, and knows no process but this one. The containers are handed an operation. Only two files know
doubling: double.pyx, with the public function, and items.hpp, with the fast loops over Python's own numbers.
"""
