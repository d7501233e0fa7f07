// What double_array and double_strided refuse, each before anything is written, and the odd shapes that they take.
#include <bit>
#include <complex>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"

namespace {

using shape = std::vector<std::size_t>;
using strides = std::vector<std::ptrdiff_t>;
using numbers = std::vector<std::uint32_t>;

constexpr std::endian other_order = std::endian::native == std::endian::little ? std::endian::big : std::endian::little;
constexpr std::ptrdiff_t least = std::numeric_limits<std::ptrdiff_t>::min();
constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();

constexpr char const* overlap = "twofold: input and output overlap without being the same; copy one of them first";
constexpr char const* overlaps_itself = "twofold: elements of the output share memory";
constexpr char const* reach = "twofold: the strides reach over more bytes than memory can have";

template <class Call>
std::string message_of(Call const& call) {
    try {
        call();
    } catch (std::invalid_argument const& error) {
        return error.what();
    }
    return "";
}

numbers counted(std::size_t n) {
    numbers all(n);
    for (std::size_t i = 0; i < n; ++i) all[i] = static_cast<std::uint32_t>(i);
    return all;
}

// The call is refused with that message, and nothing is written; or all is done, and there is none.
struct row {
    shape lengths;
    std::ptrdiff_t in;  // in bytes from the middle of the memory
    strides in_strides;
    std::ptrdiff_t out;
    strides out_strides;
    char const* message = "";
    bool in_swapped = false;
};

void check(row const& r) {
    numbers memory = counted(400);
    numbers const before = memory;
    auto* const middle = reinterpret_cast<std::byte*>(memory.data() + 200);
    CAPTURE(r.lengths, r.in, r.in_strides, r.out, r.out_strides, r.in_swapped);
    for (auto const policy : {twofold::overflow_policy::wrap, twofold::overflow_policy::raise}) {
        memory = before;
        CHECK(message_of([&] {
                  twofold::double_array<std::uint32_t>(
                      {reinterpret_cast<std::uint32_t*>(middle + r.in), r.lengths, r.in_strides,
                       r.in_swapped ? other_order : std::endian::native},
                      {reinterpret_cast<std::uint32_t*>(middle + r.out), r.lengths, r.out_strides},
                      {.overflow = policy});
              }) == r.message);
        if (*r.message != '\0') CHECK((memory == before));
    }
}

}  // namespace

TEST_CASE("a matrix is doubled to where its columns lie one after another", "[arrays]") {
    std::vector<int> matrix{1, 2, 3, 4, 5, 6}, out(6);
    std::size_t const lengths[] = {2, 3};
    std::ptrdiff_t const by_rows[] = {12, 4}, by_columns[] = {4, 8};
    twofold::double_array<int>({matrix.data(), lengths, by_rows}, {out.data(), lengths, by_columns});
    CHECK(out == std::vector{2, 8, 4, 10, 6, 12});
}

TEST_CASE("a const input, and an array that is both, are taken as they are", "[arrays]") {
    std::vector<double> const in{1, 2};
    std::vector<double> out(2);
    std::size_t const lengths[] = {2};
    std::ptrdiff_t const step[] = {8};
    twofold::array_view<double> const there{out.data(), lengths, step};
    twofold::double_array({in.data(), lengths, step}, there);
    twofold::double_array({there.data, there.shape, there.strides}, there);
    CHECK(out == std::vector<double>{4, 8});
}

TEST_CASE("the first overflow is counted in C order of the shape, and in place nothing is written", "[arrays]") {
    std::vector<std::uint8_t> values{1, 200, 3, 4, 5, 6, 201, 8};
    auto const before = values;
    std::size_t const lengths[] = {4, 2};
    std::ptrdiff_t const by_columns[] = {1, 4};
    twofold::array_view<std::uint8_t> const there{values.data(), lengths, by_columns};
    for (unsigned const threads : {1u, 3u}) {
        std::size_t index = 99;
        std::string message;
        try {
            twofold::double_array({there.data, there.shape, there.strides}, there,
                                  {twofold::overflow_policy::raise, threads});
        } catch (twofold::overflow_error const& error) {
            index = error.index();
            message = error.what();
        }
        CHECK(index == 2);  // of 200; 201 is number 5
        CHECK(message == "twofold: the double of element 2 does not fit its type");
        CHECK(values == before);
    }
}

