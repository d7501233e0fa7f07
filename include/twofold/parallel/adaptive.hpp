// Decides whether a call is shared with helpers: by its size, by whether they are awake, and by what sharing gained
// before.
//
// Whether a second thread pays off is not known beforehand. Two CPUs may be two hardware threads of one core, a virtual
// machine's CPUs may be running another machine, and a helper may have to wait for another process while its caller
// waits for the helper. So calls are timed. Calls of one kind (the same kernel, about the same size) share a record of
// how long they took alone and how long shared. The faster mode is used; the other one is retried so rarely that it
// costs little.
//
// All of this uses integer arithmetic: floating-point modes and flags are the caller's.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <twofold/flags.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/parallel/crew.hpp>
#include <twofold/parallel/thread_count.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// Below the first size one thread is as fast as two even if the helpers are awake; below the second, if they have to be
// woken. Sizes of the output in bytes. Measured by `benchmarks/thresholds.cpp` (threads), on two cores that do not
// share their execution units; two that do gain little from a second thread at any size.
inline constexpr std::size_t threads_pay_awake_bytes = std::size_t{64} << 10;
inline constexpr std::size_t threads_pay_asleep_bytes = std::size_t{16} << 20;

// What is known of one kind of calls. Any thread may read and write it at any time; the next call corrects what a race
// has lost, so all accesses are relaxed.
struct sharing_record {
    std::atomic<std::uint64_t> owner{0};          // the kind of calls; 0: not used yet
    std::atomic<std::int64_t> alone{0};           // nanoseconds for 1 MiB; 0: unknown
    std::atomic<std::int64_t> shared{0};          // the same
    std::atomic<std::int64_t> since_trial_ns{0};  // spent in the faster mode since the other was tried
    std::atomic<std::int64_t> debt_ns{0};         // what late helpers have cost; negative: what sharing saved
    std::atomic<std::int32_t> in_a_row{0};        // consecutive calls that ran shared; negative: alone
    std::atomic<std::int64_t> waited_ns{0};       // for helpers that were woken but have not come yet
    std::atomic<std::int32_t> untimed{0};         // future calls that are not timed: shared; negative: alone
};

// As many records as a program is likely to have kinds of calls in use at one time; two kinds that share a record
// overwrite each other's.
struct sharing_state {
    static constexpr std::size_t record_count = 256;
    sharing_record records[record_count];
    alignas(64) std::atomic<std::int64_t> last_call_ns{0};
    // How many threads calls may use, and when that was decided.
    std::atomic<std::int64_t> decided_ns{0};
    std::atomic<unsigned> decided_threads{0};
};

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit sharing_state the_sharing;

/// Distinguishes calls that take different times for the same number of bytes: what is called, and how.
struct call_kind {
    std::uint64_t value;
};

/// The threads that a call may use.
struct allowance {
    unsigned limit;  // 0: as parallel/thread_count.hpp decides
    bool requested;  // by the caller, for this call: then whether they pay off is not our decision
};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Reads and writes a record.
class experience {
public:
    // Trying the other mode and late helpers may each cost this fraction of all time. Measured by `benchmarks/peers.py
    // --busy`.
    static constexpr std::int64_t one_part_in = 64;
    // A time slice of Linux, and so how long a caller waits for a helper that has lost its CPU. At most this much of
    // what sharing has saved offsets such waits.
    static constexpr std::int64_t time_slice_ns = 4'000'000;
    // How long waking a helper takes where it is slow: on a virtual machine whose CPU has to be woken, too. Measured by
    // `benchmarks/thresholds.cpp` (waking).
    static constexpr std::int64_t waking_ns = 200'000;
    // Only from this consecutive call on is the time of a mode representative: the first call may wake helpers, and the
    // second finds the data in another core's cache.
    static constexpr std::int32_t settled = 3;

    // One in this many short calls is timed: reading the clock twice takes a twentieth of the shortest.
    static constexpr std::int32_t one_timed_in = 8;
    static constexpr std::size_t short_bytes = std::size_t{256} << 10;

    explicit experience(sharing_record& record) noexcept : record_(record) {}

    /// How the next call runs without being timed: shared (1) or alone (-1); 0: it has to be timed and decided.
    [[nodiscard]] int repeats() noexcept {
        std::int32_t const left = get(record_.untimed);
        if (left == 0) return 0;
        set(record_.untimed, left > 0 ? left - 1 : left + 1);
        return left > 0 ? 1 : -1;
    }

