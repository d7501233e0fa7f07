// xsimd, for the whole library. What compilers say of it, and of their own headers below it, no user can mend.
#pragma once
#pragma GCC system_header  // as if found by -isystem, also where the user has found it by -I

// GCC 12.2 says that its own intrinsics of AVX-512 use what is not initialized, wherever they are inlined: in a user's
// kernel that calls xsimd::min, for instance. 12.5 does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <xsimd/xsimd.hpp>
#pragma GCC diagnostic pop
