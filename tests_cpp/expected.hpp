// What doubling has to give, computed without the library, and values to double.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

template <std::size_t Bytes>
using bits_of_size = std::conditional_t<
    Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

template <class T>
using bits_of = bits_of_size<sizeof(T)>;

/// The double of one element: modulo 2^bits, or as the machine adds two floats.
template <class T>
[[nodiscard]] T expected_double(T x) noexcept {
    if constexpr (std::integral<T>) {
        return static_cast<T>(static_cast<bits_of<T>>(static_cast<std::uint64_t>(x) * 2));
    } else {
        T const volatile unknown_to_the_compiler = x;
        return unknown_to_the_compiler + unknown_to_the_compiler;
    }
}

/// Bits that look random, so that floats of all kinds come up, NaNs with payloads among them.
template <class T>
[[nodiscard]] T arbitrary(std::size_t i) noexcept {
    std::uint64_t bits = (i + 1) * 0x9E3779B97F4A7C15u;  // splitmix64
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    return std::bit_cast<T>(static_cast<bits_of<T>>(bits ^ bits >> 31));
}

/// Elements at any address, also one that is no multiple of the element's size.
template <class T>
void write_arbitrary(void* where, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        T const value = arbitrary<T>(i);
        std::memcpy(static_cast<std::byte*>(where) + i * sizeof(T), &value, sizeof(T));
    }
}

/// The doubles of what write_arbitrary writes.
template <class T>
[[nodiscard]] std::vector<T> expected_doubles(std::size_t n) {
    std::vector<T> doubles(n);
    for (std::size_t i = 0; i < n; ++i) doubles[i] = expected_double(arbitrary<T>(i));
    return doubles;
}

/// Whether `n` elements at any address have the same bits as those expected: 0.0 is not -0.0, and NaNs have payloads.
template <class T>
[[nodiscard]] bool same_bits(void const* where, std::vector<T> const& expected, std::size_t n) noexcept {
    return n == 0 || std::memcmp(where, expected.data(), n * sizeof(T)) == 0;
}

/// The values at which doubling is special; for elements of 8 and 16 bits all values that there are.
template <class T>
[[nodiscard]] std::vector<T> special_values() {
    std::vector<T> values;
    if constexpr (sizeof(T) <= 2) {
        for (std::uint32_t bits = 0; bits <= std::numeric_limits<bits_of<T>>::max(); ++bits) {
            values.push_back(static_cast<T>(bits));
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
