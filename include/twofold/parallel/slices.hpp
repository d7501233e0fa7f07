// Long calls in slices, between which somebody is asked whether they should go on.
#pragma once

#include <algorithm>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Asked between the slices of a long call, on the thread that made it, whether it should go on. Null: it should.
using go_on_function = bool (*)();

/// What a call returns that was told not to go on, also where it has met an overflow; it asks no more. Some slices are
/// done then; with overflow_policy::raise in place there may be none.
inline constexpr std::size_t interrupted = ~std::size_t{0};

/// The memory that a slice reads and writes: some ten milliseconds' work for one thread, whatever the layout.
inline constexpr std::size_t slice_bytes = std::size_t{64} << 20;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// run(first, count) for slices of a call on `n` things that touch so many bytes each. It returns `count`, or the index
/// in the slice at which the call ends. Returns n, that index, or `interrupted`.
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