    /// The next calls on about `bytes` will run as this one did, shared or alone, if they are short.
    void repeat(bool shared, std::size_t bytes) noexcept {
        if (bytes < short_bytes) set(record_.untimed, shared ? one_timed_in - 1 : 1 - one_timed_in);
    }

    /// Whether the next call, on `bytes`, should be shared.
    [[nodiscard]] bool should_share(std::size_t bytes) const noexcept {
        if (get(record_.debt_ns) > 0) return false;
        std::int32_t const in_a_row = get(record_.in_a_row);
        std::int32_t const min_calls = min_in_a_row(bytes);
        if (in_a_row > 0 && in_a_row < min_calls) return true;
        if (in_a_row < 0 && -in_a_row < min_calls) return false;
        std::int64_t const shared = get(record_.shared);
        if (shared == 0) return true;
        std::int64_t alone = get(record_.alone);
        if (alone == 0) {
            if (bytes < threads_pay_asleep_bytes) return false;
            alone = shared + shared / likely_gain_one_part_in;
        }
        bool const sharing_wins = shared < alone;
        std::int64_t const difference = sharing_wins ? alone - shared : shared - alone;
        // A trial may also have to wake helpers, or let them fall asleep.
        std::int64_t const loss = duration_of(bytes, difference) * min_calls + waking_ns;
        bool const trial = get(record_.since_trial_ns) >= loss * one_part_in;
        return sharing_wins != trial;
    }

    /// A call that was not timed has waited for a late helper: for about a time slice, we assume.
    void waited_untimed() noexcept {
        set(record_.debt_ns, get(record_.debt_ns) + time_slice_ns);
        set(record_.untimed, 0);
    }

    /// A call on `bytes` took `ns`; `shared`: it was meant to be shared, `helped`: helpers did come.
    void learn(bool shared, bool helped, std::size_t bytes, std::int64_t ns) noexcept {
        // While helpers are waking up, calls count as neither. If that takes too long, it counts as the cost of
        // sharing.
        bool const waits = shared && !helped && get(record_.waited_ns) < waking_ns;
        set(record_.waited_ns, waits ? get(record_.waited_ns) + ns : 0);
        if (waits) return;
        std::int32_t const in_a_row = count(shared, bytes);
        bool const is_settled = in_a_row >= settled;
        std::int64_t const rate = rate_of(bytes, ns);
        std::int64_t const alone = get(record_.alone);
        std::int64_t const expected_ns = duration_of(bytes, alone);
        bool const goes_on = in_a_row == min_in_a_row(bytes);
        // It also stands for the calls that were not timed.
        std::int64_t const stands_for = goes_on && bytes < short_bytes ? one_timed_in : 1;
        if (goes_on) repeat(shared, bytes);
        if (!shared) {
            if (is_settled) learn_alone(rate);
            if (get(record_.debt_ns) > 0)
                set(record_.debt_ns, get(record_.debt_ns) - stands_for * ns / one_part_in - 1);
        } else {
            if (is_settled) set(record_.shared, blend(get(record_.shared), rate, alone));
            if (alone > 0 && is_late(ns, expected_ns, is_settled)) {
                set(record_.debt_ns, get(record_.debt_ns) + ns - expected_ns);
            } else if (ns < expected_ns) {
                std::int64_t const saved = stands_for * (expected_ns - ns);
                set(record_.debt_ns, (std::max)(get(record_.debt_ns) - saved, -time_slice_ns));
            }
        }
        bool const sharing_wins = get(record_.alone) == 0 || get(record_.shared) < get(record_.alone);
        bool const was_faster_choice = shared == sharing_wins;
        if (was_faster_choice) {
            set(record_.since_trial_ns, get(record_.since_trial_ns) + stands_for * ns);
        } else if (is_settled) {
            set(record_.since_trial_ns, 0);
        }
    }

