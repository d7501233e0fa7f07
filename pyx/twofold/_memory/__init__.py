"""Memory of large results, which is used again; NumPy: how it is found, and given that memory; checked sizes.

It knows neither what is computed nor which container asks, and imports nothing of the other folders.
"""
