// Arrays to results: what is contiguous goes to the engine, slice by slice. Anything else is cut into blocks that fit
// the first-level cache; what the kernels cannot read or write where it lies passes through a buffer there.
#include <array>
#include <atomic>
#include <cstddef>
#include <twofold/layout.hpp>

#include "packing.hpp"
#include "wheel.hpp"

namespace twofold_wheel {
namespace {

namespace engine = twofold::detail;
using baseline = xsimd::default_arch;  // this file has no flags
using engine::allowance;
using engine::axis;
using engine::block;
using engine::kernel_table;
using engine::order;
using engine::stores;
using twofold::overflow_policy;
using blocks = engine::blocks<baseline>;
using loop_nest = engine::loop_nest<baseline>;

template <class T>
using kernels_of = engine::part_kernel_pointers<wheel_part_of<T>>;

template <class T>
using doubling_kernel = typename kernels_of<T>::doubling_kernel;

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
        return engine::find_overflow<baseline>(kernels, in + first * parts, count * parts, threads) / parts;
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
        return engine::double_parts<baseline>(kernels, from, to, n * parts, threads, policy) / parts;
    }
    if (policy == overflow_policy::raise && in == out) {
        std::size_t const found = find_in_contiguous<T>(kernels, from, n, threads, go_on);
        if (found != n) return found;
        policy = overflow_policy::wrap;
    }
    return in_slices(n, 2 * sizeof(T), go_on, [&](std::size_t first, std::size_t count) noexcept {
        return engine::double_parts<baseline>(kernels, from + first * parts, to + first * parts, count * parts, threads,
                                              policy, n * parts) /
               parts;
    });
}

// ---- blocks

// Half of a first-level cache, so that what passes through it stays there.
constexpr std::size_t buffer_bytes = std::size_t{16} << 10;
// Rows shorter than this are packed, since a call of a kernel takes some nanoseconds. Measured with rows of 1 to 64
// bytes.
constexpr std::size_t least_row_bytes = 64;

// Whether kernels can work on the rows of a side where they lie.
template <class T>
bool has_rows(std::ptrdiff_t stride, std::size_t length, bool turned) noexcept {
    return !turned && stride == static_cast<std::ptrdiff_t>(sizeof(T)) && length * sizeof(T) >= least_row_bytes;
}

// The rows of a block, in the buffer.
template <class T>
constexpr std::ptrdiff_t packed_row(block const& part) noexcept {
    return static_cast<std::ptrdiff_t>(part.columns * sizeof(T));
}

template <class T>
void turn_bytes(std::byte* buffer, std::size_t elements) noexcept {
    packing::turn_round<sizeof(wheel_part_of<T>)>(buffer, elements * wheel_parts<T>);
}

// A block of the input, in the buffer and in this machine's byte order.
template <class T>
void pack(std::byte const* in, blocks const& cut, block const& part, bool turned, std::byte* buffer) noexcept {
    packing::move_block<sizeof(T)>({in + part.in, cut.columns().in, cut.rows().in},
                                   {buffer, std::ptrdiff_t{sizeof(T)}, packed_row<T>(part)}, part.rows, part.columns);
    if (turned) turn_bytes<T>(buffer, part.rows * part.columns);
}

template <class T>
void unpack(std::byte* buffer, blocks const& cut, block const& part, bool turned, std::byte* out) noexcept {
    if (turned) turn_bytes<T>(buffer, part.rows * part.columns);
    packing::move_block<sizeof(T)>({buffer, std::ptrdiff_t{sizeof(T)}, packed_row<T>(part)},
                                   {out + part.out, cut.columns().out, cut.rows().out}, part.rows, part.columns);
}

// Doubles one block.
template <class T>
struct block_doubling {
    blocks const& cut;
    std::byte const* in;
    std::byte* out;
    bool turn_in;
    bool turn_out;
    doubling_kernel<T> kernel;

    [[nodiscard]] bool reads_rows() const noexcept {
        return has_rows<T>(cut.columns().in, cut.columns().length, turn_in);
    }
    [[nodiscard]] bool writes_rows() const noexcept {
        return has_rows<T>(cut.columns().out, cut.columns().length, turn_out);
    }

    void operator()(block const& part) const noexcept {
        std::byte const* const from = in + part.in;
        std::byte* const to = out + part.out;
        if (reads_rows() && writes_rows()) return double_rows(part, from, cut.rows().in, to, cut.rows().out);
        alignas(engine::cache_line_bytes) std::byte buffer[buffer_bytes];
        if (reads_rows()) {
            double_rows(part, from, cut.rows().in, buffer, packed_row<T>(part));
        } else {
            pack<T>(in, cut, part, turn_in, buffer);
        }
        if (writes_rows()) return double_rows(part, buffer, packed_row<T>(part), to, cut.rows().out);
        if (!reads_rows()) run_kernel(buffer, buffer, part.rows * part.columns);
        unpack<T>(buffer, cut, part, turn_out, out);
    }

private:
    void run_kernel(std::byte const* from, std::byte* to, std::size_t elements) const noexcept {
        kernel(reinterpret_cast<wheel_part_of<T> const*>(from), reinterpret_cast<wheel_part_of<T>*>(to),
               elements * wheel_parts<T>);
    }

