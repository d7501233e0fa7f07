// Maps N-dimensional arrays of any strides and byte order. Contiguous arrays go straight through the kernels, slice by
// slice. Others are cut into blocks that fit the first-level cache; blocks that the kernels cannot read or write
// directly pass through a buffer there. Knows no operation and no element type: it is handed pointers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <twofold/flags.hpp>
#include <twofold/nd/blocks.hpp>
#include <twofold/nd/layout.hpp>
#include <twofold/nd/strided_map.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/first_index.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/parallel/slices.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/map_scalars.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The memory layout of an element type.
struct element_form {
    std::size_t bytes;
    std::size_t scalar_bytes;
    void (*move_block)(packing::source, packing::target, std::size_t rows, std::size_t columns) noexcept;
    void (*swap_bytes)(std::byte* scalars, std::size_t n) noexcept;  // of each of n scalars, in place

    unsigned is_complex;  // 1: of two scalars

    // Shifts, since a division would slow down small calls.
    [[nodiscard]] constexpr std::size_t scalars_of(std::size_t elements) const noexcept {
        return elements << is_complex;
    }
    [[nodiscard]] constexpr std::size_t elements_of(std::size_t scalars) const noexcept {
        return scalars >> is_complex;
    }
};

template <std::size_t Bytes, std::size_t ScalarBytes>
[[nodiscard]] constexpr element_form element_form_of() noexcept {
    static_assert(Bytes == ScalarBytes || Bytes == 2 * ScalarBytes);
    return {Bytes, ScalarBytes, packing::move_block<Bytes>, swap_bytes_in_place<ScalarBytes>,
            Bytes == ScalarBytes ? 0u : 1u};
}

/// Which of an operation's kernels is run.
enum class kernel_variant { wrap, wrap_swapped, clamped, checked };

/// An operation on arrays of one element type.
struct array_operation {
    element_form const& form;
    kernel_row const& kernels;
    strided_row const& strided;

    [[nodiscard]] kernel_row::mapping_kernel const* mapping_of(kernel_variant how) const noexcept {
        return how == kernel_variant::wrap_swapped ? kernels.wrap_swapped
               : how == kernel_variant::clamped    ? kernels.clamped
                                                   : kernels.wrap;
    }
    /// Maps n contiguous elements. Returns whether any result overflows, if `how` is `checked`.
    bool run(kernel_variant how, stores where, void const* in, void* out, std::size_t n) const noexcept {
        return run_rows(how, where, {static_cast<std::byte const*>(in), 0, 0}, {static_cast<std::byte*>(out), 0, 0}, 1,
                        n);
    }
    /// The same for each of some rows. The kernel is chosen once: that takes as long as a vector or two.
    bool run_rows(kernel_variant how, stores where, packing::source in, packing::target out, std::size_t rows,
                  std::size_t columns) const noexcept {
        auto const by = static_cast<std::size_t>(where);
        std::size_t const n = form.scalars_of(columns);
        bool overflows = false;
        if (how == kernel_variant::checked) {
            auto* const kernel = kernels.checked[by];
            for (std::size_t r = 0; r < rows; ++r) overflows |= kernel(in.at(r, 0), out.at(r, 0), n);
        } else {
            auto* const kernel = mapping_of(how)[by];
            for (std::size_t r = 0; r < rows; ++r) kernel(in.at(r, 0), out.at(r, 0), n);
        }
        return overflows;
    }
    [[nodiscard]] std::size_t first_overflow(void const* in, std::size_t n) const noexcept {
        return form.elements_of(kernels.first_overflow(in, form.scalars_of(n)));
    }
};

// ---- contiguous arrays

