// Which types can be doubled: those of element_types.def.
#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// The 16-bit float of IEEE 754 (binary16: 5 bits of exponent, 10 of mantissa). A storage type: it holds the bits, and
/// has no arithmetic of its own.
struct float16 {
    std::uint16_t bits;
};

/// The upper half of a float (8 bits of exponent, 7 of mantissa). A storage type, too.
struct bfloat16 {
    std::uint16_t bits;
};

namespace detail {

// For lists in which each item begins with a comma.
template <class, class... Types>
using tuple_after = std::tuple<Types...>;

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

// Whether T has that kind and width, as far as C++ can tell.
template <class T, char Kind, unsigned Bits>
inline constexpr bool is_of =
    Bits == sizeof(T) * std::numeric_limits<unsigned char>::digits &&
    Kind == (std::integral<T> ? (std::is_signed_v<T> ? 'i' : 'u') : (is_complex<T> ? 'c' : Kind));

}  // namespace detail

/// The element types, one of each kind and width. `element` below also admits their aliases of the same kind and width
/// (`long` and `long long`, say).
using element_types = detail::tuple_after<void
#define TWOFOLD_ELEMENT_TYPE(type, ...) , type
#include <twofold/element_types.def>
                                          >;

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

/// What a kernel runs on: the components of a complex number, one by one; any other element as it is. The standard
/// guarantees that an array of std::complex<T> is an array of T, two for each.
template <element T>
using scalar_of = typename scalar<T>::type;

template <element T>
inline constexpr std::size_t scalars_per_element = sizeof(T) / sizeof(scalar_of<T>);

/// Of a list of element types, those that are their own scalars: those that need kernels.
template <class Types>
struct scalars_among;
template <class... T>
struct scalars_among<std::tuple<T...>> {
    template <class U>  // no machine has vectors of long double
    using kept = std::conditional_t<is_complex<U> || std::same_as<U, long double>, std::tuple<>, std::tuple<U>>;
    using type = decltype(std::tuple_cat(std::declval<kept<T>>()...));
};

#define TWOFOLD_ELEMENT_TYPE(type, name, kind, bits, ...) static_assert(is_of<type, kind, bits>);
#include <twofold/element_types.def>

}  // namespace detail
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
