# Arrays of Arrow: for twofold's own modules in Cython; see arrow.pxd. From Python there is nothing to call.