    void double_rows(block const& part, std::byte const* from, std::ptrdiff_t from_row, std::byte* to,
                     std::ptrdiff_t to_row) const noexcept {
        for (std::size_t r = 0; r < part.rows; ++r, from += from_row, to += to_row) run_kernel(from, to, part.columns);
    }
};

// work(block) for every block, on as many threads as pay. Returns their number, or `stopped`.
template <class Work>
std::size_t for_each_block(blocks const& cut, allowance threads, unsigned variant, go_on_function go_on,
                           Work const& work) noexcept {
    std::size_t const bytes = (std::max)(cut.in_bytes(), cut.out_bytes());
    return in_slices(cut.size(), cut.in_bytes() + cut.out_bytes(), go_on, [&](std::size_t first, std::size_t count) {
        engine::sharing<baseline>::run(count * bytes, threads, variant, [&](unsigned workers) noexcept {
            return engine::for_each_chunk<baseline>(nullptr, count, bytes, workers,
                                                    [&](std::size_t begin, std::size_t blocks_here) noexcept {
                                                        for (std::size_t i = 0; i < blocks_here; ++i)
                                                            work(cut[first + begin + i]);
                                                    });
        });
        return count;
    });
}

// ---- the first element that overflows

// Whether one does, met in whatever order suits memory: 0, 1 or `stopped`.
template <class T>
std::size_t any_overflows(kernels_of<T> const& kernels, array_side const& in, std::size_t const* shape, int ndim,
                          allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(shape, in.strides, in.strides, ndim);
    blocks const cut(loops, sizeof(T), buffer_bytes);
    auto const* const start = static_cast<std::byte const*>(in.data) + loops.in_start();
    bool const has_rows_here = has_rows<T>(cut.columns().in, cut.columns().length, in.swapped);
    std::atomic<bool> found{false};
    auto const overflows = [&](std::byte const* elements, std::size_t n) {
        std::size_t const parts = n * wheel_parts<T>;
        return kernels.first_overflow(reinterpret_cast<wheel_part_of<T> const*>(elements), parts) < parts;
    };
    std::size_t const done = for_each_block(cut, threads, has_rows_here, go_on, [&](block const& part) noexcept {
        if (found.load(std::memory_order_relaxed)) return;
        bool here = false;
        if (has_rows_here) {
            for (std::size_t r = 0; r < part.rows && !here; ++r) {
                here = overflows(start + part.in + static_cast<std::ptrdiff_t>(r) * cut.rows().in, part.columns);
            }
        } else {
            alignas(engine::cache_line_bytes) std::byte buffer[buffer_bytes];
            pack<T>(start, cut, part, in.swapped, buffer);
            here = overflows(buffer, part.rows * part.columns);
        }
        if (here) found.store(true, std::memory_order_relaxed);
    });
    return found ? 1 : done == stopped ? stopped : 0;
}

// The first of `count` elements from the `first` one on, in C order, that overflows; `count` where none does.
template <class T>
std::size_t find_in_order(kernels_of<T> const& kernels, std::byte const* start, loop_nest const& loops, bool turned,
                          std::size_t first, std::size_t count) noexcept {
    for (std::size_t done = 0; done < count;) {
        std::size_t left = first + done;
        axis const row = loops[0];
        std::size_t const run = (std::min)({row.length - left % row.length, count - done, buffer_bytes / sizeof(T)});
        std::byte const* from = start;
        for (std::size_t i = 0; i < loops.size(); ++i) {
            from += loops[i].in * static_cast<std::ptrdiff_t>(left % loops[i].length);
            left /= loops[i].length;
        }
        alignas(engine::cache_line_bytes) std::byte buffer[buffer_bytes];
        packing::move_block<sizeof(T)>({from, row.in, 0}, {buffer, std::ptrdiff_t{sizeof(T)}, 0}, 1, run);
        if (turned) turn_bytes<T>(buffer, run);
        std::size_t const parts = run * wheel_parts<T>;
        std::size_t const found =
            kernels.first_overflow(reinterpret_cast<wheel_part_of<T> const*>(buffer), parts) / wheel_parts<T>;
        if (found < run) return done + found;
        done += run;
    }
    return count;
}

