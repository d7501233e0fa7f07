#define TWOFOLD_KERNELS_FOR sse2
#include "kernels.hpp"
