// What every public function requires of its ranges.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>

#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/nd/overlap.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <class Range>
using element_of = std::remove_cv_t<std::ranges::range_value_t<Range>>;

// Our own message instead of a screenful of template errors.
template <class T>
consteval void require_element() {
    static_assert(!std::same_as<T, bool>, "twofold: elements cannot be bool; use std::uint8_t for flags that count");
    static_assert(std::same_as<T, bool> || element<T>,
                  "twofold: only integers of 8 to 64 bits, float, double, std::complex of these two, twofold::float16 "
                  "and twofold::bfloat16 can be elements");
}

template <class Range>
consteval void require_writable() {
    static_assert(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>,
                  "twofold: the output's elements are const");
}

template <class In, class Out>
consteval void require_input_and_output() {
    require_element<element_of<In>>();
    require_writable<Out>();
    static_assert(std::same_as<element_of<In>, element_of<Out>>,
                  "twofold: input and output must have the same element type");
}

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The checks of every function with an input and an output, made for each input: `which`, if there are several. In
/// place the elements lie one on the other, so they have one size.
template <class In, class Out>
inline void check_ranges(In const& in, Out& out, unsigned which = 0) {
    auto const n = static_cast<std::size_t>(std::ranges::size(in));
    auto const size_of_out = static_cast<std::size_t>(std::ranges::size(out));
    if (n != size_of_out) [[unlikely]]
        fail_size(n, size_of_out, which);
    if (partly_overlap(std::ranges::data(in), n * sizeof(element_of<In>), std::ranges::data(out),
                       n * sizeof(element_of<Out>))) [[unlikely]]
        fail_overlap();
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
