// How large the last-level cache is, and so from which size on streaming stores pay.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif

#include "cancellation.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

inline constexpr std::size_t assumed_cache_bytes = std::size_t{32} << 20;  // where the system does not say
inline constexpr std::size_t least_cache_bytes = std::size_t{1} << 20;
inline constexpr std::size_t most_cache_bytes = std::size_t{1} << 30;

// Streaming pays from these fractions of the cache on, input and output together: below, plain stores find room in the
// cache, and several threads find more of it than one. Measured by `benchmarks/thresholds.cpp` (streaming).
inline constexpr std::size_t streaming_eighths_one_thread = 5;
inline constexpr std::size_t streaming_eighths_more_threads = 10;

/// "32768K" as bytes: a number, then nothing, K, M or G. 0 where it is none.
template <class Arch>
[[nodiscard]] constexpr std::size_t parse_cache_size(char const* text, std::size_t length) noexcept {
    std::size_t bytes = 0;
    std::size_t i = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9' && bytes < most_cache_bytes; ++i) {
        bytes = bytes * 10 + static_cast<std::size_t>(text[i] - '0');
    }
    char const unit = i < length ? text[i] : '\n';
    unsigned const shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
    return bytes << shift;
}

// sysconf(_SC_LEVEL3_CACHE_SIZE) is not asked: it said 256 MB for a cache of 32 MB. Instruction caches are smaller
// than the others everywhere, so their type needs no look.
template <class Arch>
[[nodiscard]] std::size_t find_cache_size() noexcept {
    std::size_t largest = 0;
#if defined(__linux__)
    without_cancellation const guard;
    char path[] = "/sys/devices/system/cpu/cpu0/cache/index0/size";
    constexpr std::size_t digit = sizeof("/sys/devices/system/cpu/cpu0/cache/index") - 1;
    for (path[digit] = '0'; path[digit] <= '9'; ++path[digit]) {
        int const file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) break;
        char text[32];
        ssize_t const length = read(file, text, sizeof(text));
        close(file);
        if (length > 0) {
            largest = (std::max)(largest, parse_cache_size<Arch>(text, static_cast<std::size_t>(length)));
        }
    }
#endif
    if (largest == 0) largest = assumed_cache_bytes;
    return std::clamp(largest, least_cache_bytes, most_cache_bytes);
}

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit std::atomic<std::size_t>
    the_cache_size{0};

/// Bytes in the last-level cache. Asked of the system once, by the first call large enough to care.
template <class Arch>
[[nodiscard]] std::size_t cache_size() noexcept {
    std::size_t bytes = the_cache_size.load(std::memory_order_relaxed);
    if (bytes == 0) {
        bytes = find_cache_size<Arch>();
        the_cache_size.store(bytes, std::memory_order_relaxed);
    }
    return bytes;
}

/// No call that touches less than this streams.
inline constexpr std::size_t least_streamed_bytes = least_cache_bytes / 8 * streaming_eighths_one_thread;

/// Whether a call that reads and writes `touched_bytes` in all, out of place, should stream its stores.
template <class Arch>
[[nodiscard]] bool streaming_pays(std::size_t touched_bytes, unsigned threads) noexcept {
    if (touched_bytes < least_streamed_bytes) return false;
    std::size_t const eighths = threads > 1 ? streaming_eighths_more_threads : streaming_eighths_one_thread;
    return touched_bytes >= cache_size<Arch>() / 8 * eighths;
}

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
