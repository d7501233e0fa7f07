// Arrays to results: what is contiguous goes to the engine, slice by slice. Anything else is cut into blocks that fit
// the first-level cache; what the kernels cannot read or write where it lies passes through a buffer there.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <twofold/nd/layout.hpp>

#include "packing.hpp"
#include "wheel.hpp"

namespace twofold_wheel {
namespace {

namespace engine = twofold::detail;
using engine::allowance;
using engine::axis;
using engine::block;
using engine::order;
using engine::stores;
using twofold::overflow_policy;
using blocks = engine::blocks;
using loop_nest = engine::loop_nest;

template <class T>
using kernels_of = engine::part_kernel_pointers<wheel_part_of<T>>;

// ---- slices

// run(first, count) for slices of a call on `n` things that touch so many bytes each. It returns `count`, or the index
// in the slice at which the call ends. Returns n, that index, or `stopped`.
template <class Run>
std::size_t in_slices(std::size_t n, std::size_t bytes_each, go_on_function go_on, Run const& run) noexcept {
    std::size_t const most = go_on == nullptr ? n : (std::max)(slice_bytes / bytes_each, std::size_t{1});
    for (std::size_t first = 0; first < n;) {
        if (first > 0 && !go_on()) return stopped;
        std::size_t const count = (std::min)(most, n - first);
        std::size_t const done = run(first, count);
        first += done;
        if (done < count) return first;
    }
    return n;
}

// ---- contiguous arrays

template <class T>
std::size_t find_in_contiguous(kernels_of<T> const& kernels, wheel_part_of<T> const* in, std::size_t n,
                               allowance threads, go_on_function go_on) noexcept {
    constexpr std::size_t parts = wheel_parts<T>;
    return in_slices(n, sizeof(T), go_on, [&](std::size_t first, std::size_t count) noexcept {
        return engine::find_overflow(kernels, in + first * parts, count * parts, threads) / parts;
    });
}

template <class T>
std::size_t double_contiguous(kernels_of<T> const& kernels, void const* in, void* out, std::size_t n, allowance threads,
                              overflow_policy policy, go_on_function go_on) noexcept {
    constexpr std::size_t parts = wheel_parts<T>;
    auto const* const from = static_cast<wheel_part_of<T> const*>(in);
    auto* const to = static_cast<wheel_part_of<T>*>(out);
    policy = policy_for<T>(policy);
    if (go_on == nullptr || n <= slice_bytes / (2 * sizeof(T))) {
        return engine::double_parts(kernels, from, to, n * parts, threads, policy) / parts;
    }
    if (policy == overflow_policy::raise && in == out) {
        std::size_t const found = find_in_contiguous<T>(kernels, from, n, threads, go_on);
        if (found != n) return found;
        policy = overflow_policy::wrap;
    }
    return in_slices(n, 2 * sizeof(T), go_on, [&](std::size_t first, std::size_t count) noexcept {
        return engine::double_parts(kernels, from + first * parts, to + first * parts, count * parts, threads, policy,
                                    n * parts) /
               parts;
    });
}

// ---- an element type, for all that follows: by its size and by functions, since the code is the same

using packing::source;
using packing::target;

/// What a kernel of the table is to do.
enum class doubling { wrap, wrap_turned, saturate, checked };

using block_function = void (*)(source, target, std::size_t rows, std::size_t columns) noexcept;

struct element_type {
    std::size_t bytes;
    std::size_t part_bytes;
    // The kernels, as the functions below take them.
    void const* (*kernels)(kernel_table const&) noexcept;
    // On n elements, one after another. Returns whether any overflows, if that is to be checked.
    bool (*run)(void const* kernels, doubling, stores, void const* in, void* out, std::size_t n) noexcept;
    std::size_t (*first_overflow)(void const* kernels, void const* in, std::size_t n) noexcept;
    // On a block with any strides.
    block_function move_block;
    // By whether bytes are turned round that are read, and written; null: none. The second ones say if any overflows.
    block_function wrap_each[2][2];
    bool (*check_each[2][2])(source, target, std::size_t rows, std::size_t columns) noexcept;
    void (*turn_round)(std::byte* parts, std::size_t n) noexcept;  // n parts in place
    overflow_policy (*policy)(overflow_policy) noexcept;
    bool turns_in_register;  // but for 16-bit floats, which then would raise no flag; see kernels.hpp
};

template <class T>
constexpr element_type element_type_of() noexcept {
    using part = wheel_part_of<T>;
    using pointers = engine::part_kernel_pointers<part>;
    element_type type{
        sizeof(T),
        sizeof(part),
        [](kernel_table const& table) noexcept -> void const* { return &kernels_for<part>(table); },
        [](void const* kernels, doubling how, stores where, void const* in, void* out, std::size_t n) noexcept {
            auto const& rows = *static_cast<pointers const*>(kernels);
            auto const stores = static_cast<std::size_t>(where);
            auto const* const from = static_cast<part const*>(in);
            auto* const to = static_cast<part*>(out);
            if (how == doubling::checked) return rows.checked[stores](from, to, n * wheel_parts<T>);
            auto const& by_stores = how == doubling::wrap       ? rows.wrap
                                    : how == doubling::saturate ? rows.saturate
                                                                : rows.wrap_turned;
            by_stores[stores](from, to, n * wheel_parts<T>);
            return false;
        },
        [](void const* kernels, void const* in, std::size_t n) noexcept {
            auto const& rows = *static_cast<pointers const*>(kernels);
            return rows.first_overflow(static_cast<part const*>(in), n * wheel_parts<T>) / wheel_parts<T>;
        },
        packing::move_block<sizeof(T)>,
        {},
        {},
        packing::turn_round<sizeof(part)>,
        policy_for<T>,
        !engine::is_half_float<part>,
    };
    auto const fill = [&]<class Part>(std::type_identity<Part>) {
        type.wrap_each[0][0] = packing::double_each<Part, wheel_parts<T>, false, false>;
        if constexpr (sizeof(Part) > 1) {
            type.wrap_each[0][1] = packing::double_each<Part, wheel_parts<T>, false, true>;
            type.wrap_each[1][0] = packing::double_each<Part, wheel_parts<T>, true, false>;
            type.wrap_each[1][1] = packing::double_each<Part, wheel_parts<T>, true, true>;
        }
    };
    if constexpr (std::is_integral_v<part>) fill(std::type_identity<std::make_unsigned_t<part>>{});
    if constexpr (std::is_same_v<part, float> || std::is_same_v<part, double>) fill(std::type_identity<part>{});
    if constexpr (std::is_same_v<part, timedelta64>) {
        type.check_each[0][0] = double_each_time<false, false>;
        type.check_each[0][1] = double_each_time<false, true>;
        type.check_each[1][0] = double_each_time<true, false>;
        type.check_each[1][1] = double_each_time<true, true>;
    }
    if constexpr (std::is_same_v<part, long double>) {
        type.wrap_each[0][0] = long_double_kernels::wrap_each<wheel_parts<T>>;
    }
    return type;
}

constexpr auto element_types = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{element_type_of<element_number<I>>()...};
}(std::make_index_sequence<element_count>{});

// ---- blocks

// Half of a first-level cache, so that what passes through it stays there. This number, and those that follow, were
// measured by `benchmarks/arrays.py --part table`.
constexpr std::size_t buffer_bytes = std::size_t{16} << 10;
// Rows shorter than this are packed, since a call of a kernel takes some nanoseconds.
constexpr std::size_t least_row_bytes = 64;
// Kernels end what they stream with a fence. Rows shorter than this are streamed from the buffer, with one fence for
// many of them.
constexpr std::size_t least_streamed_bytes = std::size_t{4} << 10;
// Transposed arrays of which a side is shorter than this are streamed in blocks like any others: small ones would be
// cut by the edges, and reading ahead finds nothing.
constexpr std::size_t least_transposed_bytes = std::size_t{1} << 10;
// Their two sides count for so many: stores that are not streamed cost them more than others. Measured by
// `benchmarks/arrays.py --part large --only transposed`.
constexpr std::size_t transposed_sides = 3;
// Rows of one repeated element that are shorter than this are doubled like any others, since memcpy has to be called
// for each power of two of elements.
constexpr std::size_t least_repeated_bytes = 512;

struct alignas(engine::cache_line_bytes) block_buffer {
    std::byte bytes[blocks::transposed_share * buffer_bytes];
};

/// What is done with each block of a call.
struct block_work {
    element_type const& type;
    void const* kernels;
    blocks const& cut;
    bool turn_in;
    bool turn_out;
    bool streams_transposed = false;

