// Pure arithmetic: how an array is cut into chunks. Knows neither threads nor element types.
#pragma once

#include <algorithm>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

inline constexpr std::size_t cache_line_bytes = 64;

/// A run of elements: [first, first + count).
struct chunk {
    std::size_t first;
    std::size_t count;
    friend constexpr bool operator==(chunk const&, chunk const&) = default;
};

/// [0, count) in pieces of one length, except that the first is shorter by `lead`, and the last may be shorter.
struct pieces {
    std::size_t count = 1;
    std::size_t length = 1;
    std::size_t lead = 0;  // less than the length

    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return count == 0 ? 0 : (count - 1 + lead) / length + 1;
    }

    /// Piece `i`, with i < size().
    [[nodiscard]] constexpr chunk operator[](std::size_t i) const noexcept {
        std::size_t const begin = i == 0 ? 0 : i * length - lead;
        return {begin, (std::min)(count, (i + 1) * length - lead) - begin};
    }
};

/// The chunks of an array. All but the first begin on a cache line of the output, so that no two threads write to one
/// line; all but the first and the last have the same whole number of lines.
class chunks : public pieces {
public:
    // Several chunks per worker, so that a late worker delays the others by only a fraction of its share; but only one
    // where several would be short, since each chunk has an overhead of some hundred nanoseconds; and none so short
    // that it is hardly worth a helper. Small enough that a fork, which waits for the chunks that helpers are working
    // on, waits some tens of microseconds. Measured by `benchmarks/thresholds.cpp` (chunks).
    static constexpr std::size_t per_worker = 4;
    static constexpr std::size_t min_bytes = std::size_t{32} << 10;
    static constexpr std::size_t min_of_several_bytes = std::size_t{64} << 10;
    static constexpr std::size_t max_bytes = std::size_t{512} << 10;
    // There are at most this many chunks: from 16 GiB on, they grow with the array.
    static constexpr std::size_t max_count = std::size_t{1} << 15;

    /// `n` elements of `element_bytes` each, for `workers` threads; the output begins `bytes_past_line` bytes past a
    /// cache line. If neither of element and line size divides the other, or no element lies on a line's boundary,
    /// chunks begin near lines instead.
    constexpr chunks(std::size_t n, std::size_t element_bytes, std::size_t bytes_past_line, unsigned workers) noexcept {
        std::size_t const share = n * element_bytes / (std::max)(workers, 1u);
        std::size_t const several = std::clamp(share / per_worker, min_of_several_bytes, max_bytes);
        std::size_t const size = (std::max)({(std::min)(share, several), min_bytes, n * element_bytes / max_count});
        std::size_t const bytes = (size + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
        std::size_t const max_length = std::max<std::size_t>(bytes / element_bytes, 1);
        // The first chunk is shorter by the part of its first line that precedes it.
        std::size_t const held = bytes_past_line % cache_line_bytes / element_bytes;
        static_cast<pieces&>(*this) = {n, max_length, held < max_length ? held : 0};
    }
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
