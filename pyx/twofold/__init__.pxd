# The header-free door for Cython:
#
#     from twofold cimport double_u32
#
# The functions are those of the installed extension module, so a consumer needs neither our headers nor C++, and its
# calls run on the best instruction set of the machine. cython_api.pxd says what they do.
from twofold.cython_api cimport (
    double_i8, double_u8, double_i16, double_u16, double_i32, double_u32, double_i64, double_u64, double_f16, double_bf16,
    double_f32, double_f64, double_c64, double_c128,
)
