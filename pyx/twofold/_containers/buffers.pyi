# Buffers in, buffers out: for twofold's own modules in Cython; see buffers.pxd. From Python there is nothing to call.
