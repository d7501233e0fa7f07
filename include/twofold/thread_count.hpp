// How many threads a call may use, and from which size on it does.
//
// The first of these that says something decides:
//   1. options::threads of the call
//   2. the environment variable TWOFOLD_NUM_THREADS
//   3. the environment variable OMP_NUM_THREADS (its first item), the lever that Dask, Ray and joblib pull
//   4. the CPUs that this process may run on (its affinity mask)
// A variable that holds anything but a positive number says nothing. The environment is read by each call that is
// large enough for threads, so a change is followed; like getenv itself, that must not run beside a setenv.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <ctime>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// Below the first size one thread is as fast as two even when the helpers are awake; below the second, it is when they
// have to be woken. Sizes of the output in bytes. Measured by `benchmarks/thresholds.cpp` (threads), on two cores that
// do not share their execution units; two that do gain little from a second thread at any size.
inline constexpr std::size_t threads_pay_awake_bytes = std::size_t{256} << 10;
inline constexpr std::size_t threads_pay_asleep_bytes = std::size_t{16} << 20;

inline constexpr unsigned most_threads = 256;

/// The number at the start of `text`, up to a comma or the end; 0 where there is none, or something else beside it.
template <class Arch>
[[nodiscard]] constexpr unsigned parse_thread_count(char const* text) noexcept {
    if (text == nullptr) return 0;
    while (*text == ' ' || *text == '\t') ++text;
    unsigned count = 0;
    for (; *text >= '0' && *text <= '9'; ++text) {
        count = (std::min)(count * 10 + static_cast<unsigned>(*text - '0'), most_threads);
    }
    while (*text == ' ' || *text == '\t') ++text;
    return *text == '\0' || *text == ',' ? count : 0;
}

#if defined(__linux__)

// The affinity mask as it was at most a second ago in this process: asking costs 300 ns, and it hardly ever changes.
struct cpu_count_cache {
    std::atomic<std::time_t> second{-1};
    std::atomic<pid_t> process{0};
    std::atomic<unsigned> count{1};
};

__attribute__((visibility("hidden"))) inline constinit cpu_count_cache the_cpu_count;

/// The CPUs that this process may run on.
template <class Arch>
[[nodiscard]] unsigned available_cpus() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    pid_t const process = getpid();
    if (the_cpu_count.second.load(std::memory_order_relaxed) != now.tv_sec ||
        the_cpu_count.process.load(std::memory_order_relaxed) != process) {
        cpu_set_t mask[8];  // 8192 CPUs, the most that Linux can be built for
        int const known = sched_getaffinity(0, sizeof(mask), mask) == 0 ? CPU_COUNT_S(sizeof(mask), mask) : 1;
        the_cpu_count.count.store(static_cast<unsigned>((std::max)(known, 1)), std::memory_order_relaxed);
        the_cpu_count.second.store(now.tv_sec, std::memory_order_relaxed);
        the_cpu_count.process.store(process, std::memory_order_relaxed);
    }
    return the_cpu_count.count.load(std::memory_order_relaxed);
}

#else

template <class Arch>
[[nodiscard]] unsigned available_cpus() noexcept {
    return 1;  // crew.hpp has no helpers here
}

#endif

/// How many threads a call may use that asked for `asked` of them; 0 asks for none in particular.
template <class Arch>
[[nodiscard]] unsigned thread_count(unsigned asked) noexcept {
    unsigned count = asked;
    if (count == 0) count = parse_thread_count<Arch>(std::getenv("TWOFOLD_NUM_THREADS"));
    if (count == 0) count = parse_thread_count<Arch>(std::getenv("OMP_NUM_THREADS"));
    if (count == 0) count = available_cpus<Arch>();
    return (std::min)(count, most_threads);
}

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
