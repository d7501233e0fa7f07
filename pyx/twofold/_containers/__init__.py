"""Lists, buffers, arrays of NumPy and of other libraries: each fills a `View` of what it holds and hands it on.

It knows no kernel, starts no thread, and knows no process but this one. Which operation it is, double.pyx says alone.
"""
