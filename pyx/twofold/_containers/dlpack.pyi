# Tensors: for twofold's own modules in Cython; see dlpack.pxd. From Python there is nothing to call.
