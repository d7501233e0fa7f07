// The element types of the wheel: those of the library, and what only Python's arrays hold.
#pragma once

#include <algorithm>
#include <bit>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <tuple>
#include <twofold/simd/kernel_set.hpp>
#include <type_traits>
#include <utility>

#include "packing.hpp"

namespace twofold_wheel {

/// A duration as NumPy has it: a number of ticks, of which the least one stands for "not a time".
struct timedelta64 {
    std::int64_t ticks;
    static constexpr std::int64_t not_a_time = (std::numeric_limits<std::int64_t>::min)();
    static constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)();

    // Half of the least number becomes the least one, and so would no longer be a time.
    [[nodiscard, gnu::always_inline]] static constexpr bool overflows(std::int64_t x) noexcept {
        return (x > most / 2) | ((x < -(most / 2)) & (x != not_a_time));
    }
    [[nodiscard, gnu::always_inline]] static constexpr std::int64_t wrapped(std::int64_t x) noexcept {
        auto const bits = static_cast<std::uint64_t>(x);
        return x == not_a_time ? x : static_cast<std::int64_t>(bits + bits);
    }
};

/// Element numbers count these.
using wheel_element_types =
    decltype(std::tuple_cat(std::declval<twofold::element_types>(),
                            std::declval<std::tuple<long double, std::complex<long double>, timedelta64>>()));

inline constexpr std::size_t element_count = std::tuple_size_v<wheel_element_types>;

template <std::size_t I>
using element_number = std::tuple_element_t<I, wheel_element_types>;

/// What elements are doubled by; of those that the library does not know, too.
template <class T>
struct wheel_part {
    using type = T;
};
template <class T>
struct wheel_part<std::complex<T>> {
    using type = T;
};
template <class T>
using wheel_part_of = typename wheel_part<T>::type;

template <class T>
inline constexpr std::size_t wheel_parts = sizeof(T) / sizeof(wheel_part_of<T>);

template <class T>
inline constexpr bool is_library_part = twofold::detail::is_one_of<T, twofold::detail::part_types>;

template <class T>
[[nodiscard]] constexpr twofold::element_description describe_wheel_element() noexcept {
    constexpr auto bits = static_cast<unsigned>(sizeof(T) * std::numeric_limits<unsigned char>::digits);
    if constexpr (is_library_part<wheel_part_of<T>>) return twofold::describe_element<T>;
    if constexpr (std::is_same_v<T, timedelta64>) return {'m', bits};
    return {wheel_parts<T> == 1 ? 'f' : 'c', bits};
}

// ---- kernels

/// The parts that have kernels of each instruction set.
using kernel_part_types =
    decltype(std::tuple_cat(std::declval<twofold::detail::part_types>(), std::declval<std::tuple<timedelta64>>()));

using kernel_table = twofold::detail::kernel_table_of<kernel_part_types>;

/// Kernels of the same form for `long double`, which no machine has vectors of.
struct long_double_kernels {
    using stores = twofold::detail::stores;

    template <stores>
    static void wrap(long double const* in, long double* out, std::size_t n) noexcept {
        auto const* const from = reinterpret_cast<unaligned const*>(in);
        auto* const to = reinterpret_cast<unaligned*>(out);
        for (std::size_t i = 0; i < n; ++i) to[i].value = from[i].value + from[i].value;
    }
    template <stores>
    static void wrap_turned(long double const* in, long double* out, std::size_t n) noexcept {
        // By way of a buffer: what was written in two halves can be read as a whole only when it has left for the
        // cache.
        constexpr std::size_t most = 128;
        long double buffer[most];
        for (std::size_t done = 0; done < n; done += most) {
            std::size_t const count = (std::min)(most, n - done);
            turn(in + done, buffer, count);
            wrap<stores::cached>(buffer, buffer, count);
            turn(buffer, out + done, count);
        }
    }
    template <stores Where>
    static void saturate(long double const* in, long double* out, std::size_t n) noexcept {
        wrap<Where>(in, out, n);
    }
    template <stores>
    static bool checked(long double const* in, long double* out, std::size_t n) noexcept {
        auto const* const from = reinterpret_cast<unaligned const*>(in);
        auto* const to = reinterpret_cast<unaligned*>(out);
        bool any = false;
        for (std::size_t i = 0; i < n; ++i) {
            long double const x = from[i].value;
            any |= overflows(x);
            to[i].value = x + x;
        }
        return any;
    }
    /// On a block with any strides, of elements of so many parts.
    template <std::size_t Parts>
    static void wrap_each(packing::source from, packing::target to, std::size_t rows, std::size_t columns) noexcept {
        packing::run_along(from, to, rows, columns);
        for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t c = 0; c < columns; ++c) {
                auto const* const in = reinterpret_cast<unaligned const*>(from.at(r, c));
                auto* const out = reinterpret_cast<unaligned*>(to.at(r, c));
                for (std::size_t p = 0; p < Parts; ++p) out[p].value = in[p].value + in[p].value;
            }
        }
    }
    static std::size_t first_overflow(long double const* in, std::size_t n) noexcept {
        auto const* const from = reinterpret_cast<unaligned const*>(in);
        std::size_t i = 0;
        while (i < n && !overflows(from[i].value)) ++i;
        return i;
    }

