// What halving has to give, computed without the library.
#pragma once

#include <cmath>
#include <concepts>

#include "expected.hpp"

template <class T>
[[nodiscard]] T expected_half(T x) {
    if constexpr (is_complex_number<T>) {
        return {expected_half(x.real()), expected_half(x.imag())};
    } else if constexpr (std::integral<T>) {
        return static_cast<T>(x / 2 - (x % 2 < 0 ? 1 : 0));
    } else if constexpr (std::floating_point<T>) {
        T const volatile unknown_to_the_compiler = x;
        return unknown_to_the_compiler / 2;
    } else {
        using format = format_as_double<T>;
        if (format::is_nan(x.bits)) return {static_cast<std::uint16_t>(x.bits | format::one_exponent / 2)};
        double const half = format::decoded(x.bits) / 2;
        double const least = format::decoded(1);  // the least subnormal
        // `encoded` cuts off what does not fit. Only subnormals have halves that do not, and these are rounded to even.
        bool const is_subnormal = std::abs(half) < format::decoded(format::one_exponent);
        int const bits = format::encoded(is_subnormal ? std::nearbyint(half / least) * least : half);
        return {static_cast<std::uint16_t>(bits)};
    }
}