/// Maps n elements that are contiguous on both sides, slice by slice. `in` and `out` are the same or do not overlap.
/// Returns n, or with overflow_policy::raise the index of the first element whose result overflows; then `out` is
/// unchanged if it is `in`, else unspecified. Or `interrupted`.
inline std::size_t map_contiguous(array_operation const& operation, void const* in, void* out, std::size_t n,
                                  allowance threads, overflow_policy policy, go_on_function go_on = nullptr) noexcept {
    element_form const& form = operation.form;
    if (n * form.bytes < threads_pay_awake_bytes) {  // neither cut nor shared nor streamed
        if (policy == overflow_policy::raise) {
            bool const in_place = in == out;
            bool const overflows = in_place || operation.run(kernel_variant::checked, stores::cached, in, out, n);
            std::size_t const found = overflows ? operation.first_overflow(in, n) : n;
            if (found < n || !in_place) return found;
        }
        operation.run(policy == overflow_policy::saturate ? kernel_variant::clamped : kernel_variant::wrap,
                      stores::cached, in, out, n);
        return n;
    }
    auto const slice_of = [&](std::size_t first, std::size_t count) noexcept {
        return scalars{static_cast<std::byte const*>(in) + first * form.bytes,
                       static_cast<std::byte*>(out) + first * form.bytes, form.scalars_of(count), form.scalar_bytes,
                       form.scalars_of(n)};
    };
    if (policy == overflow_policy::raise && in == out && go_on != nullptr) {
        std::size_t const found = in_slices(n, form.bytes, go_on, [&](std::size_t first, std::size_t count) noexcept {
            return form.elements_of(find_overflow(operation.kernels, slice_of(first, count), threads));
        });
        if (found != n) return found;
        policy = overflow_policy::wrap;
    }
    return in_slices(n, 2 * form.bytes, go_on, [&](std::size_t first, std::size_t count) noexcept {
        return form.elements_of(map_scalars(operation.kernels, slice_of(first, count), threads, policy));
    });
}

// ---- blocks

// Half of a first-level cache, so that its contents stay there. This number and the following ones were measured by
// `benchmarks/arrays.py --part table`.
inline constexpr std::size_t buffer_bytes = std::size_t{16} << 10;
// Rows shorter than this are packed, since a call of a kernel takes some nanoseconds.
inline constexpr std::size_t min_row_bytes = 64;
// A streaming kernel ends with a fence. Rows shorter than this are streamed from the buffer, with one fence for many of
// them.
inline constexpr std::size_t min_streamed_row_bytes = std::size_t{4} << 10;
// Transposed arrays with a side shorter than this are streamed in ordinary blocks: the edges would cut many of the
// small blocks, and the prefetcher has too little to follow.
inline constexpr std::size_t min_transposed_bytes = std::size_t{1} << 10;
// Their two sides count as this many: plain stores cost them more than other arrays. Measured by `benchmarks/arrays.py
// --part large --only transposed`.
inline constexpr std::size_t transposed_sides = 3;
// Rows of one repeated element that are shorter than this are mapped like any others, since filling a row calls memcpy
// for each doubling of its length.
inline constexpr std::size_t min_repeated_bytes = 512;

struct alignas(cache_line_bytes) block_buffer {
    std::byte bytes[blocks::transposed_share * buffer_bytes];
};

/// What is done with each block of a call.
struct block_work {
    array_operation const& operation;
    blocks const& cut;
    bool swap_in;
    bool swap_out;
    bool streams_transposed = false;

    // Whether kernels can work on the rows of a side directly: short rows only if they are contiguous.
    [[nodiscard]] bool has_rows(std::ptrdiff_t column, std::ptrdiff_t row, bool swapped) const noexcept {
        std::size_t const row_bytes = cut.columns().length * operation.form.bytes;
        return !swapped && column == step() &&
               (row_bytes >= min_row_bytes || row == static_cast<std::ptrdiff_t>(row_bytes));
    }
    [[nodiscard]] bool reads_rows() const noexcept { return has_rows(cut.columns().in, cut.rows().in, swap_in); }
    [[nodiscard]] bool writes_rows() const noexcept { return has_rows(cut.columns().out, cut.rows().out, swap_out); }

    // Whether each row of the output is one repeated element of the input.
    [[nodiscard]] bool repeats() const noexcept {
        return cut.columns().in == 0 && cut.columns().out == step() &&
               cut.max_columns() * operation.form.bytes >= min_repeated_bytes;
    }
    // Whether a block is transposed in squares, through the buffer.
    [[nodiscard]] bool transposes_squares() const noexcept {
        return cut.is_transposed() && (std::min)(cut.columns().length, cut.rows().length) * operation.form.bytes >= 16;
    }
    // Whether swapping bytes in the buffer, with vectors, is faster than element by element.
    [[nodiscard]] bool swaps_vectors(stores where) const noexcept {
        return swap_in != swap_out && (operation.form.scalar_bytes < 8 || where == stores::streaming) &&
               cut.columns().in == step() && cut.columns().out == step();
    }

