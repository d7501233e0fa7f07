# Arrays of other libraries: for twofold's own modules in Cython; see columns.pxd. From Python there is nothing to call.
