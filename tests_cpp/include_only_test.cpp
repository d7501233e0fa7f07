// Promise: each header can be included alone, and twice. Compiled once for each of them.
#include TWOFOLD_HEADER
#include TWOFOLD_HEADER
