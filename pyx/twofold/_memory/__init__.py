"""Memory of large results, which is used again, and how NumPy is given it.

It knows neither what is computed nor which container asks.
"""
