#define TWOFOLD_KERNELS_FOR avx512
#include "kernels.hpp"
