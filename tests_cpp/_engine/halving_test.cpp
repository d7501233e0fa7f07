// Another operation than doubling on the wheel's machinery: three files are added (halving_operation.hpp, this module,
// and the build's rule over the rows of instruction_sets.def), and none of the library's is touched.
#define TWOFOLD_OPERATION more_operations::halving
#define TWOFOLD_TABLES halving_kernels
#define TWOFOLD_OPERATION_VALUE halving_operation
#define TWOFOLD_OPERATION_NAME "halving_test:halve"
#include "_engine/halving_operation.hpp"
#include "_engine/kernels/define_operation.hpp"
//
#include <algorithm>
#include <complex>
#include <cstring>
#include <string>
#include <vector>

#include "_engine/dispatch.hpp"
#include "any_array.hpp"
#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"
#include "operation/expected_half.hpp"

namespace {

using twofold::overflow_policy;
using twofold_wheel::halving_operation;
using twofold_wheel::timedelta64;

constexpr overflow_policy all_policies[] = {overflow_policy::wrap, overflow_policy::saturate, overflow_policy::raise};

// ---- what is expected of the elements that only the wheel has

template <class T>
constexpr bool is_extended = std::is_same_v<twofold_wheel::scalar_of<T>, long double>;

template <class T>
T any_value(std::size_t i) {
    if constexpr (std::is_same_v<T, long double>) {
        return static_cast<long double>(arbitrary<std::int64_t>(i));
    } else if constexpr (is_extended<T>) {
        return {any_value<long double>(2 * i), any_value<long double>(2 * i + 1)};
    } else if constexpr (std::is_same_v<T, timedelta64>) {
        return {i % 5 == 0 ? timedelta64::not_a_time : arbitrary<std::int64_t>(i)};
    } else {
        return arbitrary<T>(i);
    }
}

template <class T>
T half_of(T x) {
    if constexpr (is_extended<T>) {
        return x / 2.0L;
    } else if constexpr (std::is_same_v<T, timedelta64>) {
        return x.ticks == timedelta64::not_a_time ? x : timedelta64{expected_half(x.ticks)};
    } else {
        return expected_half(x);
    }
}

// Whether two numbers are the same, bit for bit; an x87 number has 10 bytes, and the others are nobody's.
template <class T>
bool same(T const& a, T const& b) {
    if constexpr (is_extended<T>) {
        return a == b;
    } else {
        return std::memcmp(&a, &b, sizeof(T)) == 0;
    }
}

template <class T>
int number_of() {
    return twofold_wheel::find_element(twofold_wheel::describe_wheel_element<T>().kind, sizeof(T));
}

// What is wrong with an array that should hold half of `in` in each place, and be as it was beside its elements.
template <class T>
std::string fault_of(test_array& out, test_array const& before, std::vector<T> const& in) {
    for (std::size_t i = 0; i < in.size(); ++i) {
        T value;
        out.read(i, &value);
        if (!same(value, half_of(in[i]))) return "element " + std::to_string(i) + " is wrong";
    }
    return out.same_beside_elements(before) ? "" : "something beside the elements has changed";
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("elements are halved with each instruction set, by one thread and by three", "[halving]",
                        twofold_wheel::wheel_element_types) {
    using T = TestType;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t const n : {std::size_t{0}, std::size_t{1}, std::size_t{67}, std::size_t{1} << 16,
                                    2 * twofold_wheel::threads_pay_bytes / sizeof(T) + 1}) {
            std::vector<T> in(n);
            for (std::size_t i = 0; i < n; ++i) in[i] = any_value<T>(i);
            for (overflow_policy const policy : all_policies) {
                for (unsigned const threads : {1u, 3u}) {
                    auto const wrong = [&](std::vector<T> const& out) {
                        std::size_t i = 0;
                        while (i < n && same(out[i], half_of(in[i]))) ++i;
                        return i;
                    };
                    auto const halve = [&](std::vector<T> const& from, std::vector<T>& to) {
                        share_next_call();
                        return twofold_wheel::run_elements(halving_operation, set.number, number_of<T>(), from.data(),
                                                           to.data(), n, {threads, true}, policy);
                    };
                    std::vector<T> out(n);
                    auto values = in;
                    CAPTURE(set.name, n, static_cast<int>(policy), threads);
                    CHECK(halve(in, out) == n);
                    CHECK(wrong(out) == n);
                    CHECK(halve(values, values) == n);
                    CHECK(wrong(values) == n);
                }
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("arrays of any layout are halved with each instruction set", "[halving]",
                        twofold_wheel::wheel_element_types) {
    using T = TestType;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t seed = 0; seed < array_count(); ++seed) {
            random_numbers random{seed * 1000};
            auto const shape = any_shape(random, seed % 20 == 0);
            auto const any = [&](bool may_repeat) {
                return any_array(random, sizeof(T), sizeof(twofold_wheel::scalar_of<T>), shape, may_repeat);
            };
            auto const policy = all_policies[random.below(3)];
            auto in = any(true);
            auto out = any(false);
            auto here = any(false);
            std::vector<T> values(in.size());
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = any_value<T>(i + seed);
            for (std::size_t i = 0; i < values.size(); ++i) in.write(i, &values[i]);
            for (std::size_t i = 0; i < values.size(); ++i) in.read(i, &values[i]);  // some are the same by now
            for (std::size_t i = 0; i < values.size(); ++i) here.write(i, &values[i]);
            auto const in_before = in;
            auto const out_before = out;
            auto const here_before = here;
            auto const halve = [&](test_array& from, test_array& to) {
                share_next_call();
                return twofold_wheel::run_array(
                    halving_operation, set.number, number_of<T>(), {from.data(), from.strides.data(), from.swapped},
                    {to.data(), to.strides.data(), to.swapped}, shape.data(), static_cast<int>(shape.size()),
                    {seed % 2 == 0 ? 3u : 1u, true}, policy);
            };
            CAPTURE(set.name, seed, shape, in.strides, in.swapped, out.strides, out.swapped, here.strides,
                    here.swapped);
            CHECK(halve(in, out) == values.size());
            CHECK(fault_of(out, out_before, values) == "");
            CHECK((in.memory == in_before.memory));
            CHECK(halve(here, here) == values.size());
            CHECK(fault_of(here, here_before, values) == "");
        }
    }
}

TEST_CASE("an operation says what it is called, and has a table for each instruction set", "[halving]") {
    CHECK(std::string(halving_operation.name) == "halving_test:halve");
    CHECK(std::string(halving_operation.noun) == "half");
    for (auto const& set : twofold_wheel::instruction_sets()) {
        auto const number = static_cast<std::size_t>(set.number);
        CHECK(halving_operation.sets[number] != twofold_wheel::doubling_operation.sets[number]);
    }
}
