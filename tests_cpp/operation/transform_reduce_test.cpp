// Promises of transform_reduce: the documented order whatever the number of threads, the alignment and the instruction
// set; each element once, and no byte beside them; the same without memory.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "forced_sharing.hpp"
#include "guarded_memory.hpp"
#include "kernels.hpp"

namespace {

using bytes = std::vector<std::byte>;

bool has_no_memory = false;

}  // namespace

// All that the library allocates in a reduction, it asks for by `new (std::nothrow) T[n]`. The linker (--wrap) makes of
// that call the first of these, and the second is what it was: the sanitizers have an operator of their own.
extern "C" {
void* __wrap__ZnamRKSt9nothrow_t(std::size_t size, std::nothrow_t const& tag) noexcept;
void* __real__ZnamRKSt9nothrow_t(std::size_t size, std::nothrow_t const& tag) noexcept;
}

void* __wrap__ZnamRKSt9nothrow_t(std::size_t size, std::nothrow_t const& tag) noexcept {
    return has_no_memory ? nullptr : __real__ZnamRKSt9nothrow_t(size, tag);
}

namespace {

constexpr std::size_t chunk = 16384;

// Around all that decides how values are combined.
constexpr std::size_t short_sizes[] = {0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 1000};
constexpr std::size_t long_sizes[] = {chunk - 1,     chunk,           chunk + 1,       chunk + 63,
                                      chunk + 64,    2 * chunk - 1,   2 * chunk,       2 * chunk + 65,
                                      7 * chunk + 1, 16 * chunk - 64, 20 * chunk + 777};

// Of each input as many elements, each input at another offset from a boundary of 64.
class inputs {
public:
    inputs(reduction_under_test const& test, std::size_t n, std::size_t offset) {
        for (std::size_t which = 0; which < test.in_sizes.size(); ++which) {
            bytes const elements = test.input(which, n);
            std::byte* at = memory_.emplace_back(elements.size() + 128).data();
            at += (64 - reinterpret_cast<std::uintptr_t>(at) % 64) % 64 + (offset + which * 8) % 64;
            std::ranges::copy(elements, at);
            pointers_.push_back(at);
        }
    }
    inputs(inputs const&) = delete;
    inputs& operator=(inputs const&) = delete;
    [[nodiscard]] std::byte const* const* pointers() const { return pointers_.data(); }

private:
    std::deque<bytes> memory_;
    std::vector<std::byte const*> pointers_;
};

bool is_as_expected(reduction_under_test const& test, bytes const& result, bytes const& expected) {
    if (!test.is_nan_exact && test.is_nan(expected)) return test.is_nan(result);
    return result == expected;
}

// What goes wrong with n elements, however they are reduced; "" if nothing does.
template <class Threads>
std::string fault_of(reduction_under_test const& test, std::size_t n, Threads const& all_threads) {
    inputs const in(test, n, 0);
    bytes const expected = test.expected(in.pointers(), n);
    bytes const alone = test.reduce(in.pointers(), n, {.threads = 1});
    if (!is_as_expected(test, alone, expected)) return "order, n = " + std::to_string(n);
    for (std::size_t const offset : {std::size_t{8}, std::size_t{63}}) {
        inputs const elsewhere(test, n, offset);
        if (test.reduce(elsewhere.pointers(), n, {.threads = 1}) != alone) {
            return "at an offset of " + std::to_string(offset) + ", n = " + std::to_string(n);
        }
    }
    for (unsigned const threads : all_threads) {
        share_next_call();
        if (test.reduce(in.pointers(), n, {.threads = threads}) != alone) {  // the same bits of a NaN, too
            return std::to_string(threads) + " threads, n = " + std::to_string(n);
        }
    }
    has_no_memory = true;
    bytes const without_memory = test.reduce(in.pointers(), n, {.threads = 3});
    has_no_memory = false;
    return without_memory == alone ? "" : "without memory, n = " + std::to_string(n);
}

constexpr auto sum = [](auto x, auto y) noexcept { return x + y; };
constexpr auto same = [](auto x) noexcept { return x; };

}  // namespace

TEST_CASE("values are reduced in the documented order, at any alignment", "[kernel]") {
    for (reduction_under_test const& test : reductions_under_test()) {
        std::string fault;
        for (std::size_t const n : short_sizes) {
            if (fault == "") fault = fault_of(test, n, std::array{0u, 2u});
        }
        CAPTURE(test.name);
        CHECK(fault == "");
    }
}

TEST_CASE("any number of threads gives the same bits, with memory and without", "[large]") {
    for (reduction_under_test const& test : reductions_under_test()) {
        std::string fault;
        for (std::size_t const n : long_sizes) {
            if (fault == "") fault = fault_of(test, n, std::array{0u, 2u, 3u, 7u, 16u});
        }
        CAPTURE(test.name);
        CHECK(fault == "");
    }
}

