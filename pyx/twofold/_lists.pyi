# Lists in, lists out: for twofold's own modules in Cython; see _lists.pxd. From Python there is nothing to call.
