// Promises of one chunk: every count, every alignment, both kinds of stores, and no byte beside the two ranges.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "guarded_memory.hpp"

namespace {

using twofold::detail::stores;
using arch = xsimd::default_arch;

template <class T>
inline constexpr std::size_t lanes = xsimd::batch<T, arch>::size;

// Each up to four vectors and one more, then some that go round the loop of four vectors more than once.
template <class T>
std::vector<std::size_t> counts() {
    std::vector<std::size_t> all;
    for (std::size_t n = 0; n <= 4 * lanes<T> + 1; ++n) all.push_back(n);
    for (std::size_t const vectors : {8u, 9u, 12u}) {
        for (std::size_t n = vectors * lanes<T> - 1; n <= vectors * lanes<T> + 1; ++n) all.push_back(n);
    }
    return all;
}

// Bytes past a boundary of 64; the odd ones leave every element of more than one byte across its natural boundary.
constexpr std::array<std::size_t, 11> offsets{0, 1, 2, 4, 8, 15, 16, 24, 32, 60, 63};

constexpr std::size_t margin = 256;
constexpr auto sentinel = std::byte{0xA5};

bool all_sentinels(std::byte const* begin, std::byte const* end) {
    return std::all_of(begin, end, [](std::byte value) { return value == sentinel; });
}

enum class way { public_call, cached, streaming };

constexpr std::array ways{way::public_call, way::cached, way::streaming};

template <class T>
void run(way how, void const* in_bytes, void* out_bytes, std::size_t n) {
    auto const* const in = static_cast<T const*>(in_bytes);
    auto* const out = static_cast<T*>(out_bytes);
    auto const& kernels = twofold::detail::compiled_kernels<arch, twofold::detail::part_of<T>>;
    switch (how) {
        case way::public_call:
            twofold::double_into(std::span(in, n), std::span(out, n));
            break;
        case way::cached:
            kernel(in, out, n, stores::cached);
            break;
        case way::streaming:
            kernel(in, out, n, stores::streaming);
            break;
    }
}

std::string failure(char const* what, way how, std::size_t n, std::size_t in_offset, std::size_t out_offset) {
    return std::string(what) + ": way " + std::to_string(static_cast<int>(how)) + ", n = " + std::to_string(n) +
           ", input at " + std::to_string(in_offset) + ", output at " + std::to_string(out_offset);
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("every count at every pair of alignments is doubled, and nothing beside it is touched",
                        "[kernel]", twofold::element_types) {
    using T = TestType;
    auto const all_counts = counts<T>();
    std::size_t const most = all_counts.back();
    auto const expected = expected_doubles<T>(most);
    std::vector<std::byte> in_memory(most * sizeof(T) + 2 * margin);
    std::vector<std::byte> out_memory(in_memory.size());
    auto const boundary = [](std::vector<std::byte>& memory) {
        return memory.data() + 128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    };
    std::string wrong;
    for (std::size_t const in_offset : offsets) {
        std::byte* const in = boundary(in_memory) + in_offset;
        write_arbitrary<T>(in, most);
        auto const in_before = in_memory;
        for (std::size_t const out_offset : offsets) {
            std::byte* const out = boundary(out_memory) + out_offset;
            for (std::size_t const n : all_counts) {
                for (way const how : ways) {
                    std::ranges::fill(out_memory, sentinel);
                    run<T>(how, in, out, n);
                    if (!same_bits(out, expected, n)) wrong = failure("elements", how, n, in_offset, out_offset);
                    if (!all_sentinels(out_memory.data(), out) ||
                        !all_sentinels(out + n * sizeof(T), out_memory.data() + out_memory.size())) {
                        wrong = failure("bytes beside the output", how, n, in_offset, out_offset);
                    }
                }
            }
        }
        if (in_memory != in_before) wrong = "the input was written to, at " + std::to_string(in_offset);
    }
    CHECK(wrong == "");
}

TEMPLATE_LIST_TEST_CASE("every count at every alignment is doubled in place, each element once", "[kernel]",
                        twofold::element_types) {
    using T = TestType;
    auto const all_counts = counts<T>();
    std::size_t const most = all_counts.back();
    auto const expected = expected_doubles<T>(most);
    std::vector<std::byte> memory(most * sizeof(T) + 2 * margin);
    std::string wrong;
    for (std::size_t const offset : offsets) {
        std::byte* const values = memory.data() + 128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64 + offset;
        for (std::size_t const n : all_counts) {
            for (way const how : ways) {
                std::ranges::fill(memory, sentinel);
                write_arbitrary<T>(values, n);
                run<T>(how, values, values, n);
                if (!same_bits(values, expected, n)) wrong = failure("elements", how, n, offset, offset);
                if (!all_sentinels(memory.data(), values) ||
                    !all_sentinels(values + n * sizeof(T), memory.data() + memory.size())) {
                    wrong = failure("bytes beside the values", how, n, offset, offset);
                }
            }
        }
    }
    CHECK(wrong == "");
}

TEMPLATE_LIST_TEST_CASE("no byte before or after the two ranges is read or written", "[kernel]",
                        twofold::element_types) {
    using T = TestType;
    auto const all_counts = counts<T>();
    std::size_t const most = all_counts.back();
    auto const expected = expected_doubles<T>(most);
    guarded_memory const in_memory(most * sizeof(T));
    guarded_memory const out_memory(most * sizeof(T));
    std::string wrong;
    for (bool const in_at_end : {false, true}) {
        for (bool const out_at_end : {false, true}) {
            for (std::size_t const n : all_counts) {
                std::byte* const in = in_at_end ? in_memory.end() - n * sizeof(T) : in_memory.begin();
                std::byte* const out = out_at_end ? out_memory.end() - n * sizeof(T) : out_memory.begin();
                for (way const how : ways) {
                    write_arbitrary<T>(in, n);
                    std::memset(out, 0, n * sizeof(T));
                    run<T>(how, in, out, n);
                    if (!same_bits(out, expected, n)) wrong = failure("elements", how, n, in_at_end, out_at_end);
                    run<T>(how, in, in, n);
                    if (!same_bits(in, expected, n)) wrong = failure("in place", how, n, in_at_end, in_at_end);
                }
            }
        }
    }
    CHECK(wrong == "");
}

TEST_CASE("the test is built for the instruction set that it is named after", "[kernel]") {
#if defined(TWOFOLD_EXPECTED_ARCH)
    CHECK(std::string(arch::name()) == xsimd::TWOFOLD_EXPECTED_ARCH::name());
#endif
    CHECK(arch::available());
}
