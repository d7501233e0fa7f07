import numpy as np

__all__ = ["np"]

NEEDED: str
version: str
