// NumPy's durations, for which doubling has rules of its own: numbers of ticks, of which one value means "not a time"
// and is not changed.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <twofold/nd/strided_map.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/xsimd.hpp>

#include "wheel_elements.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <class Arch>
struct doubling::map<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        return twofold_wheel::timedelta64::wrapped(x);
    }
    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        return xsimd::select(x == batch(twofold_wheel::timedelta64::not_a_time), x, x + x);
    }
};

template <class Arch>
struct doubling::overflows<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr bool operator()(lane x) const noexcept {
        return twofold_wheel::timedelta64::overflows(x);
    }
    [[nodiscard, gnu::always_inline]] typename batch::batch_bool_type operator()(batch const& x) const noexcept {
        constexpr lane max_input = twofold_wheel::timedelta64::max_ticks / 2;
        return (x > batch(max_input)) |
               ((x < batch(-max_input)) & (x != batch(twofold_wheel::timedelta64::not_a_time)));
    }
};

template <class Arch>
struct doubling::clamped<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;
    static constexpr lane max_ticks = twofold_wheel::timedelta64::max_ticks;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        if (overflows<Arch, twofold_wheel::timedelta64>{}(x)) return x < 0 ? -max_ticks : max_ticks;
        return map<Arch, twofold_wheel::timedelta64>{}(x);
    }
    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        batch const limit = xsimd::select(x < batch(lane{0}), batch(-max_ticks), batch(max_ticks));
        return xsimd::select(overflows<Arch, twofold_wheel::timedelta64>{}(x), limit,
                             map<Arch, twofold_wheel::timedelta64>{}(x));
    }
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail

namespace twofold_wheel {
namespace {

/// Doubles a block of durations with any strides, modulo 2^64. Returns whether any overflows.
template <bool SwapIn, bool SwapOut>
bool double_each_duration(twofold::detail::packing::source from, twofold::detail::packing::target to, std::size_t rows,
                          std::size_t columns) noexcept {
    twofold::detail::packing::run_along(from, to, rows, columns);
    using bits = std::uint64_t;
    using pair = twofold::detail::packing::vector<bits>;
    using halves = twofold::detail::packing::vector<std::uint32_t>;
    constexpr auto none = static_cast<bits>(timedelta64::not_a_time);
    // A number of ticks fits if and only if it is not negative after adding `half`, and after adding `half` + 1.
    constexpr auto half = static_cast<bits>(timedelta64::max_ticks / 2);
    pair beyond{};
    twofold::detail::each_pair<SwapIn, SwapOut>(from, to, rows, columns, [&beyond](pair const& x) {
        // By halves, since baseline x86-64 has no comparison of 64-bit lanes.
        auto const equal = std::bit_cast<halves>(x) == std::bit_cast<halves>(pair{none, none});
        auto const is_none = std::bit_cast<pair>(equal & __builtin_shufflevector(equal, equal, 1, 0, 3, 2));
        beyond |= ((x + half) | (x + (half + 1))) & ~is_none;
        return (x + x) | (x & is_none);
    });
    return static_cast<std::int64_t>(beyond[0] | beyond[1]) < 0;
}

}  // namespace
}  // namespace twofold_wheel
