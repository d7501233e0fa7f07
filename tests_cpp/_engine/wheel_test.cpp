// Promises of the wheel's dispatch: every instruction set gives the same answers, and the environment may name one.
#include "_engine/dispatch.hpp"

#include <cfenv>
#include <concepts>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "in_child.hpp"
#include "policies.hpp"

namespace {

using twofold_wheel::doubling_operation;

std::string chosen_with(char const* wanted) {
    setenv("TWOFOLD_SIMD", wanted, 1);
    return twofold_wheel::instruction_sets()[static_cast<std::size_t>(twofold_wheel::chosen_set())].name;
}

}  // namespace

TEST_CASE("the weakest instruction set is always supported, and names are unique", "[wheel]") {
    auto const sets = twofold_wheel::instruction_sets();
    CHECK(sets.size() == TWOFOLD_EXPECTED_SET_COUNT);  // as Meson read the table
    CHECK(sets.front().supported);
    std::set<std::string> names;
    for (auto const& set : sets) names.insert(set.name);
    CHECK(names.size() == sets.size());
}

TEMPLATE_LIST_TEST_CASE("all instruction sets give the same answers", "[wheel]", twofold::element_types) {
    using T = TestType;
    int const number = twofold_wheel::find_element(describe_element<T>.kind, sizeof(T));
    std::size_t const most = (std::size_t{1} << 20) / sizeof(T) + 3;
    for (overflow_policy const policy : policies) {
        auto const in = policy == overflow_policy::raise ? arbitrary_elements_that_fit<T>(most)  //
                                                         : arbitrary_elements<T>(most);
        auto const expected = expected_doubles(in, policy);
        for (auto const& set : twofold_wheel::instruction_sets()) {
            if (!set.supported) continue;
            for (std::size_t const n : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{67},
                                        std::size_t{1000}, twofold_wheel::threads_pay_bytes / sizeof(T) + 1, most}) {
                for (unsigned const threads : {1u, 3u}) {
                    CAPTURE(set.name, static_cast<int>(policy), n, threads);
                    std::vector<T> const right(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(n));
                    std::vector<T> out(n);
                    CHECK(twofold_wheel::run_elements(doubling_operation, set.number, number, in.data(), out.data(), n,
                                                      {threads, true}, policy) == n);
                    CHECK(same_bits(out, right));
                    std::vector<T> values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
                    CHECK(twofold_wheel::run_elements(doubling_operation, set.number, number, values.data(),
                                                      values.data(), n, {threads, true}, policy) == n);
                    CHECK(same_bits(values, right));
                }
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("all instruction sets name the first element that overflows", "[wheel]",
                        twofold::element_types) {
    using T = TestType;
    int const number = twofold_wheel::find_element(describe_element<T>.kind, sizeof(T));
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t const n :
             {std::size_t{1}, std::size_t{100}, 2 * twofold_wheel::threads_pay_bytes / sizeof(T)}) {
            for (std::size_t const first : {std::size_t{0}, n / 2, n - 1}) {
                auto values = arbitrary_elements_that_fit<T>(n);
                values[first] = values[n - 1] = smallest_overflowing<T>();
                auto const before = values;
                std::vector<T> out(n);
                CAPTURE(set.name, n, first);
                CHECK(twofold_wheel::run_elements(doubling_operation, set.number, number, values.data(), out.data(), n,
                                                  {3, true}, overflow_policy::raise) == first);
                CHECK(twofold_wheel::run_elements(doubling_operation, set.number, number, values.data(), values.data(),
                                                  n, {3, true}, overflow_policy::raise) == first);
                CHECK(same_bits(values, before));
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("a float that becomes infinite is flagged, wherever it stands", "[wheel]",
                        twofold::element_types) {
    using T = TestType;
    constexpr bool is_float = !std::integral<T>;
    int const number = twofold_wheel::find_element(describe_element<T>.kind, sizeof(T));
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t const n :
             {std::size_t{1}, std::size_t{100}, 2 * twofold_wheel::threads_pay_bytes / sizeof(T) + 1}) {
            auto const doubles = [&](std::vector<T> const& values, bool expected) {
                for (unsigned const threads : {1u, 3u}) {
                    std::vector<T> out(n);
                    twofold_wheel::clear_float_flags();
                    twofold_wheel::run_elements(doubling_operation, set.number, number, values.data(), out.data(), n,
                                                {threads, true}, overflow_policy::wrap);
                    // Signalling NaNs are among the values: of them there is another flag.
                    CHECK((twofold_wheel::raised_float_flags() & FE_OVERFLOW) == (expected ? FE_OVERFLOW : 0));
                    CHECK(same_bits(out, expected_doubles(values)));
                }
            };
            auto values = arbitrary_elements_that_fit<T>(n);  // infinities and NaNs among them
            CAPTURE(set.name, n);
            doubles(values, false);
            for (std::size_t const where : {std::size_t{0}, n / 2, n - 1}) {
                CAPTURE(where);
                T const kept = std::exchange(values[where], smallest_overflowing<T>());
                doubles(values, is_float);
                values[where] = kept;
            }
        }
    }
}

// Streamed stores, too, which large arrays have: at every alignment of the output.
TEMPLATE_LIST_TEST_CASE("each kernel stands in its place in the table", "[wheel]",
                        twofold::detail::scalars_among<twofold::element_types>::type) {
    using T = TestType;
    constexpr std::size_t n = 200;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        twofold::detail::kernel_row const& kernels =
            doubling_operation.sets[set.number]->rows[twofold_wheel::kernel_number_of<T>];
        for (overflow_policy const policy : policies) {
            auto const in = policy == overflow_policy::raise ? arbitrary_elements_that_fit<T>(n)  //
                                                             : arbitrary_elements<T>(n);
            auto const expected = expected_doubles(in, policy);
            std::size_t wrong = 0;
            for (std::size_t const where : {std::size_t{0}, std::size_t{1}}) {
                for (std::size_t offset = 0; offset < 64; ++offset) {
                    std::vector<T> out(offset + n);
                    if (policy == overflow_policy::raise) {
                        wrong += kernels.checked[where](in.data(), out.data() + offset, n);
                    } else {
                        (policy == overflow_policy::wrap ? kernels.wrap : kernels.clamped)[where](
                            in.data(), out.data() + offset, n);
                    }
                    wrong += !same_bits(std::vector<T>(out.begin() + static_cast<std::ptrdiff_t>(offset), out.end()),
                                        expected);
                }
            }
            CAPTURE(set.name, static_cast<int>(policy));
            CHECK(wrong == 0);
        }
        auto values = arbitrary_elements_that_fit<T>(n);
        CHECK(kernels.first_overflow(values.data(), n) == n);
        values[n - 3] = smallest_overflowing<T>();
        CHECK(kernels.first_overflow(values.data(), n) == n - 3);
        std::vector<T> out(n);
        for (auto const kernel : kernels.checked) CHECK(kernel(values.data(), out.data(), n));
    }
}

TEST_CASE("without a name in the environment the strongest supported set is chosen", "[wheel]") {
    std::string strongest;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (set.supported) strongest = set.name;
    }
    CHECK(holds_in_child(20, [&] {
        unsetenv("TWOFOLD_SIMD");
        return twofold_wheel::instruction_sets()[static_cast<std::size_t>(twofold_wheel::chosen_set())].name ==
               strongest;
    }));
    CHECK(holds_in_child(20, [&] { return chosen_with("") == strongest; }));
    // Whoever runs the tests on a machine that is known, an emulated one, may say what should be found there.
    if (char const* const known = std::getenv("TWOFOLD_TEST_CHOICE")) CHECK(strongest == known);
}

TEST_CASE("with the kernels the cache's size is decided, since that reads the environment too", "[wheel]") {
    CHECK(holds_in_child(20, [] {
        twofold::detail::the_cache_size = 0;
        setenv("TWOFOLD_CACHE_BYTES", "7M", 1);
        static_cast<void>(chosen_with(""));
        return twofold::detail::the_cache_size == std::size_t{7} << 20;
    }));
}

TEST_CASE("the environment may name any supported set, once for the life of the process", "[wheel]") {
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        CAPTURE(set.name);
        CHECK(holds_in_child(20, [&] {
            return chosen_with(set.name) == set.name && twofold_wheel::chosen_set() == set.number &&
                   chosen_with("changed later") == set.name;
        }));
    }
}

