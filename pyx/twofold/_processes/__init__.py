"""Memory that processes share, and pools that work on it: which process does which chunk, which one is dead.

It knows no containers but buffers and arrays of NumPy, and is handed an operation, which a worker finds by its name.
"""