    [[nodiscard]] packing::source in(std::byte const* start, block const& part) const noexcept {
        return {start + part.in, cut.columns().in, cut.rows().in};
    }
    [[nodiscard]] packing::target out(std::byte* start, block const& part) const noexcept {
        return {start + part.out, cut.columns().out, cut.rows().out};
    }
    [[nodiscard]] packing::target packed(block_buffer& buffer, block const& part) const noexcept {
        return {buffer.bytes, step(), step() * static_cast<std::ptrdiff_t>(part.columns)};
    }

    // Copies a block of the input to the buffer, in this machine's byte order.
    void pack(std::byte const* start, block const& part, block_buffer& buffer) const noexcept {
        operation.form.move_block(in(start, part), packed(buffer, part), part.rows, part.columns);
        if (swap_in) swap_bytes(buffer.bytes, part.rows * part.columns);
    }
    void swap_bytes(std::byte* elements, std::size_t n) const noexcept {
        operation.form.swap_bytes(elements, operation.form.scalars_of(n));
    }

private:
    [[nodiscard]] std::ptrdiff_t step() const noexcept { return static_cast<std::ptrdiff_t>(operation.form.bytes); }
};

// Maps one block in which each row of the output repeats one element of the input: computed once for each row.
inline bool map_repeated(block_work const& work, kernel_variant how, packing::source const& from,
                         packing::target const& to, block const& part, stores where) noexcept {
    bool const streams = where == stores::streaming;
    std::size_t const row_bytes = part.columns * work.operation.form.bytes;
    bool overflows = false;
    block_buffer buffer;
    for (std::size_t r = 0; r < part.rows; ++r) {
        std::byte* const row = streams ? buffer.bytes : to.at(r, 0);
        if (!streams || r == 0 || from.row != 0) {
            std::memcpy(row, from.at(r, 0), work.operation.form.bytes);
            if (work.swap_in) work.swap_bytes(row, 1);
            overflows |= work.operation.run(how, stores::cached, row, row, 1);
            if (work.swap_out) work.swap_bytes(row, 1);
            packing::repeat(row, work.operation.form.bytes, row_bytes);
        }
        if (streams) packing::stream_rows({row, 0, 0}, {to.at(r, 0), 0, 0}, 1, row_bytes);
    }
    return overflows;
}

// Maps one block of a transposed array with streaming stores, in whole lines: a line belongs to the block in which it
// begins, whatever the alignment of the output's rows.
inline bool stream_transposed(block_work const& work, kernel_variant how, std::byte const* in,
                              packing::target const& to, block const& part) noexcept {
    constexpr std::size_t line = cache_line_bytes;
    std::size_t const bytes = work.operation.form.bytes;
    auto const to_next_line = [](std::byte const* p) { return -reinterpret_cast<std::uintptr_t>(p) % line; };
    block wide = part;
    bool const ends_with_lines =
        to.row % static_cast<std::ptrdiff_t>(line) == 0 && to_next_line(to.at(0, part.columns)) == 0;
    if (!ends_with_lines) wide.columns += (std::min)(part.columns_after, (line + bytes - 1) / bytes);
    std::size_t const row_bytes = wide.columns * bytes;
    block_buffer buffer;
    work.pack(in, wide, buffer);
    bool const overflows =
        work.operation.run(how, stores::cached, buffer.bytes, buffer.bytes, wide.rows * wide.columns);
    std::size_t const part_bytes = part.columns * bytes;
    bool const is_inner = part.columns_before > 0 && part.columns_after * bytes >= line;
    if (is_inner && part_bytes % line == 0) {
        // The same number of lines begins in each row of this block.
        for (std::size_t r = 0; r < part.rows; ++r) {
            std::byte* const row = to.at(r, 0);
            std::size_t const begin = to_next_line(row);
            packing::stream_lines(buffer.bytes + r * row_bytes + begin, row + begin, part_bytes);
        }
        return overflows;
    }
    for (std::size_t r = 0; r < part.rows; ++r) {
        std::byte* const row = to.at(r, 0);
        std::size_t const begin = part.columns_before == 0 ? 0 : to_next_line(row);
        std::size_t const end =
            part.columns_after == 0 ? row_bytes : part.columns * bytes + to_next_line(to.at(r, part.columns));
        if (begin >= (std::min)(end, row_bytes)) continue;
        packing::stream_rows({buffer.bytes + r * row_bytes + begin, 0, 0}, {row + begin, 0, 0}, 1,
                             (std::min)(end, row_bytes) - begin);
    }
    return overflows;
}

