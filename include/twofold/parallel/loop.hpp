// A parallel loop over items whose cost is not known: it is learnt from the calls before.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <twofold/flags.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/parallel/first_index.hpp>
#include <twofold/parallel/item_cost.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/parallel/slices.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// What a loop returns that was told not to go on; no code of a body is negative.
inline constexpr int loop_interrupted = -1;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The code of a body, 0 or positive.
[[nodiscard]] constexpr int positive(int code) noexcept {
    return code < 0 ? (std::numeric_limits<int>::max)() : code;
}

// Of an unknown kind, items run alone until this much time has passed: a fraction of what waking a helper may take. But
// no more than a part of all items, so that a loop that is long enough for helpers still is when it knows its cost.
inline constexpr std::int64_t trial_ns = 100'000;
inline constexpr std::size_t trial_one_part_in = 8;

// Where nobody asks for slices, one has at most so many bytes that its chunks need not grow, and so many items that the
// index of one and a code fit into a word.
inline constexpr std::size_t max_slice_bytes = chunks::max_bytes * chunks::max_count;
inline constexpr std::size_t max_slice_items = 0xFFFF'FFFF;
inline constexpr std::size_t no_failure = ~std::size_t{0};

/// The first of the `n` items of a loop of an unknown kind: 1, then 2, 4 and so on. Sets `done` to how many these were,
/// and returns the code of their body.
template <class Body>
int run_trial(item_cost& cost, std::size_t n, std::size_t& done, Body const& body) noexcept {
    std::int64_t const start = now_ns();
    std::int64_t spent = 0;
    std::size_t const max_done = n / trial_one_part_in + (n % trial_one_part_in != 0);
    for (std::size_t count = 1; done < max_done && spent < trial_ns; count = (std::min)(2 * count, max_done - done)) {
        if (int const code = body(done, count); code != 0) return positive(code);
        done += count;
        spent = now_ns() - start;
    }
    cost.learn(done, spent);
    return 0;
}

/// Calls body(first, count) for ranges that cover [0, n) once, on as many threads as pay off, or as are requested. Each
/// call returns a code. If one is not 0, ranges behind it may be left out, and the code of the first such range is
/// returned. `go_on` is asked between slices of some milliseconds: see slices.hpp.
template <class Body>
int loop(call_kind kind, std::size_t n, std::size_t bytes_each, allowance threads, go_on_function go_on,
         Body const& body) noexcept {
    item_cost cost(kind);
    std::size_t done = 0;
    if (threads.limit != 1 && !cost.is_known()) {
        [[maybe_unused]] crew::alone const guard;
        if (int const code = run_trial(cost, n, done, body); code != 0) return code;
    }
    while (done < n) {
        std::size_t const bytes = cost.in_bytes(bytes_each);
        std::size_t const max_bytes = go_on != nullptr ? slice_bytes : max_slice_bytes;
        std::size_t const count =
            (std::min)({n - done, (std::max)(max_bytes / bytes, std::size_t{1}), max_slice_items});
        first_index failure(no_failure);
        auto const run = [&](std::size_t first, std::size_t part) noexcept {
            if (first > failure.smallest() >> 32) return;
            std::int64_t const start = now_ns();
            int const code = body(done + first, part);
            if (code != 0) failure.report(first << 32 | static_cast<unsigned>(positive(code)));
            if (first == 0 && code == 0) cost.learn(part, now_ns() - start);
        };
        parallel_for(kind, {count, bytes}, threads,
                     [&](std::size_t first, std::size_t part, unsigned workers) noexcept {
                         if (workers > 1) return run(first, part);
                         [[maybe_unused]] crew::alone const guard;
                         run(first, part);
                     });
        if (failure.smallest() != no_failure) return static_cast<int>(failure.smallest() & 0xFFFF'FFFF);
        done += count;
        if (done < n && go_on != nullptr && !go_on()) return loop_interrupted;
    }
    return 0;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
