// What benchmarks/peers.py compares: ways of doubling an array, each under a name, with one function for each element
// type. Each file beside this one puts its ways on the list; main.cpp measures them.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peers {

// In this order everywhere below.
inline constexpr std::array<std::string_view, 6> type_names{"u8", "u16", "u32", "u64", "f32", "f64"};

/// Calls f.template operator()<T>(i) for each element type T and its place i in `type_names`.
template <class Function>
void for_each_type(Function const& f) {
    f.template operator()<std::uint8_t>(std::size_t{0});
    f.template operator()<std::uint16_t>(std::size_t{1});
    f.template operator()<std::uint32_t>(std::size_t{2});
    f.template operator()<std::uint64_t>(std::size_t{3});
    f.template operator()<float>(std::size_t{4});
    f.template operator()<double>(std::size_t{5});
}

/// `in` and `out` begin on a huge page, and the bytes of `n` elements are a multiple of 64.
using doubling = void (*)(void const* in, void* out, std::size_t n);

/// One way of doubling. A null pointer stands where it cannot.
struct way {
    std::string name;
    std::array<doubling, type_names.size()> out_of_place{};
    std::array<doubling, type_names.size()> in_place{};  // in == out
    // Called before and after the calls that are measured, by a way whose threads would otherwise go on spinning when
    // it is another's turn.
    void (*before_turn)() = nullptr;
    void (*after_turn)() = nullptr;
};

template <class Way, class T>
concept doubles_out_of_place = requires(T const* in, T* out, std::size_t n) { Way::out_of_place(in, out, n); };

template <class Way, class T>
concept doubles_in_place = requires(T* values, std::size_t n) { Way::in_place(values, n); };

template <class Way, class T>
[[nodiscard]] doubling function_out_of_place() {
    if constexpr (doubles_out_of_place<Way, T>) {
        return [](void const* in, void* out, std::size_t n) {
            Way::out_of_place(static_cast<T const*>(in), static_cast<T*>(out), n);
        };
    } else {
        return nullptr;
    }
}

template <class Way, class T>
[[nodiscard]] doubling function_in_place() {
    if constexpr (doubles_in_place<Way, T>) {
        return [](void const*, void* out, std::size_t n) { Way::in_place(static_cast<T*>(out), n); };
    } else {
        return nullptr;
    }
}

/// The way whose functions are `Way::out_of_place(in, out, n)` and `Way::in_place(values, n)`, or one of them.
template <class Way>
[[nodiscard]] way make_way(std::string name) {
    way result;
    result.name = std::move(name);
    for_each_type([&]<class T>(std::size_t type) {
        result.out_of_place[type] = function_out_of_place<Way, T>();
        result.in_place[type] = function_in_place<Way, T>();
    });
    return result;
}

/// All ways of this program. The libraries that are not installed leave none.
[[nodiscard]] inline std::vector<way>& all_ways() {
    static std::vector<way> ways;
    return ways;
}

/// Names and versions of what was compiled in, for the report: "name=version".
[[nodiscard]] inline std::vector<std::string>& all_versions() {
    static std::vector<std::string> versions;
    return versions;
}

/// x + x as the type itself has it: integers wrap.
template <class T>
[[nodiscard]] constexpr T twice(T x) noexcept {
    return static_cast<T>(x + x);
}

}  // namespace peers
