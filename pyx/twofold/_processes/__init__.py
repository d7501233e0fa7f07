"""Memory that processes share, and pools that work on it: who does which chunk, who is dead, where the bytes are.

It knows no container but buffers and arrays of NumPy, and is handed an operation, which a worker finds by its name.
"""
