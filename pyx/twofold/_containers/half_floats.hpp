// Numbers as 16-bit floats and back, for lists: one by one, with plain arithmetic.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <twofold/element.hpp>

namespace twofold_wheel {

template <class T>
struct half_float_format;
template <>
struct half_float_format<twofold::float16> {
    static constexpr int mantissa_bits = 10;
    static constexpr int least_exponent = -14;  // of normal numbers
};
template <>
struct half_float_format<twofold::bfloat16> {
    static constexpr int mantissa_bits = 7;
    static constexpr int least_exponent = -126;
};

template <class T>
concept half_float = requires { half_float_format<T>::mantissa_bits; };

/// The nearest 16-bit float, and of two the even one. Infinite where that is too large.
template <half_float T>
[[nodiscard]] T half_float_from(double value) noexcept {
    using format = half_float_format<T>;
    constexpr int sign = 0x8000;
    constexpr int infinity = (sign - 1) >> format::mantissa_bits << format::mantissa_bits;
    constexpr int quiet_bit = 1 << (format::mantissa_bits - 1);
    int bits = infinity;
    if (std::isnan(value)) {
        bits = infinity | quiet_bit;
    } else if (std::isfinite(value)) {
        // In units of the last place of the binade, subnormal numbers being in that of the least normal ones. What is
        // rounded up into the next binade carries into the exponent.
        int const exponent = value == 0 ? format::least_exponent : std::max(std::ilogb(value), format::least_exponent);
        if (exponent <= -format::least_exponent + 1) {
            int const units =
                static_cast<int>(std::lrint(std::ldexp(std::fabs(value), format::mantissa_bits - exponent)));
            bits = ((exponent - format::least_exponent) << format::mantissa_bits) + units;
        }
    }
    return {static_cast<std::uint16_t>(std::signbit(value) ? bits | sign : bits)};
}

/// Exactly.
template <half_float T>
[[nodiscard]] double double_from(T value) noexcept {
    using format = half_float_format<T>;
    constexpr int mantissa_ends = 1 << format::mantissa_bits;
    constexpr int all_ones = 0x7FFF >> format::mantissa_bits;
    int const field = (value.bits & 0x7FFF) >> format::mantissa_bits;
    int const mantissa = value.bits % mantissa_ends;
    double magnitude;
    if (field == all_ones) {
        magnitude = mantissa == 0 ? HUGE_VAL : NAN;
    } else if (field == 0) {
        magnitude = std::ldexp(mantissa, format::least_exponent - format::mantissa_bits);
    } else {
        magnitude = std::ldexp(mantissa + mantissa_ends, field - 1 + format::least_exponent - format::mantissa_bits);
    }
    return std::copysign(magnitude, value.bits & 0x8000 ? -1.0 : 1.0);
}

}  // namespace twofold_wheel
