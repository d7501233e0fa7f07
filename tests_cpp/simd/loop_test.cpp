// Promises of one chunk: every count, every alignment, both kinds of stores, every policy, and no byte beside the two
// ranges.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "catch.hpp"
#include "elements.hpp"
#include "guarded_memory.hpp"

namespace {

// Each up to four vectors and one more, then some that go round the loop of four vectors more than once.
std::vector<std::size_t> counts(std::size_t lanes) {
    std::vector<std::size_t> all;
    for (std::size_t n = 0; n <= 4 * lanes + 1; ++n) all.push_back(n);
    for (std::size_t const vectors : {8u, 9u, 12u}) {
        for (std::size_t n = vectors * lanes - 1; n <= vectors * lanes + 1; ++n) all.push_back(n);
    }
    return all;
}

// Bytes past a boundary of 64; the odd ones leave every element of more than one byte across its natural boundary.
constexpr std::array<std::size_t, 11> offsets{0, 1, 2, 4, 8, 15, 16, 24, 32, 60, 63};

constexpr std::size_t margin = 256;
constexpr auto sentinel = std::byte{0xA5};

bool all_sentinels(std::byte const* begin, std::byte const* end) {
    static bytes const sentinels(std::size_t{1} << 16, sentinel);
    return same_bytes(begin, sentinels.data(), static_cast<std::size_t>(end - begin));
}

std::byte* boundary_in(bytes& memory) {
    return memory.data() + 128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
}

enum class by { public_call, cached, streaming };

struct way {
    overflow_policy policy;
    by how;

    std::size_t operator()(element_under_test const& element, void const* in, void* out, std::size_t n) const {
        if (how == by::public_call) return element.double_elements(in, out, n, {.overflow = policy});
        return element.double_by_kernel(in, out, n, policy, how == by::cached ? stores::cached : stores::streaming);
    }
    // Where a kernel says that something overflowed, the index is looked for in what it has read: not in place.
    [[nodiscard]] bool works_in_place() const { return policy != overflow_policy::raise || how == by::public_call; }
};

std::vector<way> const& all_ways() {
    static std::vector<way> const ways = [] {
        std::vector<way> all;
        for (overflow_policy const policy : policies) {
            for (by const how : {by::public_call, by::cached, by::streaming}) all.push_back({policy, how});
        }
        return all;
    }();
    return ways;
}

// Elements for each policy, as many as the greatest count, and their doubles. Those for `raise` all fit.
class doublings {
public:
    explicit doublings(element_under_test const& element) : all_counts(counts(element.lanes)) {
        for (overflow_policy const policy : policies) {
            elements_.push_back(policy == overflow_policy::raise ? element.fitting(most) : element.arbitrary(most));
            doubles_.push_back(element.doubles(elements_.back(), policy));
        }
    }
    std::vector<std::size_t> all_counts;
    std::size_t most = all_counts.back();

    [[nodiscard]] std::byte const* elements(overflow_policy policy) const {
        return elements_[static_cast<std::size_t>(policy)].data();
    }
    [[nodiscard]] std::byte const* doubles(overflow_policy policy) const {
        return doubles_[static_cast<std::size_t>(policy)].data();
    }

private:
    std::vector<bytes> elements_;
    std::vector<bytes> doubles_;
};

// A failure, said in one line: millions of checks would take their time if each were one of Catch's.
std::string failure(char const* what, way const& w, std::size_t n, std::size_t in_offset, std::size_t out_offset) {
    return std::string(what) + ": policy " + std::to_string(static_cast<int>(w.policy)) + ", way " +
           std::to_string(static_cast<int>(w.how)) + ", n = " + std::to_string(n) + ", input at " +
           std::to_string(in_offset) + ", output at " + std::to_string(out_offset);
}

}  // namespace

TEST_CASE("the test is built for the instruction set that it is named after", "[kernel]") {
    auto const set = set_under_test();
    CHECK(set.name == set.wanted);
    CHECK(set.is_available);
}

