// How large the last-level cache is.
//
// The first of these that says something decides:
//   1. the environment variable TWOFOLD_CACHE_BYTES: a number, with or without a unit, as in 32M, 32MB or 32MiB
//   2. sysfs, on Linux
//   3. the processor, on x86
//   4. an assumption
// A size below or above that of any last-level cache is clamped to the nearest plausible one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#include <cpuid.h>
#endif

#include <twofold/flags.hpp>
#include <twofold/machine/cancellation.hpp>
#include <twofold/machine/environment.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

inline constexpr std::size_t assumed_cache_bytes = std::size_t{32} << 20;  // where the system does not say
inline constexpr std::size_t min_cache_bytes = std::size_t{1} << 20;
inline constexpr std::size_t max_cache_bytes = std::size_t{1} << 30;

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit std::atomic<std::size_t>
    the_cache_size{0};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Parses "32768K" as bytes: a number, then nothing, K, M or G, and behind these B or iB, or nothing; all are powers of
/// 1024. Returns 0 for any other text, and at most max_cache_bytes.
[[nodiscard]] constexpr std::size_t parse_cache_size(char const* text, std::size_t length) noexcept {
    auto const is_blank = [](char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); };
    std::size_t i = 0;
    while (i < length && is_blank(text[i])) ++i;
    std::uint64_t bytes = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; ++i) {
        bytes = (std::min)(bytes * 10 + static_cast<unsigned>(text[i] - '0'), std::uint64_t{max_cache_bytes});
    }
    if (i < length && bytes != 0) {
        char const unit = text[i];
        unsigned const shift = unit == 'K' || unit == 'k'   ? 10
                               : unit == 'M' || unit == 'm' ? 20
                               : unit == 'G' || unit == 'g' ? 30
                                                            : 0;
        if (shift != 0) {
            ++i;
            auto const is_b = [=](std::size_t at) { return at < length && (text[at] == 'B' || text[at] == 'b'); };
            if (i < length && text[i] == 'i' && is_b(i + 1)) ++i;
            if (is_b(i)) ++i;
        }
        bytes = (std::min)(bytes << shift, std::uint64_t{max_cache_bytes});
    }
    while (i < length && is_blank(text[i])) ++i;
    return i == length ? static_cast<std::size_t>(bytes) : 0;
}

/// What the environment variable TWOFOLD_CACHE_BYTES says, in the same form; 0 if it is not set.
[[nodiscard]] inline std::size_t cache_size_by_environment() noexcept {
    environment_variable const variable("TWOFOLD_CACHE_BYTES");
    char const* const text = variable.text();
    return text == nullptr ? 0 : parse_cache_size(text, std::strlen(text));
}

#if defined(__linux__)

/// Bytes in the largest cache that holds data, according to sysfs for the first CPU; 0 if it does not say. Tests pass a
/// directory in place of the file system's root.
[[nodiscard]] inline std::size_t cache_size_by_sysfs(char const* root = "") noexcept {
    without_cancellation const guard;
    // Returns how many bytes of the file were read into `text`.
    auto const read_file = [root](char index, char const* name, char* text,
                                  std::size_t max_length) noexcept -> std::size_t {
        char path[512];
        std::size_t length = 0;
        auto const append = [&](char const* part) noexcept {
            while (*part != '\0' && length < sizeof(path) - 1) path[length++] = *part++;
        };
        char const digit[] = {index, '/', '\0'};
        char const* const parts[] = {root, "/sys/devices/system/cpu/cpu0/cache/index", digit, name};
        for (char const* const part : parts) append(part);
        path[length] = '\0';
        int const file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return 0;
        ssize_t const got = read(file, text, max_length);
        close(file);
        return got > 0 ? static_cast<std::size_t>(got) : 0;
    };
    std::size_t largest = 0;
    for (char index = '0'; index <= '9'; ++index) {
        char text[32];
        if (read_file(index, "type", text, sizeof(text)) > 0 && text[0] == 'I') continue;  // "Instruction"
        std::size_t const length = read_file(index, "size", text, sizeof(text));
        // A text that fills the buffer may be longer, so it is not a size.
        if (length < sizeof(text)) largest = (std::max)(largest, parse_cache_size(text, length));
    }
    return largest;
}

#else

