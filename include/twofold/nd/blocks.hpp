// Copies blocks of elements between strided and contiguous memory, and transposes them, within the first-level cache,
// so that a kernel for contiguous elements can do the rest. Knows elements only by their size. Uses vectors of 16
// bytes: longer ones are no faster, since loads and stores of single elements limit the speed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <twofold/flags.hpp>
#include <twofold/nd/layout.hpp>
#include <twofold/parallel/chunks.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail::packing {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Vectors of 16 bytes, which GCC and Clang have for every machine.
template <class Lane>
struct vector_of {
    using type [[gnu::vector_size(16), gnu::may_alias]] = Lane;
};
template <class Lane>
using vector = typename vector_of<Lane>::type;

template <class T>
[[nodiscard, gnu::always_inline]] inline T loaded(std::byte const* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

template <class T>
[[gnu::always_inline]] inline void put(std::byte* to, T const& value) noexcept {
    std::memcpy(to, &value, sizeof(T));
}

template <std::size_t Bytes>
struct bytes_of {
    std::byte bytes[Bytes];
};

template <std::size_t Bytes>
[[gnu::always_inline]] inline void move(std::byte const* from, std::byte* to) noexcept {
    put(to, loaded<bytes_of<Bytes>>(from));
}

/// One side of a move: where it begins, and its strides in bytes.
template <class Byte>
struct grid {
    Byte* start;
    std::ptrdiff_t column;
    std::ptrdiff_t row;

    [[nodiscard]] Byte* at(std::size_t r, std::size_t c) const noexcept {
        return start + static_cast<std::ptrdiff_t>(r) * row + static_cast<std::ptrdiff_t>(c) * column;
    }
    [[nodiscard]] grid transposed() const noexcept { return {start, row, column}; }
};
using source = grid<std::byte const>;
using target = grid<std::byte>;

// ---- elements one by one

// Stores function(element) for each element. Four at a time, since otherwise the processor is busy with counting.
template <class T, class Function>
[[gnu::always_inline]] inline void each(source const& from, target const& to, std::size_t rows, std::size_t columns,
                                        Function function) noexcept {
    for (std::size_t r = 0; r < rows; ++r) {
        std::byte const* in = from.at(r, 0);
        std::byte* out = to.at(r, 0);
        std::size_t left = columns;
        for (; left >= 4; left -= 4, in += 4 * from.column, out += 4 * to.column) {
            T const a = loaded<T>(in);
            T const b = loaded<T>(in + from.column);
            put(out, function(a));
            put(out + to.column, function(b));
            T const c = loaded<T>(in + 2 * from.column);
            T const d = loaded<T>(in + 3 * from.column);
            put(out + 2 * to.column, function(c));
            put(out + 3 * to.column, function(d));
        }
        for (; left > 0; --left, in += from.column, out += to.column) put(out, function(loaded<T>(in)));
    }
}

// Swaps the axes, if necessary, so that columns run along the longer one.
inline void run_along(source& from, target& to, std::size_t& rows, std::size_t& columns) noexcept {
    if (rows <= columns) return;
    from = from.transposed();
    to = to.transposed();
    std::swap(rows, columns);
}

template <std::size_t Bytes>
void move_each(source from, target to, std::size_t rows, std::size_t columns) noexcept {
    using element = bytes_of<Bytes>;
    run_along(from, to, rows, columns);
    each<element>(from, to, rows, columns, [](element const& x) { return x; });
}

// ---- rows without gaps on both sides

// Rows of more than `Bytes` bytes and at most twice as many: two moves that may overlap.
template <std::size_t Bytes>
void move_short_rows(source const& from, target const& to, std::size_t rows, std::size_t row_bytes) noexcept {
    for (std::size_t r = 0; r < rows; ++r) {
        std::byte const* const in = from.at(r, 0);
        std::byte* const out = to.at(r, 0);
        auto const first = loaded<bytes_of<Bytes>>(in);
        auto const last = loaded<bytes_of<Bytes>>(in + row_bytes - Bytes);
        put(out, first);
        put(out + row_bytes - Bytes, last);
    }
}

// Of one of these lengths: each row is an element. Else nothing is done, and it is false.
template <std::size_t... Bytes>
bool move_rows_of(source const& from, target const& to, std::size_t rows, std::size_t row_bytes) noexcept {
    return ((row_bytes == Bytes && (move_each<Bytes>(from, to, rows, 1), true)) || ...);
}

// The same where they are longer than one of these, the greatest first.
template <std::size_t... Bytes>
bool move_rows_above(source const& from, target const& to, std::size_t rows, std::size_t row_bytes) noexcept {
    return ((row_bytes > Bytes && (move_short_rows<Bytes>(from, to, rows, row_bytes), true)) || ...);
}

inline void move_rows(source const& from, target const& to, std::size_t rows, std::size_t row_bytes) noexcept {
    if (row_bytes > 64) {
        for (std::size_t r = 0; r < rows; ++r) std::memcpy(to.at(r, 0), from.at(r, 0), row_bytes);
    } else if (!move_rows_of<1, 2, 4, 8, 16, 32>(from, to, rows, row_bytes)) {
        move_rows_above<32, 16, 8, 4, 2>(from, to, rows, row_bytes);
    }
}

/// Copies whole cache lines, `bytes` in all, with streaming stores; `to` is aligned to a line. finish_streaming is left
/// to the caller: it takes as long as copying hundreds of bytes.
[[gnu::always_inline]] inline void stream_lines(std::byte const* from, std::byte* to, std::size_t bytes) noexcept {
    using batch = xsimd::batch<std::uint8_t>;
    constexpr std::size_t line = cache_line_bytes;
    for (std::size_t i = 0; i < bytes; i += line) {
        for (std::size_t k = i; k < i + line; k += batch::size) {
            auto const values = batch::load_unaligned(reinterpret_cast<std::uint8_t const*>(from + k));
            stream_store(reinterpret_cast<std::uint8_t*>(to + k), values);
        }
    }
}

/// Copies rows with streaming stores, except cache lines that a row covers only partly. finish_streaming is left to the
/// caller.
inline void stream_rows(source const& from, target const& to, std::size_t rows, std::size_t row_bytes) noexcept {
    constexpr std::size_t line = cache_line_bytes;
    for (std::size_t r = 0; r < rows; ++r) {
        std::byte const* const in = from.at(r, 0);
        std::byte* const out = to.at(r, 0);
        std::size_t const past_line = reinterpret_cast<std::uintptr_t>(out) % line;
        std::size_t const head = (std::min)((line - past_line) % line, row_bytes);
        std::size_t const end = head + (row_bytes - head) / line * line;
        if (head > 0) std::memcpy(out, in, head);
        stream_lines(in + head, out + head, end - head);
        if (end < row_bytes) std::memcpy(out + end, in + end, row_bytes - end);
    }
}

/// Fills a row with copies of its first element.
inline void repeat(std::byte* row, std::size_t element_bytes, std::size_t row_bytes) noexcept {
    for (std::size_t done = element_bytes; done < row_bytes; done *= 2) {
        std::memcpy(row + done, row, (std::min)(done, row_bytes - done));
    }
}

// ---- contiguous columns become contiguous rows

// Interleaves the lanes of two vectors' lower or upper halves.
template <std::size_t Half, class Lane, std::size_t... I>
[[nodiscard, gnu::always_inline]] inline vector<Lane> interleaved(vector<Lane> a, vector<Lane> b,
                                                                  std::index_sequence<I...>) noexcept {
    constexpr std::size_t lanes = sizeof...(I);
    return __builtin_shufflevector(a, b, (Half * lanes / 2 + I / 2 + (I % 2 == 0 ? 0 : lanes))...);
}

// One round of interleaving, which doubles the length of the runs that belong to one column.
template <class Lane, std::size_t... I>
[[gnu::always_inline]] inline void interleave(vector<Lane> (&square)[sizeof...(I)],
                                              std::index_sequence<I...> each_lane) noexcept {
    constexpr std::size_t half = sizeof...(I) / 2;
    vector<Lane> const next[] = {interleaved<I % 2, Lane>(square[I / 2], square[I / 2 + half], each_lane)...};
    ((square[I] = next[I]), ...);
}

// A square has as many rows and columns as a vector has lanes; a larger element is a square by itself.
template <std::size_t Bytes>
inline constexpr std::size_t square_lanes = (std::max)(std::size_t{16} / Bytes, std::size_t{1});

// Fully unrolled, so that a square stays in registers.
template <class Lane, std::size_t... I>
[[gnu::always_inline]] inline void transpose_square(std::byte const* from, std::ptrdiff_t column, std::byte* to,
                                                    std::ptrdiff_t row, std::index_sequence<I...> each_lane) noexcept {
    constexpr std::size_t lanes = sizeof...(I);
    vector<Lane> square[] = {loaded<vector<Lane>>(from + static_cast<std::ptrdiff_t>(I) * column)...};
    interleave<Lane>(square, each_lane);
    if constexpr (lanes > 2) interleave<Lane>(square, each_lane);
    if constexpr (lanes > 4) interleave<Lane>(square, each_lane);
    if constexpr (lanes > 8) interleave<Lane>(square, each_lane);
    (put(to + static_cast<std::ptrdiff_t>(I) * row, square[I]), ...);
}

// The number of columns that are read side by side, one cache line of each after another; for elements of one or two
// bytes only those of one square. Measured as rows_read_ahead.
template <std::size_t Bytes>
inline constexpr std::size_t columns_side_by_side = Bytes < 4 ? square_lanes<Bytes> : rows_read_ahead;

// Transposes whole squares. By value, since a store might alias a stride in memory; not inlined, since the caller would
// then run out of registers.
template <std::size_t Bytes>
[[gnu::noinline]] void transpose_squares(source from, target to, std::size_t rows, std::size_t columns) noexcept {
    constexpr std::size_t lanes = square_lanes<Bytes>;
    constexpr std::size_t line = (std::max)(cache_line_bytes / Bytes, std::size_t{1});
    constexpr std::size_t group = columns_side_by_side<Bytes>;
    constexpr auto steps = static_cast<std::ptrdiff_t>(lanes);
    for (std::size_t c = 0; c < columns; c += group) {
        std::size_t const columns_here = (std::min)(group, columns - c);
        for (std::size_t r = 0; r < rows; r += line) {
            std::size_t const rows_here = (std::min)(line, rows - r);
            std::byte const* next_in = from.at(r, c);
            std::byte* next_out = to.at(r, c);
            for (std::size_t i = 0; i < columns_here; i += lanes) {
                std::byte const* in = next_in;
                std::byte* out = next_out;
                for (std::size_t k = 0; k < rows_here; k += lanes) {
                    if constexpr (lanes > 1) {
                        transpose_square<unsigned_of_size<Bytes>>(in, from.column, out, to.row,
                                                                  std::make_index_sequence<lanes>{});
                    } else {
                        move<Bytes>(in, out);
                    }
                    in += lanes * Bytes;
                    out += steps * to.row;
                }
                next_in += steps * from.column;
                next_out += steps * to.column;
            }
        }
    }
}

// In `from`, elements of a column are contiguous; in `to`, elements of a row.
template <std::size_t Bytes>
void transpose(source const& from, target const& to, std::size_t rows, std::size_t columns) noexcept {
    constexpr std::size_t lanes = square_lanes<Bytes>;
    std::size_t const whole_rows = rows / lanes * lanes;
    std::size_t const whole_columns = columns / lanes * lanes;
    transpose_squares<Bytes>(from, to, whole_rows, whole_columns);
    if (whole_columns < columns) {
        source const right{from.at(0, whole_columns), from.column, from.row};
        move_each<Bytes>(right, {to.at(0, whole_columns), to.column, to.row}, whole_rows, columns - whole_columns);
    }
    if (whole_rows < rows) {
        source const below{from.at(whole_rows, 0), from.column, from.row};
        move_each<Bytes>(below, {to.at(whole_rows, 0), to.column, to.row}, rows - whole_rows, columns);
    }
}

// ---- any block

/// Copies a block of elements of `Bytes` bytes each.
template <std::size_t Bytes>
void move_block(source from, target to, std::size_t rows, std::size_t columns) noexcept {
    constexpr auto step = static_cast<std::ptrdiff_t>(Bytes);
    // The columns of `to` are contiguous if either axis is.
    if (columns == 1 || (to.column != step && to.row == step && rows > 1)) {
        from = from.transposed();
        to = to.transposed();
        std::swap(rows, columns);
    }
    if (from.column == step && to.column == step) return move_rows(from, to, rows, columns * Bytes);
    if (from.row == step && to.column == step) return transpose<Bytes>(from, to, rows, columns);
    if (from.column == step && to.row == step)
        return transpose<Bytes>(from.transposed(), to.transposed(), columns, rows);
    move_each<Bytes>(from, to, rows, columns);
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail::packing