    // Whether kernels can work on the rows of a side where they lie: short ones, if they lie one after another.
    [[nodiscard]] bool has_rows(std::ptrdiff_t column, std::ptrdiff_t row, bool turned) const noexcept {
        std::size_t const row_bytes = cut.columns().length * type.bytes;
        return !turned && column == step() &&
               (row_bytes >= least_row_bytes || row == static_cast<std::ptrdiff_t>(row_bytes));
    }
    [[nodiscard]] bool reads_rows() const noexcept { return has_rows(cut.columns().in, cut.rows().in, turn_in); }
    [[nodiscard]] bool writes_rows() const noexcept { return has_rows(cut.columns().out, cut.rows().out, turn_out); }

    // Whether rows of the output are one element of the input each, again and again.
    [[nodiscard]] bool repeats() const noexcept {
        return cut.columns().in == 0 && cut.columns().out == step() &&
               cut.most_columns() * type.bytes >= least_repeated_bytes;
    }
    // Whether a block is transposed in squares, by way of the buffer.
    [[nodiscard]] bool transposes_squares() const noexcept {
        return cut.is_transposed() && (std::min)(cut.columns().length, cut.rows().length) * type.bytes >= 16;
    }
    // Whether to turn bytes round in the buffer, by vectors, is faster than to do so one by one.
    [[nodiscard]] bool turns_vectors(stores where) const noexcept {
        return turn_in != turn_out && (type.part_bytes < 8 || where == stores::streaming) &&
               cut.columns().in == step() && cut.columns().out == step();
    }