// The index of the first, in C order, of `n` elements that overflows; n where none does; or `stopped`.
template <class T>
std::size_t find_in_array(kernels_of<T> const& kernels, array_side const& in, std::size_t const* shape, int ndim,
                          std::size_t n, allowance threads, go_on_function go_on) noexcept {
    loop_nest const loops(shape, in.strides, in.strides, ndim, order::index);
    auto const* const start = static_cast<std::byte const*>(in.data);
    if (loops.is_contiguous(sizeof(T)) && !in.swapped) {
        return find_in_contiguous<T>(kernels, reinterpret_cast<wheel_part_of<T> const*>(start), n, threads, go_on);
    }
    // Memory is met in its own order first, which is far faster: that overflow comes up is the exception.
    std::size_t const any = any_overflows<T>(kernels, in, shape, ndim, threads, go_on);
    if (any == stopped) return stopped;
    if (any == 0) return n;
    engine::first_index<baseline> found(n);
    std::size_t const bytes = (std::max)(sizeof(T), engine::cache_line_bytes);
    return in_slices(n, bytes, go_on, [&](std::size_t first, std::size_t count) {
        engine::sharing<baseline>::run(count * bytes, threads, 0, [&](unsigned workers) noexcept {
            return engine::for_each_chunk<baseline>(
                nullptr, count, bytes, workers, [&](std::size_t begin, std::size_t length) noexcept {
                    if (first + begin > found.least()) return;
                    std::size_t const i = find_in_order<T>(kernels, start, loops, in.swapped, first + begin, length);
                    if (i < length) found.report(first + begin + i);
                });
        });
        return (std::min)(found.least(), first + count) - first;
    });
}

// ---- any array

template <class T>
std::size_t double_array_of(kernels_of<T> const& kernels, array_side in, array_side out, std::size_t const* shape,
                            int ndim, allowance threads, overflow_policy policy, go_on_function go_on) noexcept {
    std::size_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    if (n == 0) return 0;
    if (sizeof(wheel_part_of<T>) == 1) in.swapped = out.swapped = false;
    policy = policy_for<T>(policy);
    loop_nest const loops(shape, in.strides, out.strides, ndim);
    auto const* const from = static_cast<std::byte const*>(in.data) + loops.in_start();
    auto* const to = static_cast<std::byte*>(out.data) + loops.out_start();
    bool const is_contiguous = loops.is_contiguous(sizeof(T));
    if (is_contiguous && !in.swapped && !out.swapped &&
        (policy != overflow_policy::raise ||
         loop_nest(shape, in.strides, out.strides, ndim, order::index).is_contiguous(sizeof(T)))) {
        return double_contiguous<T>(kernels, from, to, n, threads, policy, go_on);
    }
    if (policy == overflow_policy::raise) {
        std::size_t const found = find_in_array<T>(kernels, in, shape, ndim, n, threads, go_on);
        if (found != n) return found;
        policy = overflow_policy::wrap;
    }
    // What is turned in the register raises no flag for 16-bit floats; see kernels.hpp.
    bool const turn_in_register =
        in.swapped && out.swapped && policy == overflow_policy::wrap && !engine::is_half_float<wheel_part_of<T>>;
    auto const& by_stores = policy == overflow_policy::saturate ? kernels.saturate
                            : turn_in_register                  ? kernels.wrap_turned
                                                                : kernels.wrap;
    if (turn_in_register) in.swapped = out.swapped = false;
    if (is_contiguous && !in.swapped && !out.swapped) {
        constexpr std::size_t parts = wheel_parts<T>;
        return in_slices(n, 2 * sizeof(T), go_on, [&](std::size_t first, std::size_t count) noexcept {
            auto const* const source = reinterpret_cast<wheel_part_of<T> const*>(from) + first * parts;
            auto* const target = reinterpret_cast<wheel_part_of<T>*>(to) + first * parts;
            engine::run_in_chunks<baseline>(source, target, count * parts, n * parts, threads,
                                            [&](std::size_t begin, std::size_t length, stores where) noexcept {
                                                by_stores[static_cast<std::size_t>(where)](source + begin,
                                                                                           target + begin, length);
                                            });
            return count;
        });
    }
    blocks const cut(loops, sizeof(T), buffer_bytes);
    block_doubling<T> const work{cut, from, to, in.swapped, out.swapped, by_stores[0]};
    unsigned const variant = (in.data == out.data ? 1u : 0u) + (work.reads_rows() ? 2u : 0u) +
                             (work.writes_rows() ? 4u : 0u) + (cut.is_transposed() ? 8u : 0u);
    return for_each_block(cut, threads, variant, go_on, work) == stopped ? stopped : n;
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

std::size_t double_array(kernel_table const& kernels, int element, array_side in, array_side out,
                         std::size_t const* shape, int ndim, allowance threads, overflow_policy policy,
                         go_on_function go_on) noexcept {
    std::size_t done = 0;
    with_element(element, [&]<class T>(std::type_identity<T>) {
        done = double_array_of<T>(kernels_for<wheel_part_of<T>>(kernels), in, out, shape, ndim, threads, policy, go_on);
    });
    return done;
}

}  // namespace twofold_wheel
