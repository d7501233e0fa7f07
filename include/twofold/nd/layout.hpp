// Arithmetic: turns an N-dimensional call into nested loops, and cuts these into blocks, whose sizes follow from
// measurements of caches. Touches no memory, and knows elements only by their size. Strides and offsets are in bytes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/parallel/chunks.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
/// One side of a call on an N-dimensional array.
struct array_side {
    void* data;                     // the element whose indices are all 0
    std::ptrdiff_t const* strides;  // in bytes, of any sign; 0 for the input alone
    bool swapped;                   // not in this machine's byte order
};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

inline constexpr int max_dimensions = 64;

/// One loop: the number of steps, and the stride of a step on either side.
struct axis {
    std::size_t length;
    std::ptrdiff_t in;
    std::ptrdiff_t out;
    friend constexpr bool operator==(axis const&, axis const&) = default;
};

/// The absolute value of a stride, even of the smallest one.
[[nodiscard]] constexpr std::size_t magnitude(std::ptrdiff_t stride) noexcept {
    auto const bits = static_cast<std::size_t>(stride);
    return stride < 0 ? std::size_t{0} - bits : bits;
}

/// In which order a nest of loops may visit the elements.
enum class order {
    any,    // whatever suits the memory layout
    index,  // C order: the last axis varies fastest, and none runs backwards
};

/// The loops of an N-dimensional call, innermost first, and as few as possible.
class loop_nest {
public:
    /// No axis of the nest has length 1 or stride 0 on both sides; no two adjacent axes could be merged. With
    /// order::any no stride of the output is negative, and the smallest is innermost. ndim <= max_dimensions; no length
    /// is 0.
    constexpr loop_nest(std::size_t const* shape, std::ptrdiff_t const* in, std::ptrdiff_t const* out, int ndim,
                        order which = order::any) noexcept {
        for (int i = ndim - 1; i >= 0; --i) {
            if (which == order::any) {
                insert({shape[i], in[i], out[i]});
            } else if (shape[i] != 1) {
                axes_[size_++] = {shape[i], in[i], out[i]};
            }
        }
        merge();
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

    /// Axis `i`; axes beyond the last have length 1.
    [[nodiscard]] constexpr axis operator[](std::size_t i) const noexcept {
        return i < size_ ? axes_[i] : axis{1, 0, 0};
    }

    /// From the first element of the call to the first one of the nest.
    [[nodiscard]] constexpr std::ptrdiff_t in_start() const noexcept { return in_start_; }
    [[nodiscard]] constexpr std::ptrdiff_t out_start() const noexcept { return out_start_; }

    /// Whether the elements are contiguous on both sides.
    [[nodiscard]] constexpr bool is_contiguous(std::size_t element_bytes) const noexcept {
        auto const step = static_cast<std::ptrdiff_t>(element_bytes);
        return size_ == 0 || (size_ == 1 && axes_[0].in == step && axes_[0].out == step);
    }

private:
    // Inserts an axis in the order of strides, the output's first. It is reversed if the output's stride is negative.
    constexpr void insert(axis next) noexcept {
        if (next.length == 1 || (next.in == 0 && next.out == 0)) return;
        if (next.out < 0) {
            auto const steps = static_cast<std::ptrdiff_t>(next.length - 1);
            in_start_ += next.in * steps;
            out_start_ += next.out * steps;
            next.in = -next.in;
            next.out = -next.out;
        }
        auto const is_inside = [](axis const& a, axis const& b) {
            return a.out != b.out ? a.out < b.out : magnitude(a.in) < magnitude(b.in);
        };
        std::size_t position = size_++;
        for (; position > 0 && is_inside(next, axes_[position - 1]); --position) axes_[position] = axes_[position - 1];
        axes_[position] = next;
    }

    // Two axes are merged if, on both sides, a step of the outer one continues where the inner one ends.
    constexpr void merge() noexcept {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            axis const next = axes_[i];
            if (kept > 0) {
                axis& inner = axes_[kept - 1];
                auto const steps = static_cast<std::ptrdiff_t>(inner.length);
                if (next.in == inner.in * steps && next.out == inner.out * steps) {
                    inner.length *= next.length;
                    continue;
                }
            }
            axes_[kept++] = next;
        }
        size_ = kept;
    }

