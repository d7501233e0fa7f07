// Promises of nd/layout.hpp: whatever the shape and the strides, its loops and blocks meet each element once.
#include <twofold/nd/layout.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace {

using twofold::detail::axis;
using twofold::detail::block;
using twofold::detail::order;
using loop_nest = twofold::detail::loop_nest;
using blocks = twofold::detail::blocks;

struct layout {
    std::vector<std::size_t> shape;
    std::vector<std::ptrdiff_t> in;
    std::vector<std::ptrdiff_t> out;

    [[nodiscard]] loop_nest nest(order which = order::any) const {
        return loop_nest(shape.data(), in.data(), out.data(), static_cast<int>(shape.size()), which);
    }
};

// Where an element is read and written.
using place = std::pair<std::ptrdiff_t, std::ptrdiff_t>;

// All elements, the last axis fastest.
std::vector<place> places_of(layout const& call) {
    std::vector<place> places{{0, 0}};
    for (std::size_t i = 0; i < call.shape.size(); ++i) {
        std::vector<place> longer;
        for (place const& from : places) {
            for (std::size_t step = 0; step < call.shape[i]; ++step) {
                auto const steps = static_cast<std::ptrdiff_t>(step);
                longer.push_back({from.first + steps * call.in[i], from.second + steps * call.out[i]});
            }
        }
        places = std::move(longer);
    }
    return places;
}

// The same, as the loops of a nest meet them.
std::vector<place> places_of(loop_nest const& nest) {
    layout call;
    for (std::size_t i = nest.size(); i > 0; --i) {
        call.shape.push_back(nest[i - 1].length);
        call.in.push_back(nest[i - 1].in);
        call.out.push_back(nest[i - 1].out);
    }
    auto places = places_of(call);
    for (place& each : places) {
        each.first += nest.in_start();
        each.second += nest.out_start();
    }
    return places;
}

std::vector<place> places_of(loop_nest const& nest, blocks const& cut) {
    std::vector<place> places;
    for (std::size_t i = 0; i < cut.size(); ++i) {
        block const part = cut[i];
        for (std::size_t r = 0; r < part.rows; ++r) {
            for (std::size_t c = 0; c < part.columns; ++c) {
                auto const row = static_cast<std::ptrdiff_t>(r);
                auto const column = static_cast<std::ptrdiff_t>(c);
                places.push_back({nest.in_start() + part.in + row * cut.rows().in + column * cut.columns().in,
                                  nest.out_start() + part.out + row * cut.rows().out + column * cut.columns().out});
            }
        }
    }
    return places;
}

std::vector<place> sorted(std::vector<place> places) {
    std::ranges::sort(places);
    return places;
}

// Numbers that look random (splitmix64).
struct random_numbers {
    std::uint64_t state;
    std::size_t below(std::size_t n) {
        state += 0x9E3779B97F4A7C15u;
        std::uint64_t bits = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
        return (bits ^ bits >> 31) % n;
    }
};

// The strides of an array whose axes lie in memory in any order, with gaps and backwards.
std::vector<std::ptrdiff_t> any_strides(random_numbers& random, std::vector<std::size_t> const& shape,
                                        std::size_t element_bytes) {
    std::vector<std::size_t> axes(shape.size());
    for (std::size_t i = 0; i < axes.size(); ++i) std::swap(axes[i] = i, axes[random.below(i + 1)]);
    std::vector<std::ptrdiff_t> strides(shape.size());
    std::size_t step = element_bytes;
    for (std::size_t const i : axes) {
        step *= 1 + random.below(4) / 3;
        strides[i] = static_cast<std::ptrdiff_t>(step) * (random.below(4) == 0 ? -1 : 1);
        step *= shape[i];
    }
    return strides;
}

