// Promises of run_array and of slices: any array of any element type comes out as a plain loop has it, and nothing
// else in memory changes.
#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "_engine/any_wheel_array.hpp"
#include "_engine/dispatch.hpp"
#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"
#include "policies.hpp"

namespace {

using twofold_wheel::array_side;
using twofold_wheel::doubling_operation;
using twofold_wheel::interrupted;
using twofold_wheel::timedelta64;
using bytes = std::vector<std::byte>;

using twofold::detail::min_transposed_bytes;

// ---- what is expected of the elements that only the wheel has; expected.hpp has the others

template <class T>
bool overflows(T x) {
    if constexpr (std::is_same_v<T, long double>) {
        return std::isfinite(x) && std::isinf(x + x);
    } else if constexpr (is_extended<T>) {
        return overflows(x.real()) || overflows(x.imag());
    } else if constexpr (std::is_same_v<T, timedelta64>) {
        std::int64_t sum;
        if (x.ticks == timedelta64::not_a_time) return false;
        return __builtin_add_overflow(x.ticks, x.ticks, &sum) || sum == timedelta64::not_a_time;
    } else {
        return expected_overflows(x);
    }
}

template <class T>
T doubled(T x, overflow_policy policy) {
    if constexpr (std::is_same_v<T, long double>) {
        return x + x;
    } else if constexpr (is_extended<T>) {
        return {x.real() + x.real(), x.imag() + x.imag()};
    } else if constexpr (std::is_same_v<T, timedelta64>) {
        if (x.ticks == timedelta64::not_a_time) return x;
        if (!overflows(x)) return {2 * x.ticks};
        return {x.ticks < 0 ? -std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::max()};
    } else {
        return expected_double(x, policy);
    }
}

template <class T>
bool raises(overflow_policy policy) {
    return policy == overflow_policy::raise || (std::is_same_v<T, timedelta64> && policy == overflow_policy::wrap);
}

template <class T>
T any_value_that_fits(std::size_t i) {
    T x = any_value<T>(i);
    while (overflows(x)) x = any_value<T>(i += 1'000'003);
    return x;
}

// One call, against a plain loop. What is wrong with it, or nothing.
template <class T>
std::string fault_of_call(twofold_wheel::instruction_set const& set, wheel_array<T> in, wheel_array<T>* separate_out,
                          overflow_policy policy, unsigned threads) {
    wheel_array<T>& out = separate_out != nullptr ? *separate_out : in;
    std::size_t const n = in.size();
    std::size_t first = n;
    wheel_array<T> right = out;
    for (std::size_t i = 0; i < n; ++i) {
        T const value = in.get(i);
        if (first == n && raises<T>(policy) && overflows(value)) first = i;
        right.set(i, doubled(value, policy));
    }
    bytes const before = in.memory;
    share_next_call();
    std::size_t const done =
        twofold_wheel::run_array(doubling_operation, set.number, number_of<T>(), in.side(), out.side(), in.shape.data(),
                                 static_cast<int>(in.shape.size()), {threads, true}, policy);
    if (done != first) return "returned " + std::to_string(done) + ", not " + std::to_string(first);
    if ((separate_out != nullptr || first < n) && in.memory != before) return "the input has changed";
    if (first < n) return "";  // of another output nothing is promised
    out.clear_padding();
    right.clear_padding();
    return out.memory == right.memory ? "" : "the output is wrong";
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("any array is doubled as a plain loop doubles it, and nothing else in memory changes",
                        "[arrays]", twofold_wheel::wheel_element_types) {
    using T = TestType;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t seed = 0; seed < array_count(); ++seed) {
            random_numbers random{seed * 1000};
            auto const shape = any_shape(random, seed % 20 == 0);
            auto in = any_wheel_array<T>(random, shape, true);
            auto out = any_wheel_array<T>(random, shape, false);
            if (random.one_in(3)) {  // of the same layout
                in.strides = out.strides;
                in.first = out.first;
                in.memory = out.memory;
            }
            overflow_policy const policy = policies[random.below(3)];
            bool const fits = raises<T>(policy) && random.one_in(2);
            std::size_t const n = in.size();
            for (std::size_t i = 0; i < n; ++i) {
                in.set(i, raises<T>(policy) ? any_value_that_fits<T>(i + seed) : any_value<T>(i + seed));
            }
            // In a few places, so that the first in memory is not the first in the order of C.
            for (std::size_t k = 0; k < 3 && raises<T>(policy) && !fits && n > 0; ++k) {
                std::size_t i = seed + k;
                while (!overflows(any_value<T>(i))) ++i;
                in.set(random.below(n), any_value<T>(i));
            }
            std::string const case_name = std::string(set.name) + ", seed " + std::to_string(seed);
            CAPTURE(case_name, static_cast<int>(policy));
            CHECK(fault_of_call<T>(set, in, &out, policy, seed % 2 == 0 ? 2 : 1) == "");
            auto here = any_wheel_array<T>(random, shape, false);
            for (std::size_t i = 0; i < n; ++i) here.set(i, in.get(i));
            CHECK(fault_of_call<T>(set, here, nullptr, policy, seed % 2 == 0 ? 2 : 1) == "");
        }
    }
}

