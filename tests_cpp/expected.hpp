// What doubling has to give, computed without the library, and values to double. Of the library come the names of the
// types and policies alone.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <twofold/element.hpp>
#include <type_traits>
#include <vector>

#include "policies.hpp"

template <std::size_t Bytes>
using bits_of_size = std::conditional_t<
    Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

template <class T>
using bits_of = bits_of_size<sizeof(T)>;

/// An element type's kind, as element_types.def has it, and its width in bits.
struct element_description {
    char kind;
    unsigned bits;
};

template <twofold::element T>
inline constexpr element_description describe_element = [] {
    element_description found{};
#define TWOFOLD_ELEMENT_TYPE(type, name, kind, bits, ...) \
    if ((std::same_as<T, type> || std::integral<T>) && twofold::detail::is_of<T, kind, bits>) found = {kind, bits};
#include <twofold/element_types.def>
    return found;
}();

template <class T>
inline constexpr bool is_complex_number = false;
template <class T>
inline constexpr bool is_complex_number<std::complex<T>> = true;

// ---- the 16-bit floats, by way of double: it holds every value of theirs, and every double of one, exactly

template <int MantissaBits>
struct half_as_double {
    static constexpr int sign = 1 << 15;
    static constexpr int one_exponent = 1 << MantissaBits;
    static constexpr int greatest_exponent = (1 << (15 - MantissaBits)) - 1;  // that of infinities and NaNs
    static constexpr int bias = greatest_exponent / 2;
    static constexpr int infinity = greatest_exponent * one_exponent;

    static bool is_nan(int bits) { return (bits & ~sign) > infinity; }

    static double decoded(int bits) {
        int const exponent = (bits & ~sign) / one_exponent;
        int const mantissa = bits % one_exponent;
        double const magnitude = exponent == greatest_exponent ? std::numeric_limits<double>::infinity()
                                 : exponent == 0               ? std::ldexp(mantissa, 1 - bias - MantissaBits)
                                                 : std::ldexp(one_exponent + mantissa, exponent - bias - MantissaBits);
        return (bits & sign) != 0 ? -magnitude : magnitude;
    }

    static int encoded(double value) {
        int const sign_of_value = std::signbit(value) ? sign : 0;
        if (std::abs(value) >= std::ldexp(1, greatest_exponent - bias)) return sign_of_value | infinity;
        // As a multiple of the least subnormal; or, from the least normal number on, of the last bit of the mantissa.
        int const exponent = std::max(value == 0 ? 1 : std::ilogb(value) + bias, 1);
        auto const multiple = static_cast<int>(std::ldexp(std::abs(value), MantissaBits + bias - exponent));
        return sign_of_value | (multiple < one_exponent ? multiple : (exponent - 1) * one_exponent + multiple);
    }

    static int doubled(int bits) {
        // A NaN keeps sign and payload, and becomes quiet: the first bit of its mantissa.
        return is_nan(bits) ? bits | one_exponent / 2 : encoded(2 * decoded(bits));
    }

    static bool overflows(int bits) {
        return !is_nan(bits) && std::isfinite(decoded(bits)) && std::isinf(decoded(encoded(2 * decoded(bits))));
    }
};

template <class T>
using format_as_double = half_as_double<std::same_as<T, twofold::float16> ? 10 : 7>;

// All that there is to know of a 16-bit float, computed once: there are arrays of millions of them to come.
template <class T>
struct every_half {
    std::vector<T> doubled;
    std::vector<bool> overflows;

    static every_half const& table() {
        static every_half const once;
        return once;
    }

private:
    every_half() {
        for (int bits = 0; bits <= 0xFFFF; ++bits) {
            doubled.push_back({static_cast<std::uint16_t>(format_as_double<T>::doubled(bits))});
            overflows.push_back(format_as_double<T>::overflows(bits));
        }
    }
};

// ---- one element

/// Whether the double of `x` does not fit; of a complex number, that of either part.
template <class T>
[[nodiscard]] bool expected_overflows(T x) {
    if constexpr (is_complex_number<T>) {
        return expected_overflows(x.real()) || expected_overflows(x.imag());
    } else if constexpr (std::integral<T>) {
        T ignored;
        return __builtin_add_overflow(x, x, &ignored);
    } else if constexpr (std::floating_point<T>) {
        return std::isfinite(x) && std::isinf(x + x);
    } else {
        return every_half<T>::table().overflows[x.bits];
    }
}

/// The double of one element, as `policy` has it. Where `raise` would throw, what `wrap` gives.
template <class T>
[[nodiscard]] T expected_double(T x, overflow_policy policy = overflow_policy::wrap) {
    if constexpr (is_complex_number<T>) {
        return {expected_double(x.real(), policy), expected_double(x.imag(), policy)};
    } else if constexpr (std::integral<T>) {
        T sum;
        if (__builtin_add_overflow(x, x, &sum) && policy == overflow_policy::saturate) {
            return x < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
        }
        return sum;
    } else if constexpr (std::floating_point<T>) {
        T const volatile unknown_to_the_compiler = x;
        return unknown_to_the_compiler + unknown_to_the_compiler;
    } else {
        return every_half<T>::table().doubled[x.bits];
    }
}

// ---- values to double

