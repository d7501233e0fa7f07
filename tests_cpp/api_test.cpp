// Promises of the public functions: which ranges they take, and what they refuse.
#include <algorithm>
#include <array>
#include <list>
#include <span>
#include <stdexcept>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"

namespace {

template <class Call>
std::string message_of_invalid_argument(Call const& call) {
    try {
        call();
    } catch (std::invalid_argument const& error) {
        return error.what();
    }
    return "nothing was thrown";
}

template <class In, class Out>
concept can_double_into = requires(In in, Out out) { twofold::double_into(in, out); };

}  // namespace

TEST_CASE("contiguous ranges of every sort are taken as input and as output", "[api]") {
    std::vector<int> const vector{1, 2, 3};
    std::array<int, 3> const array{1, 2, 3};
    int const c_array[] = {1, 2, 3};
    std::vector<int> const expected{2, 4, 6};
    std::vector<int> out(3);

    auto const is_doubled = [&](auto const& in) {
        std::ranges::fill(out, 0);
        twofold::double_into(in, out);
        return out == expected;
    };
    CHECK(is_doubled(vector));
    CHECK(is_doubled(array));
    CHECK(is_doubled(c_array));
    CHECK(is_doubled(std::span(vector)));                 // of const, of dynamic extent
    CHECK(is_doubled(std::span<int const, 3>(c_array)));  // of const, of fixed extent
    std::vector<int> writable = vector;
    CHECK(is_doubled(std::span(writable)));

    auto const is_filled = [&](auto&& target) {
        twofold::double_into(vector, target);
        return std::ranges::equal(target, expected);
    };
    std::array<int, 3> array_out{};
    int c_array_out[3] = {};
    CHECK(is_filled(array_out));
    CHECK(is_filled(c_array_out));
    CHECK(is_filled(std::span(out)));
    CHECK(is_filled(std::span<int, 3>(array_out)));

    std::vector<int> again(3);
    twofold::double_into(vector, std::span(again));  // a temporary that refers to what is written
    CHECK(again == expected);
}

TEST_CASE("values are doubled in place through containers and through views of them", "[api]") {
    std::vector<double> vector{0.5, -1.5};
    twofold::double_in_place(vector);
    CHECK(vector == std::vector{1.0, -3.0});
    twofold::double_in_place(std::span(vector));
    CHECK(vector == std::vector{2.0, -6.0});
    float c_array[] = {1.5F};
    twofold::double_in_place(c_array);
    CHECK(c_array[0] == 3.0F);
    std::array<std::uint8_t, 2> array{1, 200};
    twofold::double_in_place(array);
    CHECK(array == std::array<std::uint8_t, 2>{2, 144});
}

TEST_CASE("input and output may be the same range", "[api]") {
    std::vector<std::int16_t> values{1, -2, 3};
    twofold::double_into(values, values);
    CHECK(values == std::vector<std::int16_t>{2, -4, 6});
}

TEST_CASE("doubled gives a vector of the same element, and leaves its input alone", "[api]") {
    std::array<short, 3> const values{1, 2, -3};
    auto const twice = twofold::doubled(values);
    static_assert(std::same_as<decltype(twice), std::vector<short> const>);
    CHECK(twice == std::vector<short>{2, 4, -6});
    CHECK(values == std::array<short, 3>{1, 2, -3});
    CHECK(twofold::doubled(std::vector<double>{}).empty());
}

TEMPLATE_TEST_CASE("the standard's integers are elements under every name", "[api]", signed char, unsigned char, short,
                   unsigned short, int, unsigned, long, unsigned long, long long, unsigned long long) {
    using T = TestType;
    static_assert(twofold::element<T>);
    static_assert(twofold::describe_element<T>.bits == sizeof(T) * 8);
    static_assert(twofold::describe_element<T>.kind == (std::is_signed_v<T> ? 'i' : 'u'));
    std::vector<T> const values(100, T{21});
    CHECK(twofold::doubled(values) == std::vector<T>(100, T{42}));
}