// Beyond the cache, which is set as small as it may be: stores are streamed, whole lines from the buffer and others
// not.
TEMPLATE_LIST_TEST_CASE("large arrays are streamed, and right", "[arrays]", twofold_wheel::wheel_element_types) {
    using T = TestType;
    std::size_t const cache_before = twofold::detail::the_cache_size;
    // A small cache, so that arrays that are streamed are small, too: an emulator is slow.
    twofold::detail::the_cache_size = std::size_t{1} << 18;
    auto const set = twofold_wheel::instruction_sets().back().supported ? twofold_wheel::instruction_sets().back()
                                                                        : twofold_wheel::instruction_sets().front();
    // Each side is long enough, too, to be streamed in whole lines where the array is transposed.
    std::size_t const side = (std::max)(static_cast<std::size_t>(std::sqrt((std::size_t{3} << 18) / sizeof(T))),
                                        min_transposed_bytes / sizeof(T)) +
                             1;
    auto const step = static_cast<std::ptrdiff_t>(sizeof(T));
    auto const row = step * static_cast<std::ptrdiff_t>(side);
    auto const row_of_lines = (row + 63) / 64 * 64;
    auto const plane = row * static_cast<std::ptrdiff_t>(side);
    std::size_t const memory = side * side * sizeof(T) * 2 + 256;
    struct {
        std::vector<std::ptrdiff_t> in;
        std::vector<std::ptrdiff_t> out;
        bool swapped;
        std::ptrdiff_t out_past = 0;  // bytes
    } const layouts[] = {
        {{step, row}, {row, step}, false},
        {{step, row}, {2 * row, step}, false},
        {{row, step}, {row, step}, true},
        {{2 * row, step}, {row, step}, false},
        {{step, row}, {row, step}, true},
        {{row, step}, {step, row}, false},
        {{step, 0}, {row, step}, false},
        {{step, 0}, {row, step}, true},
        {{0, step}, {row, step}, false},
        // Rows that all begin with a cache line, that begin anywhere in one, within an element of one; and planes.
        {{step, row}, {row_of_lines, step}, false},
        {{step, row}, {row + step, step}, false},
        {{step, row}, {row, step}, false, 1},
        {{plane, step, row}, {plane, row, step}, false},
    };
    for (auto const& layout : layouts) {
        for (unsigned const threads : {1u, 2u}) {
            std::vector<std::size_t> const shape =
                layout.in.size() == 2 ? std::vector<std::size_t>{side, side} : std::vector<std::size_t>{2, side, side};
            std::size_t const n = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>{});
            auto const array_with = [&](std::vector<std::ptrdiff_t> const& strides, std::ptrdiff_t first) {
                bytes const untouched(memory, std::byte{0x5A});
                return test_array{sizeof(T), scalar_bytes<T>, shape, strides, layout.swapped, untouched, first};
            };
            wheel_array<T> in = array_with(layout.in, 64 + 16);
            wheel_array<T> out = array_with(layout.out, 64 + 3 * 16 + layout.out_past);
            for (std::size_t i = 0; i < n; ++i) in.set(i, any_value_that_fits<T>(i % 1000));
            CAPTURE(threads, layout.in, layout.out, layout.swapped, layout.out_past);
            auto const policy = threads == 1 ? overflow_policy::wrap : overflow_policy::raise;
            CHECK(fault_of_call<T>(set, in, &out, policy, threads) == "");
        }
    }
    twofold::detail::the_cache_size = cache_before;
}

