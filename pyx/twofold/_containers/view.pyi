# What is asked of both sides of a call: for twofold's own modules in Cython; see view.pxd. From Python there is
# nothing to call.
