// Another operation than doubling on the header-only engine: one file, halving.hpp, and none of the library's touched.
#include "operation/halving.hpp"

#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "any_array.hpp"
#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"
#include "operation/expected_half.hpp"
#include "policies.hpp"

namespace {

using more_operations::halving;
namespace engine = twofold::detail;

template <class T>
std::vector<T> expected_halves(std::vector<T> const& elements) {
    std::vector<T> halves;
    for (T const& x : elements) halves.push_back(expected_half(x));
    return halves;
}

// What an array holds, in C order.
template <class T>
std::vector<T> elements_of(test_array& array) {
    std::vector<T> elements(array.size());
    for (std::size_t i = 0; i < elements.size(); ++i) array.read(i, &elements[i]);
    return elements;
}

template <class T>
void fill(test_array& array, std::vector<T> const& elements) {
    for (std::size_t i = 0; i < elements.size(); ++i) array.write(i, &elements[i]);
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("ranges are halved, by one thread and by three, whatever the policy", "[halving]",
                        twofold::element_types) {
    using T = TestType;
    auto const special = special_values<T>();
    CHECK(!special.empty());
    std::size_t const many = 2 * engine::threads_pay_awake_bytes / sizeof(T) + 5;
    for (std::vector<T> const& in : {special, arbitrary_elements<T>(many), arbitrary_elements<T>(1)}) {
        auto const expected = expected_halves(in);
        for (overflow_policy const policy : policies) {
            for (unsigned const threads : {1u, 3u}) {
                std::vector<T> out(in.size());
                auto values = in;
                CAPTURE(in.size(), static_cast<int>(policy), threads);
                share_next_call();
                engine::map_elements<halving>(in.data(), out.data(), in.size(), {policy, threads});
                CHECK(same_bits(out, expected));
                share_next_call();
                engine::map_elements<halving>(values.data(), values.data(), in.size(), {policy, threads});
                CHECK(same_bits(values, expected));
                CHECK(engine::find_first_overflow<halving>(in.data(), in.size(), {policy, threads}) == in.size());
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("arrays of any layout are halved", "[halving]", twofold::element_types) {
    using T = TestType;
    auto const operation = engine::compiled_array_operation<halving, T>::get();
    for (std::size_t seed = 0; seed < array_count(); ++seed) {
        random_numbers random{seed * 1000};
        auto const shape = any_shape(random, seed % 20 == 0);
        auto const any = [&](bool may_repeat) {
            return any_array(random, sizeof(T), sizeof(engine::scalar_of<T>), shape, may_repeat);
        };
        auto const policy = policies[random.below(3)];
        auto in = any(true);
        auto out = any(false);
        auto here = any(false);
        fill(in, arbitrary_elements<T>(in.size()));
        fill(here, elements_of<T>(in));
        auto right_out = out;
        auto right_here = here;
        fill(right_out, expected_halves(elements_of<T>(in)));
        fill(right_here, expected_halves(elements_of<T>(here)));
        auto const map = [&](test_array& from, test_array& to) {
            share_next_call();
            return engine::map_array(operation, {from.data(), from.strides.data(), from.swapped},
                                     {to.data(), to.strides.data(), to.swapped}, shape.data(),
                                     static_cast<int>(shape.size()), {seed % 2 == 0 ? 3u : 1u, true}, policy);
        };
        CAPTURE(seed, shape, in.strides, in.swapped, out.strides, out.swapped, here.strides, here.swapped);
        CHECK(map(in, out) == in.size());
        CHECK((out.memory == right_out.memory));
        CHECK(map(here, here) == here.size());
        CHECK((here.memory == right_here.memory));
    }
}
