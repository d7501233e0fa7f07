// Doubling parts whose bytes stand the other way round than this machine has them: turned, doubled and turned back in
// the register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include <twofold/flags.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <std::size_t Bytes>
using unsigned_of_size = std::conditional_t<
    Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The bytes of each number in `bits`, a number or a vector of them, the other way round. By shifts, which every
/// instruction set has. Not by value: how vectors are passed depends on the flags.
template <class Bits, class X>
[[gnu::always_inline]] inline void turn_bytes(X& bits) noexcept {
    if constexpr (sizeof(Bits) == 8) {
        constexpr auto odd_bytes = static_cast<Bits>(0x00FF00FF00FF00FF);
        constexpr auto odd_pairs = static_cast<Bits>(0x0000FFFF0000FFFF);
        bits = (bits & odd_bytes) << 8 | (bits >> 8 & odd_bytes);
        bits = (bits & odd_pairs) << 16 | (bits >> 16 & odd_pairs);
        bits = bits << 32 | bits >> 32;
    } else if constexpr (sizeof(Bits) == 4) {
        constexpr auto odd_bytes = static_cast<Bits>(0x00FF00FF);
        bits = (bits & odd_bytes) << 8 | (bits >> 8 & odd_bytes);
        bits = bits << 16 | bits >> 16;
    } else if constexpr (sizeof(Bits) == 2) {
        bits = static_cast<X>(bits << 8 | bits >> 8);
    }
}

/// What wrapping_double does, for the bits of a part whose bytes are the other way round.
template <class Arch, class T>
struct wrapping_double_turned {
    using lane = unsigned_of_size<sizeof(T)>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] lane operator()(lane x) const noexcept {
        using value = typename wrapping_double<Arch, T>::lane;
        turn_bytes<lane>(x);
        x = __builtin_bit_cast(lane, wrapping_double<Arch, T>{}(__builtin_bit_cast(value, x)));
        turn_bytes<lane>(x);
        return x;
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        // The compiler's vectors: of the shifts of some versions of xsimd with AVX-512, GCC 12 warns.
        using vector [[gnu::vector_size(sizeof(batch))]] = lane;
        using values = typename wrapping_double<Arch, T>::batch;
        auto bits = __builtin_bit_cast(vector, x);
        turn_bytes<lane>(bits);
        bits = __builtin_bit_cast(vector, wrapping_double<Arch, T>{}(__builtin_bit_cast(values, bits)));
        turn_bytes<lane>(bits);
        return __builtin_bit_cast(batch, bits);
    }
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
