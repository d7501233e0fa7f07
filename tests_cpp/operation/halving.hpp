// A second operation, which nothing but tests knows: half of each element. Of integers the half is rounded down, as
// x >> 1 has it; of floats it is x * 0.5, which is exact but for what becomes subnormal. No half overflows.
#pragma once

#include <concepts>
#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/half_float.hpp>
#include <twofold/simd/loop.hpp>
#include <type_traits>
#include <xsimd/xsimd.hpp>

// Not the global namespace, in which what defines kernels has an unnamed one that is not inline.
namespace more_operations {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// By the compiler's vectors: of the shifts of some versions of xsimd with AVX-512, GCC 12 warns.
template <class Batch>
[[nodiscard, gnu::always_inline]] inline Batch shifted(Batch const& x) noexcept {
    using vector [[gnu::vector_size(sizeof(Batch))]] = typename Batch::value_type;
    return __builtin_bit_cast(Batch, __builtin_bit_cast(vector, x) >> 1);
}

struct halving {
    template <class Arch, class T>
    struct map;

    static constexpr char const* noun = "half";
};

template <class Arch, class T>
struct halving::map {
    using lane = twofold::detail::lane_of<T>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        if constexpr (twofold::detail::is_half_float<T>) {
            using format = twofold::detail::format_of<T>;
            int const magnitude = x & format::magnitude;
            int half = magnitude - format::exponent_step;
            if (magnitude < 2 * format::exponent_step) half = (magnitude >> 1) + (magnitude & magnitude >> 1 & 1);
            if (magnitude == format::infinity) half = magnitude;
            if (magnitude > format::infinity) half = magnitude | format::quiet;
            return static_cast<lane>(half | (x & ~format::magnitude));
        } else if constexpr (std::integral<T>) {
            return static_cast<lane>(x >> 1);
        } else {
            return x * lane(0.5);
        }
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        if constexpr (twofold::detail::is_half_float<T>) {
            using format = twofold::detail::format_of<T>;
            batch const magnitude = x & batch(format::magnitude);
            batch const step(format::exponent_step);
            batch const infinity(format::infinity);
            // A subnormal, which is rounded to even: so is what is one before it is halved, and the least normal ones.
            batch const cut = shifted(magnitude);
            batch const rounded = cut + (magnitude & cut & batch(lane{1}));
            batch half = xsimd::select(magnitude < step + step, rounded, magnitude - step);
            half = xsimd::select(magnitude == infinity, magnitude, half);
            half = xsimd::select(magnitude > infinity, magnitude | batch(format::quiet), half);
            return half | (x ^ magnitude);
        } else if constexpr (std::integral<T>) {
            return shifted(x);
        } else {
            return x * batch(lane(0.5));
        }
    }
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace more_operations
