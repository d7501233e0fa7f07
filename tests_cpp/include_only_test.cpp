// Promise: each header can be included alone, and twice. Built once for each of them.
#include TWOFOLD_HEADER
#include TWOFOLD_HEADER

int main() {}
