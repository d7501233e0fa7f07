// Promise: two files of one program, built with different instruction-set flags, both double right.
// That each has kept its own code is read from the object files, by test_shared_symbols.py.
#include <algorithm>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "flagged.hpp"

TEMPLATE_TEST_CASE("files with different flags double right in one program", "[flags]", std::uint32_t, float) {
    using T = TestType;
    for (std::size_t const n : {std::size_t{3}, std::size_t{1000}, std::size_t{5'000'000}}) {
        std::vector<T> in(n);
        write_arbitrary<T>(in.data(), n);
        auto const expected = expected_doubles<T>(n);
        std::vector<T> out(n);
        baseline_flags::double_into(in, out);
        CHECK(same_bits(out.data(), expected, n));
        std::ranges::fill(out, T{});
        special_flags::double_into(in, out);
        CHECK(same_bits(out.data(), expected, n));
    }
}