TEST_CASE("every count at every pair of alignments is doubled, and nothing beside it is touched", "[kernel]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        doublings const test(element);
        bytes in_memory(test.most * size + 2 * margin);
        bytes out_memory(in_memory.size());
        bytes const overflowing = element.overflowing();
        std::string wrong;
        for (way const& w : all_ways()) {
            for (std::size_t const in_offset : offsets) {
                std::byte* const in = boundary_in(in_memory) + in_offset;
                // Beside the elements stand some that overflow, which must not be looked at.
                copy_bytes(in - size, overflowing.data(), size);
                for (std::size_t const n : test.all_counts) {
                    copy_bytes(in, test.elements(w.policy), n * size);
                    copy_bytes(in + n * size, overflowing.data(), size);
                    for (std::size_t const out_offset : offsets) {
                        std::byte* const out = boundary_in(out_memory) + out_offset;
                        std::ranges::fill(out_memory, sentinel);
                        if (w(element, in, out, n) != n) wrong = failure("index", w, n, in_offset, out_offset);
                        if (!same_bytes(out, test.doubles(w.policy), n * size)) {
                            wrong = failure("elements", w, n, in_offset, out_offset);
                        }
                        if (!all_sentinels(out_memory.data(), out) ||
                            !all_sentinels(out + n * size, out_memory.data() + out_memory.size())) {
                            wrong = failure("bytes beside the output", w, n, in_offset, out_offset);
                        }
                    }
                    if (!same_bytes(in, test.elements(w.policy), n * size))
                        wrong = failure("input", w, n, in_offset, 0);
                }
            }
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}

TEST_CASE("every count at every alignment is doubled in place, each element once", "[kernel]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        doublings const test(element);
        bytes memory(test.most * size + 2 * margin);
        std::string wrong;
        for (way const& w : all_ways()) {
            if (!w.works_in_place()) continue;
            for (std::size_t const offset : offsets) {
                std::byte* const values = boundary_in(memory) + offset;
                for (std::size_t const n : test.all_counts) {
                    std::ranges::fill(memory, sentinel);
                    copy_bytes(values, test.elements(w.policy), n * size);
                    if (w(element, values, values, n) != n) wrong = failure("index", w, n, offset, offset);
                    if (!same_bytes(values, test.doubles(w.policy), n * size)) {
                        wrong = failure("elements", w, n, offset, offset);
                    }
                    if (!all_sentinels(memory.data(), values) ||
                        !all_sentinels(values + n * size, memory.data() + memory.size())) {
                        wrong = failure("bytes beside the values", w, n, offset, offset);
                    }
                }
            }
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}

TEST_CASE("no byte before or after the two ranges is read or written", "[kernel]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        doublings const test(element);
        guarded_memory const in_memory(test.most * size);
        guarded_memory const out_memory(test.most * size);
        std::string wrong;
        for (bool const in_at_end : {false, true}) {
            for (bool const out_at_end : {false, true}) {
                for (std::size_t const n : test.all_counts) {
                    std::byte* const in = in_at_end ? in_memory.end() - n * size : in_memory.begin();
                    std::byte* const out = out_at_end ? out_memory.end() - n * size : out_memory.begin();
                    for (way const& w : all_ways()) {
                        copy_bytes(in, test.elements(w.policy), n * size);
                        std::memset(out, 0, n * size);
                        w(element, in, out, n);
                        if (!same_bytes(out, test.doubles(w.policy), n * size)) {
                            wrong = failure("elements", w, n, in_at_end, out_at_end);
                        }
                        if (!w.works_in_place()) continue;
                        w(element, in, in, n);
                        if (!same_bytes(in, test.doubles(w.policy), n * size)) {
                            wrong = failure("in place", w, n, in_at_end, in_at_end);
                        }
                    }
                    copy_bytes(in, test.elements(overflow_policy::raise), n * size);
                    if (element.first_overflow_by_kernel(in, n) != n) wrong = "first_overflow of " + std::to_string(n);
                }
            }
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}

TEST_CASE("the first of the elements that overflow is found, wherever in a chunk it stands", "[kernel]") {
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        doublings const test(element);
        bytes values(test.most * size);
        bytes out(values.size());
        bytes const overflowing = element.overflowing();
        std::byte const* const fitting = test.elements(overflow_policy::raise);
        copy_bytes(values.data(), fitting, values.size());
        std::string wrong;
        for (std::size_t const n : test.all_counts) {
            for (std::size_t first = 0; first < n; ++first) {
                for (std::size_t const another : {first, n - 1}) {
                    copy_bytes(&values[first * size], overflowing.data(), size);
                    copy_bytes(&values[another * size], overflowing.data(), size);
                    for (by const how : {by::cached, by::streaming}) {
                        way const w{overflow_policy::raise, how};
                        if (w(element, values.data(), out.data(), n) != first) wrong = failure("index", w, n, first, 0);
                    }
                    if (element.first_overflow_by_kernel(values.data(), n) != first) {
                        wrong = "first_overflow of " + std::to_string(n) + " at " + std::to_string(first);
                    }
                    copy_bytes(&values[first * size], fitting + first * size, size);
                    copy_bytes(&values[another * size], fitting + another * size, size);
                }
            }
        }
        CAPTURE(element.name);
        CHECK(wrong == "");
    }
}
