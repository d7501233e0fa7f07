// Which types can be doubled. This list drives the kernel tables, the tests and the names that Cython exports.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// The element types, one of each kind and width. `element` below also admits their aliases of the same kind and width
/// (`long` and `long long`, say).
using element_types = std::tuple<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                                 std::int64_t, std::uint64_t, float, double>;

namespace detail {

template <class T, class Tuple>
inline constexpr bool is_one_of = false;

template <class T, class... Types>
inline constexpr bool is_one_of<T, std::tuple<Types...>> = (std::same_as<T, Types> || ...);

// The standard's own list of integer types: without bool and the character types, whose values are not numbers.
using integer_types = std::tuple<signed char, unsigned char, short, unsigned short, int, unsigned, long, unsigned long,
                                 long long, unsigned long long>;

template <class T>
inline constexpr char kind_of = std::floating_point<T> ? 'f'
                                : std::is_signed_v<T>  ? 'i'
                                                       : 'u';

}  // namespace detail

/// A type that can be doubled: a signed or unsigned integer of 8 to 64 bits, `float` or `double`. Not `bool`, not a
/// character type.
template <class T>
concept element = detail::is_one_of<T, detail::integer_types> || detail::is_one_of<T, element_types>;

/// What an element type is called in Cython, in tests and in messages: its kind ('i', 'u' or 'f') and its width in
/// bits.
struct element_description {
    char kind;
    unsigned bits;
};

template <element T>
inline constexpr element_description describe_element{
    detail::kind_of<T>, static_cast<unsigned>(sizeof(T) * std::numeric_limits<unsigned char>::digits)};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
