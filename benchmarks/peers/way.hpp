// What benchmarks/peers.py compares: ways of doubling an array and of running STREAM's kernels, each under a name, with
// one function for each task and element type. Each file beside this one puts its ways on the list; main.cpp measures
// them.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
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

/// What a call works on. Each array begins on a huge page, and its bytes are a multiple of 64.
struct arrays {
    void* in;
    void* second;  // the other input, of tasks that have two
    void* out;
};

/// Returns the result of tasks that reduce to one number.
using function = double (*)(arrays const& on, std::size_t n);

// STREAM's kernels, which map a double, or a vector of them, with McCalpin's scalar.
inline constexpr double stream_scalar = 3;

struct copy {
    auto operator()(auto x) const noexcept { return x; }
};
struct scale {
    auto operator()(auto x) const noexcept { return x * stream_scalar; }
};
struct add {
    auto operator()(auto x, auto y) const noexcept { return x + y; }
};
struct triad {
    auto operator()(auto x, auto y) const noexcept { return x + y * stream_scalar; }
};

/// One way of doing these tasks.
struct way {
    std::string name;
    // For each task that it can do the function for each element type; a null pointer stands where it cannot. The tasks
    // are `out` and `in`, which double out of place and in place, and STREAM's kernels and `dot`.
    std::map<std::string, std::array<function, type_names.size()>> tasks;
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
double double_out_of_place(arrays const& on, std::size_t n) {
    Way::out_of_place(static_cast<T const*>(on.in), static_cast<T*>(on.out), n);
    return 0;
}

template <class Way, class T>
double double_in_place(arrays const& on, std::size_t n) {
    Way::in_place(static_cast<T*>(on.out), n);
    return 0;
}

template <class Way>
concept maps = requires(double const* in, double* out, std::size_t n) { Way::map(copy(), n, out, in); };

template <class Way>
concept has_dot = requires(double const* in, std::size_t n) { Way::dot(n, in, in); };

template <class Way, class Kernel>
double map_by(arrays const& on, std::size_t n) {
    auto const* const in = static_cast<double const*>(on.in);
    auto const* const second = static_cast<double const*>(on.second);
    auto* const out = static_cast<double*>(on.out);
    if constexpr (std::invocable<Kernel, double>) {
        Way::map(Kernel(), n, out, in);
    } else {
        Way::map(Kernel(), n, out, in, second);
    }
    return 0;
}

/// The way whose functions are `Way::out_of_place(in, out, n)`, `Way::in_place(values, n)`, `Way::map(kernel, n, out,
/// in...)` and `Way::dot(n, x, y)`, or some of them.
template <class Way>
[[nodiscard]] way make_way(std::string name) {
    way result;
    result.name = std::move(name);
    for_each_type([&]<class T>(std::size_t type) {
        if constexpr (doubles_out_of_place<Way, T>) result.tasks["out"][type] = double_out_of_place<Way, T>;
        if constexpr (doubles_in_place<Way, T>) result.tasks["in"][type] = double_in_place<Way, T>;
    });
    constexpr std::size_t f64 = 5;
    static_assert(type_names[f64] == "f64");
    if constexpr (maps<Way>) {
        result.tasks["copy"][f64] = map_by<Way, copy>;
        result.tasks["scale"][f64] = map_by<Way, scale>;
        result.tasks["add"][f64] = map_by<Way, add>;
        result.tasks["triad"][f64] = map_by<Way, triad>;
    }
    if constexpr (has_dot<Way>) {
        result.tasks["dot"][f64] = [](arrays const& on, std::size_t n) {
            return Way::dot(n, static_cast<double const*>(on.in), static_cast<double const*>(on.second));
        };
    }
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
