// Promises of arithmetic: the same bits in vectors and alone, whatever the element and the policy; and that overflow is
// seen where it is, and only there.
#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"
#include "elements.hpp"
#include "expected.hpp"

namespace {

// Each special value in each lane of a vector: the list over and over, until it has begun at each lane.
bytes in_each_lane(bytes const& once, element_under_test const& element) {
    bytes values;
    bytes const one_more = element.fitting(1);
    for (std::size_t lane = 0; lane <= element.lanes; ++lane) {
        values.insert(values.end(), once.begin(), once.end());
        values.insert(values.end(), one_more.begin(), one_more.end());
    }
    return values;
}

bytes doubled(element_under_test const& element, bytes const& values, overflow_policy policy) {
    bytes out(values.size());
    std::size_t const n = values.size() / element.size;
    return element.double_elements(values.data(), out.data(), n, {policy, 1}) == n ? out : bytes{};
}

bytes those_that_fit(element_under_test const& element, bytes const& values) {
    bytes fitting;
    auto const overflows = element.overflows(values);
    for (std::size_t i = 0; i < overflows.size(); ++i) {
        auto const value = values.begin() + static_cast<std::ptrdiff_t>(i * element.size);
        if (!overflows[i]) fitting.insert(fitting.end(), value, value + static_cast<std::ptrdiff_t>(element.size));
    }
    return fitting;
}

}  // namespace

TEST_CASE("special values are doubled bit for bit in vectors", "[values]") {
    for (element_under_test const& element : elements_under_test()) {
        CAPTURE(element.name);
        auto const special = element.special_values();
        for (overflow_policy const policy : policies) {
            auto const values =
                in_each_lane(policy == overflow_policy::raise ? those_that_fit(element, special) : special, element);
            CHECK((doubled(element, values, policy) == element.doubles(values, policy)));
        }
    }
}

