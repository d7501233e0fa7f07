// Whether arrays share memory. Strides are in bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>

#include <twofold/flags.hpp>
#include <twofold/nd/layout.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Whether two contiguous arrays share some bytes without being the same.
[[nodiscard]] inline bool partly_overlap(void const* a, std::size_t a_bytes, void const* b,
                                         std::size_t b_bytes) noexcept {
    auto const first = reinterpret_cast<std::uintptr_t>(a);
    auto const second = reinterpret_cast<std::uintptr_t>(b);
    if (first == second && a_bytes == b_bytes) return false;
    return first < second ? second - first < a_bytes : first - second < b_bytes;
}

/// The same for two of `bytes` each.
[[nodiscard]] inline bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept {
    return partly_overlap(a, bytes, b, bytes);
}

/// Whether the bytes from an array's first to its last fit into the address space. No length is 0.
[[nodiscard]] inline bool fits_memory(array_side const& side, std::size_t const* shape, int ndim,
                                      std::size_t element_bytes) noexcept {
    std::size_t reach = element_bytes;
    for (int i = 0; i < ndim; ++i) {
        std::size_t steps;
        if (__builtin_mul_overflow(magnitude(side.strides[i]), shape[i] - 1, &steps) ||
            __builtin_add_overflow(reach, steps, &reach)) {
            return false;
        }
    }
    return reach <= static_cast<std::size_t>(PTRDIFF_MAX);
}

/// The bytes that an array lies in: [first, end). No length is 0.
[[nodiscard]] inline std::pair<std::uintptr_t, std::uintptr_t> extent_of(array_side const& side,
                                                                         std::size_t const* shape, int ndim,
                                                                         std::size_t element_bytes) noexcept {
    auto first = reinterpret_cast<std::uintptr_t>(side.data);
    auto end = first + element_bytes;
    for (int i = 0; i < ndim; ++i) {
        auto const reach = static_cast<std::uintptr_t>(side.strides[i]) * (shape[i] - 1);  // modulo 2^64
        (side.strides[i] < 0 ? first : end) += reach;
    }
    return {first, end};
}

/// Whether elements of two arrays of that shape share bytes without the arrays being the same. If their strides differ,
/// it may return true for arrays that do not; it never returns false for arrays that do.
[[nodiscard]] inline bool arrays_overlap(array_side const& a, array_side const& b, std::size_t const* shape, int ndim,
                                         std::size_t element_bytes) noexcept {
    bool same_strides = true;
    std::size_t step = 0;  // any distance between two elements of an array is a multiple of this
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return false;
        if (shape[i] == 1) continue;
        same_strides &= a.strides[i] == b.strides[i];
        step = std::gcd(step, magnitude(a.strides[i]));
    }
    if (same_strides && a.data == b.data && a.swapped == b.swapped) return false;
    auto const [a_first, a_end] = extent_of(a, shape, ndim, element_bytes);
    auto const [b_first, b_end] = extent_of(b, shape, ndim, element_bytes);
    if (a_end <= b_first || b_end <= a_first) return false;
    if (!same_strides || step == 0) return true;
    // The elements of one may lie in the gaps of the other, as real and imaginary components do.
    std::size_t const past_element = (a_first > b_first ? a_first - b_first : b_first - a_first) % step;
    return past_element < element_bytes || step - past_element < element_bytes;
}

/// Whether elements of an array may share bytes. They do not if each axis steps over the whole extent of the axes with
/// smaller strides; arrays interleaved in other ways count as sharing.
[[nodiscard]] inline bool overlaps_itself(array_side const& side, std::size_t const* shape, int ndim,
                                          std::size_t element_bytes) noexcept {
    std::array<std::pair<std::size_t, std::size_t>, max_dimensions> axes;  // stride, length
    auto end = axes.begin();
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return false;
        if (shape[i] > 1) *end++ = {magnitude(side.strides[i]), shape[i]};
    }
    std::sort(axes.begin(), end);
    std::size_t reach = element_bytes;
    for (auto axis = axes.begin(); axis != end; ++axis) {
        if (axis->first < reach) return true;
        reach += axis->first * (axis->second - 1);
    }
    return false;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
