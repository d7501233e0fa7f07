#define TWOFOLD_OPERATION twofold::detail::doubling
#define TWOFOLD_TABLES twofold_kernels
#define TWOFOLD_OPERATION_VALUE doubling_operation
#define TWOFOLD_OPERATION_NAME "twofold:double"
#include "define_operation.hpp"