// Maps one block. Returns whether any result overflows, if `how` is `checked`.
inline bool map_block(block_work const& work, kernel_variant how, std::byte const* in, std::byte* out,
                      block const& part, stores where) noexcept {
    packing::source const from = work.in(in, part);
    packing::target const to = work.out(out, part);
    auto const map_rows = [&](packing::source const& rows_in, packing::target const& rows_out, stores to_where) {
        auto const packed_row = static_cast<std::ptrdiff_t>(part.columns * work.operation.form.bytes);
        bool const is_one = rows_in.row == packed_row && rows_out.row == packed_row;
        return work.operation.run_rows(how, to_where, rows_in, rows_out, is_one ? 1 : part.rows,
                                       is_one ? part.rows * part.columns : part.columns);
    };
    if (work.repeats()) return map_repeated(work, how, from, to, part, where);
    if (work.streams_transposed) return stream_transposed(work, how, in, to, part);
    bool const reads_rows = work.reads_rows();
    bool const writes_rows = work.writes_rows();
    bool const streams_packed =
        where == stores::streaming && part.columns * work.operation.form.bytes < min_streamed_row_bytes;
    if (reads_rows && writes_rows && !streams_packed) return map_rows(from, to, where);
    if (!work.transposes_squares() && !work.swaps_vectors(where)) {
        bool const swaps = how == kernel_variant::wrap_swapped;
        auto const wrap_each = work.operation.strided.wrap[work.swap_in || swaps][work.swap_out || swaps];
        auto const check_each = work.operation.strided.checked[work.swap_in][work.swap_out];
        if (how == kernel_variant::checked && check_each != nullptr)
            return check_each(from, to, part.rows, part.columns);
        if ((how == kernel_variant::wrap || swaps) && wrap_each != nullptr) {
            wrap_each(from, to, part.rows, part.columns);
            return false;
        }
    }
    block_buffer buffer;
    packing::target const packed = work.packed(buffer, part);
    packing::source const repacked{packed.start, packed.column, packed.row};
    if (!reads_rows) work.pack(in, part, buffer);
    if (writes_rows && !streams_packed) return map_rows(repacked, to, where);
    bool const overflows = map_rows(reads_rows ? from : repacked, packed, stores::cached);
    if (streams_packed) {
        packing::stream_rows(repacked, to, part.rows, part.columns * work.operation.form.bytes);
    } else {
        if (work.swap_out) work.swap_bytes(buffer.bytes, part.rows * part.columns);
        work.operation.form.move_block(repacked, to, part.rows, part.columns);
    }
    return overflows;
}

enum class streaming { never, where_it_pays, always };

// Calls work(block, stores) for every block, on as many threads as pay off. Returns the number of blocks, or
// `interrupted`.
template <class Work>
std::size_t for_each_block(call_kind kind, blocks const& cut, allowance threads, streaming when, go_on_function go_on,
                           Work const& work) noexcept {
    std::size_t const bytes = (std::max)(cut.in_bytes(), cut.out_bytes());
    std::size_t const touched = cut.in_bytes() + cut.out_bytes();
    if (cut.size() * touched < threads_pay_awake_bytes) {  // neither shared nor streamed
        for (std::size_t i = 0; i < cut.size(); ++i) work(cut[i], stores::cached);
        return cut.size();
    }
    return in_slices(cut.size(), touched, go_on, [&](std::size_t first, std::size_t count) {
        parallel_for(kind, {count, bytes}, threads,
                     [&](std::size_t begin, std::size_t here, unsigned workers) noexcept {
                         bool const pays = streaming_pays(cut.size() * touched, workers);
                         bool const stream = when == streaming::always || (when == streaming::where_it_pays && pays);
                         stores const where = stream ? stores::streaming : stores::cached;
                         for (std::size_t i = 0; i < here; ++i) work(cut[first + begin + i], where);
                         if (stream) finish_streaming();
                     });
        return count;
    });
}

// ---- the first element that overflows

/// An array that is searched for overflows.
struct array_input {
    array_operation const& operation;
    array_side side;
    std::size_t const* shape;
    int ndim;
    std::size_t n;

    [[nodiscard]] std::byte const* start() const noexcept { return static_cast<std::byte const*>(side.data); }
};

