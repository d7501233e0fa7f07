#define TWOFOLD_KERNELS_FOR neon
#include "kernels.hpp"
