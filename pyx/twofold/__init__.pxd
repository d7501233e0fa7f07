# The header-free door for Cython:
#
#     from twofold cimport double_u32
#
# The functions are those of the installed extension module, so a consumer needs neither our headers nor C++, and its
# calls run on the best instruction set of the machine. cython_api.pxd says what they do.
from twofold.cython_api cimport *
