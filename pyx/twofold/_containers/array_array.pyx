"""New `array.array`s without a fill. A module of its own, which imports `array`: without that all else works."""
from cpython.array cimport array, clone


def like(array template not None, Py_ssize_t n):
    """A new array of the type of `template`, of n elements that are not filled."""
    return clone(template, n, False)
