// Promise: the macros of windows.h, which other headers may bring along, do not break the library. The standard library
// and xsimd come first, since they have their own ways with these macros.
#include <algorithm>
#include <atomic>
#include <complex>
#include <concepts>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>
#include <xsimd/xsimd.hpp>

#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define near
#define far
#define small char
#define interface struct
#define IN
#define OUT
#define BOOL int
#define CONST const
#define VOID void
#define ERROR 0
#define TRUE 1
#define FALSE 0

#include <twofold/twofold.hpp>

std::vector<int> doubled_beside_macros(std::vector<int> const& values);
std::vector<int> doubled_beside_macros(std::vector<int> const& values) {
    std::vector<int> result = twofold::doubled(values, {.overflow = twofold::overflow_policy::saturate});
    twofold::transform(result, result, [](auto x) noexcept { return x + x; });
    if (twofold::first_overflow(result)) return {};
    twofold::double_strided(result.data(), 1, result.data(), 1, result.size());
    return result;
}
