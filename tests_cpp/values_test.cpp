// Promises of arithmetic: the same bits as x + x of the machine, or as 2 * x modulo 2^bits, in vectors and alone.
#include <limits>
#include <span>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"

namespace {

// Each special value in each lane of a vector: the list over and over, until it has begun at each lane.
template <class T>
std::vector<T> special_values_in_each_lane() {
    auto const once = special_values<T>();
    std::vector<T> values;
    for (std::size_t lane = 0; lane <= xsimd::batch<T>::size; ++lane) {
        values.insert(values.end(), once.begin(), once.end());
        values.push_back(T{1});
    }
    return values;
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("special values are doubled bit for bit in vectors", "[values]", twofold::element_types) {
    using T = TestType;
    auto const values = special_values_in_each_lane<T>();
    std::vector<T> expected;
    for (T const x : values) expected.push_back(expected_double(x));
    std::vector<T> out(values.size());
    twofold::double_into(values, out, {.threads = 1});
    CHECK(same_bits(out.data(), expected, expected.size()));
}

TEMPLATE_LIST_TEST_CASE("special values are doubled bit for bit alone", "[values]", twofold::element_types) {
    using T = TestType;
    std::size_t wrong = 0;
    for (T const& x : special_values<T>()) {
        T out{};
        twofold::double_into(std::span(&x, 1), std::span(&out, 1));
        std::vector<T> const expected{expected_double(x)};
        if (!same_bits(&out, expected, 1)) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("integers wrap at both ends", "[values]") {
    // Written out, so that this does not rest on expected.hpp.
    using signed_limits = std::numeric_limits<std::int32_t>;
    using unsigned_limits = std::numeric_limits<std::uint64_t>;
    for (std::size_t const n : {1u, 67u}) {
        CHECK(twofold::doubled(std::vector(n, signed_limits::min())) == std::vector(n, 0));
        CHECK(twofold::doubled(std::vector(n, signed_limits::max())) == std::vector(n, -2));
        CHECK(twofold::doubled(std::vector(n, 1 << 30)) == std::vector(n, signed_limits::min()));
        CHECK(twofold::doubled(std::vector(n, unsigned_limits::max())) == std::vector(n, unsigned_limits::max() - 1));
        CHECK(twofold::doubled(std::vector<std::uint8_t>(n, 200)) == std::vector<std::uint8_t>(n, 144));
    }
}

TEST_CASE("floats keep their signs, their infinities and the payloads of their NaNs", "[values]") {
    struct row {
        std::uint32_t x;
        std::uint32_t doubled;
    };
    for (row const& r : {row{0x80000000, 0x80000000},  // -0.0
                         row{0x00000001, 0x00000002},  // the least subnormal
                         row{0x00400005, 0x0080000A},  // a subnormal that becomes normal
                         row{0x7F7FFFFF, 0x7F800000},  // the largest finite value
                         row{0xFF800000, 0xFF800000},  // -infinity
                         row{0x7FC0002A, 0x7FC0002A},  // a quiet NaN
                         row{0x7F80002A, 0x7FC0002A},  // a signalling NaN
                         row{0xFF800001, 0xFFC00001}}) {
        for (std::size_t const n : {1u, 67u}) {
            std::vector<float> values(n, std::bit_cast<float>(r.x));
            twofold::double_in_place(values);
            CAPTURE(n, r.x);
            CHECK(same_bits(values.data(), std::vector<float>(n, std::bit_cast<float>(r.doubled)), n));
        }
    }
}
