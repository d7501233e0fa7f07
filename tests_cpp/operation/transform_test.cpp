// Promises of transform with a kernel of any number of inputs and any types: every count, every alignment, in place,
// short and shared, and no byte beside the ranges.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "forced_sharing.hpp"
#include "guarded_memory.hpp"
#include "kernels.hpp"

namespace {

using bytes = std::vector<std::byte>;

constexpr auto sentinel = std::byte{0xA5};
constexpr std::size_t margin = 128;

// Each up to four vectors and one more, then some that go round the loop of four vectors more than once.
std::vector<std::size_t> counts(std::size_t lanes) {
    std::vector<std::size_t> all;
    for (std::size_t n = 0; n <= 4 * lanes + 1; ++n) all.push_back(n);
    for (std::size_t const vectors : {8u, 9u}) {
        for (std::size_t n = vectors * lanes - 1; n <= vectors * lanes + 1; ++n) all.push_back(n);
    }
    return all;
}

// Bytes past a boundary of 64; the odd ones leave every element of more than one byte across its natural boundary.
constexpr std::array<std::size_t, 7> offsets{0, 1, 4, 8, 16, 24, 63};

// Memory for n elements at an offset, with sentinels on both sides.
class array {
public:
    array(std::size_t bytes_each, std::size_t n, std::size_t offset)
        : size_(bytes_each * n), memory_(margin + 64 + offset + size_ + margin, sentinel) {
        begin_ = memory_.data() + margin;
        begin_ += (64 - reinterpret_cast<std::uintptr_t>(begin_) % 64) % 64 + offset;
    }
    array(array const&) = delete;
    array& operator=(array const&) = delete;

    void fill(bytes const& elements) { std::copy_n(elements.data(), size_, begin_); }
    [[nodiscard]] std::byte* data() const { return begin_; }
    [[nodiscard]] bool holds(bytes const& elements) const {
        return std::equal(begin_, begin_ + size_, elements.data());
    }
    [[nodiscard]] bool is_untouched_beside() const {
        auto const is_clean = [](std::byte byte) { return byte == sentinel; };
        return std::all_of<std::byte const*>(memory_.data(), begin_, is_clean) &&
               std::all_of<std::byte const*>(begin_ + size_, memory_.data() + memory_.size(), is_clean);
    }

private:
    std::size_t size_;
    bytes memory_;
    std::byte* begin_;
};

// n elements of each input, and what is expected of them.
struct values {
    values(transform_under_test const& test, std::size_t n) : expected(n * test.out_size) {
        std::vector<std::byte const*> pointers;
        for (std::size_t which = 0; which < test.in_sizes.size(); ++which) in.push_back(test.input(which, n));
        for (bytes const& each : in) pointers.push_back(each.data());
        test.expected(pointers.data(), expected.data(), n);
    }
    std::vector<bytes> in;
    bytes expected;
};

// The output is none of the inputs.
constexpr std::size_t nowhere = ~std::size_t{0};

// What goes wrong in a call on n elements whose output is input number `in_place`; "" if nothing does.
std::string fault_of(transform_under_test const& test, values const& all, std::size_t n, std::size_t in_offset,
                     std::size_t out_offset, std::size_t in_place, twofold::options const& how) {
    std::deque<array> in;
    std::vector<std::byte const*> pointers;
    for (std::size_t which = 0; which < all.in.size(); ++which) {
        // Each input lies otherwise.
        in.emplace_back(test.in_sizes[which], n, (in_offset + which * 8) % 64).fill(all.in[which]);
        pointers.push_back(in.back().data());
    }
    array out(test.out_size, n, out_offset);
    array& written = in_place == nowhere ? out : in[in_place];
    test.transform(pointers.data(), written.data(), n, how);
    std::string const where = ": n = " + std::to_string(n) + ", inputs at " + std::to_string(in_offset) +
                              ", output at " + std::to_string(out_offset) + ", in place " +
                              std::to_string(static_cast<std::ptrdiff_t>(in_place)) + ", threads " +
                              std::to_string(how.threads);
    if (!written.holds(all.expected)) return "elements" + where;
    if (!out.is_untouched_beside()) return "bytes beside the output" + where;
    for (std::size_t which = 0; which < all.in.size(); ++which) {
        if (which != in_place && !in[which].holds(all.in[which])) return "input" + where;
        if (!in[which].is_untouched_beside()) return "bytes beside an input" + where;
    }
    return "";
}

// As above for all that the output may be.
std::string fault_anywhere(transform_under_test const& test, std::size_t n, std::size_t in_offset,
                           std::size_t out_offset, twofold::options const& how) {
    values const all(test, n);
    std::string fault = fault_of(test, all, n, in_offset, out_offset, nowhere, how);
    for (std::size_t which = 0; which < test.in_sizes.size(); ++which) {
        if (fault == "" && test.in_sizes[which] == test.out_size) {
            fault = fault_of(test, all, n, in_offset, out_offset, which, how);
        }
    }
    return fault;
}

}  // namespace

TEST_CASE("every count at every pair of alignments is transformed, and nothing beside it is touched", "[kernel]") {
    for (transform_under_test const& test : transforms_under_test()) {
        std::string fault;
        for (std::size_t const n : counts(test.lanes)) {
            for (std::size_t const in_offset : offsets) {
                for (std::size_t const out_offset : offsets) {
                    if (fault == "") fault = fault_anywhere(test, n, in_offset, out_offset, {});
                }
            }
        }
        CAPTURE(test.name);
        CHECK(fault == "");
    }
}

TEST_CASE("no byte before or after the ranges is read or written", "[kernel]") {
    for (transform_under_test const& test : transforms_under_test()) {
        std::size_t const most = counts(test.lanes).back();
        std::string wrong;
        for (bool const at_end : {false, true}) {
            std::deque<guarded_memory> memory;
            for (std::size_t const size : test.in_sizes) memory.emplace_back(most * size);
            guarded_memory const out_memory(most * test.out_size);
            for (std::size_t const n : counts(test.lanes)) {
                values const all(test, n);
                std::vector<std::byte const*> in;
                for (std::size_t which = 0; which < memory.size(); ++which) {
                    std::byte* const data = at_end ? memory[which].end() - all.in[which].size() : memory[which].begin();
                    std::ranges::copy(all.in[which], data);
                    in.push_back(data);
                }
                std::byte* const out = at_end ? out_memory.end() - all.expected.size() : out_memory.begin();
                test.transform(in.data(), out, n, {});
                if (!std::ranges::equal(all.expected, std::span(out, all.expected.size()))) {
                    wrong = "n = " + std::to_string(n);
                }
            }
        }
        CAPTURE(test.name);
        CHECK(wrong == "");
    }
}

TEST_CASE("long ranges are transformed, alone and shared, streamed and not", "[large]") {
    for (transform_under_test const& test : transforms_under_test()) {
        std::string fault;
        for (std::size_t const cache : {twofold::detail::min_cache_bytes, twofold::detail::max_cache_bytes}) {
            twofold::detail::the_cache_size.store(cache);
            for (unsigned const threads : {1u, 3u}) {
                for (std::size_t const out_offset : {0u, 63u}) {
                    share_next_call();
                    if (fault == "") fault = fault_anywhere(test, 110'003, 16, out_offset, {.threads = threads});
                }
            }
        }
        CAPTURE(test.name);
        CHECK(fault == "");
    }
}
