// The bit formats of the 16-bit floats.
#pragma once

#include <cstdint>

#include <twofold/element.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// The bits of a 16-bit float without its sign: an exponent, then `Mantissa` bits.
template <int Mantissa>
struct half_float_format {
    static constexpr int mantissa_bits = Mantissa;
    static constexpr int min_exponent = 2 - (1 << (14 - Mantissa));  // of normal numbers
    static constexpr std::int16_t magnitude = 0x7FFF;
    static constexpr std::int16_t infinity = magnitude >> Mantissa << Mantissa;
    static constexpr std::int16_t exponent_step = 1 << Mantissa;  // to the next exponent, which doubles the value
    static constexpr std::int16_t quiet = 1 << (Mantissa - 1);    // in a NaN: not signalling
};

template <class T>
struct format_of;
template <>
struct format_of<float16> : half_float_format<10> {};
template <>
struct format_of<bfloat16> : half_float_format<7> {};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
