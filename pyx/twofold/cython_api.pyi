# The door for `cimport`, see cython_api.pxd. From Python there is nothing to call.
