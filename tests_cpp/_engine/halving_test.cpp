// Another operation than doubling on the wheel's machinery: three files are added (halving_operation.hpp, this module,
// and the build's rule over the rows of instruction_sets.def), and none of the library's is touched.
#define TWOFOLD_OPERATION more_operations::halving
#define TWOFOLD_TABLES halving_kernels
#define TWOFOLD_OPERATION_VALUE halving_operation
#define TWOFOLD_OPERATION_NAME "halving_test:halve"
#include "_engine/halving_operation.hpp"
#include "_engine/kernels/define_operation.hpp"
//
#include <cstring>
#include <string>
#include <vector>

#include "_engine/any_wheel_array.hpp"
#include "_engine/dispatch.hpp"
#include "catch.hpp"
#include "forced_sharing.hpp"
#include "operation/expected_half.hpp"
#include "policies.hpp"

namespace {

using twofold_wheel::halving_operation;
using twofold_wheel::timedelta64;

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

// What is wrong with a call that writes the halves of `in` into `out`, or nothing.
template <class T>
std::string fault_of_call(twofold_wheel::instruction_set const& set, wheel_array<T>& in, wheel_array<T>& out,
                          overflow_policy policy, unsigned threads) {
    wheel_array<T> right = out;
    for (std::size_t i = 0; i < in.size(); ++i) right.set(i, half_of(in.get(i)));
    auto const before = in.memory;
    share_next_call();
    std::size_t const done =
        twofold_wheel::run_array(halving_operation, set.number, number_of<T>(), in.side(), out.side(), in.shape.data(),
                                 static_cast<int>(in.shape.size()), {threads, true}, policy);
    if (done != in.size()) return "returned " + std::to_string(done);
    if (&in != &out && in.memory != before) return "the input has changed";
    out.clear_padding();
    right.clear_padding();
    return out.memory == right.memory ? "" : "the output is wrong";
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
            for (overflow_policy const policy : policies) {
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
            auto in = any_wheel_array<T>(random, shape, true);
            auto out = any_wheel_array<T>(random, shape, false);
            auto here = any_wheel_array<T>(random, shape, false);
            for (std::size_t i = 0; i < in.size(); ++i) in.set(i, any_value<T>(i + seed));
            for (std::size_t i = 0; i < in.size(); ++i) here.set(i, in.get(i));
            auto const policy = policies[random.below(3)];
            unsigned const threads = seed % 2 == 0 ? 3 : 1;
            CAPTURE(set.name, seed, shape, in.strides, in.swapped, out.strides, out.swapped, here.strides,
                    here.swapped);
            CHECK(fault_of_call<T>(set, in, out, policy, threads) == "");
            CHECK(fault_of_call<T>(set, here, here, policy, threads) == "");
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
