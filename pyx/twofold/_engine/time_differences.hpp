// What doubling means for time differences: the rules of operation/doubling.hpp and simd/byte_swap.hpp, for numbers of
// which one is none and stays as it is.
#pragma once

#include <cstdint>
#include <twofold/operation/doubling.hpp>
#include <xsimd/xsimd.hpp>

#include "wheel_elements.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <>
struct lane_type<twofold_wheel::timedelta64> {
    using type = std::int64_t;
};

template <class Arch>
struct wrapping_double<Arch, twofold_wheel::timedelta64> {
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
struct double_overflows<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr bool operator()(lane x) const noexcept {
        return twofold_wheel::timedelta64::overflows(x);
    }
    [[nodiscard, gnu::always_inline]] typename batch::batch_bool_type operator()(batch const& x) const noexcept {
        constexpr lane most = twofold_wheel::timedelta64::most / 2;
        return (x > batch(most)) | ((x < batch(-most)) & (x != batch(twofold_wheel::timedelta64::not_a_time)));
    }
};

template <class Arch>
struct saturating_double<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;
    static constexpr lane most = twofold_wheel::timedelta64::most;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        if (double_overflows<Arch, twofold_wheel::timedelta64>{}(x)) return x < 0 ? -most : most;
        return wrapping_double<Arch, twofold_wheel::timedelta64>{}(x);
    }
    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        batch const limit = xsimd::select(x < batch(lane{0}), batch(-most), batch(most));
        return xsimd::select(double_overflows<Arch, twofold_wheel::timedelta64>{}(x), limit,
                             wrapping_double<Arch, twofold_wheel::timedelta64>{}(x));
    }
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