    std::array<axis, max_dimensions> axes_;
    std::size_t size_ = 0;
    std::ptrdiff_t in_start_ = 0;
    std::ptrdiff_t out_start_ = 0;
};

/// The number of rows of memory that the hardware prefetcher follows at once. Measured by `benchmarks/arrays.py --part
/// large --only transposed`.
inline constexpr std::size_t rows_read_ahead = 16;

/// A block of a nest of loops: `rows` rows of `columns` elements each.
struct block {
    std::ptrdiff_t in;  // from the nest's first element to the block's
    std::ptrdiff_t out;
    std::size_t rows;
    std::size_t columns;
    std::size_t columns_before = 0;  // of the nest's columns, on either side of these
    std::size_t columns_after = 0;
    friend constexpr bool operator==(block const&, block const&) = default;
};

/// A nest of loops cut into blocks that are processed one at a time. Columns run along the output's smallest stride,
/// rows along the input's smallest stride if that is another axis: then both sides are accessed in whole cache lines.
class blocks {
public:
    /// How many times as much as other blocks a block of a transposed array may hold. Measured by `benchmarks/arrays.py
    /// --part large --only transposed`.
    static constexpr std::size_t transposed_share = 2;

    /// Blocks hold at most `block_bytes` bytes of elements, `transposed_share` times as many if they are transposed.
    /// The nest begins `in_past_line` and `out_past_line` bytes past a cache line. If a transposed array is streamed,
    /// blocks are small enough that another cache line of each row fits into these bytes. `nest` must outlive this
    /// object.
    constexpr blocks(loop_nest const& nest, std::size_t element_bytes, std::size_t block_bytes,
                     std::size_t in_past_line = 0, std::size_t out_past_line = 0, bool streamed = false) noexcept
        : nest_(nest), row_axis_(find_row_axis(nest)) {
        std::size_t const share = is_transposed() ? transposed_share : 1;
        std::size_t const max_elements = (std::max)(share * block_bytes / element_bytes, std::size_t{1});
        std::size_t const line = (std::max)(cache_line_bytes / element_bytes, std::size_t{1});
        // About as many rows as columns, so that the edges cut few cache lines.
        std::size_t const square = std::size_t{1} << (std::bit_width(max_elements) - 1) / 2;
        std::size_t const min_rows = is_transposed() ? (std::min)(rows().length, (std::max)(square, line)) : 1;
        auto const whole_lines = [=](std::size_t n) { return n > line ? n / line * line : n; };
        std::size_t max_columns = whole_lines((std::max)(max_elements / min_rows, std::size_t{1}));
        if (streamed && is_transposed()) max_columns = streamed_columns(element_bytes);
        column_pieces_ = cut(columns().length, max_columns, is_transposed() ? out_past_line / element_bytes : 0);
        std::size_t max_rows = whole_lines((std::max)(max_elements / column_pieces_.length, std::size_t{1}));
        if (streamed && is_transposed()) {
            std::size_t const wanted = (std::max)(streamed_lines * line, streamed_rows);
            max_rows = (std::min)(wanted, whole_lines((std::max)(max_elements / (max_columns + line), line)));
        }
        row_pieces_ = cut(rows().length, max_rows, is_transposed() ? in_past_line / element_bytes : 0);
        size_ = column_pieces_.size() * row_pieces_.size();
        for (std::size_t i = 1; i < nest.size(); ++i) {
            if (i != row_axis_) size_ *= nest[i].length;
        }
        // An element costs the cache line that it is in, or its share of one.
        auto const cost = [=](std::ptrdiff_t a, std::ptrdiff_t b) {
            return (std::max)((std::min)({magnitude(a), magnitude(b), cache_line_bytes}), element_bytes);
        };
        in_cost_ = cost(columns().in, rows().length > 1 ? rows().in : columns().in);
        out_cost_ = cost(columns().out, columns().out);
    }

