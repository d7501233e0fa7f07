// Converts numbers to 16-bit floats and back, for lists: one by one, with ordinary arithmetic.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <twofold/element.hpp>
#include <twofold/operation/half_float.hpp>

namespace twofold_wheel {

template <class T>
concept half_float = twofold::detail::is_half_float<T>;

/// The nearest 16-bit float, ties to even. Infinite if the number is too large.
template <half_float T>
[[nodiscard]] T half_float_from(double value) noexcept {
    using format = twofold::detail::format_of<T>;
    int bits = format::infinity;
    if (std::isnan(value)) {
        bits |= format::quiet;
    } else if (std::isfinite(value)) {
        // In units in the last place (ulp) of the binade; subnormal numbers use the binade of the smallest normal ones.
        // Rounding up into the next binade carries into the exponent.
        int const exponent = value == 0 ? format::min_exponent : std::max(std::ilogb(value), format::min_exponent);
        if (exponent <= -format::min_exponent + 1) {
            int const units =
                static_cast<int>(std::lrint(std::ldexp(std::fabs(value), format::mantissa_bits - exponent)));
            bits = ((exponent - format::min_exponent) << format::mantissa_bits) + units;
        }
    }
    return {static_cast<std::uint16_t>(std::signbit(value) ? bits | ~format::magnitude : bits)};
}

/// Exactly.
template <half_float T>
[[nodiscard]] double double_from(T value) noexcept {
    using format = twofold::detail::format_of<T>;
    int const bits = value.bits & format::magnitude;
    int const mantissa = bits % format::exponent_step;
    double magnitude;
    if (bits >= format::infinity) {
        magnitude = mantissa == 0 ? HUGE_VAL : NAN;
    } else if (bits < format::exponent_step) {
        magnitude = std::ldexp(mantissa, format::min_exponent - format::mantissa_bits);
    } else {
        int const steps = bits / format::exponent_step - 1;  // from the smallest exponent
        magnitude = std::ldexp(mantissa + format::exponent_step, steps + format::min_exponent - format::mantissa_bits);
    }
    return std::copysign(magnitude, value.bits == bits ? 1.0 : -1.0);
}

}  // namespace twofold_wheel