// Whether any result overflows, checked in whatever order suits the memory layout: 0, 1 or `interrupted`.
inline std::size_t any_overflows(array_input const& in, allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(in.shape, in.side.strides, in.side.strides, in.ndim);
    blocks const cut(loops, in.operation.form.bytes, buffer_bytes);
    block_work const work{in.operation, cut, in.side.swapped, false};
    std::byte const* const start = in.start() + loops.in_start();
    bool const reads_rows = work.reads_rows();
    std::atomic<bool> found{false};
    std::size_t const done =
        for_each_block(call_kind_of(in.operation.kernels.first_overflow, reads_rows ? 1 : 2), cut, threads,
                       streaming::never, go_on, [&](block const& part, stores) noexcept {
                           if (found.load(std::memory_order_relaxed)) return;
                           block_buffer buffer;
                           packing::target const packed = work.packed(buffer, part);
                           packing::source rows{packed.start, packed.column, packed.row};
                           if (reads_rows) {
                               rows = work.in(start, part);
                           } else {
                               work.pack(start, part, buffer);
                           }
                           for (std::size_t r = 0; r < part.rows; ++r) {
                               if (in.operation.first_overflow(rows.at(r, 0), part.columns) < part.columns) {
                                   found.store(true, std::memory_order_relaxed);
                               }
                           }
                       });
    // Even if one was found: the caller that interrupts has an exception to raise.
    if (done == interrupted) return interrupted;
    return found ? 1 : 0;
}

// The first element, in C order, of [first, first + count) that overflows, counted from `first`; `count` if none does.
inline std::size_t find_in_order(array_input const& in, loop_nest const& loops, std::size_t first,
                                 std::size_t count) noexcept {
    auto const step = static_cast<std::ptrdiff_t>(in.operation.form.bytes);
    axis const row = loops[0];
    bool const reads_rows = row.in == step && !in.side.swapped;
    std::size_t const max_run = reads_rows ? count : buffer_bytes / in.operation.form.bytes;
    for (std::size_t done = 0; done < count;) {
        std::size_t left = first + done;
        std::size_t const run = (std::min)({row.length - left % row.length, count - done, max_run});
        std::byte const* from = in.start();
        for (std::size_t i = 0; i < loops.size(); ++i) {
            from += loops[i].in * static_cast<std::ptrdiff_t>(left % loops[i].length);
            left /= loops[i].length;
        }
        block_buffer buffer;
        if (!reads_rows) {
            in.operation.form.move_block({from, row.in, 0}, {buffer.bytes, step, 0}, 1, run);
            if (in.side.swapped) in.operation.form.swap_bytes(buffer.bytes, in.operation.form.scalars_of(run));
            from = buffer.bytes;
        }
        std::size_t const found = in.operation.first_overflow(from, run);
        if (found < run) return done + found;
        done += run;
    }
    return count;
}

// The index in C order of the first element that overflows; n if none does; or `interrupted`.
inline std::size_t find_array_overflow(array_input const& in, allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(in.shape, in.side.strides, in.side.strides, in.ndim, order::index);
    first_index found(in.n);
    std::size_t const bytes = (std::max)(in.operation.form.bytes, cache_line_bytes);
    return in_slices(in.n, bytes, go_on, [&](std::size_t first, std::size_t count) {
        parallel_for(call_kind_of(in.operation.kernels.first_overflow, 3), {count, bytes}, threads,
                     [&](std::size_t begin, std::size_t length, unsigned) noexcept {
                         if (first + begin > found.smallest()) return;
                         std::size_t const i = find_in_order(in, loops, first + begin, length);
                         if (i < length) found.report(first + begin + i);
                     });
        return (std::min)(found.smallest(), first + count) - first;
    });
}

// ---- any array

