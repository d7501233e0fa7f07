// Doubles on more threads than one, so that it is not linked, or does not run, if anything is missing.
#include <twofold/twofold.hpp>

#include <complex>
#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
    std::vector<std::uint32_t> const values(1 << 20, 21);
    std::vector<std::uint32_t> const result = twofold::doubled(values, {.threads = 2});
    for (std::uint32_t value : result)
        if (value != 42) return 1;
    std::puts(TWOFOLD_VERSION);
}
