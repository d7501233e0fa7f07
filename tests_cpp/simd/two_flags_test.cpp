// Promise: two files of one program, built with different instruction-set flags, both double right.
// That each has kept its own code is read from the object files, by test_shared_symbols.py.
#include <algorithm>
#include <numeric>
#include <twofold/error.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "simd/flagged.hpp"

namespace {

template <class T>
std::vector<T> byte_swapped(std::vector<T> values) {
    constexpr std::size_t scalar = sizeof(T) / (is_complex_number<T> ? 2 : 1);
    auto* const bytes = reinterpret_cast<std::byte*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(T); i += scalar) std::reverse(bytes + i, bytes + i + scalar);
    return values;
}

template <class T>
void check(flagged_functions<T> const& functions) {
    for (std::size_t const n : {std::size_t{3}, std::size_t{1000}, std::size_t{5'000'000} / sizeof(T)}) {
        for (overflow_policy const policy :
             {overflow_policy::wrap, overflow_policy::saturate, overflow_policy::raise}) {
            auto const in = arbitrary_elements_that_fit<T>(n);
            auto expected = expected_doubles(in, policy);
            CAPTURE(n, static_cast<int>(policy));
            CHECK(same_bits(functions.double_into(in, policy), expected));
            CHECK(same_bits(functions.double_in_place(in, policy), expected));
            CHECK(same_bits(functions.doubled(in, policy), expected));
            CHECK(same_bits(functions.double_array(in, policy), byte_swapped(expected)));
            if (!std::same_as<T, twofold::float16>) CHECK(same_bits(functions.transform(in), expected));
            if constexpr (std::integral<T>) {
                CHECK(functions.transform_reduce(in) == std::accumulate(in.begin(), in.end(), T(0), [](T x, T y) {
                          return static_cast<T>(static_cast<std::make_unsigned_t<T>>(x) + y);
                      }));
            }
            std::ranges::reverse(expected);
            CHECK(same_bits(functions.double_strided(in, policy), expected));
        }
        auto in = arbitrary_elements_that_fit<T>(n);
        CHECK(!functions.first_overflow(in));
        in[n - 2] = smallest_overflowing<T>();
        CHECK(functions.first_overflow(in) == n - 2);
        CHECK_THROWS_AS(functions.doubled(in, overflow_policy::raise), twofold::overflow_error);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("files with different flags double right in one program", "[flags]", std::uint32_t, std::int8_t,
                   float, twofold::float16, std::complex<double>) {
    check(baseline_flags::functions_for(TestType{}));
    check(special_flags::functions_for(TestType{}));
}