/// Maps N-dimensional arrays: `in` and `out` are the same array (data and strides), or share no byte; no two elements
/// of `out` share one. Returns what map_contiguous does; the index is in C order of the shape. Any alignment will do.
/// ndim <= max_dimensions.
inline std::size_t map_array(array_operation const& operation, array_side in, array_side out, std::size_t const* shape,
                             int ndim, allowance threads, overflow_policy policy,
                             go_on_function go_on = nullptr) noexcept {
    element_form const& form = operation.form;
    std::size_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    if (n == 0) return 0;
    if (form.scalar_bytes == 1) in.swapped = out.swapped = false;
    loop_nest const loops(shape, in.strides, out.strides, ndim);
    auto const* const from = static_cast<std::byte const*>(in.data) + loops.in_start();
    auto* const to = static_cast<std::byte*>(out.data) + loops.out_start();
    bool const is_contiguous = loops.is_contiguous(form.bytes);
    // With overflow_policy::raise, the index must be that of the shape.
    if (is_contiguous && !in.swapped && !out.swapped &&
        (policy != overflow_policy::raise ||
         loop_nest(shape, in.strides, out.strides, ndim, order::index).is_contiguous(form.bytes))) {
        return map_contiguous(operation, from, to, n, threads, policy, go_on);
    }
    bool const in_place = in.data == out.data;
    array_input const values{operation, in, shape, ndim, n};
    kernel_variant how = kernel_variant::wrap;
    if (policy == overflow_policy::saturate) how = kernel_variant::clamped;
    if (policy == overflow_policy::raise && !in_place) how = kernel_variant::checked;
    if (policy == overflow_policy::raise && in_place) {
        // In whatever order suits the memory layout, which may be far faster: overflow is the exception.
        std::size_t const any = any_overflows(values, threads, go_on);
        if (any == interrupted) return interrupted;
        if (any != 0) return find_array_overflow(values, threads, go_on);
    }
    if (in.swapped && out.swapped && how == kernel_variant::wrap && operation.kernels.wrap_swapped[0] != nullptr) {
        if (is_contiguous) {
            if (n * form.bytes < threads_pay_awake_bytes) {  // a copy of all the kernels takes some nanoseconds
                operation.run(kernel_variant::wrap_swapped, stores::cached, from, to, n);
                return n;
            }
            kernel_row kernels = operation.kernels;
            for (int i = 0; i < 2; ++i) kernels.wrap[i] = operation.kernels.wrap_swapped[i];
            return map_contiguous({form, kernels, operation.strided}, from, to, n, threads, overflow_policy::wrap,
                                  go_on);
        }
        how = kernel_variant::wrap_swapped;
        in.swapped = out.swapped = false;
    }
    auto const past_line = [](void const* p) { return reinterpret_cast<std::uintptr_t>(p) % cache_line_bytes; };
    auto const cut_blocks = [&](bool streamed) {
        return blocks(loops, form.bytes, buffer_bytes, past_line(from), past_line(to), streamed);
    };
    blocks const usual = cut_blocks(false);
    block_work const usual_work{operation, usual, in.swapped, out.swapped};
    bool const may_stream =
        !in_place && usual_work.writes_rows() && usual.max_columns() * form.bytes >= cache_line_bytes;
    // They are streamed from the same size on, whether one thread works on them or more.
    std::size_t const min_side = (std::min)(usual.columns().length, usual.rows().length) * form.bytes;
    bool const streams_transposed = may_stream && usual.is_transposed() && min_side >= min_transposed_bytes &&
                                    can_stream<xsimd::default_arch, std::uint8_t> &&
                                    streaming_pays(transposed_sides * n * form.bytes, 1);
    blocks const cut = streams_transposed ? cut_blocks(true) : usual;
    block_work const work{operation, cut, in.swapped, out.swapped, streams_transposed};
    streaming const when = streams_transposed ? streaming::always
                           : may_stream       ? streaming::where_it_pays
                                              : streaming::never;
    // Distinguishes kinds of calls with different costs.
    unsigned const variant = (in_place ? 1u : 0u) + (work.reads_rows() ? 2u : 0u) + (work.writes_rows() ? 4u : 0u) +
                             (cut.is_transposed() ? 8u : 0u);
    std::atomic<bool> overflows{false};
    std::size_t const done = for_each_block(call_kind_of(operation.mapping_of(how)[0], variant), cut, threads, when,
                                            go_on, [&](block const& part, stores where) noexcept {
                                                if (overflows.load(std::memory_order_relaxed)) return;
                                                if (map_block(work, how, from, to, part, where))
                                                    overflows.store(true, std::memory_order_relaxed);
                                            });
    if (done == interrupted) return interrupted;
    return overflows ? find_array_overflow(values, threads, go_on) : n;
}

/// Copies N-dimensional arrays of that shape bit by bit, whatever their byte order. They share no byte.
inline void copy_array(element_form const& form, array_side in, array_side out, std::size_t const* shape,
                       int ndim) noexcept {
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return;
    }
    loop_nest const loops(shape, in.strides, out.strides, ndim);
    blocks const cut(loops, form.bytes, buffer_bytes);
    auto const* const from = static_cast<std::byte const*>(in.data) + loops.in_start();
    auto* const to = static_cast<std::byte*>(out.data) + loops.out_start();
    for (std::size_t i = 0; i < cut.size(); ++i) {
        block const part = cut[i];
        form.move_block({from + part.in, cut.columns().in, cut.rows().in},
                        {to + part.out, cut.columns().out, cut.rows().out}, part.rows, part.columns);
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
