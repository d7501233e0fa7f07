// Cuts long calls into slices, between which a callback is asked whether to go on.
#pragma once

#include <algorithm>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Called between the slices of a long call, on the thread that made it: whether to go on. Null: always.
using go_on_function = bool (*)();

/// What a call returns that was told not to go on, even if it has met an overflow; it does not ask again. Some slices
/// are done then; with overflow_policy::raise in place there may be none.
inline constexpr std::size_t interrupted = ~std::size_t{0};

/// The bytes that a slice reads and writes: some ten milliseconds' work for one thread, whatever the layout.
inline constexpr std::size_t slice_bytes = std::size_t{64} << 20;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Calls run(first, count) for slices of `n` items that touch `bytes_each` bytes each. `run` returns `count`, or the
/// index in the slice at which the call ends. Returns n, that index within the call, or `interrupted`.
template <class Run>
std::size_t in_slices(std::size_t n, std::size_t bytes_each, go_on_function go_on, Run const& run) noexcept {
    std::size_t const max_count = go_on == nullptr ? n : (std::max)(slice_bytes / bytes_each, std::size_t{1});
    for (std::size_t first = 0; first < n;) {
        if (first > 0 && !go_on()) return interrupted;
        std::size_t const count = (std::min)(max_count, n - first);
        std::size_t const done = run(first, count);
        first += done;
        if (done < count) return first;
    }
    return n;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
