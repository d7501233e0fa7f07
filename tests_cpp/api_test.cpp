// Promises of the public functions: which ranges they take, and what they refuse.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <complex>
#include <list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"

namespace {

using twofold::detail::threads_pay_asleep_bytes;
using twofold::detail::threads_pay_awake_bytes;

template <class Call>
std::string message_of_invalid_argument(Call const& call) {
    try {
        call();
    } catch (std::invalid_argument const& error) {
        return error.what();
    }
    return "nothing was thrown";
}

// What an overflow_error says of itself.
template <class Call>
std::string message_of_overflow(Call const& call) {
    try {
        call();
    } catch (std::overflow_error const& error) {
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
        CHECK((out == expected));
    }
}

TEST_CASE("what becomes of overflow is said by an option", "[api]") {
    using enum overflow_policy;
    std::vector<std::int8_t> const in{100, -100, 3};
    CHECK(twofold::doubled(in) == std::vector<std::int8_t>{-56, 56, 6});
    CHECK(twofold::doubled(in, {.overflow = wrap}) == std::vector<std::int8_t>{-56, 56, 6});
    CHECK(twofold::doubled(in, {.overflow = saturate}) == std::vector<std::int8_t>{127, -128, 6});
    CHECK_THROWS_AS(twofold::doubled(in, {.overflow = raise}), twofold::overflow_error);
    std::vector<std::int8_t> out(3);
    twofold::double_into(in, out, {.overflow = saturate, .threads = 1});
    CHECK(out == std::vector<std::int8_t>{127, -128, 6});
    twofold::double_in_place(out, {.overflow = saturate});
    CHECK(out == std::vector<std::int8_t>{127, -128, 12});
    CHECK(twofold::doubled(std::vector{1, 2}, {.overflow = raise}) == std::vector{2, 4});
}

TEST_CASE("an overflow_error names the first element, to callers that know the library and to others", "[api]") {
    std::vector<std::uint16_t> values(100, 7);
    values[41] = values[63] = 40'000;
    auto const double_in_place = [&] { twofold::double_in_place(values, {.overflow = overflow_policy::raise}); };
    CHECK(message_of_overflow(double_in_place) == "twofold: the double of element 41 does not fit its type");
    std::size_t index = 0;
    try {
        double_in_place();
    } catch (twofold::overflow_error const& error) {
        index = error.index();
    }
    CHECK(index == 41);
    CHECK(twofold::first_overflow(values) == std::size_t{41});
    CHECK(values[0] == 7);  // nothing has changed
}

TEST_CASE("complex numbers are counted by element, also where they overflow", "[api]") {
    auto const greatest = std::numeric_limits<double>::max();
    std::vector<std::complex<double>> values(9, {1.5, -2});
    CHECK(twofold::doubled(values) == std::vector<std::complex<double>>(9, {3, -4}));
    CHECK(twofold::first_overflow(values) == std::nullopt);
    for (std::complex<double> const overflowing : {std::complex<double>{greatest, 1}, {1, -greatest}}) {
        values[5] = overflowing;
        CHECK(twofold::first_overflow(values) == std::size_t{5});
        CHECK(message_of_overflow([&] { (void)twofold::doubled(values, {.overflow = overflow_policy::raise}); }) ==
              "twofold: the double of element 5 does not fit its type");
    }
}

TEST_CASE("first_overflow finds nothing in nothing, nor in floats that are infinite already", "[api]") {
    CHECK(twofold::first_overflow(std::vector<int>{}) == std::nullopt);
    CHECK(twofold::first_overflow(std::span<double>{}) == std::nullopt);
    float const infinity = std::numeric_limits<float>::infinity();
    CHECK(twofold::first_overflow(std::array{infinity, -infinity, std::nanf("")}) == std::nullopt);
    CHECK(twofold::first_overflow(std::array{infinity, std::numeric_limits<float>::max()}) == std::size_t{1});
}

// ---- double_strided

TEST_CASE("a column of a matrix is doubled to where it is wanted", "[api][strided]") {
    std::vector<int> const matrix{1, 2, 3,  //
                                  4, 5, 6};
    std::vector<int> column(2);
    twofold::double_strided(matrix.data() + 1, 3, column.data(), 1, 2);
    CHECK(column == std::vector{4, 10});
    twofold::double_strided(matrix.data() + 5, -3, column.data(), 1, 2);
    CHECK(column == std::vector{12, 6});
}

TEST_CASE("real and imaginary parts may lie between one another", "[api][strided]") {
    std::vector<double> parts{1, 10, 2, 20, 3, 30};
    twofold::double_strided(parts.data(), 2, parts.data() + 1, 2, 3);
    CHECK(parts == std::vector<double>{1, 2, 2, 4, 3, 6});
    // And the first element of one may come after the last of the other.
    std::vector<std::complex<float>> numbers{1, 2, 3, 4};
    twofold::double_strided(numbers.data() + 2, -2, numbers.data() + 3, -2, 2);
    CHECK(numbers == std::vector<std::complex<float>>{1, 2, 3, 6});
}

TEST_CASE("elements with strides that overlap are refused, and nothing is written", "[api][strided]") {
    std::vector<std::uint32_t> memory(100);
    for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<std::uint32_t>(i);
    auto const before = memory;
    struct row {
        std::ptrdiff_t in, in_stride, out, out_stride;
        bool overlaps;
    };
    for (row const& r : {
             row{0, 1, 1, 1, true},      // one element further
             row{0, 2, 2, 2, true},      // of the same gaps
             row{30, -2, 28, -2, true},  //
             row{0, 3, 30, 3, false},    // one after the other
             row{0, 3, 27, 3, true},     // the last is the first
             row{0, 1, 9, -1, true},     // the same ten, in reverse
             row{9, -1, 0, 1, true},     //
             row{0, 0, 0, 1, true},      // one for all, that is overwritten
             row{5, 0, 0, 1, true},      //
             row{10, 0, 0, 1, false},    // one for all, beside the output
             row{0, 2, 0, 4, true},      // in place but for the strides
             row{0, 2, 0, 2, false},     // in place
             row{0, 2, 1, 2, false},     // in the gaps
             row{50, -4, 51, -4, false},
             row{0, 2, 1, 4, true},  // in the gaps, too; but strides that differ are not looked into
         }) {
        CAPTURE(r.in, r.in_stride, r.out, r.out_stride);
        memory = before;
        auto const message = message_of_invalid_argument([&] {
            twofold::double_strided(memory.data() + r.in, r.in_stride, memory.data() + r.out, r.out_stride, 10);
        });
        CHECK(message.starts_with(r.overlaps ? "twofold: input and output overlap" : "nothing was thrown"));
        CHECK((memory == before) == r.overlaps);
    }
}

TEST_CASE("elements with strides that overlap by less than an element are refused", "[api][strided]") {
    std::vector<std::byte> memory(256);
    auto* const in = reinterpret_cast<std::uint32_t*>(memory.data());
    for (std::ptrdiff_t const bytes : {1, 3, 5, 9, 11, 13}) {
        auto* const out = reinterpret_cast<std::uint32_t*>(memory.data() + bytes);
        CAPTURE(bytes);
        CHECK(message_of_invalid_argument([&] {
                  twofold::double_strided(in, 3, out, 3, 10);
              }).starts_with("twofold: input and output overlap") == (bytes < 4 || bytes > 8));
    }
}

TEST_CASE("an output with a stride of zero has room for one element, and not for more", "[api][strided]") {
    std::vector<int> const in{1, 2, 3};
    int out = 7;
    twofold::double_strided(in.data(), 1, &out, 0, 0);
    CHECK(out == 7);
    twofold::double_strided(in.data() + 2, 1, &out, 0, 1);
    CHECK(out == 6);
    CHECK(message_of_invalid_argument([&] { twofold::double_strided(in.data(), 1, &out, 0, 3); }) ==
          "twofold: the output's stride is 0, so its 3 elements would be one");
    CHECK(out == 6);
    twofold::double_strided(&out, 0, &out, 0, 1);  // in place
    CHECK(out == 12);
}

TEST_CASE("no elements have any strides and need no memory", "[api][strided]") {
    double* const null = nullptr;
    for (std::ptrdiff_t const stride : {0, 1, -7}) twofold::double_strided(null, stride, null, -stride, 0);
    twofold::double_strided(null, 1, null, 1, 0, {.overflow = overflow_policy::raise});
}

// ---- transform

namespace {

// A kernel with a state: between two bounds, which are known at run time.
template <class T>
struct clamp_between {
    T least;
    T most;

