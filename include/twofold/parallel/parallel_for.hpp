// The only place that cuts a range into chunks and shares them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <twofold/flags.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/parallel/chunks.hpp>
#include <twofold/parallel/crew.hpp>
#include <twofold/parallel/thread_count.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// The items of a call.
struct items {
    std::size_t count;
    std::size_t bytes_each;       // of memory that an item reads or writes, whichever is more
    void const* start = nullptr;  // where the first one is written: chunks begin on cache lines from there
};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The threads that a call may use that requests `requested` of them; 0 requests no particular number.
[[nodiscard]] constexpr allowance threads_for(unsigned requested) noexcept {
    return {(std::min)(requested, max_threads), requested != 0};
}

/// Calls body(first, count, workers) for chunks that cover all items once, on as many threads as pay off, or as are
/// requested: `workers` of them.
template <class Body>
void parallel_for(call_kind kind, items const& all, allowance threads, Body const& body) noexcept {
    sharing::run(kind, all.count * all.bytes_each, threads, [&](unsigned workers) noexcept {
        if (workers == 1) {
            body(std::size_t{0}, all.count, workers);
            return help::none;
        }
        static_assert(chunks::max_count + 2 <= crew::max_chunks);  // the first and the last may be short
        std::size_t const past_line = reinterpret_cast<std::uintptr_t>(all.start) % cache_line_bytes;
        chunks const cut(all.count, all.bytes_each, past_line, workers);
        return crew::share(cut.size(), workers - 1, [&](std::size_t i) noexcept {
            chunk const part = cut[i];
            body(part.first, part.count, workers);
        });
    });
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