layout any_layout(random_numbers& random, std::size_t element_bytes) {
    layout call;
    for (std::size_t i = random.below(6); i > 0; --i) call.shape.push_back(1 + random.below(7));
    call.out = any_strides(random, call.shape, element_bytes);
    call.in = random.below(3) == 0 ? call.out : any_strides(random, call.shape, element_bytes);
    for (std::ptrdiff_t& stride : call.in) {
        if (random.below(8) == 0) stride = 0;
    }
    return call;
}

// Of no cost at run time, where shape and strides are known.
static_assert([] {
    constexpr std::size_t shape[]{3, 5};
    constexpr std::ptrdiff_t f_order[]{4, 12};
    constexpr std::ptrdiff_t c_order[]{20, 4};
    loop_nest const nest(shape, f_order, c_order, 2);
    blocks const cut(nest, 4, 1024);
    return nest.size() == 2 && nest[0] == axis{5, 12, 4} && nest[1] == axis{3, 4, 20} && cut.is_transposed() &&
           cut.size() == 1 && cut[0] == block{0, 0, 3, 5};
}());

// Rows that are one and the same are no columns of the input, to be met by squares.
static_assert([] {
    constexpr std::size_t shape[]{300, 500};
    constexpr std::ptrdiff_t repeated[]{0, 4};
    constexpr std::ptrdiff_t c_order[]{2000, 4};
    loop_nest const nest(shape, repeated, c_order, 2);
    blocks const cut(nest, 4, 16384);
    return !cut.is_transposed() && cut[0].columns == 500;
}());

}  // namespace

TEST_CASE("the loops meet each element once, in any order or in that of C", "[layout]") {
    random_numbers random{1};
    for (int i = 0; i < 3000; ++i) {
        layout const call = any_layout(random, 1 + random.below(16));
        auto const expected = places_of(call);
        CAPTURE(i);
        CHECK((sorted(places_of(call.nest())) == sorted(expected)));
        CHECK((places_of(call.nest(order::index)) == expected));
    }
}

TEST_CASE("the output goes forward, and inner loops take smaller steps", "[layout]") {
    random_numbers random{2};
    for (int i = 0; i < 1000; ++i) {
        loop_nest const nest = any_layout(random, 4).nest();
        for (std::size_t k = 0; k < nest.size(); ++k) {
            CHECK(nest[k].length > 1);
            CHECK(nest[k].out > (k == 0 ? 0 : nest[k - 1].out));
        }
    }
}

TEST_CASE("blocks hold each element once, and no more bytes than they may", "[layout]") {
    random_numbers random{3};
    for (int i = 0; i < 3000; ++i) {
        std::size_t const element_bytes = std::size_t{1} << random.below(6);
        layout const call = any_layout(random, element_bytes);
        loop_nest const nest = call.nest();
        bool const streamed = random.below(2) == 0;
        std::size_t const block_bytes = streamed ? std::size_t{16384} : std::size_t{64} << random.below(6);
        blocks const cut(nest, element_bytes, block_bytes, random.below(64), random.below(64), streamed);
        std::size_t const more_columns =
            streamed && cut.is_transposed() ? (std::max)(64 / element_bytes, std::size_t{1}) : 0;
        std::size_t const max_bytes = (cut.is_transposed() ? blocks::transposed_share : 1) * block_bytes;
        CAPTURE(i, element_bytes, block_bytes, streamed);
        CHECK((sorted(places_of(nest, cut)) == sorted(places_of(call))));
        for (std::size_t k = 0; k < cut.size(); ++k) {
            CHECK(cut[k].rows * (cut[k].columns + more_columns) * element_bytes <= max_bytes);
            CHECK(cut[k].columns_before + cut[k].columns + cut[k].columns_after == cut.columns().length);
            CHECK(cut[k].columns <= cut.max_columns());
        }
    }
}