TEST_CASE("an array in the order of Fortran names the first overflow in the order of C", "[arrays]") {
    std::vector<std::uint32_t> values(600 * 500, 1);
    std::size_t const shape[] = {600, 500};
    std::ptrdiff_t const strides[] = {4, 2400};
    values[1 * 600 + 7] = values[499 * 600 + 3] = 0x80000000u;  // at (7, 1), first in memory, and (3, 499)
    auto const before = values;
    std::vector<std::uint32_t> out(values.size());
    array_side const side{values.data(), strides, false};
    for (void* const target : {static_cast<void*>(values.data()), static_cast<void*>(out.data())}) {
        share_next_call();
        CHECK(twofold_wheel::run_array(doubling_operation, 0, number_of<std::uint32_t>(), side,
                                       {target, strides, false}, shape, 2, {2, true},
                                       overflow_policy::raise) == 3 * 500 + 499);
        CHECK((values == before));
    }
}

TEST_CASE("the first overflow is named, whichever a helper has found before", "[arrays]") {
    // A helper begins at the end, where there is one, too.
    std::size_t const shape[] = {2000, 500};
    std::ptrdiff_t const strides[] = {2400, 4};
    std::vector<std::uint32_t> values(2000 * 600, 1);
    values[800 * 600 + 7] = values[1999 * 600 + 499] = 0x80000000u;
    array_side const side{values.data(), strides, false};
    for (int i = 0; i < 20; ++i) {
        share_next_call();
        CHECK(twofold_wheel::run_array(doubling_operation, 0, number_of<std::uint32_t>(), side, side, shape, 2,
                                       {2, true}, overflow_policy::raise) == 800 * 500 + 7);
    }
}

TEST_CASE("an array in which elements share bytes is told from others", "[arrays]") {
    std::uint32_t values[100] = {};
    struct {
        std::vector<std::size_t> shape;
        std::vector<std::ptrdiff_t> strides;
        bool shares;
    } const layouts[] = {
        {{100}, {4}, false},      {{50}, {-8}, false},       {{10, 10}, {4, 40}, false},
        {{1, 5}, {0, 4}, false},  {{0, 5}, {0, 4}, false},   {{3, 5, 2}, {4, -24, 12}, false},
        {{5}, {0}, true},         {{50}, {2}, true},         {{98, 3}, {4, 4}, true},
        {{3, 3}, {-4, -8}, true}, {{10, 10}, {36, 4}, true}, {{2, 5, 2}, {8, -12, 4}, true},
    };
    for (auto const& layout : layouts) {
        CAPTURE(layout.shape, layout.strides);
        array_side const side{values + 50, layout.strides.data(), false};
        auto const ndim = static_cast<int>(layout.shape.size());
        CHECK(twofold::detail::overlaps_itself(side, layout.shape.data(), ndim, 4) == layout.shares);
    }
}

