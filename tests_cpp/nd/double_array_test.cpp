// Promises of double_array that hold for every element type and instruction set: any array is doubled as a plain loop
// doubles it, and nothing else in memory changes. What it refuses: refused_arrays_test.cpp.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "any_array.hpp"
#include "catch.hpp"
#include "elements.hpp"
#include "forced_sharing.hpp"

namespace {

constexpr std::endian other_order = std::endian::native == std::endian::little ? std::endian::big : std::endian::little;

twofold::array_view<std::byte> view_of(test_array& array, std::byte* data) {
    return {data, array.shape, array.strides, array.swapped ? other_order : std::endian::native};
}

// Writes elements in C order.
void fill(test_array& array, bytes const& elements) {
    for (std::size_t i = 0; i < array.size(); ++i) array.write(i, &elements[i * array.element_bytes]);
}

// As they come out of the array: where it repeats elements, what was written last.
bytes elements_of(test_array& array) {
    bytes elements(array.size() * array.element_bytes);
    for (std::size_t i = 0; i < array.size(); ++i) array.read(i, &elements[i * array.element_bytes]);
    return elements;
}

// One call, against a plain loop. What is wrong with it, or nothing. `in_data`: of the input, which may lie in the
// memory of `out`; `in` and `out` may be one object.
std::string fault_of_call(element_under_test const& element, test_array& in, std::byte* in_data, test_array& out,
                          options const& how) {
    bytes const elements = elements_of(in);
    std::size_t const n = in.size();
    auto const overflows = element.overflows(elements);
    auto first = static_cast<std::size_t>(std::ranges::find(overflows, true) - overflows.begin());
    if (how.overflow != overflow_policy::raise) first = n;
    test_array right = out;
    fill(right, element.doubles(elements, how.overflow));
    test_array const in_before = in;
    test_array const out_before = out;
    share_next_call();
    auto const from = view_of(in, in_data);
    std::size_t const done =
        element.double_array({from.data, from.shape, from.strides, from.byte_order}, view_of(out, out.data()), how);
    bool const in_place = &in == &out;
    if (done != first) return "returned " + std::to_string(done) + ", not " + std::to_string(first);
    if (!in_place && in.memory != in_before.memory) return "the input has changed";
    if (first == n) return out.memory == right.memory ? "" : "the output is wrong";
    if (in_place) return out.memory == out_before.memory ? "" : "an element has changed, in place";
    // Of the elements of another output nothing is promised.
    return out.same_beside_elements(out_before) ? "" : "something beside the output has changed";
}

// What an array of n elements holds. With overflow_policy::raise some overflow, or none.
bytes any_elements(element_under_test const& element, random_numbers& random, std::size_t n, overflow_policy policy) {
    if (policy != overflow_policy::raise) return element.arbitrary(n);
    bytes elements = element.fitting(n);
    // In a few places, so that the first in memory is not the first in the order of C.
    for (std::size_t k = random.one_in(2) || n == 0 ? 0 : 3; k > 0; --k) {
        copy_bytes(&elements[random.below(n) * element.size], element.overflowing().data(), element.size);
    }
    return elements;
}

}  // namespace

TEST_CASE("any array is doubled as a plain loop doubles it, and nothing else in memory changes", "[arrays]") {
    for (element_under_test const& element : elements_under_test()) {
        for (std::size_t seed = 0; seed < array_count(); ++seed) {
            random_numbers random{seed * 1000};
            auto const shape = any_shape(random, seed % 20 == 0);
            auto const array = [&](bool may_repeat, std::size_t min_step = 0) {
                return any_array(random, element.size, element.scalar_size, shape, may_repeat, min_step);
            };
            options const how{policies[random.below(3)], seed % 2 == 0 ? 3u : 1u};
            auto in = array(true);
            auto out = array(false);
            bytes const elements = any_elements(element, random, in.size(), how.overflow);
            if (random.one_in(3)) {  // of the same layout
                bool const swapped = in.swapped;
                in = out;
                in.swapped = swapped;
            }
            fill(in, elements);
            CAPTURE(element.name, seed, in.shape, in.strides, in.swapped, how.threads, static_cast<int>(how.overflow));
            {
                CAPTURE(out.strides, out.swapped);
                CHECK(fault_of_call(element, in, in.data(), out, how) == "");
            }
            auto here = array(false);
            fill(here, elements);
            {
                CAPTURE(here.strides, here.swapped);
                CHECK(fault_of_call(element, here, here.data(), here, how) == "");
            }
            // Elements between one another, as real and imaginary parts are.
            auto odd = array(false, 2 * element.size);
            auto even = odd;
            even.first += static_cast<std::ptrdiff_t>(element.size);
            even.swapped = random.one_in(2);
            fill(odd, elements);
            even.memory = odd.memory;
            CAPTURE(odd.strides, odd.swapped, even.swapped);
            CHECK(fault_of_call(element, odd, even.memory.data() + odd.first, even, how) == "");
        }
    }
}

