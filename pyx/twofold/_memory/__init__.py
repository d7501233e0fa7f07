"""Memory of large results, which is used again; and NumPy: how it is found, and given that memory.

It knows neither what is computed nor which container asks, and imports nothing of the other folders.
"""