    /// Makes it the record of `kind`; clears it if it was another kind's.
    void belong_to(std::uint64_t kind) noexcept {
        if (get(record_.owner) == kind) return;
        set(record_.owner, kind);
        set(record_.alone, 0);
        set(record_.shared, 0);
        set(record_.since_trial_ns, 0);
        set(record_.debt_ns, 0);
        set(record_.in_a_row, 0);
        set(record_.waited_ns, 0);
        set(record_.untimed, 0);
    }

private:
    // Long calls are rare, and sharing them mostly pays off: with this assumption they are tried alone after ten calls,
    // not at once.
    static constexpr std::int64_t likely_gain_one_part_in = 20;
    static constexpr int max_times_slower = 2;

    template <class T>
    [[nodiscard]] static T get(std::atomic<T> const& value) noexcept {
        return value.load(std::memory_order_relaxed);
    }
    template <class T>
    static void set(std::atomic<T>& value, std::type_identity_t<T> to) noexcept {
        value.store(to, std::memory_order_relaxed);
    }

    // Rates are in nanoseconds for 1 MiB, which is 2^20 bytes. Bytes are counted in units of 2^6, so that there is room
    // for all calls that end within a day: 2^47 nanoseconds times 2^14.
    static constexpr unsigned unit_shift = 6;
    static constexpr unsigned rate_shift = 20 - unit_shift;
    static constexpr std::int64_t max_ns = std::int64_t{1} << 47;

    [[nodiscard]] static std::int64_t rate_of(std::size_t bytes, std::int64_t ns) noexcept {
        auto const units = static_cast<std::int64_t>(bytes >> unit_shift);
        return ((std::min)(ns, max_ns) << rate_shift) / (std::max)(units, std::int64_t{1}) + 1;
    }
    [[nodiscard]] static std::int64_t duration_of(std::size_t bytes, std::int64_t rate) noexcept {
        auto const units = static_cast<std::int64_t>(bytes >> unit_shift);
        std::int64_t const max_units = (max_ns << rate_shift) / (std::max)(rate, std::int64_t{1});
        return rate * (std::min)(units, max_units) >> rate_shift;
    }

    // A mode that is tried is tried for this many calls. The times of short calls vary more.
    [[nodiscard]] static std::int32_t min_in_a_row(std::size_t bytes) noexcept {
        return bytes < std::size_t{1} << 20 ? 16 : settled;
    }

    // Counts one more call, and returns how many there have been in a row, at most min_in_a_row.
    std::int32_t count(bool shared, std::size_t bytes) noexcept {
        std::int32_t const before = get(record_.in_a_row);
        std::int32_t const same = shared ? (std::max)(before, 0) : (std::max)(-before, 0);
        std::int32_t const now = (std::min)(same + 1, min_in_a_row(bytes));
        set(record_.in_a_row, shared ? now : -now);
        return now;
    }

    // A call that takes more than twice the time alone has waited for a late helper (or for page faults), which says
    // nothing about the next call.
    [[nodiscard]] static bool is_late(std::int64_t ns, std::int64_t expected_ns, bool is_settled) noexcept {
        return ns > max_times_slower * expected_ns + (is_settled ? 0 : waking_ns);
    }
    void learn_alone(std::int64_t rate) noexcept {
        std::int64_t const alone = blend(get(record_.alone), rate, get(record_.alone));
        set(record_.alone, alone);
        // The time of sharing may have been learnt before there was anything to compare it with.
        set(record_.shared, (std::min)(get(record_.shared), alone * max_times_slower));
    }

    // A moving average. A new value counts a quarter, or half if it is better: a time that is too long may be an
    // accident, but hardly one that is too short. Values are capped where is_late begins.
    [[nodiscard]] static std::int64_t blend(std::int64_t before, std::int64_t now, std::int64_t alone) noexcept {
        if (alone > 0) now = (std::min)(now, alone * max_times_slower);
        return before == 0 ? now : before + (now - before) / (now < before ? 2 : 4);
    }

    sharing_record& record_;
};

class sharing {
public:
    // Calls with no more than this between them are back to back: helpers, once woken, will stay awake.
    static constexpr std::int64_t back_to_back_ns = crew::spin_ns;
    // How long a number of threads stays valid: asking the environment and the system takes longer than a short call.
    static constexpr std::int64_t decision_holds_ns = 1'000'000;

