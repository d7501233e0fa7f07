// The element types of the wheel: those of the library, which have kernels of each instruction set, and what only
// Python's arrays hold, which has plain loops.
#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <tuple>
#include <twofold/dispatch.hpp>
#include <type_traits>
#include <utility>

namespace twofold_wheel {

/// A duration as NumPy has it: a number of ticks, of which the least one stands for "not a time".
struct timedelta64 {
    std::int64_t ticks;
    static constexpr std::int64_t not_a_time = (std::numeric_limits<std::int64_t>::min)();
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

// ---- plain loops

/// What doubling means for a part without kernels.
template <class T>
struct plain_double;

template <>
struct plain_double<long double> {
    static constexpr bool overflows(long double x) noexcept {
        using limits = std::numeric_limits<long double>;
        long double const magnitude = x < 0 ? -x : x;
        return magnitude > (limits::max)() / 2 && magnitude <= (limits::max)();
    }
    static constexpr long double wrapped(long double x) noexcept { return x + x; }
    static constexpr long double saturated(long double x) noexcept { return x + x; }
};

template <>
struct plain_double<timedelta64> {
    static constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)();

    // Half of the least number becomes the least one, and so would no longer be a time.
    static constexpr bool overflows(timedelta64 x) noexcept {
        return x.ticks != timedelta64::not_a_time && (x.ticks > most / 2 || x.ticks < -(most / 2));
    }
    static constexpr timedelta64 wrapped(timedelta64 x) noexcept {
        auto const bits = static_cast<std::uint64_t>(x.ticks);
        return x.ticks == timedelta64::not_a_time ? x : timedelta64{static_cast<std::int64_t>(bits + bits)};
    }
    static constexpr timedelta64 saturated(timedelta64 x) noexcept {
        return overflows(x) ? timedelta64{x.ticks < 0 ? -most : most} : wrapped(x);
    }
};

/// Kernels of the same form as those of the table, for any machine.
template <class T>
struct plain_kernels {
    using stores = twofold::detail::stores;

    template <stores>
    static void wrap(T const* in, T* out, std::size_t n) noexcept {
        each<plain_double<T>::wrapped, false>(in, out, n);
    }
    template <stores>
    static void wrap_turned(T const* in, T* out, std::size_t n) noexcept {
        each<plain_double<T>::wrapped, true>(in, out, n);
    }
    template <stores>
    static void saturate(T const* in, T* out, std::size_t n) noexcept {
        each<plain_double<T>::saturated, false>(in, out, n);
    }
    template <stores Where>
    static bool checked(T const* in, T* out, std::size_t n) noexcept {
        bool const overflows = first_overflow(in, n) < n;  // before the input is written to, where it is
        wrap<Where>(in, out, n);
        return overflows;
    }
    static std::size_t first_overflow(T const* in, std::size_t n) noexcept {
        std::size_t i = 0;
        while (i < n && !plain_double<T>::overflows(loaded<false>(in + i))) ++i;
        return i;
    }

private:
    // By bytes: not all of those of a `long double` are copied with it.
    template <bool Turned>
    static void copy(void const* from, void* to) noexcept {
        std::byte bytes[sizeof(T)];
        std::memcpy(bytes, from, sizeof(T));
        if (Turned) std::reverse(bytes, bytes + sizeof(T));
        std::memcpy(to, bytes, sizeof(T));
    }

    template <bool Turned>
    [[nodiscard]] static T loaded(T const* from) noexcept {
        T value;
        copy<Turned>(from, &value);
        return value;
    }

    template <auto Function, bool Turned>
    static void each(T const* in, T* out, std::size_t n) noexcept {
        for (std::size_t i = 0; i < n; ++i) {
            T const value = Function(loaded<Turned>(in + i));
            copy<Turned>(&value, out + i);
        }
    }
};

/// The kernels for a part: those of the table, or plain ones.
template <class Part>
[[nodiscard]] twofold::detail::part_kernel_pointers<Part> const& kernels_for(
    twofold::detail::kernel_table const& kernels) noexcept {
    if constexpr (is_library_part<Part>) {
        return kernels;
    } else {
        return twofold::detail::pointers_to<plain_kernels<Part>, Part>;
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
