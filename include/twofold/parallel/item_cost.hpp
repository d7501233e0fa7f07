// How long an item of a loop takes, as it was in the calls before.
//
// It is kept as the bytes that doubling processes in that time. So a loop whose items take long is cut and shared by
// the thresholds, in bytes, that were measured for doubling. What is known of a kind of loops is a hint: records are
// few, and an address that identifies a kind may be used again for another one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <twofold/flags.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

struct item_cost_state {
    static constexpr std::size_t record_count = 256;
    struct alignas(16) record {
        std::atomic<std::uint64_t> kind{0};
        std::atomic<std::uint64_t> bytes_1024ths{0};
    };
    record records[record_count];
};

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit item_cost_state the_item_costs;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// What is known of the items of one kind of loops.
class item_cost {
public:
    // Fewer elements of an array do not tell how long one takes.
    static constexpr std::size_t min_timed_count = 16;
    // One thread doubles about this much from the first caches.
    static constexpr std::uint64_t bytes_per_ns = 16;

    explicit item_cost(call_kind kind) noexcept
        : kind_(kind.value), record_(the_item_costs.records[(kind.value * 0x9E3779B97F4A7C15u) >> 56]) {}

    [[nodiscard]] bool is_known() const noexcept { return record_.kind.load(std::memory_order_relaxed) == kind_; }

    /// In bytes, at least `bytes_each`, which the item reads or writes; at least 1, at most max_bytes.
    [[nodiscard]] std::size_t in_bytes(std::size_t bytes_each) const noexcept {
        std::uint64_t const learnt = is_known() ? record_.bytes_1024ths.load(std::memory_order_relaxed) >> 10 : 0;
        return static_cast<std::size_t>((std::min)(std::max<std::uint64_t>({learnt, bytes_each, 1}), max_bytes));
    }

    /// The same where items are elements of arrays: `bytes_each`, unless an element takes several times as long as
    /// moving it does. Chunks of such elements need not begin on cache lines.
    [[nodiscard]] std::size_t in_bytes_if_costly(std::size_t bytes_each) const noexcept {
        std::size_t const bytes = in_bytes(bytes_each);
        return bytes / costly_times >= bytes_each ? bytes : bytes_each;
    }

    /// Whether `n` elements, at most 64 Ki, are known to take too short to be shared. Asked by each call, so it takes a
    /// nanosecond.
    [[nodiscard]] bool are_short(std::size_t n) const noexcept {
        return is_known() &&
               n * (record_.bytes_1024ths.load(std::memory_order_relaxed) >> 10) < threads_pay_awake_bytes;
    }

    /// Whether a call should be timed although its items are known to be short, as one in some is on each thread: items
    /// of one kind may come to take longer, as those of another function behind one pointer.
    [[nodiscard]] static bool is_due() noexcept {
        thread_local unsigned untimed = 0;
        if (++untimed < one_retimed_in) return false;
        untimed = 0;
        return true;
    }

    /// `count` items took `ns` on one thread.
    void learn(std::size_t count, std::int64_t ns) noexcept {
        std::uint64_t const limited = (std::min)(static_cast<std::uint64_t>((std::max)(ns, std::int64_t{0})), max_ns);
        std::uint64_t const now =
            (std::min)(limited * (bytes_per_ns << 10) / std::max<std::size_t>(count, 1), max_bytes << 10);
        std::uint64_t const before = is_known() ? record_.bytes_1024ths.load(std::memory_order_relaxed) : now;
        // A time that is too long may be an accident, but hardly one that is too short.
        std::uint64_t const blended = now < before ? before - (before - now) / 2 : before + (now - before) / 4;
        record_.bytes_1024ths.store(blended, std::memory_order_relaxed);
        record_.kind.store(kind_, std::memory_order_relaxed);
    }

private:
    static constexpr unsigned one_retimed_in = 127;  // prime: whatever the order of calls, each kind has its turn
    static constexpr std::size_t costly_times = 4;   // one thread moves 4 bytes a nanosecond, from whatever memory
    static constexpr std::uint64_t max_ns = std::uint64_t{1} << 48;     // three days; the product above has 62 bits
    static constexpr std::uint64_t max_bytes = std::uint64_t{1} << 40;  // of a minute

    std::uint64_t kind_;
    item_cost_state::record& record_;
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
