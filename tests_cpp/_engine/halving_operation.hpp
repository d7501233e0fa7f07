// Halving for the wheel's machinery, whose durations may be none: such a one stays as it is.
#pragma once

#include "_engine/kernels/wheel_elements.hpp"
#include "operation/halving.hpp"

namespace more_operations {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

template <class Arch>
struct halving::map<Arch, twofold_wheel::timedelta64> {
    using lane = std::int64_t;
    using batch = xsimd::batch<lane, Arch>;
    static constexpr lane none = twofold_wheel::timedelta64::not_a_time;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        return x == none ? x : x >> 1;
    }
    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        return xsimd::select(x == batch(none), x, shifted(x));
    }
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace more_operations
