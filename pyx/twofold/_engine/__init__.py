"""The engine for Python: it is called with pointers, and handles the GIL, signals and threads; and its C++ kernels.

It is handed an operation, and knows no containers; of NumPy it knows only the loops of ufuncs.
"""