[[nodiscard]] constexpr std::size_t cache_size_by_sysfs(char const* = "") noexcept {
    return 0;
}

#endif

/// The output of the CPUID instruction.
struct cpuid_registers {
    std::uint32_t eax, ebx, ecx, edx;
};

/// Whether CPUID describes a cache: a description without a type ends the list.
[[nodiscard]] constexpr bool describes_cache(cpuid_registers const& from) noexcept {
    return (from.eax & 0x1f) != 0;
}

/// Bytes in the cache that leaf 4 of Intel or leaf 0x8000001D of AMD describes; 0 if it holds only instructions.
[[nodiscard]] constexpr std::uint64_t decode_cache_size(cpuid_registers const& from) noexcept {
    std::uint32_t const type = from.eax & 0x1f;
    bool const holds_data = type == 1 || type == 3;  // data, or data and instructions
    if (!holds_data) return 0;
    std::uint64_t const line_bytes = (from.ebx & 0xfff) + 1;
    std::uint64_t const partitions = (from.ebx >> 12 & 0x3ff) + 1;
    std::uint64_t const ways = (from.ebx >> 22) + 1;
    std::uint64_t const sets = std::uint64_t{from.ecx} + 1;
    std::uint64_t const set_bytes = line_bytes * partitions * ways;  // at most 2^32
    // Their product may be 2^64, which would be 0.
    return sets > UINT64_MAX / set_bytes ? UINT64_MAX : set_bytes * sets;
}

/// Bytes in the largest cache that holds data. `describe(i, registers)` returns whether there is a description number
/// `i`.
template <class Describe>
[[nodiscard]] constexpr std::size_t largest_described_cache(Describe const& describe) noexcept {
    std::uint64_t largest = 0;
    cpuid_registers registers{};
    // No processor has that many; a virtual machine's list might never end.
    constexpr std::uint32_t max_caches = 32;
    for (std::uint32_t i = 0; i < max_caches && describe(i, registers) && describes_cache(registers); ++i) {
        largest = (std::max)(largest, decode_cache_size(registers));
    }
    return static_cast<std::size_t>((std::min)(largest, std::uint64_t{max_cache_bytes}));
}

/// Bytes in the largest cache that holds data, according to the processor; 0 if it does not say.
[[nodiscard]] inline std::size_t cache_size_by_cpuid() noexcept {
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    cpuid_registers has{};
    // AMD's leaf exists if the processor says so. Intel's processors never say so, and AMD's leave leaf 4 empty.
    bool const knows_amd_leaf =
        __get_cpuid(0x80000001, &has.eax, &has.ebx, &has.ecx, &has.edx) != 0 && (has.ecx >> 22 & 1) != 0;
    std::uint32_t const leaves[] = {knows_amd_leaf ? 0x8000001du : 4u, 4u};
    for (std::uint32_t const leaf : leaves) {
        std::size_t const bytes = largest_described_cache([leaf](std::uint32_t i, cpuid_registers& to) noexcept {
            return __get_cpuid_count(leaf, i, &to.eax, &to.ebx, &to.ecx, &to.edx) != 0;
        });
        if (bytes != 0) return bytes;
    }
#endif
    return 0;
}

/// Bytes in the last-level cache, according to the system, else to the processor, else assumed. sysconf is not asked:
/// its _SC_LEVEL3_CACHE_SIZE said 256 MB for a cache of 32 MB.
[[nodiscard]] inline std::size_t find_cache_size(char const* root = "") noexcept {
    std::size_t bytes = cache_size_by_sysfs(root);
    if (bytes == 0) bytes = cache_size_by_cpuid();
    if (bytes == 0) bytes = assumed_cache_bytes;
    return std::clamp(bytes, min_cache_bytes, max_cache_bytes);
}

/// Bytes in the last-level cache. The first call that is large enough to care asks the environment, then the system,
/// once. Like getenv itself, that must not run concurrently with setenv.
[[nodiscard]] inline std::size_t cache_size() noexcept {
    std::size_t bytes = the_cache_size.load(std::memory_order_relaxed);
    if (bytes == 0) {
        std::size_t const wanted = cache_size_by_environment();
        bytes = wanted != 0 ? std::clamp(wanted, min_cache_bytes, max_cache_bytes) : find_cache_size();
        the_cache_size.store(bytes, std::memory_order_relaxed);
    }
    return bytes;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