// One alone, so that no other hides that it was missed.
TEST_CASE("an overflow is found in whichever row it is", "[arrays]") {
    constexpr std::size_t rows = 5;
    constexpr std::ptrdiff_t height = rows;
    for (element_under_test const& element : elements_under_test()) {
        // Long enough that kernels work on each row, and that a row of one repeated element is filled.
        std::size_t const columns = 1024 / element.size;
        auto const size = static_cast<std::ptrdiff_t>(element.size);
        auto const row_bytes = size * static_cast<std::ptrdiff_t>(columns);
        struct layout {
            std::ptrdiff_t row;
            std::ptrdiff_t column;
            bool swapped;
        };
        layout const layouts[] = {
            {row_bytes + 64, size, false},                                      // rows apart
            {2 * row_bytes + 64, 2 * size, false},                              // columns, too
            {size, height * size, false},                                       // transposed
            {row_bytes + 64, size, true},          {row_bytes + 64, 0, false},  // repeated; inputs alone
        };
        auto const make = [&](layout const& laid_out) {
            return test_array{element.size,
                              element.scalar_size,
                              {rows, columns},
                              {laid_out.row, laid_out.column},
                              laid_out.swapped,
                              std::vector<std::byte>(rows * (2 * 1024 + 64) + 128, std::byte{0x5A}),
                              64};
        };
        for (layout const& from : layouts) {
            for (layout const& to : layouts) {
                if (to.column == 0) continue;
                for (std::size_t row = 0; row < rows; ++row) {
                    auto in = make(from);
                    auto out = make(to);
                    bytes elements = element.fitting(in.size());
                    bytes const one = element.overflowing();
                    std::size_t const last = row * columns + columns - 1;  // what stays where elements are repeated
                    copy_bytes(&elements[last * element.size], one.data(), element.size);
                    fill(in, elements);
                    CAPTURE(element.name, row, in.strides, in.swapped, out.strides, out.swapped);
                    options const how{overflow_policy::raise, 1};
                    CHECK(fault_of_call(element, in, in.data(), out, how) == "");
                    if (from.column != 0) CHECK(fault_of_call(element, in, in.data(), in, how) == "");
                }
            }
        }
    }
}

// Beyond the cache, which is set as small as it may be.
TEST_CASE("large arrays are streamed, and right", "[double][arrays]") {
    std::size_t const cache_before = twofold::detail::the_cache_size;
    twofold::detail::the_cache_size = std::size_t{1} << 18;
    for (element_under_test const& element : elements_under_test()) {
        // Each side is long enough to be streamed in whole lines where the array is transposed.
        std::size_t const side = (std::max)(static_cast<std::size_t>(std::sqrt((std::size_t{3} << 18) / element.size)),
                                            twofold::detail::min_transposed_bytes / element.size) +
                                 1;
        auto const step = static_cast<std::ptrdiff_t>(element.size);
        auto const row = step * static_cast<std::ptrdiff_t>(side);
        struct {
            std::vector<std::ptrdiff_t> in, out;
            bool swapped;
            std::ptrdiff_t out_first;
        } const layouts[] = {
            {{step, row}, {row, step}, false, 128},         // transposed
            {{step, row}, {row + step, step}, true, 112},   // rows that begin anywhere in a cache line
            {{2 * row, step}, {row, step}, false, 113},     // rows
            {{step, 0}, {2 * row, step}, true, 128},        // one element a row
            {{row, -step}, {row, step}, false, 64},         //
            {{step, row}, {2 * row, 2 * step}, false, 64},  // an output with gaps
        };
        for (auto const& layout : layouts) {
            std::size_t const memory = side * side * element.size * 3 + 512;
            auto const array = [&](std::vector<std::ptrdiff_t> const& strides, std::ptrdiff_t first) {
                return test_array{element.size, element.scalar_size, {side, side},
                                  strides,      layout.swapped,      bytes(memory, std::byte{0x5A}),
                                  first};
            };
            for (unsigned const threads : {1u, 3u}) {
                auto in = array(layout.in, layout.in[1] < 0 ? 64 + row : 64);
                auto out = array(layout.out, layout.out_first);
                fill(in, element.fitting(side * side));
                auto const policy = threads == 1 ? overflow_policy::wrap : overflow_policy::raise;
                CAPTURE(element.name, layout.in, layout.out, layout.swapped, layout.out_first, threads);
                CHECK(fault_of_call(element, in, in.data(), out, {policy, threads}) == "");
            }
        }
    }
    twofold::detail::the_cache_size = cache_before;
}
