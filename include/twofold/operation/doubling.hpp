// What doubling means, for one scalar and for one SIMD batch alike: wrapped, clamped, and which doubles overflow.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/half_float.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// An operation, as simd/kernel_set.hpp describes it. T is a scalar type, Arch the instruction set of the batches.
/// Everything is always inlined, since a loop with calls is many times slower.
struct doubling {
    template <class Arch, class T>
    struct map;
    template <class Arch, class T>
    struct overflows;
    template <class Arch, class T>
    struct clamped;

    static constexpr char const* noun = "the double";  // what messages call a result
};

/// Integers modulo 2^bits, floats as `x + x` in IEEE 754.
template <class Arch, class T>
struct doubling::map {
    using lane = lane_of<T>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        if constexpr (is_half_float<T>) {
            using format = format_of<T>;
            int const magnitude = x & format::magnitude;
            int const sign = x & ~format::magnitude;
            int doubled = magnitude | format::quiet;  // a NaN
            if (magnitude <= format::infinity) {
                // A subnormal or zero grows by its own magnitude, a normal number by one exponent step, but not beyond
                // infinity.
                int const step = magnitude < format::exponent_step ? magnitude : format::exponent_step;
                doubled = magnitude + step < format::infinity ? magnitude + step : format::infinity;
            }
            return static_cast<lane>(doubled | sign);
        } else if constexpr (std::integral<T>) {
            // In unsigned arithmetic, where overflow is defined. Narrow types are promoted to int, which holds the sum.
            auto const bits = static_cast<std::make_unsigned_t<T>>(x);
            return static_cast<T>(bits + bits);
        } else {
            return x + x;
        }
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        if constexpr (is_half_float<T>) {
            using format = format_of<T>;
            batch const magnitude = x & batch(format::magnitude);
            batch const infinity(format::infinity);
            // As above; the step is limited by the distance to infinity, so that no sum exceeds 16 bits.
            batch const step = (xsimd::min)(magnitude, batch(format::exponent_step));
            batch const finite = magnitude + (xsimd::min)(step, infinity - magnitude);
            batch const doubled = xsimd::select(magnitude > infinity, magnitude | batch(format::quiet), finite);
            return doubled | (x ^ magnitude);
        } else {
            return x + x;
        }
    }
};

/// Whether the double of a lane is beyond what its type can hold: for integers beyond its limits, for finite floats
/// beyond the largest finite one. Raises no floating-point flag, as `<` would for a NaN.
template <class Arch, class T>
struct doubling::overflows {
    using lane = lane_of<T>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr bool operator()(lane x) const noexcept {
        if constexpr (is_half_float<T>) {
            int const magnitude = x & format_of<T>::magnitude;
            return magnitude > max_magnitude && magnitude < format_of<T>::infinity;
        } else if constexpr (std::integral<T>) {
            return x > max_input || x < min_input;
        } else {
            return (std::bit_cast<exponent_bits>(x) & std::bit_cast<exponent_bits>(exponent_mask)) ==
                   std::bit_cast<exponent_bits>(max_exponent);
        }
    }

    [[nodiscard, gnu::always_inline]] typename batch::batch_bool_type operator()(batch const& x) const noexcept {
        if constexpr (is_half_float<T>) {
            batch const magnitude = x & batch(format_of<T>::magnitude);
            return (magnitude > batch(max_magnitude)) & (magnitude < batch(format_of<T>::infinity));
        } else if constexpr (std::unsigned_integral<T>) {
            return x > batch(max_input);
        } else if constexpr (std::integral<T>) {
            return (x > batch(max_input)) | (x < batch(min_input));
        } else {
            return (x & batch(exponent_mask)) == batch(max_exponent);
        }
    }

private:
    // The largest and the smallest integer whose double fits.
    static constexpr lane max_input = (std::numeric_limits<lane>::max)() / 2;
    static constexpr lane min_input = std::numeric_limits<lane>::lowest() / 2;
    // Floats overflow if they have the largest exponent of a finite number. Both constants are floats: the mask of the
    // exponent, which is infinity, and that exponent alone.
    using exponent_bits = std::conditional_t<sizeof(lane) == 8, std::uint64_t, std::uint32_t>;
    static constexpr lane exponent_mask = std::numeric_limits<lane>::infinity();
    static constexpr lane max_exponent = [] {
        if constexpr (std::floating_point<lane>) {
            return std::bit_cast<lane>(std::bit_cast<exponent_bits>((std::numeric_limits<lane>::max)()) &
                                       std::bit_cast<exponent_bits>(exponent_mask));
        } else {
            return lane{};
        }
    }();
    // The bits of the largest 16-bit float with a finite double: one below the smallest whose double is infinite.
    static constexpr lane max_magnitude = [] {
        if constexpr (is_half_float<T>) {
            return static_cast<lane>(format_of<T>::infinity - format_of<T>::exponent_step - 1);
        } else {
            return lane{};
        }
    }();
};

/// Integers clamped to their type's limits; floats as in IEEE 754.
template <class Arch, class T>
struct doubling::clamped {
    using lane = lane_of<T>;
    using batch = xsimd::batch<lane, Arch>;

    [[nodiscard, gnu::always_inline]] constexpr lane operator()(lane x) const noexcept {
        if constexpr (std::integral<T>) {
            if (overflows<Arch, T>{}(x)) return x < 0 ? (limits::min)() : (limits::max)();
        }
        return map<Arch, T>{}(x);
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) const noexcept {
        if constexpr (std::integral<T> && sizeof(T) <= 2) {
            return xsimd::sadd(x, x);  // an instruction of its own on every machine
        } else if constexpr (std::unsigned_integral<T>) {
            return xsimd::select(overflows<Arch, T>{}(x), batch((limits::max)()), x + x);
        } else if constexpr (std::integral<T>) {
            batch const limit = xsimd::select(x < batch(T{0}), batch((limits::min)()), batch((limits::max)()));
            return xsimd::select(overflows<Arch, T>{}(x), limit, x + x);
        } else {
            return map<Arch, T>{}(x);
        }
    }

private:
    using limits = std::numeric_limits<lane>;
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
