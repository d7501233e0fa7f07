// How a call runs, and what becomes of a result that its element type cannot hold.
#pragma once

#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// What becomes of a double that the element type cannot hold.
enum class overflow_policy {
    wrap,      ///< Integers wrap modulo 2^bits; floats become infinite, as in IEEE 754.
    saturate,  ///< Integers become the smallest or the largest value of their type; floats are as with `wrap`.
    raise,     ///< twofold::overflow_error; for floats where a finite value would become infinite.
};

/// How a call runs.
struct options {
    /// What becomes of a double that the element type cannot hold.
    overflow_policy overflow = overflow_policy::wrap;
    /// Threads that work on the call, the calling one included, if it is long enough for more than one. 0: at most as
    /// many as parallel/thread_count.hpp says, and no more than have paid off in similar calls (parallel/adaptive.hpp).
    /// 1: this thread only.
    unsigned threads = 0;
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