TEST_CASE("bool, characters and what is no number are no elements", "[api]") {
    static_assert(!twofold::element<bool>);
    static_assert(!twofold::element<char>);
    static_assert(!twofold::element<char8_t>);
    static_assert(!twofold::element<wchar_t>);
    static_assert(!twofold::element<long double>);
    static_assert(!twofold::element<int const>);
    static_assert(!twofold::element<int*>);
    // Not contiguous, so not even a candidate.
    static_assert(!can_double_into<std::list<int>&, std::vector<int>&>);
    static_assert(can_double_into<std::vector<int>&, std::vector<int>&>);
}

TEST_CASE("ranges of different sizes are refused with both sizes, and nothing is written", "[api]") {
    for (std::size_t const size_of_out : {2u, 4u, 0u}) {
        std::vector<int> const in{1, 2, 3};
        std::vector<int> out(size_of_out, 7);
        CHECK(message_of_invalid_argument([&] { twofold::double_into(in, out); }) ==
              "twofold: the input has 3 elements, but the output has " + std::to_string(size_of_out));
        CHECK(out == std::vector<int>(size_of_out, 7));
    }
}

TEST_CASE("ranges that overlap in part are refused, and nothing is written", "[api]") {
    std::vector<int> memory(100);
    for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<int>(i);
    auto const before = memory;
    std::span const all(memory);
    struct row {
        std::size_t in;
        std::size_t out;
    };
    for (row const& r : {row{0, 1}, row{1, 0}, row{0, 49}, row{50, 1}}) {
        CAPTURE(r.in, r.out);
        CHECK(message_of_invalid_argument([&] {
                  twofold::double_into(all.subspan(r.in, 50), all.subspan(r.out, 50));
              }).starts_with("twofold: input and output overlap"));
        CHECK(memory == before);
    }
    twofold::double_into(all.first(50), all.last(50));  // neighbours do not overlap
    CHECK(memory[99] == 98);
    twofold::double_into(all.last(50), all.first(50));
    CHECK(memory[49] == 196);
}

TEST_CASE("ranges that overlap by less than an element are refused", "[api]") {
    std::vector<std::byte> memory(64);
    auto* const in = reinterpret_cast<std::uint32_t*>(memory.data());
    auto* const out = reinterpret_cast<std::uint32_t*>(memory.data() + 31);
    CHECK(message_of_invalid_argument([&] {
              twofold::double_into(std::span(in, 8), std::span(out, 8));
          }).starts_with("twofold: input and output overlap"));
}

TEST_CASE("empty ranges are fine, null pointers among them", "[api]") {
    std::span<std::uint32_t> const null;
    REQUIRE(null.data() == nullptr);
    std::vector<std::uint32_t> empty;
    twofold::double_into(null, null);
    twofold::double_into(null, empty);
    twofold::double_into(empty, null);
    twofold::double_in_place(null);
    CHECK(twofold::doubled(null).empty());
    // Empty ranges inside of others do not overlap.
    std::vector<std::uint32_t> values{1, 2, 3};
    twofold::double_into(std::span(values).subspan(1, 0), std::span(values).first(0));
    CHECK(values == std::vector<std::uint32_t>{1, 2, 3});
}

TEST_CASE("any number of threads may be asked for", "[api]") {
    std::size_t const n = twofold::detail::threads_pay_asleep_bytes / sizeof(std::uint32_t) + 7;
    auto const in = arbitrary_elements<std::uint32_t>(n);
    auto const expected = expected_doubles(in);
    for (unsigned const threads : {0u, 1u, 2u, 7u, 300u}) {
        std::vector<std::uint32_t> out(n);
        twofold::double_into(in, out, {.threads = threads});
        CAPTURE(threads);
        CHECK(out == expected);
    }
}

TEST_CASE("the version is one string made of three numbers", "[api]") {
    CHECK(std::string(TWOFOLD_VERSION) == std::to_string(TWOFOLD_VERSION_MAJOR) + "." +
                                              std::to_string(TWOFOLD_VERSION_MINOR) + "." +
                                              std::to_string(TWOFOLD_VERSION_PATCH));
    CHECK(std::string(TWOFOLD_VERSION) == TWOFOLD_EXPECTED_VERSION);  // as Meson read it
}
