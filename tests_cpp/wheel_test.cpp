// Promises of the wheel's dispatch: every instruction set gives the same answers, and the environment may name one.
#include "wheel.hpp"

#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "in_child.hpp"

namespace {

std::string chosen_with(char const* wanted) {
    setenv("TWOFOLD_SIMD", wanted, 1);
    return twofold_wheel::chosen_name();
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
    int const number = twofold_wheel::find_element(twofold::describe_element<T>.kind, sizeof(T));
    std::size_t const most = twofold::detail::threads_pay_asleep_bytes / sizeof(T) + 3;
    std::vector<T> in(most);
    write_arbitrary<T>(in.data(), most);
    auto const expected = expected_doubles<T>(most);
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (!set.supported) continue;
        for (std::size_t const n : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{67}, std::size_t{1000},
                                    twofold_wheel::threads_pay_bytes / sizeof(T) + 1, most}) {
            for (unsigned const threads : {1u, 3u}) {
                CAPTURE(set.name, n, threads);
                std::vector<T> out(n);
                twofold_wheel::double_elements(*set.kernels, number, in.data(), out.data(), n, threads);
                CHECK(same_bits(out.data(), expected, n));
                std::vector<T> values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
                twofold_wheel::double_elements(*set.kernels, number, values.data(), values.data(), n, threads);
                CHECK(same_bits(values.data(), expected, n));
            }
        }
        // Streamed stores, too, which large arrays have: at every alignment of the output.
        twofold::detail::element_kernels<T> const& kernels = *set.kernels;
        for (std::size_t offset = 0; offset < 64; ++offset) {
            std::vector<T> out(offset + 200);
            kernels(in.data(), out.data() + offset, 200, twofold::detail::stores::streaming);
            CHECK(same_bits(out.data() + offset, expected, 200));
        }
    }
}

TEST_CASE("without a name in the environment the strongest supported set is chosen", "[wheel]") {
    std::string strongest;
    for (auto const& set : twofold_wheel::instruction_sets()) {
        if (set.supported) strongest = set.name;
    }
    CHECK(holds_in_child(20, [&] {
        unsetenv("TWOFOLD_SIMD");
        return twofold_wheel::chosen_name() == strongest;
    }));
    CHECK(holds_in_child(20, [&] { return chosen_with("") == strongest; }));
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
            return chosen_with(set.name) == set.name && &twofold_wheel::chosen_kernels() == set.kernels &&
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
    auto const description = twofold::describe_element<TestType>;
    int const number = twofold_wheel::find_element(description.kind, sizeof(TestType));
    REQUIRE(number >= 0);
    auto const found = twofold_wheel::element_at(static_cast<std::size_t>(number));
    CHECK(found.kind == description.kind);
    CHECK(found.bits == sizeof(TestType) * 8);
}

TEST_CASE("what is no element is not found", "[wheel]") {
    CHECK(twofold_wheel::find_element('f', 2) == -1);
    CHECK(twofold_wheel::find_element('u', 16) == -1);
    CHECK(twofold_wheel::find_element('c', 8) == -1);
    CHECK(twofold_wheel::find_element('i', 0) == -1);
    for (std::size_t i = 0; i < twofold_wheel::element_count; ++i) {
        auto const description = twofold_wheel::element_at(i);
        CHECK(twofold_wheel::find_element(description.kind, description.bits / 8) == static_cast<int>(i));
    }
}
