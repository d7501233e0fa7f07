// Every element type, as a table: a test loops over it, and is compiled once for all types and instruction sets. What
// is compiled for each set is elements.cpp, and nothing else.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "policies.hpp"

using twofold::options;
using twofold::detail::stores;

/// Elements one after another, whatever their type. Checked as CHECK((one == other)): without the second parentheses
/// Catch would print them all.
using bytes = std::vector<std::byte>;

/// One element type: what it should do, as expected.hpp has it, and what it does. Those that double or look for
/// overflow return the index of the first element that overflows, if anybody asked for it, else n.
struct element_under_test {
    std::string name;  // kind and bits, as describe_element has them: "u32"
    std::size_t size;  // in bytes
    std::size_t scalar_size;
    std::size_t lanes;  // in a vector; at least 1

    // What is expected.
    bytes (*arbitrary)(std::size_t n);
    bytes (*fitting)(std::size_t n);  // arbitrary elements whose doubles fit
    bytes (*special_values)();
    bytes (*overflowing)();  // one element whose double does not fit, if only just
    bytes (*doubles)(bytes const& elements, overflow_policy);
    std::vector<bool> (*overflows)(bytes const& elements);

    // The public functions; in place where `in` is `out`.
    std::size_t (*double_elements)(void const* in, void* out, std::size_t n, options const&);
    std::size_t (*double_strided)(void const* in, std::ptrdiff_t in_stride, void* out, std::ptrdiff_t out_stride,
                                  std::size_t n, options const&);
    std::size_t (*double_array)(twofold::array_view<std::byte const> in, twofold::array_view<std::byte> out,
                                options const&);
    std::size_t (*first_overflow)(void const* in, std::size_t n, options const&);

    // The kernels.
    std::size_t (*double_by_kernel)(void const* in, void* out, std::size_t n, overflow_policy, stores);
    std::size_t (*first_overflow_by_kernel)(void const* in, std::size_t n);
};

std::vector<element_under_test> const& elements_under_test();

/// For which of xsimd's instruction sets that table was compiled, and for which it was to be.
struct instruction_set_under_test {
    std::string name;
    std::string wanted;
    bool is_available;
};

instruction_set_under_test set_under_test();

/// Whether `n` bytes are as expected: 0.0 is not -0.0, and NaNs have payloads.
[[nodiscard]] inline bool same_bytes(void const* where, void const* expected, std::size_t n) noexcept {
    return n == 0 || std::memcmp(where, expected, n) == 0;
}
inline void copy_bytes(void* to, void const* from, std::size_t n) noexcept {
    if (n > 0) std::memcpy(to, from, n);
}
