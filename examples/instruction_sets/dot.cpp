// Compiled once for each instruction set, with its flags and the name of its function.
//
// Files of one program that have different flags share inline functions, of which the linker keeps the first copy that
// it meets. twofold's own have other names under other flags, and so has a lambda in a function that has another name
// in each file. For all others, such as those of the standard library, name the files without flags first, then the one
// for the oldest machine: as each file has all that it calls, none gets a function for a newer machine than its own.
#include "dot.hpp"

#include <span>
#include <twofold/twofold.hpp>

double DOT(double const* x, double const* y, std::size_t n) {
    auto const sum = [](auto a, auto b) noexcept { return a + b; };
    auto const product = [](auto a, auto b) noexcept { return a * b; };
    return twofold::transform_reduce(std::span(x, n), std::span(y, n), 0.0, sum, product);
}
