// Arrays of each element type of the wheel, also of those that the library does not know: any_array.hpp, with values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "_engine/dispatch.hpp"
#include "any_array.hpp"
#include "expected.hpp"

template <class T>
inline constexpr bool is_extended = std::is_same_v<twofold_wheel::scalar_of<T>, long double>;

template <class T>
[[nodiscard]] T any_value(std::size_t i) {
    if constexpr (std::is_same_v<T, long double>) {
        // Of every magnitude that there is.
        return std::ldexp(static_cast<long double>(arbitrary<std::int64_t>(i)),
                          static_cast<int>(arbitrary<std::uint16_t>(i) % 32768) - 16446);
    } else if constexpr (is_extended<T>) {
        return {any_value<long double>(2 * i), any_value<long double>(2 * i + 1)};
    } else if constexpr (std::is_same_v<T, twofold_wheel::timedelta64>) {
        return {i % 5 == 0 ? twofold_wheel::timedelta64::not_a_time : arbitrary<std::int64_t>(i)};
    } else {
        return arbitrary<T>(i);
    }
}

template <class T>
[[nodiscard]] int number_of() {
    constexpr auto description = twofold_wheel::describe_wheel_element<T>();
    return twofold_wheel::find_element(description.kind, sizeof(T));
}

template <class T>
inline constexpr std::size_t scalar_bytes = sizeof(twofold_wheel::scalar_of<T>);

template <class T>
struct wheel_array : test_array {
    wheel_array(test_array made) : test_array(std::move(made)) {}

    [[nodiscard]] twofold_wheel::array_side side() { return {data(), strides.data(), swapped}; }
    /// Element `index` in C order.
    [[nodiscard]] T get(std::size_t index) {
        T value;
        read(index, &value);
        return value;
    }
    void set(std::size_t index, T const& value) { write(index, &value); }

    /// An x87 number has 10 bytes; the others are nobody's.
    void clear_padding() {
        if constexpr (is_extended<T> && std::numeric_limits<long double>::digits == 64) {
            for (std::size_t i = 0; i < size(); ++i) {
                for (std::size_t part = 0; part < sizeof(T); part += 16) {
                    std::fill_n(at(i) + part + (swapped ? 0 : 10), 6, std::byte{0});
                }
            }
        }
    }
};

template <class T>
[[nodiscard]] wheel_array<T> any_wheel_array(random_numbers& random, std::vector<std::size_t> const& shape,
                                             bool may_repeat) {
    return any_array(random, sizeof(T), scalar_bytes<T>, shape, may_repeat);
}