private:
    // At any address. Read and written as a number, not as bytes: a processor's 80-bit registers take no others.
    struct [[gnu::packed, gnu::may_alias]] unaligned {
        long double value;
    };

    static constexpr bool overflows(long double x) noexcept {
        using limits = std::numeric_limits<long double>;
        long double const magnitude = x < 0 ? -x : x;
        return magnitude > (limits::max)() / 2 && magnitude <= (limits::max)();
    }

    static void turn(long double const* in, long double* out, std::size_t n) noexcept {
        std::memcpy(static_cast<void*>(out), in, n * sizeof(long double));
        packing::turn_round<sizeof(long double)>(reinterpret_cast<std::byte*>(out), n);
    }
};

/// Doubles a block of time differences with any strides, modulo 2^64. Returns whether any overflows.
template <bool TurnIn, bool TurnOut>
bool double_each_time(packing::source from, packing::target to, std::size_t rows, std::size_t columns) noexcept {
    packing::run_along(from, to, rows, columns);
    using bits = std::uint64_t;
    using pair = packing::pair_of<bits>;
    using halves = packing::vector<std::uint32_t>;
    constexpr auto none = static_cast<bits>(timedelta64::not_a_time);
    // What fits, and no more than that, is positive after half of the range was added, and after one less was.
    constexpr auto half = static_cast<bits>(timedelta64::most / 2);
    pair beyond{};
    auto const by_twos = [&beyond](pair const& x) {
        // By halves, since the weakest x86-64 compares no more at once.
        auto const equal = std::bit_cast<halves>(x) == std::bit_cast<halves>(pair{none, none});
        auto const is_none = std::bit_cast<pair>(equal & __builtin_shufflevector(equal, equal, 1, 0, 3, 2));
        beyond |= ((x + half) | (x + (half + 1))) & ~is_none;
        return (x + x) | (x & is_none);
    };
    packing::each_pair<bits, TurnIn, TurnOut>(from, to, rows, columns, [&](auto const& x) {
        if constexpr (sizeof(x) == sizeof(bits)) {
            return by_twos(pair{x})[0];
        } else {
            return by_twos(x);
        }
    });
    return static_cast<std::int64_t>(beyond[0] | beyond[1]) < 0;
}

/// The kernels for a part: those of the table, or plain ones.
template <class Part>
[[nodiscard]] twofold::detail::part_kernel_pointers<Part> const& kernels_for(kernel_table const& kernels) noexcept {
    if constexpr (twofold::detail::is_one_of<Part, kernel_part_types>) {
        return kernels;
    } else {
        return twofold::detail::pointers_to<long_double_kernels, Part>;
    }
}

/// How a policy reads for an element: durations that overflow are errors, as NumPy has it, unless they are clamped.
template <class T>
[[nodiscard]] constexpr twofold::overflow_policy policy_for(twofold::overflow_policy policy) noexcept {
    using enum twofold::overflow_policy;
    return std::is_same_v<T, timedelta64> && policy == wrap ? raise : policy;
}

/// use(type_identity<T>) for the type T that has this number.
template <class Use>
void with_element(int number, Use const& use) noexcept {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (void)((static_cast<std::size_t>(number) == I && (use(std::type_identity<element_number<I>>{}), true)) || ...);
    }(std::make_index_sequence<element_count>{});
}

}  // namespace twofold_wheel