TEST_CASE("a name that is unknown is refused with the names that are known, until it is put right", "[wheel]") {
    std::string supported;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (set.supported) supported += (supported.empty() ? "" : ", ") + std::string(set.name);
    }
    for (std::string const wanted : {"mmx", "AVX2", "avx", "avx2 "}) {
        std::string message = "nothing was thrown";
        try {
            chosen_with(wanted.c_str());
        } catch (std::invalid_argument const& error) {
            message = error.what();
        }
        CHECK(message ==
              "TWOFOLD_SIMD is '" + wanted + "', but this build of twofold on this machine has: " + supported);
    }
    std::string const weakest = twofold_wheel::instruction_sets().front().name;
    CHECK(chosen_with(weakest.c_str()) == weakest);
}

TEMPLATE_LIST_TEST_CASE("elements are found by what they are called", "[wheel]", twofold::element_types) {
    auto const description = describe_element<TestType>;
    int const number = twofold_wheel::find_element(description.kind, sizeof(TestType));
    REQUIRE(number >= 0);
    auto const found = twofold_wheel::element_rows[static_cast<std::size_t>(number)];
    CHECK(found.kind == description.kind);
    CHECK(found.bits == sizeof(TestType) * 8);
}

TEST_CASE("what is no element is not found", "[wheel]") {
    CHECK(twofold_wheel::find_element('b', 4) == -1);
    CHECK(twofold_wheel::find_element('u', 16) == -1);
    CHECK(twofold_wheel::find_element('c', 4) == -1);
    CHECK(twofold_wheel::find_element('i', 0) == -1);
    for (std::size_t i = 0; i < twofold_wheel::element_count; ++i) {
        auto const description = twofold_wheel::element_rows[i];
        CHECK(twofold_wheel::find_element(description.kind, description.bits / 8) == static_cast<int>(i));
    }
}
