// The element types of the wheel: those of the library, and those that only Python's arrays hold; and the table of an
// operation's kernels for all that have vectors.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <twofold/element.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <type_traits>
#include <utility>

namespace twofold_wheel {

/// A duration as in NumPy: a number of ticks, of which the smallest means "not a time".
struct timedelta64 {
    std::int64_t ticks;
    static constexpr std::int64_t not_a_time = (std::numeric_limits<std::int64_t>::min)();
    static constexpr std::int64_t max_ticks = (std::numeric_limits<std::int64_t>::max)();

    // Half of the smallest number would become the smallest, which is not a time.
    [[nodiscard, gnu::always_inline]] static constexpr bool overflows(std::int64_t x) noexcept {
        return (x > max_ticks / 2) | ((x < -(max_ticks / 2)) & (x != not_a_time));
    }
    [[nodiscard, gnu::always_inline]] static constexpr std::int64_t wrapped(std::int64_t x) noexcept {
        auto const bits = static_cast<std::uint64_t>(x);
        return x == not_a_time ? x : static_cast<std::int64_t>(bits + bits);
    }
};

/// Element numbers count these.
using wheel_element_types = twofold::detail::tuple_after<void
#define TWOFOLD_ELEMENT_TYPE(type, ...) , type
#define TWOFOLD_WHEEL_ELEMENT_TYPE TWOFOLD_ELEMENT_TYPE
#include <twofold/element_types.def>
                                                         >;

inline constexpr std::size_t element_count = std::tuple_size_v<wheel_element_types>;

template <std::size_t I>
using element_number = std::tuple_element_t<I, wheel_element_types>;

/// What kernels run on, also for elements that only the wheel knows.
template <class T>
using scalar_of = typename twofold::detail::scalar<T>::type;

template <class T>
inline constexpr std::size_t scalars_per_element = sizeof(T) / sizeof(scalar_of<T>);

/// The index of T in a list of types; the length of the list if it is not in it.
template <class T, class Types>
inline constexpr std::size_t index_in = 0;
template <class T, class... Types>
inline constexpr std::size_t index_in<T, std::tuple<Types...>> = [] {
    std::size_t i = 0;
    static_cast<void>(((std::is_same_v<T, Types> || (++i, false)) || ...));
    return i;
}();

/// A row of element_types.def.
struct element_row {
    char const* name;
    char kind;
    unsigned bits;
    char const* numpy_letters;
    char const* struct_letters;
    int dlpack_code;
    char const* arrow_letter;
    bool raises_flags;
    bool in_library;  // not of the wheel alone
};

inline constexpr element_row element_rows[] = {
#define TWOFOLD_ELEMENT_TYPE(type, ...) {__VA_ARGS__, twofold::element<type>},
#define TWOFOLD_WHEEL_ELEMENT_TYPE TWOFOLD_ELEMENT_TYPE
#include <twofold/element_types.def>
};

#define TWOFOLD_ELEMENT_TYPE(...)
#define TWOFOLD_WHEEL_ELEMENT_TYPE(type, name, kind, bits, ...) \
    static_assert(twofold::detail::is_of<type, kind, bits> && !twofold::element<type>);
#include <twofold/element_types.def>

template <class T>
[[nodiscard]] constexpr element_row const& describe_wheel_element() noexcept {
    return element_rows[index_in<T, wheel_element_types>];
}

/// Calls use(type_identity<T>) for the type T that has this number.
template <class Use>
void with_element(int number, Use const& use) noexcept {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (void)((static_cast<std::size_t>(number) == I && (use(std::type_identity<element_number<I>>{}), true)) || ...);
    }(std::make_index_sequence<element_count>{});
}

// ---- kernels

/// The scalars that have kernels of each instruction set.
using kernel_scalar_types = typename twofold::detail::scalars_among<wheel_element_types>::type;

inline constexpr std::size_t kernel_scalar_count = std::tuple_size_v<kernel_scalar_types>;

/// The index of a scalar among them; their number if it has no such kernels.
template <class T>
inline constexpr std::size_t kernel_number_of = index_in<T, kernel_scalar_types>;

/// The kernels of one operation and one instruction set.
struct kernel_table {
    twofold::detail::kernel_row rows[kernel_scalar_count];
};

}  // namespace twofold_wheel

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <>
struct lane_type<twofold_wheel::timedelta64> {
    using type = std::int64_t;
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