    [[nodiscard]] constexpr axis columns() const noexcept { return nest_[0]; }
    [[nodiscard]] constexpr axis rows() const noexcept { return nest_[row_axis_]; }
    [[nodiscard]] constexpr bool is_transposed() const noexcept {
        return rows().length > 1 && rows().in != 0 && magnitude(rows().in) < magnitude(columns().in);
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

    /// The columns of a whole block.
    [[nodiscard]] constexpr std::size_t max_columns() const noexcept { return column_pieces_.length; }

    /// The memory that a whole block reads, or writes, counted in bytes of cache lines.
    [[nodiscard]] constexpr std::size_t in_bytes() const noexcept {
        return column_pieces_.length * row_pieces_.length * in_cost_;
    }
    [[nodiscard]] constexpr std::size_t out_bytes() const noexcept {
        return column_pieces_.length * row_pieces_.length * out_cost_;
    }

    /// Block `i`, with i < size().
    [[nodiscard]] constexpr block operator[](std::size_t i) const noexcept {
        // The input's smallest stride first, so that the next block reads from the same pages.
        chunk const row = row_pieces_[i % row_pieces_.size()];
        i /= row_pieces_.size();
        chunk const column = column_pieces_[i % column_pieces_.size()];
        i /= column_pieces_.size();
        block found{0, 0, row.count, column.count, column.first, columns().length - column.first - column.count};
        auto const go = [&](axis const& along, std::size_t steps) {
            found.in += along.in * static_cast<std::ptrdiff_t>(steps);
            found.out += along.out * static_cast<std::ptrdiff_t>(steps);
        };
        go(rows(), row.first);
        go(columns(), column.first);
        for (std::size_t k = 1; i > 0; ++k) {
            if (k == row_axis_) continue;
            go(nest_[k], i % nest_[k].length);
            i /= nest_[k].length;
        }
        return found;
    }

private:
    [[nodiscard]] static constexpr pieces cut(std::size_t length, std::size_t at_most, std::size_t lead) noexcept {
        return at_most < length ? pieces{length, at_most, lead % at_most} : pieces{length, length, 0};
    }

    // If a transposed array is streamed, a block reads as many of the input's rows as two cache lines hold elements,
    // but no more than the prefetcher follows from block to block; for elements of one or two bytes that would be too
    // little work. It reads `streamed_lines` cache lines of each row, and at least `streamed_rows` elements. Measured
    // as rows_read_ahead.
    [[nodiscard]] static constexpr std::size_t streamed_columns(std::size_t element_bytes) noexcept {
        if (element_bytes < 4) return streamed_short_columns;
        return (std::min)((std::max)(2 * cache_line_bytes / element_bytes, std::size_t{1}), rows_read_ahead);
    }
    static constexpr std::size_t streamed_short_columns = 64;
    static constexpr std::size_t streamed_lines = 4;
    static constexpr std::size_t streamed_rows = 32;
    // This many rows, even of one element each, are worth starting a block.
    static constexpr std::size_t enough_rows = 16;

    [[nodiscard]] static constexpr std::size_t find_row_axis(loop_nest const& nest) noexcept {
        std::size_t smallest = 0;  // stride of the input
        for (std::size_t i = 1; i < nest.size(); ++i) {
            if (nest[i].in != 0 && magnitude(nest[i].in) < magnitude(nest[smallest].in)) smallest = i;
        }
        if (smallest != 0) return smallest;
        std::size_t longest = 1;
        for (std::size_t i = 1; i < nest.size() && nest[longest].length < enough_rows; ++i) {
            if (nest[i].length > nest[longest].length) longest = i;
        }
        return longest;
    }

    loop_nest const& nest_;
    std::size_t row_axis_;
    pieces column_pieces_;
    pieces row_pieces_;
    std::size_t size_;
    std::size_t in_cost_;
    std::size_t out_cost_;
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