TEST_CASE("durations: what is not a time stays so, and what overflows is never taken for it", "[arrays]") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t none = timedelta64::not_a_time;
    // Enough for whole vectors and some that are left.
    constexpr std::size_t n = 37;
    constexpr std::int64_t some[] = {0, -1, most / 2, -(most / 2), none};
    constexpr std::int64_t doubles[] = {0, -2, most - 1, -(most - 1), none};
    std::size_t const shape[] = {n};
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::ptrdiff_t const step : {8, 16, -8}) {
            for (bool const swapped : {false, true}) {
                std::ptrdiff_t const first = step < 0 ? std::ptrdiff_t{8 * n - 8} : 0;
                wheel_array<timedelta64> in = test_array{8, 8, {n}, {step}, swapped, bytes(n * 16), first};
                auto out = in;
                CAPTURE(set.name, step, swapped);
                for (std::size_t i = 0; i < n; ++i) in.set(i, {some[i % 5]});
                for (overflow_policy const policy : policies) {
                    CHECK(twofold_wheel::run_array(doubling_operation, set.number, number_of<timedelta64>(), in.side(),
                                                   out.side(), shape, 1, {1, true}, policy) == n);
                    for (std::size_t i = 0; i < n; ++i) CHECK(out.get(i).ticks == doubles[i % 5]);
                }
                for (std::int64_t const least : {most / 2 + 1, -(most / 2) - 1}) {
                    for (std::size_t at = 0; at < n; ++at) {
                        auto one = in;
                        one.set(at, {least});
                        for (overflow_policy const policy : {overflow_policy::wrap, overflow_policy::raise}) {
                            CHECK(twofold_wheel::run_array(doubling_operation, set.number, number_of<timedelta64>(),
                                                           one.side(), out.side(), shape, 1, {1, true}, policy) == at);
                        }
                        twofold_wheel::run_array(doubling_operation, set.number, number_of<timedelta64>(), one.side(),
                                                 out.side(), shape, 1, {1, true}, overflow_policy::saturate);
                        CHECK(out.get(at).ticks == (least < 0 ? -most : most));
                    }
                }
            }
        }
    }
}

// ---- slices

namespace {

int asked = 0;
int enough = 0;

bool ask() {
    return ++asked < enough;
}

std::size_t double_in_slices(array_side in, array_side out, std::vector<std::size_t> const& shape, int max_slices,
                             overflow_policy policy = overflow_policy::wrap) {
    asked = 0;
    enough = max_slices;
    return twofold_wheel::run_array(doubling_operation, 0, number_of<std::uint32_t>(), in, out, shape.data(),
                                    static_cast<int>(shape.size()), {1, true}, policy, ask);
}

constexpr int any_number = 1000;

}  // namespace

TEST_CASE("between the slices of a long call it is asked whether to go on", "[arrays][slices]") {
    std::size_t const slice = twofold::detail::slice_bytes / 8;  // elements of a contiguous call
    std::vector<std::uint32_t> values(2 * slice + 7, 3);
    std::ptrdiff_t const step[] = {4};
    array_side const side{values.data(), step, false};
    CHECK(double_in_slices(side, side, {values.size()}, any_number) == values.size());
    CHECK(asked == 2);
    CHECK(std::ranges::count(values, 6u) == static_cast<std::ptrdiff_t>(values.size()));
    CHECK(double_in_slices(side, side, {slice}, any_number) == slice);
    CHECK(asked == 0);
}

TEST_CASE("an interrupted call leaves whole slices doubled", "[arrays][slices]") {
    std::size_t const slice = twofold::detail::slice_bytes / 8;
    std::vector<std::uint32_t> values(2 * slice + 7, 3);
    std::ptrdiff_t const step[] = {4};
    array_side const side{values.data(), step, false};
    CHECK(double_in_slices(side, side, {values.size()}, 2) == interrupted);
    CHECK(asked == 2);
    CHECK(std::ranges::count(values, 6u) == static_cast<std::ptrdiff_t>(2 * slice));
    CHECK(std::ranges::count(values, 3u) == 7);
    CHECK(double_in_slices(side, side, {values.size()}, 1, overflow_policy::raise) == interrupted);
    CHECK(std::ranges::count(values, 3u) == 7);
}

TEST_CASE("an overflow is counted from the start of the call, not of its slice", "[arrays][slices]") {
    std::size_t const slice = twofold::detail::slice_bytes / 8;
    std::size_t const n = 2 * slice + 7;
    std::vector<std::uint32_t> values(n, 3);
    std::vector<std::uint32_t> out(n);
    std::ptrdiff_t const step[] = {4};
    array_side const side{values.data(), step, false};
    values[slice + 5] = values[n - 1] = 0x80000000u;
    auto const before = values;
    CHECK(double_in_slices(side, {out.data(), step, false}, {n}, any_number, overflow_policy::raise) == slice + 5);
    CHECK(double_in_slices(side, side, {n}, any_number, overflow_policy::raise) == slice + 5);
    CHECK((values == before));
}

