// Whether a call is shared with helpers: by its size, by whether they are awake, and by what it brought before.
//
// Whether a second thread pays is not known beforehand. Two cores may be one core twice over, a virtual machine's may
// be lent to others, and a helper may have to wait for a foreign process while its caller waits for it. So calls are
// timed. Calls of one kind (the same kernel, about the same size) share a record of how long they took alone and how
// long shared. The faster way is taken; the other one is tried again, so seldom that it costs little.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "clock.hpp"
#include "crew.hpp"
#include "thread_count.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// What is known of one kind of calls. Any thread may read and write it at any time; what one of them misses, the next
// call puts right, so nothing here is ordered.
struct sharing_record {
    std::atomic<std::uint64_t> owner{0};          // the kind of calls; 0: nobody's yet
    std::atomic<float> alone{0};                  // nanoseconds for a byte; 0: unknown
    std::atomic<float> shared{0};                 // the same
    std::atomic<std::int64_t> since_trial_ns{0};  // spent in the faster way since the other one was tried
    std::atomic<std::int64_t> debt_ns{0};         // what helpers that came late have cost; below 0: what sharing saved
    std::atomic<std::int32_t> in_a_row{0};        // calls that ran shared, one after another; alone: below 0
};

// Reads and writes a record. Arch: see "Instruction sets" in twofold.hpp.
template <class Arch>
class experience {
public:
    // Trying the other way, and helpers that come too late, may each cost this fraction of all time. Measured by
    // `benchmarks/peers.py --busy`.
    static constexpr std::int64_t one_part_in = 64;
    // How much of what sharing has saved counts against a helper that came too late: a time slice of Linux, and so
    // what a helper that loses its CPU makes its caller wait.
    static constexpr std::int64_t most_savings_ns = 4'000'000;
    // Only from this call in a row on does a way show what it is worth: the first may wake helpers, and the second
    // finds the data in another core's cache.
    static constexpr std::int32_t settled = 3;

    explicit experience(sharing_record& record) noexcept : record_(record) {}

    /// Whether the next call, on `bytes`, should be shared.
    [[nodiscard]] bool should_share(std::size_t bytes) const noexcept {
        if (get(record_.debt_ns) > 0) return false;
        float const shared = get(record_.shared);
        if (shared == 0) return true;
        float alone = get(record_.alone);
        if (alone == 0) {
            if (bytes < threads_pay_asleep_bytes) return false;
            alone = likely_gain * shared;
        }
        bool const sharing_wins = shared < alone;
        float const difference = sharing_wins ? alone - shared : shared - alone;
        // A trial may also have to wake helpers, or to let them fall asleep.
        float const loss = difference * static_cast<float>(bytes) * float{settled} + float{crew<Arch>::spin_ns};
        bool const trial = static_cast<float>(get(record_.since_trial_ns)) >= loss * float{one_part_in};
        return sharing_wins != trial;
    }

    /// A call on `bytes` took `ns`, with helpers or alone.
    void learn(bool shared, std::size_t bytes, std::int64_t ns) noexcept {
        bool const is_settled = count(shared);
        float const rate = static_cast<float>(ns + 1) / static_cast<float>(bytes);
        float const alone = get(record_.alone);
        auto const expected_ns = static_cast<std::int64_t>(alone * static_cast<float>(bytes));
        if (!shared) {
            if (is_settled) set(record_.alone, blend(alone, rate, alone));
            if (get(record_.debt_ns) > 0) set(record_.debt_ns, get(record_.debt_ns) - ns / one_part_in - 1);
        } else {
            if (is_settled) set(record_.shared, blend(get(record_.shared), rate, alone));
            if (alone > 0 && is_late(ns, expected_ns, is_settled)) {
                set(record_.debt_ns, get(record_.debt_ns) + ns - expected_ns);
            } else if (ns < expected_ns) {
                set(record_.debt_ns, (std::max)(get(record_.debt_ns) + ns - expected_ns, -most_savings_ns));
            }
        }
        bool const sharing_wins = get(record_.alone) == 0 || get(record_.shared) < get(record_.alone);
        bool const was_faster_way = shared == sharing_wins;
        if (was_faster_way) {
            set(record_.since_trial_ns, get(record_.since_trial_ns) + ns);
        } else if (is_settled) {
            set(record_.since_trial_ns, 0);
        }
    }