TEST_CASE("streamed blocks leave room for another cache line of each row", "[layout]") {
    constexpr std::size_t n = 1000;
    for (std::size_t element_bytes = 1; element_bytes <= 32; element_bytes *= 2) {
        auto const step = static_cast<std::ptrdiff_t>(element_bytes);
        auto const row = step * static_cast<std::ptrdiff_t>(n);
        layout const call{{n, n}, {step, row}, {row, step}};
        loop_nest const nest = call.nest();
        std::size_t const line = 64 / element_bytes;
        for (std::size_t const block_bytes : {4096u, 8192u, 16384u}) {
            blocks const cut(nest, element_bytes, block_bytes, 0, 0, true);
            std::size_t most = 0;
            for (std::size_t i = 0; i < cut.size(); ++i) {
                most = (std::max)(most, cut[i].rows * (cut[i].columns + line) * element_bytes);
            }
            CAPTURE(element_bytes, block_bytes);
            CHECK(most <= blocks::transposed_share * block_bytes);
            CHECK(most >= blocks::transposed_share * 512);
        }
    }
}

TEST_CASE("arrays without gaps are one loop, whatever their order and directions", "[layout]") {
    for (layout const& call : {
             layout{{2, 3, 4}, {48, 16, 4}, {48, 16, 4}},      // C
             layout{{2, 3, 4}, {4, 8, 24}, {4, 8, 24}},        // Fortran
             layout{{2, 3, 4}, {16, 32, 4}, {16, 32, 4}},      // neither
             layout{{2, 3, 4}, {-48, 16, -4}, {-48, 16, -4}},  // backwards
             layout{{2, 1, 12}, {48, 777, 4}, {48, -4, 4}},    // an axis without extent
             layout{{24}, {4}, {4}},
             layout{{1, 1}, {8, 8}, {-8, 0}},
             layout{{}, {}, {}},
         }) {
        CHECK(call.nest().is_contiguous(4));
    }
    CHECK_FALSE(layout{{2, 12}, {52, 4}, {48, 4}}.nest().is_contiguous(4));
    CHECK_FALSE(layout{{24}, {-4}, {4}}.nest().is_contiguous(4));
    CHECK_FALSE(layout{{2, 3, 4}, {4, 8, 24}, {4, 8, 24}}.nest(order::index).is_contiguous(4));
    CHECK_FALSE(layout{{24}, {-4}, {-4}}.nest(order::index).is_contiguous(4));
    CHECK(layout{{2, 3, 4}, {48, 16, 4}, {48, 16, 4}}.nest(order::index).is_contiguous(4));
}

TEST_CASE("what both sides repeat is met once", "[layout]") {
    loop_nest const nest = layout{{5, 7}, {0, 4}, {0, 4}}.nest();
    CHECK(nest.size() == 1);
    CHECK(nest[0] == axis{7, 4, 4});
}

TEST_CASE("arrays may have 64 dimensions", "[layout]") {
    layout call;
    for (int i = 0; i < twofold::detail::max_dimensions; ++i) {
        call.shape.push_back(i % 16 == 0 ? 2 : 1);
        call.in.push_back(std::ptrdiff_t{4} << i % 32);
        call.out.push_back(std::ptrdiff_t{4} << (63 - i) / 2);
    }
    CHECK((sorted(places_of(call.nest())) == sorted(places_of(call))));
    CHECK(call.nest().size() == 4);
}

TEST_CASE("transposed blocks read and write whole cache lines", "[layout]") {
    constexpr std::size_t n = 1000;
    layout const call{{n, n}, {4, 4 * n}, {4 * n, 4}};
    loop_nest const nest = call.nest();
    // The first elements are 4 and 8 elements past a line.
    blocks const cut(nest, 4, 16384 / blocks::transposed_share, 16, 32);
    for (std::size_t i = 0; i < cut.size(); ++i) {
        auto const column = static_cast<std::size_t>(cut[i].out) / 4 % n;
        auto const row = static_cast<std::size_t>(cut[i].in) / 4 % n;
        CAPTURE(i, row, column);
        CHECK((row == 0 || (row + 4) % 16 == 0));
        CHECK((column == 0 || (column + 8) % 16 == 0));
    }
    CHECK(cut[0].rows == 60);
    CHECK(cut[0].columns == 56);
}