    [[nodiscard]] source in(std::byte const* start, block const& part) const noexcept {
        return {start + part.in, cut.columns().in, cut.rows().in};
    }
    [[nodiscard]] target out(std::byte* start, block const& part) const noexcept {
        return {start + part.out, cut.columns().out, cut.rows().out};
    }
    [[nodiscard]] target packed(block_buffer& buffer, block const& part) const noexcept {
        return {buffer.bytes, step(), step() * static_cast<std::ptrdiff_t>(part.columns)};
    }

    // A block of the input, in the buffer and in this machine's byte order.
    void pack(std::byte const* start, block const& part, block_buffer& buffer) const noexcept {
        type.move_block(in(start, part), packed(buffer, part), part.rows, part.columns);
        if (turn_in) turn_round(buffer.bytes, part.rows * part.columns);
    }
    void turn_round(std::byte* elements, std::size_t n) const noexcept {
        type.turn_round(elements, n * (type.bytes / type.part_bytes));
    }

private:
    [[nodiscard]] std::ptrdiff_t step() const noexcept { return static_cast<std::ptrdiff_t>(type.bytes); }
};

// Doubles one block whose rows are an element each, again and again: once for each row.
bool double_repeated(block_work const& work, doubling how, source const& from, target const& to, block const& part,
                     stores where) noexcept {
    bool const streams = where == stores::streaming;
    std::size_t const row_bytes = part.columns * work.type.bytes;
    bool overflows = false;
    block_buffer buffer;
    for (std::size_t r = 0; r < part.rows; ++r) {
        std::byte* const row = streams ? buffer.bytes : to.at(r, 0);
        if (!streams || r == 0 || from.row != 0) {
            std::memcpy(row, from.at(r, 0), work.type.bytes);
            if (work.turn_in) work.turn_round(row, 1);
            overflows |= work.type.run(work.kernels, how, stores::cached, row, row, 1);
            if (work.turn_out) work.turn_round(row, 1);
            packing::repeat(row, work.type.bytes, row_bytes);
        }
        if (streams) packing::stream_rows({row, 0, 0}, {to.at(r, 0), 0, 0}, 1, row_bytes);
    }
    return overflows;
}

// Doubles one block of a transposed array past the cache, in whole lines: a line belongs to the block in which it
// begins, wherever in a line the rows of the output begin.
bool stream_transposed(block_work const& work, doubling how, std::byte const* in, target const& to,
                       block const& part) noexcept {
    constexpr std::size_t line = engine::cache_line_bytes;
    std::size_t const bytes = work.type.bytes;
    auto const to_next_line = [](std::byte const* p) { return -reinterpret_cast<std::uintptr_t>(p) % line; };
    block wide = part;
    bool const ends_with_lines =
        to.row % static_cast<std::ptrdiff_t>(line) == 0 && to_next_line(to.at(0, part.columns)) == 0;
    if (!ends_with_lines) wide.columns += (std::min)(part.columns_after, (line + bytes - 1) / bytes);
    std::size_t const row_bytes = wide.columns * bytes;
    block_buffer buffer;
    work.pack(in, wide, buffer);
    bool const overflows =
        work.type.run(work.kernels, how, stores::cached, buffer.bytes, buffer.bytes, wide.rows * wide.columns);
    std::size_t const part_bytes = part.columns * bytes;
    bool const is_inner = part.columns_before > 0 && part.columns_after * bytes >= line;
    if (is_inner && part_bytes % line == 0) {
        // The lines that begin here are as many for each row.
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

// Doubles one block. Returns whether any element overflows, if that is to be checked.
bool double_block(block_work const& work, doubling how, std::byte const* in, std::byte* out, block const& part,
                  stores where) noexcept {
    source const from = work.in(in, part);
    target const to = work.out(out, part);
    auto const double_rows = [&](source const& rows_in, target const& rows_out, stores to_where) {
        auto const packed_row = static_cast<std::ptrdiff_t>(part.columns * work.type.bytes);
        bool const is_one = rows_in.row == packed_row && rows_out.row == packed_row;
        std::size_t const rows = is_one ? 1 : part.rows;
        std::size_t const columns = is_one ? part.rows * part.columns : part.columns;
        bool overflows = false;
        for (std::size_t r = 0; r < rows; ++r) {
            overflows |= work.type.run(work.kernels, how, to_where, rows_in.at(r, 0), rows_out.at(r, 0), columns);
        }
        return overflows;
    };
    if (work.repeats()) return double_repeated(work, how, from, to, part, where);
    if (work.streams_transposed) return stream_transposed(work, how, in, to, part);
    bool const reads_rows = work.reads_rows();
    bool const writes_rows = work.writes_rows();
    bool const streams_packed = where == stores::streaming && part.columns * work.type.bytes < least_streamed_bytes;
    if (reads_rows && writes_rows && !streams_packed) return double_rows(from, to, where);
    if (!work.transposes_squares() && !work.turns_vectors(where)) {
        bool const turns = how == doubling::wrap_turned;
        auto const wrap_each = work.type.wrap_each[work.turn_in || turns][work.turn_out || turns];
        auto const check_each = work.type.check_each[work.turn_in][work.turn_out];
        if (how == doubling::checked && check_each != nullptr) return check_each(from, to, part.rows, part.columns);
        if ((how == doubling::wrap || turns) && wrap_each != nullptr) {
            wrap_each(from, to, part.rows, part.columns);
            return false;
        }
    }
    block_buffer buffer;
    target const packed = work.packed(buffer, part);
    source const repacked{packed.start, packed.column, packed.row};
    if (!reads_rows) work.pack(in, part, buffer);
    if (writes_rows && !streams_packed) return double_rows(repacked, to, where);
    bool const overflows = double_rows(reads_rows ? from : repacked, packed, stores::cached);
    if (streams_packed) {
        packing::stream_rows(repacked, to, part.rows, part.columns * work.type.bytes);
    } else {
        if (work.turn_out) work.turn_round(buffer.bytes, part.rows * part.columns);
        work.type.move_block(repacked, to, part.rows, part.columns);
    }
    return overflows;
}

enum class streaming { never, where_it_pays, always };

// work(block, stores) for every block, on as many threads as pay. Returns the number of blocks, or `stopped`.
template <class Work>
std::size_t for_each_block(blocks const& cut, allowance threads, unsigned variant, streaming when, go_on_function go_on,
                           Work const& work) noexcept {
    std::size_t const bytes = (std::max)(cut.in_bytes(), cut.out_bytes());
    std::size_t const touched = cut.in_bytes() + cut.out_bytes();
    return in_slices(cut.size(), touched, go_on, [&](std::size_t first, std::size_t count) {
        engine::sharing::run(count * bytes, threads, variant, [&](unsigned workers) noexcept {
            bool const pays = engine::streaming_pays(cut.size() * touched, workers);
            bool const stream = when == streaming::always || (when == streaming::where_it_pays && pays);
            stores const where = stream ? stores::streaming : stores::cached;
            auto const run = [&](std::size_t begin, std::size_t blocks_here) noexcept {
                for (std::size_t i = 0; i < blocks_here; ++i) work(cut[first + begin + i], where);
                if (stream) engine::finish_streaming();
            };
            return engine::for_each_chunk(nullptr, count, bytes, workers, run);
        });
        return count;
    });
}

// ---- the first element that overflows

/// One side of a call, whose elements are looked at.
struct input {
    element_type const& type;
    void const* kernels;
    array_side side;
    std::size_t const* shape;
    int ndim;
    std::size_t n;

    [[nodiscard]] std::byte const* start() const noexcept { return static_cast<std::byte const*>(side.data); }
};

// Whether one overflows, met in whatever order suits memory: 0, 1 or `stopped`.
std::size_t any_overflows(input const& in, allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(in.shape, in.side.strides, in.side.strides, in.ndim);
    blocks const cut(loops, in.type.bytes, buffer_bytes);
    block_work const work{in.type, in.kernels, cut, in.side.swapped, false};
    std::byte const* const start = in.start() + loops.in_start();
    bool const reads_rows = work.reads_rows();
    std::atomic<bool> found{false};
    std::size_t const done =
        for_each_block(cut, threads, reads_rows, streaming::never, go_on, [&](block const& part, stores) noexcept {
            if (found.load(std::memory_order_relaxed)) return;
            block_buffer buffer;
            target const packed = work.packed(buffer, part);
            source rows{packed.start, packed.column, packed.row};
            if (reads_rows) {
                rows = work.in(start, part);
            } else {
                work.pack(start, part, buffer);
            }
            for (std::size_t r = 0; r < part.rows; ++r) {
                if (in.type.first_overflow(in.kernels, rows.at(r, 0), part.columns) < part.columns) {
                    found.store(true, std::memory_order_relaxed);
                }
            }
        });
    if (done == stopped) return stopped;  // also where one was found: whoever said so has an exception to pass on
    return found ? 1 : 0;
}

// The first of `count` elements from the `first` one on, in C order, that overflows; `count` where none does.
std::size_t find_in_order(input const& in, loop_nest const& loops, std::size_t first, std::size_t count) noexcept {
    auto const step = static_cast<std::ptrdiff_t>(in.type.bytes);
    axis const row = loops[0];
    bool const reads_rows = row.in == step && !in.side.swapped;
    std::size_t const most = reads_rows ? count : buffer_bytes / in.type.bytes;
    for (std::size_t done = 0; done < count;) {
        std::size_t left = first + done;
        std::size_t const run = (std::min)({row.length - left % row.length, count - done, most});
        std::byte const* from = in.start();
        for (std::size_t i = 0; i < loops.size(); ++i) {
            from += loops[i].in * static_cast<std::ptrdiff_t>(left % loops[i].length);
            left /= loops[i].length;
        }
        block_buffer buffer;
        if (!reads_rows) {
            in.type.move_block({from, row.in, 0}, {buffer.bytes, step, 0}, 1, run);
            if (in.side.swapped) in.type.turn_round(buffer.bytes, run * (in.type.bytes / in.type.part_bytes));
            from = buffer.bytes;
        }
        std::size_t const found = in.type.first_overflow(in.kernels, from, run);
        if (found < run) return done + found;
        done += run;
    }
    return count;
}

// The index of the first, in C order, of the elements that overflows; n where none does; or `stopped`.
std::size_t find_overflow(input const& in, allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(in.shape, in.side.strides, in.side.strides, in.ndim, order::index);
    engine::first_index found(in.n);
    std::size_t const bytes = (std::max)(in.type.bytes, engine::cache_line_bytes);
    return in_slices(in.n, bytes, go_on, [&](std::size_t first, std::size_t count) {
        engine::sharing::run(count * bytes, threads, 0, [&](unsigned workers) noexcept {
            return engine::for_each_chunk(nullptr, count, bytes, workers,
                                          [&](std::size_t begin, std::size_t length) noexcept {
                                              if (first + begin > found.least()) return;
                                              std::size_t const i = find_in_order(in, loops, first + begin, length);
                                              if (i < length) found.report(first + begin + i);
                                          });
        });
        return (std::min)(found.least(), first + count) - first;
    });
}

// ---- any array

// Contiguous on both sides, and bytes the other way round.
std::size_t double_turned(element_type const& type, void const* kernels, std::byte const* in, std::byte* out,
                          std::size_t n, allowance threads, go_on_function go_on) noexcept {
    return in_slices(n, 2 * type.bytes, go_on, [&](std::size_t first, std::size_t count) noexcept {
        std::byte const* const from = in + first * type.bytes;
        std::byte* const to = out + first * type.bytes;
        engine::sharing::run(count * type.bytes, threads, in == out, [&](unsigned workers) noexcept {
            bool const stream = in != out && engine::streaming_pays(2 * n * type.bytes, workers);
            stores const where = stream ? stores::streaming : stores::cached;
            return engine::for_each_chunk(to, count, type.bytes, workers,
                                          [&](std::size_t begin, std::size_t length) noexcept {
                                              type.run(kernels, doubling::wrap_turned, where, from + begin * type.bytes,
                                                       to + begin * type.bytes, length);
                                          });
        });
        return count;
    });
}

}  // namespace

std::size_t double_elements(kernel_table const& kernels, int element, void const* in, void* out, std::size_t n,
                            allowance threads, overflow_policy policy, go_on_function go_on) noexcept {
    std::size_t done = n;
    with_element(element, [&]<class T>(std::type_identity<T>) {
        done = double_contiguous<T>(kernels_for<wheel_part_of<T>>(kernels), in, out, n, threads, policy, go_on);
    });
    return done;
}

std::size_t double_array(kernel_table const& table, int element, array_side in, array_side out,
                         std::size_t const* shape, int ndim, allowance threads, overflow_policy policy,
                         go_on_function go_on) noexcept {
    element_type const& type = element_types[static_cast<std::size_t>(element)];
    std::size_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    if (n == 0) return 0;
    if (type.part_bytes == 1) in.swapped = out.swapped = false;
    policy = type.policy(policy);
    loop_nest const loops(shape, in.strides, out.strides, ndim);
    auto const* const from = static_cast<std::byte const*>(in.data) + loops.in_start();
    auto* const to = static_cast<std::byte*>(out.data) + loops.out_start();
    bool const is_contiguous = loops.is_contiguous(type.bytes);
    // An index has to be that of the shape.
    if (is_contiguous && !in.swapped && !out.swapped &&
        (policy != overflow_policy::raise ||
         loop_nest(shape, in.strides, out.strides, ndim, order::index).is_contiguous(type.bytes))) {
        return double_elements(table, element, from, to, n, threads, policy, go_on);
    }
    void const* const kernels = type.kernels(table);
    bool const in_place = in.data == out.data;
    input const values{type, kernels, in, shape, ndim, n};
    doubling how = doubling::wrap;
    if (policy == overflow_policy::saturate) how = doubling::saturate;
    if (policy == overflow_policy::raise && !in_place) how = doubling::checked;
    if (policy == overflow_policy::raise && in_place) {
        // In whatever order suits memory, which may be far faster: that overflow comes up is the exception.
        std::size_t const any = any_overflows(values, threads, go_on);
        if (any == stopped) return stopped;
        if (any != 0) return find_overflow(values, threads, go_on);
    }
    if (in.swapped && out.swapped && how == doubling::wrap && type.turns_in_register) {
        if (is_contiguous) return double_turned(type, kernels, from, to, n, threads, go_on);
        how = doubling::wrap_turned;
        in.swapped = out.swapped = false;
    }
    auto const past_line = [](void const* p) { return reinterpret_cast<std::uintptr_t>(p) % engine::cache_line_bytes; };
    auto const cut_blocks = [&](bool streamed) {
        return blocks(loops, type.bytes, buffer_bytes, past_line(from), past_line(to), streamed);
    };
    blocks const usual = cut_blocks(false);
    block_work const usual_work{type, kernels, usual, in.swapped, out.swapped};
    bool const may_stream =
        !in_place && usual_work.writes_rows() && usual.most_columns() * type.bytes >= engine::cache_line_bytes;
    // Those of more threads are to pass the cache from where those of one do.
    std::size_t const least_side = (std::min)(usual.columns().length, usual.rows().length) * type.bytes;
    bool const streams_transposed = may_stream && usual.is_transposed() && least_side >= least_transposed_bytes &&
                                    engine::can_stream<xsimd::default_arch, std::uint8_t> &&
                                    engine::streaming_pays(transposed_sides * n * type.bytes, 1);
    blocks const cut = streams_transposed ? cut_blocks(true) : usual;
    block_work const work{type, kernels, cut, in.swapped, out.swapped, streams_transposed};
    streaming const when = streams_transposed ? streaming::always
                           : may_stream       ? streaming::where_it_pays
                                              : streaming::never;
    // Kinds of calls, of which each costs what it costs.
    unsigned const variant = static_cast<unsigned>(element) * 16 + (in_place ? 1u : 0u) +
                             (work.reads_rows() ? 2u : 0u) + (work.writes_rows() ? 4u : 0u) +
                             (cut.is_transposed() ? 8u : 0u);
    std::atomic<bool> overflows{false};
    std::size_t const done =
        for_each_block(cut, threads, variant, when, go_on, [&](block const& part, stores where) noexcept {
            if (overflows.load(std::memory_order_relaxed)) return;
            if (double_block(work, how, from, to, part, where)) overflows.store(true, std::memory_order_relaxed);
        });
    if (done == stopped) return stopped;
    return overflows ? find_overflow(values, threads, go_on) : n;
}

void copy_elements(int element, array_side in, array_side out, std::size_t const* shape, int ndim) noexcept {
    element_type const& type = element_types[static_cast<std::size_t>(element)];
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return;
    }
    loop_nest const loops(shape, in.strides, out.strides, ndim);
    blocks const cut(loops, type.bytes, buffer_bytes);
    auto const* const from = static_cast<std::byte const*>(in.data) + loops.in_start();
    auto* const to = static_cast<std::byte*>(out.data) + loops.out_start();
    for (std::size_t i = 0; i < cut.size(); ++i) {
        block const part = cut[i];
        type.move_block({from + part.in, cut.columns().in, cut.rows().in},
                        {to + part.out, cut.columns().out, cut.rows().out}, part.rows, part.columns);
    }
}

}  // namespace twofold_wheel
