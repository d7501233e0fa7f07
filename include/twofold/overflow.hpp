// What doubling means, for one scalar and for one SIMD batch, with the same result.
#pragma once

#include <concepts>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "element.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Integers modulo 2^bits, floats as IEEE 754 has `x + x`.
template <class Arch>
struct wrapping_double {
    template <element T>
    [[nodiscard]] constexpr T operator()(T x) const noexcept {
        if constexpr (std::integral<T>) {
            // In unsigned arithmetic, where overflow is defined. Narrow types are promoted to int, which holds the sum.
            auto const bits = static_cast<std::make_unsigned_t<T>>(x);
            return static_cast<T>(bits + bits);
        } else {
            return x + x;
        }
    }

    template <class T>
    [[nodiscard]] xsimd::batch<T, Arch> operator()(xsimd::batch<T, Arch> const& x) const noexcept {
        return x + x;
    }
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
