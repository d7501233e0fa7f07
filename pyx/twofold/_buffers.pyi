# Buffers in, buffers out: for twofold's own modules in Cython; see _buffers.pxd. From Python there is nothing to call.
