// Which types can be doubled. This list drives the kernel tables, the tests and the names that Cython exports.
#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// A float of 16 bits as IEEE 754 has it (binary16: 5 bits of exponent, 10 of mantissa). A storage type: it holds the
/// bits, and has no arithmetic of its own.
struct float16 {
    std::uint16_t bits;
};

/// The upper half of a float (8 bits of exponent, 7 of mantissa). A storage type, too.
struct bfloat16 {
    std::uint16_t bits;
};

/// The element types, one of each kind and width. `element` below also admits their aliases of the same kind and width
/// (`long` and `long long`, say).
using element_types =
    std::tuple<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t, std::int64_t,
               std::uint64_t, float16, bfloat16, float, double, std::complex<float>, std::complex<double>>;

namespace detail {

template <class T, class Tuple>
inline constexpr bool is_one_of = false;

template <class T, class... Types>
inline constexpr bool is_one_of<T, std::tuple<Types...>> = (std::same_as<T, Types> || ...);

// The standard's own list of integer types: without bool and the character types, whose values are not numbers.
using integer_types = std::tuple<signed char, unsigned char, short, unsigned short, int, unsigned, long, unsigned long,
                                 long long, unsigned long long>;

template <class T>
inline constexpr bool is_complex = false;
template <class T>
inline constexpr bool is_complex<std::complex<T>> = true;

template <class T>
inline constexpr bool is_half_float = std::same_as<T, float16> || std::same_as<T, bfloat16>;

template <class T>
inline constexpr char kind_of = std::same_as<T, bfloat16>                            ? 'b'
                                : is_complex<T>                                      ? 'c'
                                : std::floating_point<T> || std::same_as<T, float16> ? 'f'
                                : std::is_signed_v<T>                                ? 'i'
                                                                                     : 'u';

}  // namespace detail

/// A type that can be doubled: a signed or unsigned integer of 8 to 64 bits, `float`, `double`, `std::complex` of these
/// two, `float16` or `bfloat16`. Not `bool`, not a character type.
template <class T>
concept element = detail::is_one_of<T, detail::integer_types> || detail::is_one_of<T, element_types>;

namespace detail {

template <class T>
struct scalar {
    using type = T;
};
template <class T>
struct scalar<std::complex<T>> {
    using type = T;
};

/// What a kernel runs on: the components of a complex number, one by one; any other element as it is. The
/// standard grants that an array of std::complex<T> is an array of T, two for each.
template <element T>
using scalar_of = typename scalar<T>::type;

template <element T>
inline constexpr std::size_t scalars_per_element = sizeof(T) / sizeof(scalar_of<T>);

template <class Types, class... Scalars>
struct scalars_among {
    using type = std::tuple<Scalars...>;
};
template <class T, class... Rest, class... Scalars>
struct scalars_among<std::tuple<T, Rest...>, Scalars...> : scalars_among<std::tuple<Rest...>, Scalars..., T> {};
template <class T, class... Rest, class... Scalars>
struct scalars_among<std::tuple<std::complex<T>, Rest...>, Scalars...>
    : scalars_among<std::tuple<Rest...>, Scalars...> {};

/// The element types that are their own scalars: those that need kernels.
using scalar_types = typename scalars_among<element_types>::type;

}  // namespace detail

/// What an element type is called in Cython, in tests and in messages: its kind ('i', 'u', 'f', 'b' for bfloat16 or 'c'
/// for complex) and its width in bits.
struct element_description {
    char kind;
    unsigned bits;
};

template <element T>
inline constexpr element_description describe_element{
    detail::kind_of<T>, static_cast<unsigned>(sizeof(T) * std::numeric_limits<unsigned char>::digits)};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
