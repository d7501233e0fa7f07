// Byte swaps of one number, of a vector of numbers, and of memory; and a map of numbers that are byte-swapped in
// memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <twofold/flags.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <std::size_t Bytes>
using unsigned_of_size = std::conditional_t<
    Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Swaps the bytes of each lane of `bits`: an unsigned number, which is one lane, or a compiler's vector of `Lane`.
/// Uses shifts, which every instruction set has. By reference, since how vectors are passed by value depends on the
/// flags.
template <class Lane, class Bits>
[[gnu::always_inline]] constexpr void swap_bytes(Bits& bits) noexcept {
    if constexpr (sizeof(Lane) == 8) {
        constexpr auto low_bytes = static_cast<Lane>(0x00FF00FF00FF00FF);
        constexpr auto low_halves = static_cast<Lane>(0x0000FFFF0000FFFF);
        bits = (bits & low_bytes) << 8 | (bits >> 8 & low_bytes);
        bits = (bits & low_halves) << 16 | (bits >> 16 & low_halves);
        bits = bits << 32 | bits >> 32;
    } else if constexpr (sizeof(Lane) == 4) {
        constexpr auto low_bytes = static_cast<Lane>(0x00FF00FF);
        bits = (bits & low_bytes) << 8 | (bits >> 8 & low_bytes);
        bits = bits << 16 | bits >> 16;
    } else if constexpr (sizeof(Lane) == 2) {
        bits = static_cast<Bits>(bits << 8 | bits >> 8);
    }
}

/// What Map does, for scalars T that are byte-swapped in memory. Its lanes hold their bits.
template <class Map, class Arch, class T>
struct byte_swapped {
    using lane = unsigned_of_size<sizeof(T)>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] lane operator()(lane x) const noexcept {
        using value = typename Map::lane;
        swap_bytes<lane>(x);
        x = __builtin_bit_cast(lane, Map{}(__builtin_bit_cast(value, x)));
        swap_bytes<lane>(x);
        return x;
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        // The compiler's vectors, since GCC 12 warns about the AVX-512 shifts of some versions of xsimd.
        using vector [[gnu::vector_size(sizeof(batch))]] = lane;
        using values = typename Map::batch;
        auto bits = __builtin_bit_cast(vector, x);
        swap_bytes<lane>(bits);
        bits = __builtin_bit_cast(vector, Map{}(__builtin_bit_cast(values, bits)));
        swap_bytes<lane>(bits);
        return __builtin_bit_cast(batch, bits);
    }
};

/// Swaps the bytes of each of `n` scalars of `Bytes` bytes in place.
template <std::size_t Bytes>
void swap_bytes_in_place(std::byte* scalars, std::size_t n) noexcept {
    std::size_t i = 0;
    if constexpr (Bytes == 2 || Bytes == 4 || Bytes == 8) {
        // Vectors of 16 bytes, which GCC and Clang have for every machine.
        using lane = unsigned_of_size<Bytes>;
        using vector [[gnu::vector_size(16)]] = lane;
        constexpr std::size_t lanes = sizeof(vector) / Bytes;
        auto const swap_at = [scalars](std::size_t first) {
            vector bits;
            std::memcpy(&bits, scalars + first * Bytes, sizeof(bits));
            swap_bytes<lane>(bits);
            std::memcpy(scalars + first * Bytes, &bits, sizeof(bits));
        };
        // Four at a time: a loop over single vectors is half as fast if its code happens to be badly aligned.
        for (; n - i >= 4 * lanes; i += 4 * lanes) {
            swap_at(i);
            swap_at(i + lanes);
            swap_at(i + 2 * lanes);
            swap_at(i + 3 * lanes);
        }
        for (; n - i >= lanes; i += lanes) swap_at(i);
    }
    if constexpr (Bytes == 16) {
        for (; i < n; ++i) {
            std::uint64_t halves[2];
            std::memcpy(halves, scalars + i * Bytes, Bytes);
            swap_bytes<std::uint64_t>(halves[0]);
            swap_bytes<std::uint64_t>(halves[1]);
            std::swap(halves[0], halves[1]);
            std::memcpy(scalars + i * Bytes, halves, Bytes);
        }
    } else if constexpr (Bytes > 1) {
        for (; i < n; ++i) std::reverse(scalars + i * Bytes, scalars + (i + 1) * Bytes);
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
