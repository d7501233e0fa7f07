"""Lists, buffers, arrays of NumPy and of other libraries: each fills a `View` of what it holds and has it doubled.

It knows no kernel, starts no thread, and knows no process but this one.
"""
