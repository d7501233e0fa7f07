#define TWOFOLD_KERNELS_FOR avx2
#include "kernels.hpp"
