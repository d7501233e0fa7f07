// Promises of double_strided that hold for every element type and instruction set. What it refuses: api_test.cpp.
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "catch.hpp"
#include "elements.hpp"
#include "forced_sharing.hpp"

namespace {

// Elements of `n` with a stride, wherever they begin, in memory that shows what lies between them.
class strided_array {
public:
    strided_array(element_under_test const& element, std::size_t n, std::ptrdiff_t stride)
        : element_(element),
          stride_(stride),
          memory_((n == 0 ? 0 : (n - 1) * step() + 1) * element.size, std::byte{0x5A}),
          first_(stride < 0 && n > 0 ? (n - 1) * step() : 0) {}

    [[nodiscard]] std::byte* start() { return memory_.data() + first_ * element_.size; }
    [[nodiscard]] bytes const& memory() const { return memory_; }

    /// Writes elements one after another, with the stride between them; into a stride of 0, the last one.
    void fill(bytes const& elements) {
        for (std::size_t i = 0; i < elements.size() / element_.size; ++i) {
            auto const at = static_cast<std::ptrdiff_t>(i) * stride_ * static_cast<std::ptrdiff_t>(element_.size);
            copy_bytes(start() + at, &elements[i * element_.size], element_.size);
        }
    }

private:
    [[nodiscard]] std::size_t step() const { return static_cast<std::size_t>(std::abs(stride_)); }

    element_under_test const& element_;
    std::ptrdiff_t stride_;
    bytes memory_;
    std::size_t first_;
};

bytes repeated(bytes const& element, std::size_t n) {
    bytes all;
    for (std::size_t i = 0; i < n; ++i) all.insert(all.end(), element.begin(), element.end());
    return all;
}

}  // namespace

TEST_CASE("elements with any strides are doubled, and what lies between them is not touched", "[strided]") {
    constexpr std::array<std::ptrdiff_t, 7> strides{1, -1, 2, -2, 3, 17, -64};
    for (element_under_test const& element : elements_under_test()) {
        std::string wrong;
        for (overflow_policy const policy : policies) {
            for (std::size_t const n : {0u, 1u, 2u, 3u, 40u}) {
                auto const elements = policy == overflow_policy::raise ? element.fitting(n) : element.arbitrary(n);
                auto const expected = element.doubles(elements, policy);
                for (std::ptrdiff_t const in_stride : strides) {
                    strided_array in(element, n, in_stride);
                    in.fill(elements);
                    auto const in_before = in.memory();
                    auto const where = [&](std::ptrdiff_t out_stride) {
                        return "n = " + std::to_string(n) + ", strides " + std::to_string(in_stride) + " and " +
                               std::to_string(out_stride) + ", policy " + std::to_string(static_cast<int>(policy));
                    };
                    for (std::ptrdiff_t const out_stride : strides) {
                        strided_array out(element, n, out_stride);
                        strided_array right(element, n, out_stride);
                        right.fill(expected);
                        if (element.double_strided(in.start(), in_stride, out.start(), out_stride, n, {policy, 0}) !=
                                n ||
                            out.memory() != right.memory() || in.memory() != in_before) {
                            wrong = where(out_stride);
                        }
                    }
                    strided_array right(element, n, in_stride);
                    right.fill(expected);
                    if (element.double_strided(in.start(), in_stride, in.start(), in_stride, n, {policy, 0}) != n ||
                        in.memory() != right.memory()) {
                        wrong = "in place, " + where(in_stride);
                    }
                }
            }
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}

TEST_CASE("an input with a stride of zero is one element for all of the output", "[strided]") {
    for (element_under_test const& element : elements_under_test()) {
        bytes const one = element.fitting(1);
        for (overflow_policy const policy : policies) {
            for (std::ptrdiff_t const out_stride : {1, -1, 5}) {
                constexpr std::size_t n = 33;
                strided_array out(element, n, out_stride);
                strided_array right(element, n, out_stride);
                right.fill(repeated(element.doubles(one, policy), n));
                CAPTURE(element.name, static_cast<int>(policy), out_stride);
                CHECK(element.double_strided(one.data(), 0, out.start(), out_stride, n, {policy, 0}) == n);
                CHECK((out.memory() == right.memory()));
            }
        }
    }
}

TEST_CASE("many elements with strides are doubled by any number of threads", "[strided]") {
    for (element_under_test const& element : elements_under_test()) {
        for (std::ptrdiff_t const stride : {std::ptrdiff_t{3}, std::ptrdiff_t{-40}}) {
            // As many as reach over the memory for which threads pay, and some.
            std::size_t const n = 2 * twofold::detail::threads_pay_awake_bytes / element.size / 3 + 5;
            for (overflow_policy const policy : policies) {
                auto const elements = policy == overflow_policy::raise ? element.fitting(n) : element.arbitrary(n);
                strided_array in(element, n, stride);
                in.fill(elements);
                strided_array right(element, n, stride);
                right.fill(element.doubles(elements, policy));
                for (unsigned const threads : {1u, 2u, 4u}) {
                    strided_array out(element, n, stride);
                    CAPTURE(element.name, stride, static_cast<int>(policy), threads);
                    share_next_call();
                    CHECK(element.double_strided(in.start(), stride, out.start(), stride, n, {policy, threads}) == n);
                    CHECK((out.memory() == right.memory()));
                }
                share_next_call();
                CHECK(element.double_strided(in.start(), stride, in.start(), stride, n, {policy, 3}) == n);
                CHECK((in.memory() == right.memory()));
            }
        }
    }
}

TEST_CASE("where an element overflows, the first is named and nothing is written, whatever the strides", "[strided]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        auto const overflowing = element.overflowing();
        for (std::size_t const n : {std::size_t{1}, std::size_t{50}, twofold::detail::threads_pay_awake_bytes / size}) {
            for (std::ptrdiff_t const stride : {2, -3, 1}) {
                std::ptrdiff_t const out_stride = stride == 1 ? 1 : -stride;  // both 1: a way of its own
                for (std::size_t const first : {std::size_t{0}, n / 2, n - 1}) {
                    auto elements = element.fitting(n);
                    copy_bytes(&elements[first * size], overflowing.data(), size);
                    copy_bytes(&elements[(n - 1) * size], overflowing.data(), size);
                    strided_array in(element, n, stride);
                    in.fill(elements);
                    auto const before = in.memory();
                    strided_array out(element, n, out_stride);
                    auto const out_before = out.memory();
                    options const how{overflow_policy::raise, 3};
                    CAPTURE(element.name, n, stride, first);
                    share_next_call();
                    CHECK(element.double_strided(in.start(), stride, out.start(), out_stride, n, how) == first);
                    CHECK((out.memory() == out_before));
                    share_next_call();
                    CHECK(element.double_strided(in.start(), stride, in.start(), stride, n, how) == first);
                    CHECK((in.memory() == before));
                }
            }
        }
    }
}