    /// Calls run(workers), with as many workers as pay off, or as are requested, for a call that reads or writes arrays
    /// of `bytes`. It returns what helpers did.
    template <class Run>
    static void run(call_kind kind, std::size_t bytes, allowance threads, Run const& run) noexcept {
        if (threads.limit == 1 || bytes < threads_pay_awake_bytes) {
            run(1u);
        } else if (threads.requested) {
            run_requested(bytes, threads.limit, run);
        } else {
            run_as_pays(kind, bytes, threads.limit, run);
        }
    }

    /// How many threads a call may use if it does not request a number; decided at most decision_holds_ns ago. Reads
    /// the environment.
    [[nodiscard]] static unsigned decided_threads(std::int64_t now, thread_wishes const& wishes = {}) noexcept {
        unsigned count = recently_decided_threads(now);
        if (count == 0) {
            count = decide_threads(wishes).count;
            the_sharing.decided_threads.store(count, std::memory_order_relaxed);
            the_sharing.decided_ns.store(now, std::memory_order_relaxed);
        }
        return count;
    }

    /// The same, or 0 if it would have to be decided anew. Does not read the environment.
    [[nodiscard]] static unsigned recently_decided_threads(std::int64_t now) noexcept {
        bool const holds = now - the_sharing.decided_ns.load(std::memory_order_relaxed) < decision_holds_ns;
        return holds ? the_sharing.decided_threads.load(std::memory_order_relaxed) : 0;
    }

private:
    template <class Run>
    static void run_requested(std::size_t bytes, unsigned limit, Run const& run) noexcept {
        std::int64_t const start = now_ns();
        bool const share = is_in_reach(start) || bytes >= threads_pay_asleep_bytes;
        run(share ? limit : 1u);
        end_at(share ? start : now_ns());  // after a shared call helpers are awake, which suffices
    }

    template <class Run>
    static void run_as_pays(call_kind kind, std::size_t bytes, unsigned limit, Run const& run) noexcept {
        experience past = experience_of(kind, bytes);
        if (int const repeated = past.repeats(); repeated != 0) {
            bool const share = repeated > 0 && crew::state_of_helpers() == helpers::awake;
            if (limit == 0) limit = the_sharing.decided_threads.load(std::memory_order_relaxed);
            if (run(share ? limit : 1u) == help::given_late) past.waited_untimed();
        } else {
            run_timed(past, bytes, limit, run);
        }
    }

    // Out of line: after a pause, a short call should have little code to load.
    template <class Run>
    [[gnu::noinline]] static void run_timed(experience past, std::size_t bytes, unsigned limit,
                                            Run const& run) noexcept {
        std::int64_t const start = now_ns();
        bool const is_long_enough = bytes >= threads_pay_asleep_bytes || is_in_reach(start);
        if (is_long_enough && limit == 0) limit = decided_threads(start);
        if (!is_long_enough || limit == 1) {
            past.repeat(false, bytes);
            run(1u);
            end_at(now_ns());
            return;
        }
        bool const share = past.should_share(bytes);
        bool const helped = run(share ? limit : 1u) != help::none;
        std::int64_t const end = now_ns();
        end_at(end);
        past.learn(share, helped, bytes, end - start);
    }

    // Whether helpers are awake, or will be after one call.
    [[nodiscard]] static bool is_in_reach(std::int64_t now) noexcept {
        return now - the_sharing.last_call_ns.load(std::memory_order_relaxed) < back_to_back_ns ||
               crew::state_of_helpers() == helpers::awake;
    }

    static void end_at(std::int64_t now) noexcept { the_sharing.last_call_ns.store(now, std::memory_order_relaxed); }

    [[nodiscard]] static experience experience_of(call_kind kind, std::size_t bytes) noexcept {
        auto const size_class = static_cast<std::uint64_t>(std::bit_width(bytes)) << 56;
        std::uint64_t const key = (kind.value ^ size_class) * 0x9E3779B97F4A7C15u;  // Fibonacci hashing
        experience past(the_sharing.records[key >> 56]);
        past.belong_to(key);
        return past;
    }
    static_assert(sharing_state::record_count == 256, "a record for each eight-bit number");
};

/// The kind of calls of `what`, a pointer to a function or to what identifies one; `variant` is a number of up to 16
/// bits.
template <class What>
[[nodiscard]] call_kind call_kind_of(What* what, unsigned variant = 0) noexcept {
    return {reinterpret_cast<std::uintptr_t>(what) + (std::uint64_t{variant} << 40)};
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