/// Bits that look random, so that floats of all kinds come up, NaNs with payloads among them.
template <class T>
[[nodiscard]] T arbitrary(std::size_t i) noexcept {
    if constexpr (is_complex_number<T>) {
        using part = typename T::value_type;
        return {arbitrary<part>(2 * i), arbitrary<part>(2 * i + 1)};
    } else {
        std::uint64_t bits = (i + 1) * 0x9E3779B97F4A7C15u;  // splitmix64
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
        return std::bit_cast<T>(static_cast<bits_of<T>>(bits ^ bits >> 31));
    }
}

/// The same, but only values whose doubles fit.
template <class T>
[[nodiscard]] T arbitrary_that_fits(std::size_t i) {
    while (expected_overflows(arbitrary<T>(i))) i += 1'000'000'007;
    return arbitrary<T>(i);
}

/// A value whose double does not fit, but only just.
template <class T>
[[nodiscard]] T smallest_overflowing() noexcept {
    if constexpr (is_complex_number<T>) {
        return {1, smallest_overflowing<typename T::value_type>()};
    } else if constexpr (std::integral<T>) {
        return static_cast<T>(std::numeric_limits<T>::max() / 2 + 1);
    } else if constexpr (std::floating_point<T>) {
        return std::numeric_limits<T>::max() / 2 * (1 + std::numeric_limits<T>::epsilon());
    } else {
        using format = format_as_double<T>;
        return {static_cast<std::uint16_t>((format::greatest_exponent - 1) * format::one_exponent)};
    }
}

template <class T>
[[nodiscard]] std::vector<T> arbitrary_elements(std::size_t n) {
    std::vector<T> elements(n);
    for (std::size_t i = 0; i < n; ++i) elements[i] = arbitrary<T>(i);
    return elements;
}

template <class T>
[[nodiscard]] std::vector<T> arbitrary_elements_that_fit(std::size_t n) {
    std::vector<T> elements(n);
    for (std::size_t i = 0; i < n; ++i) elements[i] = arbitrary_that_fits<T>(i);
    return elements;
}

template <class T>
[[nodiscard]] std::vector<T> expected_doubles(std::vector<T> const& elements,
                                              overflow_policy policy = overflow_policy::wrap) {
    std::vector<T> doubles(elements.size());
    for (std::size_t i = 0; i < elements.size(); ++i) doubles[i] = expected_double(elements[i], policy);
    return doubles;
}

/// Whether all elements have the same bits: 0.0 is not -0.0, and NaNs have payloads.
template <class T>
[[nodiscard]] bool same_bits(std::vector<T> const& values, std::vector<T> const& expected) noexcept {
    return values.size() == expected.size() &&
           (expected.empty() || std::memcmp(values.data(), expected.data(), expected.size() * sizeof(T)) == 0);
}

/// The values at which doubling is special; for elements of 8 and 16 bits all values that there are, for complex
/// numbers all pairs of what is special for their parts.
template <class T>
[[nodiscard]] std::vector<T> special_values() {
    std::vector<T> values;
    if constexpr (is_complex_number<T>) {
        auto const parts = special_values<typename T::value_type>();
        for (auto const real : parts) {
            for (auto const imaginary : parts) values.push_back({real, imaginary});
        }
    } else if constexpr (sizeof(T) <= 2) {
        for (std::uint32_t bits = 0; bits <= std::numeric_limits<bits_of<T>>::max(); ++bits) {
            values.push_back(std::bit_cast<T>(static_cast<bits_of<T>>(bits)));
        }
    } else if constexpr (std::integral<T>) {
        using limits = std::numeric_limits<T>;
        for (T const pivot : {limits::min(), static_cast<T>(limits::min() / 2), T{0}, static_cast<T>(limits::max() / 2),
                              limits::max()}) {
            // Modulo 2^bits, since min - 1 and max + 1 are wanted, too.
            auto const bits = static_cast<bits_of<T>>(pivot);
            values.push_back(static_cast<T>(bits - 1));
            values.push_back(pivot);
            values.push_back(static_cast<T>(bits + 1));
        }
    } else {
        using limits = std::numeric_limits<T>;
        bits_of<T> const sign = bits_of<T>{1} << (sizeof(T) * 8 - 1);
        bits_of<T> const infinity = std::bit_cast<bits_of<T>>(limits::infinity());
        bits_of<T> const quiet = bits_of<T>{1} << (limits::digits - 2);
        for (bits_of<T> const magnitude : {
                 bits_of<T>{0}, bits_of<T>{1},                        // the least subnormal
                 static_cast<bits_of<T>>(quiet + 5),                  // becomes normal
                 std::bit_cast<bits_of<T>>(limits::min()) - 1,        // the largest subnormal
                 std::bit_cast<bits_of<T>>(limits::min()),            // the least normal
                 std::bit_cast<bits_of<T>>(T{1}),                     //
                 std::bit_cast<bits_of<T>>(limits::max() / 2),        // the largest with a finite double
                 std::bit_cast<bits_of<T>>(limits::max() / 2) + 1,    // the least with an infinite one
                 std::bit_cast<bits_of<T>>(limits::max()), infinity,  //
                 static_cast<bits_of<T>>(infinity | quiet),           // a quiet NaN without a payload
                 static_cast<bits_of<T>>(infinity | quiet | 0x2A),    // and with one
                 static_cast<bits_of<T>>(infinity | 1),               // signalling NaNs
                 static_cast<bits_of<T>>(infinity | 0x155),           //
                 static_cast<bits_of<T>>(infinity | (quiet - 1)),     //
             }) {
            values.push_back(std::bit_cast<T>(magnitude));
            values.push_back(std::bit_cast<T>(static_cast<bits_of<T>>(magnitude | sign)));
        }
    }
    return values;
}