    T operator()(T x) const noexcept { return x < least ? least : x > most ? most : x; }
    template <class Arch>
    xsimd::batch<T, Arch> operator()(xsimd::batch<T, Arch> const& x) const noexcept {
        return xsimd::min(xsimd::max(x, xsimd::batch<T, Arch>(least)), xsimd::batch<T, Arch>(most));
    }
};

// Elements on which kernels can be told apart, for sums and products that neither overflow nor round.
template <class T>
std::vector<T> small_numbers(std::size_t n) {
    std::vector<T> numbers(n);
    for (std::size_t i = 0; i < n; ++i) numbers[i] = static_cast<T>(static_cast<std::uint8_t>(i % 50));
    return numbers;
}

template <class T, class Kernel, class Expected>
bool transforms(Kernel const& kernel, Expected const& expected) {
    // In vectors and alone; short, and so long that threads and streamed stores are in play.
    for (std::size_t const n :
         {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{67}, std::size_t{1000},
          2 * threads_pay_awake_bytes / sizeof(T) + 1, threads_pay_asleep_bytes / sizeof(T) + 1}) {
        auto in = small_numbers<T>(n);
        std::vector<T> right(n);
        for (std::size_t i = 0; i < n; ++i) right[i] = expected(in[i]);
        for (unsigned const threads : {1u, 3u}) {
            std::vector<T> out(n);
            share_next_call();
            twofold::transform(in, out, kernel, {.threads = threads});
            if (!same_bits(out, right)) return false;
        }
        share_next_call();
        twofold::transform(in, in, kernel, {.threads = 3});  // in place
        if (!same_bits(in, right)) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("a lambda that is right for an element and for a batch of them is a kernel", "[api][transform]") {
    CHECK(transforms<float>([](auto x) noexcept { return x * 3.0F; }, [](float x) { return x * 3; }));
    CHECK(transforms<double>([](auto x) noexcept { return x * x + 1.0; }, [](double x) { return x * x + 1; }));
    CHECK(transforms<int>([](auto x) noexcept { return x * 3 - 7; }, [](int x) { return x * 3 - 7; }));
    CHECK(transforms<std::uint64_t>([](auto x) noexcept { return ~x; }, [](std::uint64_t x) { return ~x; }));
    double const factor = 0.5;
    CHECK(transforms<double>([factor](auto x) noexcept { return x * factor; }, [](double x) { return x / 2; }));
}

TEST_CASE("complex numbers are transformed, too", "[api][transform]") {
    using complex = std::complex<double>;
    CHECK(transforms<complex>([](auto x) noexcept { return x + x; }, [](complex x) { return x + x; }));
    CHECK(transforms<std::complex<float>>([](auto x) noexcept { return x + std::complex<float>(1, -2); },
                                          [](std::complex<float> x) { return x + std::complex<float>(1, -2); }));
}

TEST_CASE("a kernel of narrow integers says that it computes in them, as batches do", "[api][transform]") {
    auto const next_half = [](auto x) noexcept {
        using values = decltype(x);
        return static_cast<values>(static_cast<values>(x + values(100)) >> 1);
    };
    CHECK(transforms<std::int8_t>(
        next_half, [](std::int8_t x) { return static_cast<std::int8_t>(static_cast<std::int8_t>(x + 100) >> 1); }));
    CHECK(transforms<std::uint16_t>(next_half,
                                    [](std::uint16_t x) { return static_cast<std::uint16_t>((x + 100) >> 1); }));
}

TEST_CASE("a kernel may have a state", "[api][transform]") {
    CHECK(transforms<float>(clamp_between<float>{2.5F, 30}, [](float x) { return std::clamp(x, 2.5F, 30.0F); }));
    CHECK(transforms<std::int16_t>(clamp_between<std::int16_t>{3, 20},
                                   [](std::int16_t x) { return std::clamp<std::int16_t>(x, 3, 20); }));
}

TEST_CASE("ranges that double_into refuses are refused by transform, and nothing is written", "[api][transform]") {
    auto const kernel = [](auto x) noexcept { return x + x; };
    std::vector<int> values{1, 2, 3, 4};
    auto const before = values;
    std::vector<int> out(3);
    CHECK(message_of_invalid_argument([&] { twofold::transform(values, out, kernel); }) ==
          "twofold: the input has 4 elements, but the output has 3");
    CHECK(out == std::vector<int>(3));
    CHECK(message_of_invalid_argument([&] {
              twofold::transform(std::span(values).first(3), std::span(values).last(3), kernel);
          }).starts_with("twofold: input and output overlap"));
    CHECK(values == before);
    twofold::transform(std::span<int>{}, std::span<int>{}, kernel);
}

TEST_CASE("a kernel may have up to three inputs, of every sort of range, and an output of another type",
          "[api][transform]") {
    std::vector<float> const a{1, 2, 3};
    std::array<double, 3> const b{10, 20, 30};
    int const c[] = {100, 200, 300};
    auto const sum = [](auto... x) noexcept { return (static_cast<std::int64_t>(x) + ...); };
    std::vector<std::int64_t> out(3);
    twofold::transform(a, out, sum);
    CHECK(out == std::vector<std::int64_t>{1, 2, 3});
    twofold::transform(a, std::span(b), out, sum);
    CHECK(out == std::vector<std::int64_t>{11, 22, 33});
    twofold::transform(a, b, c, std::span(out), sum, {.threads = 1});
    CHECK(out == std::vector<std::int64_t>{111, 222, 333});
    twofold::transform(c, out, c, out, sum);  // the output is also an input, and inputs may be the same
    CHECK(out == std::vector<std::int64_t>{311, 622, 933});
}

TEST_CASE("a transform whose output is one of the inputs is in place, and streams nothing", "[api][transform]") {
    std::vector<double> const a(10), b(10);
    std::vector<float> const c(10);
    std::vector<double> out(10);
    using twofold::detail::touched_bytes;
    CHECK(touched_bytes(10, out.data(), a.data()) == 160);
    CHECK(touched_bytes(10, out.data(), a.data(), b.data(), c.data()) == 280);
    CHECK(touched_bytes(10, out.data(), out.data()) == 0);
    CHECK(touched_bytes(10, out.data(), a.data(), out.data()) == 0);
    CHECK(touched_bytes(10, out.data(), a.data(), c.data(), out.data()) == 0);
}

TEST_CASE("inputs of other sizes than the output are refused, whichever it is, and nothing is written",
          "[api][transform]") {
    std::vector<int> const three{1, 2, 3};
    std::vector<int> const two{1, 2};
    std::vector<double> out(3, 7);
    auto const kernel = [](int x, auto...) noexcept { return double(x); };
    auto const refused = [](std::string const& which) {
        return "twofold: " + which + " has 2 elements, but the output has 3";
    };
    CHECK(message_of_invalid_argument([&] { twofold::transform(two, out, kernel); }) == refused("the input"));
    CHECK(message_of_invalid_argument([&] { twofold::transform(two, three, out, kernel); }) == refused("input 1"));
    CHECK(message_of_invalid_argument([&] { twofold::transform(three, two, out, kernel); }) == refused("input 2"));
    CHECK(message_of_invalid_argument([&] { twofold::transform(three, three, two, out, kernel); }) ==
          refused("input 3"));
    CHECK(out == std::vector<double>(3, 7));
}

TEST_CASE("an output may be an input with elements of its size, and overlap none otherwise", "[api][transform]") {
    struct row {
        std::size_t in_bytes, in;  // the size of an element, and where the input begins
        std::size_t out_bytes, out;
        bool overlaps;
    };
    for (row const& r : {
             row{4, 128, 4, 128, false},  // in place
             row{8, 128, 4, 128, true},   // as far as an address says; but one element lies on two
             row{4, 128, 8, 128, true},   //
             row{8, 128, 4, 208, false},  // behind the ten elements
             row{8, 128, 4, 204, true},   //
             row{8, 128, 4, 207, true},   //
             row{4, 128, 8, 168, false},  //
             row{4, 128, 8, 164, true},   //
             row{4, 128, 8, 48, false},   // before them
             row{4, 128, 8, 52, true},    //
             row{8, 128, 4, 88, false},   //
             row{8, 128, 4, 92, true},    //
             row{4, 128, 4, 132, true},   //
         }) {
        alignas(8) std::array<std::byte, 512> memory{};
        auto const refuses = [&]<class In, class Out>(In, Out) {
            std::span const in(reinterpret_cast<In const*>(&memory[r.in]), 10);
            std::span const out(reinterpret_cast<Out*>(&memory[r.out]), 10);
            std::array<In, 10> const beside{};
            auto const kernel = [](auto x, auto) noexcept {
                if constexpr (std::same_as<In, Out>) return x + 1;
                if constexpr (!std::same_as<In, Out>) return Out{1};
            };
            auto const first = message_of_invalid_argument([&] { twofold::transform(in, beside, out, kernel); });
            auto const last = message_of_invalid_argument([&] { twofold::transform(beside, in, out, kernel); });
            CHECK(first == last);
            return first.starts_with("twofold: input and output overlap");
        };
        CAPTURE(r.in_bytes, r.in, r.out_bytes, r.out);
        bool const refused = r.in_bytes == r.out_bytes  ? refuses(std::int32_t{}, std::int32_t{})
                             : r.in_bytes > r.out_bytes ? refuses(std::int64_t{}, std::int32_t{})
                                                        : refuses(std::int32_t{}, std::int64_t{});
        CHECK(refused == r.overlaps);
        CHECK(std::ranges::all_of(memory, [](std::byte byte) { return byte == std::byte{0}; }) == r.overlaps);
    }
    // Of one size, but of other types.
    std::vector<std::int32_t> values{1, 2, 3};
    std::span const bits(reinterpret_cast<std::uint32_t*>(values.data()), values.size());
    twofold::transform(values, bits, [](auto x) noexcept {
        if constexpr (std::same_as<decltype(x), std::int32_t>) {
            return static_cast<std::uint32_t>(x + 1);
        } else {
            return xsimd::batch_cast<std::uint32_t>(x + 1);
        }
    });
    CHECK(values == std::vector<std::int32_t>{2, 3, 4});
    twofold::transform(std::span<float>{}, std::span<double>{}, std::span<int>{},
                       [](float, double) noexcept { return 0; });
}

TEST_CASE("the version is one string made of three numbers", "[api]") {
    CHECK(std::string(TWOFOLD_VERSION) == std::to_string(TWOFOLD_VERSION_MAJOR) + "." +
                                              std::to_string(TWOFOLD_VERSION_MINOR) + "." +
                                              std::to_string(TWOFOLD_VERSION_PATCH));
    CHECK(std::string(TWOFOLD_VERSION) == TWOFOLD_EXPECTED_VERSION);  // as Meson read it
}
