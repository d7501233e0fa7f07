// How many threads a call may use. Whether they pay off is decided by parallel/adaptive.hpp.
//
// The first of these that says something decides:
//   1. options::threads of the call
//   2. a limit of the calling thread. These headers keep none; a binding may (Python's set_num_threads)
//   3. the environment variable TWOFOLD_NUM_THREADS
//   4. the environment variable OMP_NUM_THREADS, but no more than OMP_THREAD_LIMIT: what Dask, Ray and joblib set
//   5. one thread in a worker of a process pool, if the binding knows that it is in one
//   6. the CPUs that this process may use: its affinity mask, or the quota of its control groups if that is smaller
// A variable that holds anything but a whole number of at least 1 is ignored; of a list such as "4,2" the first item
// counts. Calls that are large enough for threads read the environment, so changes take effect; like getenv itself,
// that must not run concurrently with setenv.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>

#if defined(__linux__)
#include <sched.h>
#endif

#include <twofold/flags.hpp>
#include <twofold/machine/cgroup.hpp>
#include <twofold/machine/environment.hpp>
#include <twofold/machine/process_id.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

inline constexpr unsigned max_threads = 256;

/// Which of the rules above decided.
enum class thread_rule : unsigned char {
    argument,
    thread_limit,
    twofold_num_threads,
    omp_num_threads,
    pool_worker,
    affinity,
    cgroup,
};

/// What the caller knows of the number of threads, and these headers do not.
struct thread_wishes {
    unsigned argument = 0;      // options::threads of the call; 0 requests no particular number
    unsigned thread_limit = 0;  // of the calling thread; 0 for none
    bool pool_worker = false;   // whether this process is a worker of a process pool
};

struct thread_decision {
    unsigned count;
    thread_rule rule;
};

#if defined(__linux__)
// The CPUs available to this process, as found at most a second ago: finding them takes tens of microseconds, and they
// hardly ever change. In one word, so that a thread never sees half of what another writes: the process (32 bits), the
// second (22), whether the quota decided (1), the count (9). 0 before the first time.
__attribute__((visibility("hidden"))) inline constinit std::atomic<std::uint64_t> the_available_cpus{0};
#endif

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The rule's name for users; for an environment variable, the variable's name.
[[nodiscard]] constexpr char const* name_of(thread_rule rule) noexcept {
    constexpr char const* names[] = {
        "argument", "thread limit", "TWOFOLD_NUM_THREADS", "OMP_NUM_THREADS", "pool worker", "affinity", "cgroup"};
    return names[static_cast<std::size_t>(rule)];
}

/// The number at the start of `text`, up to a comma or the end; 0 if there is none, if there is anything else, or if it
/// does not fit into an unsigned int.
[[nodiscard]] constexpr unsigned parse_thread_count(char const* text) noexcept {
    if (text == nullptr) return 0;
    auto const is_blank = [](char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); };
    while (is_blank(*text)) ++text;
    std::uint64_t count = 0;
    for (; *text >= '0' && *text <= '9'; ++text) {
        count = count * 10 + static_cast<unsigned>(*text - '0');
        if (count > UINT32_MAX) return 0;
    }
    while (is_blank(*text)) ++text;
    return *text == '\0' || *text == ',' ? static_cast<unsigned>(count) : 0;
}

#if defined(__linux__)

/// The CPUs that this process may use. Tests pass a directory in place of the file system's root.
[[nodiscard]] inline thread_decision find_available_cpus(char const* root = "") noexcept {
    cpu_set_t mask[8];  // 8192 CPUs, the maximum that Linux can be built for
    int const in_mask = sched_getaffinity(0, sizeof(mask), mask) == 0 ? CPU_COUNT_S(sizeof(mask), mask) : 1;
    unsigned const cpus = in_mask > 0 ? static_cast<unsigned>(in_mask) : 1;
    unsigned const quota = cgroup_cpus(root);
    return quota != 0 && quota < cpus ? thread_decision{quota, thread_rule::cgroup}
                                      : thread_decision{cpus, thread_rule::affinity};
}

/// The CPUs that this process may use, as they were at most a second ago. At most max_threads.
[[nodiscard]] inline thread_decision available_cpus(char const* root = "") noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    auto const process = static_cast<std::uint32_t>(process_id());
    auto const second = static_cast<std::uint64_t>(now.tv_sec) & ((1u << 22) - 1);
    std::uint64_t const stamp = (std::uint64_t{process} << 22 | second) << 10;
    std::uint64_t known = the_available_cpus.load(std::memory_order_relaxed);
    if (known >> 10 != stamp >> 10) {
        thread_decision const found = find_available_cpus(root);
        known = stamp | (found.rule == thread_rule::cgroup ? 1u << 9 : 0u) | (std::min)(found.count, max_threads);
        the_available_cpus.store(known, std::memory_order_relaxed);
    }
    return {static_cast<unsigned>(known & ((1u << 9) - 1)),
            (known >> 9 & 1) != 0 ? thread_rule::cgroup : thread_rule::affinity};
}

#else

[[nodiscard]] inline thread_decision available_cpus(char const* = "") noexcept {
    return {1, thread_rule::affinity};  // parallel/crew.hpp has no helpers here
}

#endif

/// What the environment says; a count of 0 if it says nothing.
[[nodiscard]] inline thread_decision threads_by_environment() noexcept {
    if (unsigned const count = parse_thread_count(environment_variable("TWOFOLD_NUM_THREADS").text()); count != 0) {
        return {count, thread_rule::twofold_num_threads};
    }
    unsigned count = parse_thread_count(environment_variable("OMP_NUM_THREADS").text());
    if (count != 0) {
        unsigned const limit = parse_thread_count(environment_variable("OMP_THREAD_LIMIT").text());
        if (limit != 0) count = (std::min)(count, limit);
    }
    return {count, thread_rule::omp_num_threads};
}

/// How many threads a call may use, from 1 to max_threads, and which rule says so.
[[nodiscard]] inline thread_decision decide_threads(thread_wishes const& wishes, char const* root = "") noexcept {
    thread_decision decision{wishes.argument, thread_rule::argument};
    if (decision.count == 0) decision = {wishes.thread_limit, thread_rule::thread_limit};
    if (decision.count == 0) decision = threads_by_environment();
    if (decision.count == 0 && wishes.pool_worker) decision = {1, thread_rule::pool_worker};
    if (decision.count == 0) decision = available_cpus(root);
    decision.count = (std::min)(decision.count, max_threads);
    return decision;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
