// Doubling ranges: double_into, double_in_place, doubled, first_overflow. The contract is in twofold.hpp.
#pragma once

#include <cstddef>
#include <optional>
#include <ranges>
#include <vector>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/operation/ranges.hpp>
#include <twofold/operation/run.hpp>
#include <twofold/options.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Writes the double of each element of `in` to `out`.
///
/// `in` and `out` are contiguous ranges of the same element type and size; they may be the same range (then the
/// elements are doubled in place), but must not overlap otherwise. Throws std::invalid_argument, before anything is
/// written, if the sizes differ or the ranges overlap in part.
///
/// With overflow_policy::raise throws twofold::overflow_error for the first element whose double does not fit. Then
/// `out` is as it was if it is `in`, and unspecified otherwise.
///
///     std::vector<std::uint32_t> in{1, 2, 3}, out(3);
///     twofold::double_into(in, out);  // out is {2, 4, 6}
template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out>
    requires std::ranges::sized_range<In const> && std::ranges::sized_range<Out>
void double_into(In const& in, Out&& out, options const& how = {}) {
    detail::require_input_and_output<In, Out>();
    if constexpr (element<detail::element_of<In>>) {
        detail::check_ranges(in, out);
        detail::map_elements<detail::doubling, detail::element_of<In>>(
            std::ranges::data(in), std::ranges::data(out), static_cast<std::size_t>(std::ranges::size(in)), how);
    }
}

/// Doubles each element of `values` where it stands. With overflow_policy::raise the values are read twice, and are as
/// they were if it throws.
///
///     std::vector<double> values{1.5, 2.5};
///     twofold::double_in_place(values);  // values is {3.0, 5.0}
template <std::ranges::contiguous_range Range>
    requires std::ranges::sized_range<Range>
void double_in_place(Range&& values, options const& how = {}) {
    using value = detail::element_of<Range>;
    detail::require_element<value>();
    detail::require_writable<Range>();
    if constexpr (element<value>) {
        value* const data = std::ranges::data(values);
        detail::map_elements<detail::doubling, value>(data, data, static_cast<std::size_t>(std::ranges::size(values)),
                                                      how);
    }
}

/// The double of each element of `values`, in a new std::vector. std::vector first fills its memory with zeros;
/// `double_into` existing memory is faster.
///
///     twofold::doubled(std::array{1, 2, 3});  // std::vector<int>{2, 4, 6}
template <std::ranges::contiguous_range In>
    requires std::ranges::sized_range<In const>
[[nodiscard]] auto doubled(In const& values, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    if constexpr (element<value>) {
        std::vector<value> result(static_cast<std::size_t>(std::ranges::size(values)));
        detail::map_elements<detail::doubling, value>(std::ranges::data(values), result.data(), result.size(), how);
        return result;
    }
}

/// The index of the first element whose double does not fit its type; for floats, of the first finite element whose
/// double is infinite. std::nullopt if there is none. Of `how`, only the threads matter.
///
///     twofold::first_overflow(std::array<std::int8_t, 3>{1, -65, 64});  // 1
template <std::ranges::contiguous_range In>
    requires std::ranges::sized_range<In const>
[[nodiscard]] std::optional<std::size_t> first_overflow(In const& values, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    if constexpr (element<value>) {
        auto const n = static_cast<std::size_t>(std::ranges::size(values));
        std::size_t const found =
            detail::find_first_overflow<detail::doubling, value>(std::ranges::data(values), n, how);
        if (found < n) return found;
    }
    return std::nullopt;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