TEST_CASE("of single bytes there is one order, so an array that names two of them is one array", "[arrays]") {
    std::vector<std::int8_t> values{1, 2, 3};
    std::size_t const lengths[] = {3};
    std::ptrdiff_t const step[] = {1};
    twofold::double_array<std::int8_t>({values.data(), lengths, step, other_order}, {values.data(), lengths, step});
    CHECK(values == std::vector<std::int8_t>{2, 4, 6});
}

TEST_CASE("shapes that differ are refused, also where there are no elements", "[arrays]") {
    numbers memory = counted(100);
    auto const message = [&](shape const& in, strides const& in_strides, shape const& out, strides const& out_strides) {
        return message_of([&] {
            twofold::double_array<std::uint32_t>({memory.data(), in, in_strides}, {&memory[50], out, out_strides});
        });
    };
    CHECK(message({2, 3}, {12, 4}, {2, 4}, {16, 4}) ==
          "twofold: the input has length 3 in dimension 1, but the output has 4");
    CHECK(message({4}, {4}, {3}, {4}) == "twofold: the input has length 4 in dimension 0, but the output has 3");
    CHECK(message({1}, {4}, {2}, {4}) == "twofold: the input has length 1 in dimension 0, but the output has 2");
    CHECK(message({0, 3}, {12, 4}, {0, 4}, {16, 4}) ==
          "twofold: the input has length 3 in dimension 1, but the output has 4");
    constexpr auto all =
        "twofold: input and output must have one shape, and a stride for each dimension; the shapes have ";
    CHECK(message({2, 3}, {12, 4}, {6}, {4}) == all + std::string("2 and 1 dimensions, the strides 2 and 1"));
    CHECK(message({2, 3}, {12}, {2, 3}, {12, 4}) == all + std::string("2 and 2 dimensions, the strides 1 and 2"));
    CHECK(message({2, 3}, {12, 4}, {2, 3}, {12, 4, 4}) == all + std::string("2 and 2 dimensions, the strides 2 and 3"));
    CHECK(message({}, {}, {0}, {4}) == all + std::string("0 and 1 dimensions, the strides 0 and 1"));
    shape const many(65, 1);
    strides const steps(65, 4);
    CHECK(message(many, steps, many, steps) == "twofold: an array of 65 dimensions; at most 64 are supported");
    CHECK((memory == counted(100)));
    CHECK(message(shape(64, 1), strides(64, 4), shape(64, 1), strides(64, 4)) == "");
    CHECK(memory[50] == 0);
}

TEST_CASE("arrays that overlap are refused, unless they are one, or lie between one another", "[arrays]") {
    for (row const& r : {
             row{{10}, 0, {4}, 4, {4}, overlap},                  // one element further
             row{{10}, 0, {8}, 2, {8}, overlap},                  // half an element further
             row{{10}, 0, {8}, 4, {8}},                           // in the gaps
             row{{10}, 0, {8}, 5, {8}, overlap},                  // in the gaps and beyond
             row{{10}, 0, {-8}, -4, {-8}},                        //
             row{{10}, 0, {4}, 36, {-4}, overlap},                // in reverse
             row{{10}, 0, {0}, 0, {4}, overlap},                  // one element for all, that is overwritten
             row{{10}, 40, {0}, 0, {4}},                          //
             row{{10}, 36, {0}, 0, {4}, overlap},                 //
             row{{3, 5}, 0, {40, 8}, 4, {40, 8}},                 // in the gaps of each row
             row{{3, 5}, 0, {40, 4}, 20, {40, 4}, overlap},       // side by side: they might be found not to
             row{{3, 3}, 0, {28, 8}, 4, {28, 8}, overlap},        // might: all gaps are multiples of 4
             row{{3, 3}, 0, {28, 8}, 12, {28, 8}, overlap},       // does, though its columns lie in gaps
             row{{3, 5}, 0, {20, 4}, 20, {20, 4}, overlap},       // a row further
             row{{3, 3}, 0, {12, 4}, 0, {4, 12}, overlap},        // transposed in place
             row{{3, 5}, 0, {20, 4}, 0, {20, 4}},                 // in place
             row{{3, 5}, 0, {20, 4}, 0, {20, 4}, overlap, true},  // but for the byte order
             row{{1, 5}, 0, {least, 4}, 0, {17, 4}},              // in place: the first stride leads nowhere
             row{{1, 5}, 0, {0, 4}, 20, {least, 4}},
         }) {
        check(r);
    }
}

