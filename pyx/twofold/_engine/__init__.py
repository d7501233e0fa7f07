"""The engine as Python has it: pointers in, with the GIL, signals and threads seen to; and its kernels in C++.

It is handed an operation, and knows no container of Python's; of NumPy the loops of ufuncs alone.
"""
