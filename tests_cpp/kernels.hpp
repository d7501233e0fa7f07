// Kernels for transform and transform_reduce, of one to three inputs and all sorts of types, as tables: a test loops
// over one, and is compiled once for all instruction sets. What is compiled for each set is kernels.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <twofold/options.hpp>
#include <vector>

struct transform_under_test {
    std::string name;
    std::vector<std::size_t> in_sizes;  // of an element of each input, in bytes
    std::size_t out_size;
    std::size_t lanes;  // in a vector of the output; more than 1 also where there are no vectors

    // Elements for input number `which`.
    std::vector<std::byte> (*input)(std::size_t which, std::size_t n);
    // What a plain loop gives, and what transform gives.
    void (*expected)(std::byte const* const* in, std::byte* out, std::size_t n);
    void (*transform)(std::byte const* const* in, std::byte* out, std::size_t n, twofold::options const&);
};

std::vector<transform_under_test> const& transforms_under_test();

struct reduction_under_test {
    std::string name;
    std::vector<std::size_t> in_sizes;
    bool is_nan_exact;  // whether a NaN has the same sign and payload with every instruction set

    // Elements of which the sum depends on the order.
    std::vector<std::byte> (*input)(std::size_t which, std::size_t n);
    // What the documented order gives, and what transform_reduce gives: the bytes of one element.
    std::vector<std::byte> (*expected)(std::byte const* const* in, std::size_t n);
    std::vector<std::byte> (*reduce)(std::byte const* const* in, std::size_t n, twofold::options const&);
    bool (*is_nan)(std::vector<std::byte> const& result);
};

std::vector<reduction_under_test> const& reductions_under_test();
