// Arrays of any shape, with any strides and in either byte order, wherever they begin, in memory that shows what lies
// between their elements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "expected.hpp"

/// Numbers that look random, the same in each run.
struct random_numbers {
    std::size_t i;
    [[nodiscard]] std::size_t below(std::size_t n) { return arbitrary<std::uint64_t>(i++) % n; }
    [[nodiscard]] bool one_in(std::size_t n) { return below(n) == 0; }
};

/// An array, whatever its element type.
struct test_array {
    std::size_t element_bytes;
    std::size_t scalar_bytes;  // of which a complex number has two
    std::vector<std::size_t> shape;
    std::vector<std::ptrdiff_t> strides;
    bool swapped;
    std::vector<std::byte> memory;  // with a margin all round
    std::ptrdiff_t first;

    [[nodiscard]] std::byte* data() { return memory.data() + first; }
    [[nodiscard]] std::size_t size() const {
        return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
    }

    /// Element `index` in C order.
    [[nodiscard]] std::byte* at(std::size_t index) {
        std::ptrdiff_t offset = first;
        for (std::size_t k = shape.size(); k > 0; --k) {
            offset += strides[k - 1] * static_cast<std::ptrdiff_t>(index % shape[k - 1]);
            index /= shape[k - 1];
        }
        return memory.data() + offset;
    }

    // A value is in this machine's byte order.
    void read(std::size_t index, void* value) { copy(value, at(index)); }
    void write(std::size_t index, void const* value) { copy(at(index), value); }

    /// Whether all is the same that lies between the elements, and around them. `other` has the same layout.
    [[nodiscard]] bool same_beside_elements(test_array other) const {
        auto mine = *this;
        for (std::size_t i = 0; i < size(); ++i) {
            std::memset(mine.at(i), 0, element_bytes);
            std::memset(other.at(i), 0, element_bytes);
        }
        return mine.memory == other.memory;
    }

private:
    void copy(void* to, void const* from) const {
        auto* const bytes = static_cast<std::byte*>(to);
        std::memcpy(bytes, from, element_bytes);
        if (!swapped) return;
        for (std::size_t i = 0; i < element_bytes; i += scalar_bytes) std::reverse(bytes + i, bytes + i + scalar_bytes);
    }
};

/// `random` is as random_numbers are. `may_repeat`: strides may be 0. No two elements are nearer to one another than
/// `min_step` bytes.
template <class Random>
[[nodiscard]] test_array any_array(Random& random, std::size_t element_bytes, std::size_t scalar_bytes,
                                   std::vector<std::size_t> const& shape, bool may_repeat, std::size_t min_step = 0) {
    constexpr std::ptrdiff_t margin = 64;
    test_array made{element_bytes,    scalar_bytes, shape, std::vector<std::ptrdiff_t>(shape.size()),
                    random.one_in(3), {},           0};
    std::vector<std::size_t> axes(shape.size());
    for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = axes.size() - 1 - i;
    if (random.one_in(2)) {
        for (std::size_t i = 1; i < axes.size(); ++i) std::swap(axes[i], axes[random.below(i + 1)]);
    }
    // Elements may also lie at addresses that are no multiple of their size.
    std::size_t step = (std::max)(element_bytes, min_step) + (random.one_in(4) ? random.below(5) : 0);
    made.first = margin + static_cast<std::ptrdiff_t>(random.one_in(2) ? random.below(64) : 0);
    for (std::size_t const i : axes) {
        if (random.one_in(4)) step *= 1 + random.below(3);
        made.strides[i] = static_cast<std::ptrdiff_t>(step);
        step *= (std::max)(shape[i], std::size_t{1});
        if (may_repeat && random.one_in(10)) {
            made.strides[i] = 0;
        } else if (random.one_in(4) && shape[i] > 0) {
            made.first += made.strides[i] * static_cast<std::ptrdiff_t>(shape[i] - 1);
            made.strides[i] = -made.strides[i];
        }
    }
    made.memory.assign(step + element_bytes + 3 * margin, std::byte{0x5A});
    return made;
}

/// Of 0 to 6 dimensions. `large`: enough elements for threads, of any type.
[[nodiscard]] inline std::vector<std::size_t> any_shape(random_numbers& random, bool large) {
    std::vector<std::size_t> shape;
    if (large) {
        switch (random.below(3)) {
            case 0:
                return {70'001};
            case 1:
                return {201, 347};
            default:
                return {2, 41, 3, 290};
        }
    }
    std::size_t const sizes[] = {1, 2, 3, 4, 7, 16, 17, 33, 64};
    std::size_t const ndim = random.below(7);
    for (std::size_t i = 0; i < ndim; ++i) shape.push_back(sizes[random.below(ndim > 3 ? 4 : 9)]);
    if (ndim > 0 && random.one_in(10)) shape[random.below(ndim)] = 0;
    return shape;
}

/// How many arrays of each type there are to be; more of them with TWOFOLD_TEST_ARRAYS=1000.
[[nodiscard]] inline std::size_t array_count() {
    char const* const wanted = std::getenv("TWOFOLD_TEST_ARRAYS");
    return wanted == nullptr ? 60 : std::strtoul(wanted, nullptr, 10);
}