TEST_CASE("a reduction reads no byte before or after the ranges", "[kernel]") {
    for (reduction_under_test const& test : reductions_under_test()) {
        std::string wrong;
        std::deque<guarded_memory> memory;
        for (std::size_t const size : test.in_sizes) memory.emplace_back(1000 * size);
        for (std::size_t const n : short_sizes) {
            inputs const in(test, n, 0);
            bytes const expected = test.reduce(in.pointers(), n, {});
            for (bool const at_end : {false, true}) {
                std::vector<std::byte const*> pointers;
                for (std::size_t which = 0; which < memory.size(); ++which) {
                    std::size_t const size = n * test.in_sizes[which];
                    std::byte* const at = at_end ? memory[which].end() - size : memory[which].begin();
                    std::copy_n(in.pointers()[which], size, at);
                    pointers.push_back(at);
                }
                if (test.reduce(pointers.data(), n, {}) != expected) wrong = "n = " + std::to_string(n);
            }
        }
        CAPTURE(test.name);
        CHECK(wrong == "");
    }
}

namespace {

// Counts how often each element is mapped; their sum is of no interest.
struct count_each {
    std::atomic<int>* counts;

    std::uint32_t operator()(std::uint32_t x) const noexcept {
        counts[x].fetch_add(1, std::memory_order_relaxed);
        return x;
    }
    template <class Arch>
    xsimd::batch<std::uint32_t, Arch> operator()(xsimd::batch<std::uint32_t, Arch> const& x) const noexcept {
        std::array<std::uint32_t, xsimd::batch<std::uint32_t, Arch>::size> each;
        x.store_unaligned(each.data());
        for (std::uint32_t const one : each) (*this)(one);
        return x;
    }
};

}  // namespace

TEST_CASE("a reduction maps each element once", "[large]") {
    for (std::size_t const n : {std::size_t{1}, std::size_t{65}, chunk, 3 * chunk + 77}) {
        std::vector<std::uint32_t> in(n);
        for (std::size_t i = 0; i < n; ++i) in[i] = static_cast<std::uint32_t>(i);
        for (unsigned const threads : {1u, 3u}) {
            std::vector<std::atomic<int>> counts(n);
            share_next_call();
            auto const all = twofold::transform_reduce(in, 0u, sum, count_each{counts.data()}, {.threads = threads});
            CHECK(all == static_cast<std::uint32_t>(n * (n - 1) / 2));
            CHECK(std::ranges::all_of(counts, [](std::atomic<int> const& count) { return count == 1; }));
        }
    }
}

TEST_CASE("a reduction without memory runs on its caller alone", "[large]") {
    std::vector<std::uint32_t> const in(40 * chunk, 1);
    auto const caller = std::this_thread::get_id();
    std::atomic<bool> elsewhere{false};
    auto const map = [&](auto x) noexcept {
        if (std::this_thread::get_id() != caller) elsewhere = true;
        return x;
    };
    share_next_call();
    has_no_memory = true;
    CHECK(twofold::transform_reduce(in, 2u, sum, map, {.threads = 3}) == 40 * chunk + 2);
    has_no_memory = false;
    CHECK(!elsewhere);
}

TEST_CASE("a reduction of nothing gives init, and of two inputs only if they are as long", "[kernel]") {
    std::vector<double> const three{1, 2, 3};
    std::vector<double> const two{1, 2};
    auto const product = [](auto x, auto y) noexcept { return x * y; };
    CHECK(twofold::transform_reduce(std::span<float>{}, 7.5F, sum, same) == 7.5F);
    CHECK(twofold::transform_reduce(three, three, 0.5, sum, product) == 14.5);
    std::string message;
    try {
        (void)twofold::transform_reduce(three, two, 0.0, sum, product);
    } catch (std::invalid_argument const& error) {
        message = error.what();
    }
    CHECK(message == "twofold: the first input has 3 elements, but the second has 2");
}

TEST_CASE("the chunks of a reduction depend on its size alone, and are whole rows", "[kernel]") {
    using twofold::detail::chunks_of_reduction;
    constexpr std::size_t gib = std::size_t{1} << 30;
    CHECK(chunks_of_reduction(1).length == chunk);
    CHECK(chunks_of_reduction(gib / 2).length == chunk);
    CHECK(chunks_of_reduction(gib / 2 + 1).length == chunk + 64);
    CHECK(chunks_of_reduction(gib).length == 2 * chunk);
    for (std::size_t const n : {gib / 2 + 1, gib - 1, gib + 1, 3 * gib + 7, 1000 * gib + 1}) {
        CHECK(chunks_of_reduction(n).size() <= std::size_t{1} << 15);
        CHECK(chunks_of_reduction(n).length % 64 == 0);
    }
}