    /// Makes it a record of `kind`; forgets all if it was that of another kind.
    void belong_to(std::uint64_t kind) noexcept {
        if (get(record_.owner) == kind) return;
        set(record_.owner, kind);
        set(record_.alone, 0);
        set(record_.shared, 0);
        set(record_.since_trial_ns, 0);
        set(record_.debt_ns, 0);
        set(record_.in_a_row, 0);
    }

private:
    // Long calls are few, and sharing them mostly pays: with this they are tried alone after ten calls, not at once.
    static constexpr float likely_gain = 1.05F;
    static constexpr int most_times_slower = 2;

    template <class T>
    [[nodiscard]] static T get(std::atomic<T> const& value) noexcept {
        return value.load(std::memory_order_relaxed);
    }
    template <class T>
    static void set(std::atomic<T>& value, std::type_identity_t<T> to) noexcept {
        value.store(to, std::memory_order_relaxed);
    }

    // Counts one more call, and says whether there are enough in a row.
    bool count(bool shared) noexcept {
        std::int32_t const before = get(record_.in_a_row);
        std::int32_t const sign = shared ? 1 : -1;
        std::int32_t const now = before * sign > 0 ? before + (before * sign < settled ? sign : 0) : sign;
        set(record_.in_a_row, now);
        return now * sign == settled;
    }

    // Beyond twice the time alone it is not the work that takes so long, but the wait for a late helper (or page
    // faults): that says nothing of the next call.
    [[nodiscard]] static bool is_late(std::int64_t ns, std::int64_t expected_ns, bool is_settled) noexcept {
        return ns > most_times_slower * expected_ns + (is_settled ? 0 : crew<Arch>::spin_ns);
    }
    // A mean that follows: each new value counts a quarter, but is cut where is_late begins.
    [[nodiscard]] static float blend(float before, float now, float alone) noexcept {
        if (alone > 0) now = (std::min)(now, alone * float{most_times_slower});
        return before == 0 ? now : before + (now - before) / 4;
    }

    sharing_record& record_;
};

// As many kinds of calls as a program is likely to have in use at one time; two that fall on one record forget each
// other's.
struct sharing_state {
    static constexpr std::size_t record_count = 256;
    sharing_record records[record_count];
    alignas(64) std::atomic<std::int64_t> last_call_ns{0};
};

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit sharing_state the_sharing;

/// The threads that a call may use.
struct allowance {
    unsigned most;
    bool ordered;  // by the caller, for this call: then it is not for us to say whether they pay
};

template <class Arch>
class sharing {
public:
    // Calls with no more than this between them come back to back: then helpers, once woken, will be awake.
    static constexpr std::int64_t back_to_back_ns = crew<Arch>::spin_ns;

    /// run(workers), with as many workers as pay, or as are ordered, for a call that reads or writes arrays of `bytes`.
    /// `Run` and `variant` tell calls apart that take differently long for the same number of bytes.
    template <class Run>
    static void run(std::size_t bytes, allowance threads, bool variant, Run const& run) noexcept {
        if (threads.most <= 1 || bytes < threads_pay_awake_bytes) {
            run(1u);
            return;
        }
        std::int64_t const start = now_ns<Arch>();
        bool const back_to_back = start - the_sharing.last_call_ns.load(std::memory_order_relaxed) < back_to_back_ns;
        bool const in_reach = back_to_back || crew<Arch>::state_of_helpers() == helpers::awake;
        if (!in_reach && bytes < threads_pay_asleep_bytes) {
            run(1u);
            the_sharing.last_call_ns.store(now_ns<Arch>(), std::memory_order_relaxed);
            return;
        }
        experience<Arch> past = experience_of<Run>(bytes, threads.most, variant, in_reach);
        bool const share = threads.ordered || past.should_share(bytes);
        run(share ? threads.most : 1u);
        std::int64_t const end = now_ns<Arch>();
        the_sharing.last_call_ns.store(end, std::memory_order_relaxed);
        if (!threads.ordered) past.learn(share, bytes, end - start);
    }

private:
    template <class Run>
    [[nodiscard]] static experience<Arch> experience_of(std::size_t bytes, unsigned threads, bool variant,
                                                        bool in_reach) noexcept {
        std::uint64_t key = reinterpret_cast<std::uintptr_t>(&identity<Run>);
        for (std::uint64_t const part : {std::uint64_t(std::bit_width(bytes)), std::uint64_t{threads},
                                         std::uint64_t{variant}, std::uint64_t{in_reach}}) {
            key = (key ^ part) * 0x9E3779B97F4A7C15u;  // the golden ratio's bits, as Fibonacci hashing has it
            key ^= key >> 32;
        }
        experience<Arch> past(the_sharing.records[key % sharing_state::record_count]);
        past.belong_to(key);
        return past;
    }

    // Its address stands for the type.
    template <class Run>
    static void identity() noexcept {}
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
