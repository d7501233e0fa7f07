# The header-free door for Cython:
#
#     from twofold cimport double_u32
#
# The functions come from the installed extension module, so a consumer needs neither our headers nor C++, and its calls
# use the best instruction set of the machine. cython_api.pxd describes them.
from twofold.cython_api cimport *
