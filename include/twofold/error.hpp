// How the library fails: an exception, or, where exceptions are switched off, one line on stderr and an abort.
#pragma once

#include <string>

#include "version.hpp"

#if defined(__cpp_exceptions)
#include <stdexcept>
#else
#include <cstdio>
#include <cstdlib>
#endif

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// Arch: see "Instruction sets" in twofold.hpp.
template <class Arch>
[[noreturn]] inline void fail_invalid_argument(std::string const& message) {
#if defined(__cpp_exceptions)
    throw std::invalid_argument("twofold: " + message);
#else
    std::fprintf(stderr, "twofold: %s\n", message.c_str());
    std::abort();
#endif
}

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