TEST_CASE("special values are doubled bit for bit alone", "[values]") {
    for (element_under_test const& element : elements_under_test()) {
        auto const special = element.special_values();
        auto const overflows = element.overflows(special);
        for (overflow_policy const policy : policies) {
            auto const expected = element.doubles(special, policy);
            std::size_t wrong = 0;
            bytes out(element.size);
            for (std::size_t i = 0; i < overflows.size(); ++i) {
                bool const raises = policy == overflow_policy::raise && overflows[i];
                std::size_t const at = i * element.size;
                wrong += element.double_elements(&special[at], out.data(), 1, {policy, 0}) != (raises ? 0 : 1);
                wrong += !raises && !same_bytes(out.data(), &expected[at], element.size);
            }
            CAPTURE(element.name, static_cast<int>(policy));
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("special values overflow where they should, in each lane and alone", "[values]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        std::size_t const n = 2 * element.lanes + 1;  // two vectors, and one that is left over
        auto const fitting = element.fitting(n);
        auto values = fitting;
        auto const special = element.special_values();
        auto const overflows = element.overflows(special);
        std::size_t wrong = 0;
        for (std::size_t x = 0; x < overflows.size(); ++x) {
            for (std::size_t i = element.lanes - 1; i < n; ++i) {
                copy_bytes(&values[i * size], &special[x * size], size);
                wrong += element.first_overflow(values.data(), n, {}) != (overflows[x] ? i : n);
                copy_bytes(&values[i * size], &fitting[i * size], size);
            }
            wrong += element.first_overflow(&special[x * size], 1, {}) != (overflows[x] ? 0 : 1);
        }
        CAPTURE(element.name);
        CHECK(wrong == 0);
    }
}

TEST_CASE("first_overflow finds the first, wherever it stands, and nothing where there is nothing", "[values]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        std::size_t const n = 9 * element.lanes + 5;  // twice round the loop of four vectors, one vector, and some
        auto const fitting = element.fitting(n);
        auto const overflowing = element.overflowing();
        auto values = fitting;
        std::string wrong;
        CHECK(element.first_overflow(values.data(), n, {}) == n);
        for (std::size_t first = 0; first < n; ++first) {
            copy_bytes(&values[first * size], overflowing.data(), size);
            for (std::size_t const second : {first, first + 1, first + element.lanes, n - 1}) {
                if (second >= n) continue;
                copy_bytes(&values[second * size], overflowing.data(), size);
                if (element.first_overflow(values.data(), n, {}) != first) {
                    wrong = std::to_string(first) + " before " + std::to_string(second);
                }
                if (second != first) copy_bytes(&values[second * size], &fitting[second * size], size);
            }
            copy_bytes(&values[first * size], &fitting[first * size], size);
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}

// Below, what is expected is written out, so that it does not rest on expected.hpp.

namespace {

template <class T>
std::vector<T> doubled(std::vector<T> const& values, overflow_policy policy = overflow_policy::wrap) {
    auto const name = describe_element<T>.kind + std::to_string(describe_element<T>.bits);
    std::vector<T> out(values.size());
    for (element_under_test const& element : elements_under_test()) {
        if (element.name == name) element.double_elements(values.data(), out.data(), values.size(), {policy, 1});
    }
    return out;
}

// As bits, since NaNs do not equal themselves and 16-bit floats have no arithmetic.
template <class T, class Bits>
bool is_doubled(Bits x, Bits expected, std::size_t n) {
    auto const out = doubled(std::vector(n, std::bit_cast<T>(x)));
    return same_bytes(out.data(), std::vector(n, expected).data(), n * sizeof(T));
}

}  // namespace

TEST_CASE("integers wrap at both ends", "[values]") {
    using signed_limits = std::numeric_limits<std::int32_t>;
    using unsigned_limits = std::numeric_limits<std::uint64_t>;
    for (std::size_t const n : {1u, 67u}) {
        auto const wrapped = [](auto const& values) { return doubled(values); };
        CHECK(wrapped(std::vector(n, signed_limits::min())) == std::vector(n, 0));
        CHECK(wrapped(std::vector(n, signed_limits::max())) == std::vector(n, -2));
        CHECK(wrapped(std::vector(n, 1 << 30)) == std::vector(n, signed_limits::min()));
        CHECK(wrapped(std::vector(n, unsigned_limits::max())) == std::vector(n, unsigned_limits::max() - 1));
        CHECK(wrapped(std::vector<std::uint8_t>(n, 200)) == std::vector<std::uint8_t>(n, 144));
    }
}

TEST_CASE("integers saturate at both ends", "[values]") {
    using signed_limits = std::numeric_limits<std::int64_t>;
    for (std::size_t const n : {1u, 67u}) {
        auto const saturated = [](auto const& values) { return doubled(values, overflow_policy::saturate); };
        CHECK(saturated(std::vector(n, signed_limits::min())) == std::vector(n, signed_limits::min()));
        CHECK(saturated(std::vector(n, signed_limits::max())) == std::vector(n, signed_limits::max()));
        CHECK(saturated(std::vector(n, -(1 << 30))) == std::vector(n, std::numeric_limits<int>::min()));
        CHECK(saturated(std::vector(n, -(1 << 30) - 1)) == std::vector(n, std::numeric_limits<int>::min()));
        CHECK(saturated(std::vector(n, 1 << 30)) == std::vector(n, std::numeric_limits<int>::max()));
        CHECK(saturated(std::vector(n, (1 << 30) - 1)) == std::vector(n, std::numeric_limits<int>::max() - 1));
        CHECK(saturated(std::vector<std::uint8_t>(n, 128)) == std::vector<std::uint8_t>(n, 255));
        CHECK(saturated(std::vector<std::int8_t>(n, -100)) == std::vector<std::int8_t>(n, -128));
        CHECK(saturated(std::vector<std::uint32_t>(n, 3'000'000'000)) == std::vector<std::uint32_t>(n, 0xFFFFFFFF));
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
            CAPTURE(n, r.x);
            CHECK(is_doubled<float>(r.x, r.doubled, n));
        }
    }
}

TEST_CASE("16-bit floats do as the longer ones", "[values]") {
    struct row {
        std::uint16_t x;
        std::uint16_t doubled;
    };
    for (row const& r : {row{0x3C00, 0x4000},  // 1 becomes 2
                         row{0xC200, 0xC600},  // -3 becomes -6
                         row{0x8000, 0x8000},  // -0
                         row{0x8001, 0x8002},  // the subnormal next to it
                         row{0x03FF, 0x07FE},  // the largest subnormal becomes normal
                         row{0x7BFF, 0x7C00},  // 65504, the largest finite value
                         row{0x77FF, 0x7BFF},  // half of it
                         row{0xFC00, 0xFC00},  // -infinity
                         row{0x7C01, 0x7E01},  // a signalling NaN
                         row{0xFE2A, 0xFE2A}}) {
        for (std::size_t const n : {1u, 67u}) {
            CAPTURE(n, r.x);
            CHECK(is_doubled<twofold::float16>(r.x, r.doubled, n));
        }
    }
    for (row const& r : {row{0x3F80, 0x4000},  // 1 becomes 2
                         row{0x807F, 0x80FE},  // the largest subnormal becomes normal
                         row{0x7F7F, 0x7F80},  // the largest finite value
                         row{0xFF81, 0xFFC1},  // a signalling NaN
                         row{0x7F80, 0x7F80}}) {
        for (std::size_t const n : {1u, 67u}) {
            CAPTURE(n, r.x);
            CHECK(is_doubled<twofold::bfloat16>(r.x, r.doubled, n));
        }
    }
}