TEST_CASE("an output in which elements share memory is refused", "[arrays]") {
    for (row const& r : {
             row{{10}, 0, {4}, 100, {0}, overlaps_itself},
             row{{10}, 0, {4}, 100, {2}, overlaps_itself},
             row{{10}, 0, {4}, 100, {-3}, overlaps_itself},
             row{{3, 5}, 0, {20, 4}, 100, {4, 4}, overlaps_itself},
             row{{3, 5}, 0, {20, 4}, 100, {16, 4}, overlaps_itself},
             row{{3, 5}, 0, {20, 4}, 100, {0, 4}, overlaps_itself},
             row{{3, 5}, 0, {20, 4}, 100, {20, -4}},
             row{{1, 5}, 0, {20, 4}, 100, {0, 4}},
         }) {
        check(r);
    }
}

TEST_CASE("strides that reach further than memory are refused, and those that lead nowhere are not", "[arrays]") {
    constexpr std::size_t huge = std::size_t{1} << 40;
    for (row const& r : {
             row{{2}, 0, {4}, 0, {most}, reach},
             row{{2}, 0, {4}, 0, {least}, reach},
             row{{2}, 0, {least}, 0, {4}, reach},
             row{{3}, 0, {most}, 0, {4}, reach},
             row{{5}, 0, {most / 2}, 0, {4}, reach},  // modulo 2^64 nothing overlaps
             row{{9}, 0, {4}, 0, {most / 2 + 1}, reach},
             row{{2, 2}, 0, {most / 2, most / 2 + 2}, 0, {8, 4}, reach},
             row{{huge, huge}, 0, {most, 4}, 0, {8, 4}, reach},
             row{{huge, huge}, 0, {0, 0}, 0, {0, 0}, overlaps_itself},
             row{{huge, huge}, 0, {0, 0}, 0, {4 * huge, 4}, reach},
             row{{1, 1}, 0, {least, most}, 100, {most, least}},
             row{{}, 0, {}, 100, {}},
             row{{huge, huge, 0}, 0, {least, most, 0}, 0, {0, 0, 0}},
             row{{0, std::numeric_limits<std::size_t>::max()}, 0, {0, 0}, 0, {0, 0}},
         }) {
        check(r);
    }
}

TEST_CASE("no elements need no memory", "[arrays]") {
    double* const null = nullptr;
    std::size_t const lengths[] = {3, 0};
    std::ptrdiff_t const steps[] = {least, most};
    for (auto const policy : {twofold::overflow_policy::wrap, twofold::overflow_policy::raise}) {
        twofold::double_array<double>({null, lengths, steps}, {null, lengths, steps}, {.overflow = policy});
    }
}

TEST_CASE("one element has no next one, whatever its stride", "[strided]") {
    for (std::ptrdiff_t const stride : {std::ptrdiff_t{0}, least, most, least / 2, most / 4 + 1}) {
        for (auto const policy : {twofold::overflow_policy::wrap, twofold::overflow_policy::raise}) {
            std::complex<double> in{1, 2}, out;
            twofold::double_strided(&in, stride, &out, -1 - stride, 1, {.overflow = policy});
            CHECK(out == std::complex<double>{2, 4});
            twofold::double_strided(&in, stride, &in, stride, 1, {.overflow = policy});
            CHECK(in == out);
        }
    }
}

TEST_CASE("strides of elements that reach further than memory are refused", "[strided]") {
    numbers memory = counted(100);
    auto* const values = &memory[50];
    auto const message = [&](std::ptrdiff_t in_stride, std::ptrdiff_t out_stride, std::size_t n) {
        return message_of([&] { twofold::double_strided(values, in_stride, values + 1, out_stride, n); });
    };
    for (std::ptrdiff_t const stride : {least, most, least / 4, most / 4, most / 4 + 1, most / 2 + 2}) {
        CAPTURE(stride);
        CHECK(message(stride, 1, 2) == reach);
        CHECK(message(1, stride, 2) == reach);
    }
    CHECK(message(most / 8, 1, 5) == reach);
    CHECK(message(1, 1, std::numeric_limits<std::size_t>::max()) == reach);
    CHECK((memory == counted(100)));
}
