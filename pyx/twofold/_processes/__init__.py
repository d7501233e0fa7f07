"""Memory that processes share, and pools that work on it: who does which chunk, who is dead, where the bytes are.

It knows no container but buffers and arrays of NumPy, and no kernel: a worker finds the operation by its name.
"""
