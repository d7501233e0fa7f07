"""Recycled memory for large results; how NumPy is found, and given that memory; checked arithmetic for sizes.

It knows neither the operation nor the container, and imports nothing from the other folders.
"""