TEST_CASE("layouts that touch more memory than their elements are asked as often", "[arrays][slices]") {
    // Each element on a cache line of its own.
    std::size_t const n = twofold::detail::slice_bytes / 128 * 2 + 5;
    std::vector<std::uint32_t> values(n * 16, 3);
    std::ptrdiff_t const step[] = {64};
    array_side const side{values.data(), step, false};
    CHECK(double_in_slices(side, side, {n}, any_number) == n);
    CHECK(asked >= 2);
    CHECK(std::ranges::count(values, 6u) == static_cast<std::ptrdiff_t>(n));
    CHECK(double_in_slices(side, side, {n}, 1) == interrupted);
    CHECK(std::ranges::count(values, 12u) > 0);
    CHECK(std::ranges::count(values, 6u) > 0);
    values[16 * (n - 1)] = 0x80000000u;
    CHECK(double_in_slices(side, side, {n}, any_number, overflow_policy::raise) == n - 1);
    CHECK(double_in_slices(side, side, {n}, 1, overflow_policy::raise) == interrupted);
}

// An exception is pending then, which an index would hide.
TEST_CASE("a call that is told to stop says so, also where an overflow has been found", "[arrays][slices]") {
    constexpr std::size_t n = twofold::detail::slice_bytes / 8 / 4 * 5;  // a slice and a quarter, of any layout
    constexpr std::size_t rows = 64 * 5;
    constexpr std::ptrdiff_t step = 4;
    constexpr std::ptrdiff_t line = 64;
    constexpr std::ptrdiff_t row = step * static_cast<std::ptrdiff_t>(n / rows);
    constexpr std::ptrdiff_t column = step * static_cast<std::ptrdiff_t>(rows);
    struct layout {
        char const* name;
        std::vector<std::size_t> shape;
        std::vector<std::ptrdiff_t> in, out;
        bool swapped;
    };
    layout const layouts[] = {
        {"contiguous", {n}, {step}, {step}, false},
        {"strided", {n / 16}, {line}, {line}, false},
        {"one side strided", {n / 16}, {line}, {step}, false},
        {"byte-swapped", {n}, {step}, {step}, true},
        {"byte-swapped and strided", {n / 16}, {line}, {line}, true},
        {"transposed", {rows, n / rows}, {step, column}, {row, step}, false},
        {"transposed and byte-swapped", {rows, n / rows}, {step, column}, {row, step}, true},
    };
    std::vector<std::uint32_t> values(n);
    std::vector<std::uint32_t> others(n);
    for (layout const& each : layouts) {
        std::size_t const count =
            std::reduce(each.shape.begin(), each.shape.end(), std::size_t{1}, std::multiplies<>());
        for (bool const at_end : {false, true}) {
            std::ptrdiff_t where = 0;  // in bytes
            for (std::size_t i = 0; at_end && i < each.shape.size(); ++i) {
                where += each.in[i] * static_cast<std::ptrdiff_t>(each.shape[i] - 1);
            }
            values[static_cast<std::size_t>(where / step)] = each.swapped ? 0x80u : 0x80000000u;
            array_side const in{values.data(), each.in.data(), each.swapped};
            array_side const out{others.data(), each.out.data(), each.swapped};
            for (bool const in_place : {true, false}) {
                for (int const slices : {1, 2, 4}) {
                    std::size_t const said =
                        double_in_slices(in, in_place ? in : out, each.shape, slices, overflow_policy::raise);
                    CAPTURE(each.name, at_end, in_place, slices, asked);
                    CHECK(said == (asked == slices ? interrupted : at_end ? count - 1 : 0));
                    CHECK(asked <= slices);  // nobody asks again
                }
            }
            values[static_cast<std::size_t>(where / step)] = 0;
        }
    }
}
