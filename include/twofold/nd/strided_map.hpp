// Maps blocks with any strides element by element: faster than packing them if elements are read or written one by one
// anyway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/nd/blocks.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The functions of an operation for blocks of one element type, indexed by whether the input and whether the output is
/// byte-swapped. Null: such blocks are packed.
struct strided_row {
    using mapping = void (*)(packing::source, packing::target, std::size_t rows, std::size_t columns) noexcept;
    using checking = bool (*)(packing::source, packing::target, std::size_t rows, std::size_t columns) noexcept;

    mapping wrap[2][2];
    checking checked[2][2];  // what `wrap` does; whether any result overflowed
};

// The machine's baseline instruction set for vectors of 16 bytes.
#if defined(__SSE2__)
using pair_arch = xsimd::sse2;
#elif defined(__aarch64__)
using pair_arch = xsimd::neon64;
#else
using pair_arch = xsimd::default_arch;
#endif

template <bool Swap, class Bits>
[[nodiscard, gnu::always_inline]] inline Bits swapped_if(Bits x) noexcept {
    if constexpr (Swap) swap_bytes<Bits>(x);
    return x;
}

/// Calls function(pair) for pairs of elements of 8 bytes; a last single element is paired with itself. The number of
/// loads and stores decides the speed. `Packed`: the output has no gaps.
template <bool SwapIn, bool SwapOut, bool Packed, class Function>
[[gnu::always_inline]] inline void each_pair(packing::source const& from, packing::target const& to, std::size_t rows,
                                             std::size_t columns, Function const& function) noexcept {
    using bits = std::uint64_t;
    using pair = packing::vector<bits>;
    auto const load = [](std::byte const* in) { return swapped_if<SwapIn>(packing::loaded<bits>(in)); };
    for (std::size_t r = 0; r < rows; ++r) {
        std::byte const* in = from.at(r, 0);
        std::byte* out = to.at(r, 0);
        auto const next = [&] {
            pair const x{load(in), load(in + from.column)};
            in += 2 * from.column;
            return x;
        };
        auto const put = [&](pair const& x) {
            if constexpr (Packed && !SwapOut) {
                packing::put(out, x);
            } else {
                packing::put<bits>(out, swapped_if<SwapOut>(x[0]));
                packing::put<bits>(out + to.column, swapped_if<SwapOut>(x[1]));
            }
            out += 2 * to.column;
        };
        std::size_t left = columns;
        for (; left >= 4; left -= 4) {
            pair const a = next();
            pair const b = next();
            put(function(a));
            put(function(b));
        }
        for (; left > 0; --left, in += from.column, out += to.column) {
            bits const x = load(in);
            packing::put<bits>(out, swapped_if<SwapOut>(function(pair{x, x})[0]));
        }
    }
}

template <bool SwapIn, bool SwapOut, class Function>
[[gnu::always_inline]] inline void each_pair(packing::source const& from, packing::target const& to, std::size_t rows,
                                             std::size_t columns, Function const& function) noexcept {
    if (to.column == sizeof(std::uint64_t)) {
        each_pair<SwapIn, SwapOut, true>(from, to, rows, columns, function);
    } else {
        each_pair<SwapIn, SwapOut, false>(from, to, rows, columns, function);
    }
}

/// Stores function(vector) for elements of 8 bytes, of one or two floats, in both halves of a vector. Where the output
/// has gaps, that is 10 % faster than `each_pair` with floats, and slower with integers: `benchmarks/calls_before.py
/// --large
/// --only "c8, 1 MiB, strided"`.
template <class Float, class Function>
[[gnu::always_inline]] inline void each_half(packing::source const& from, packing::target const& to, std::size_t rows,
                                             std::size_t columns, Function const& function) noexcept {
    if constexpr (sizeof(Float) == 8) {
        packing::each<Float>(from, to, rows, columns,
                             [&](Float x) { return function(packing::vector<Float>{x, x})[0]; });
    } else {
        using half [[gnu::vector_size(8)]] = Float;
        packing::each<half>(from, to, rows, columns, [&](half const& x) {
            packing::vector<Float> const mapped = function(__builtin_shufflevector(x, x, 0, 1, 0, 1));
            return __builtin_shufflevector(mapped, mapped, 0, 1);
        });
    }
}

/// Maps a block of elements of `Scalars` scalars T each.
template <class Operation, class T, std::size_t Scalars, bool SwapIn, bool SwapOut>
void map_each(packing::source from, packing::target to, std::size_t rows, std::size_t columns) noexcept {
    using map = typename Operation::template map<pair_arch, T>;
    using batch = typename map::batch;
    using lane = typename map::lane;
    constexpr bool swaps = SwapIn || SwapOut;
    constexpr bool has_pairs = sizeof(batch) == 16;
    packing::run_along(from, to, rows, columns);
    if constexpr (sizeof(T) * Scalars == 8 && !swaps && has_pairs) {
        auto const mapped = []<class Vector>(Vector const& x) {
            return __builtin_bit_cast(Vector, map{}(__builtin_bit_cast(batch, x)));
        };
        if constexpr (std::is_floating_point_v<lane>) {
            if (to.column != 8) return each_half<lane>(from, to, rows, columns, mapped);
        }
        each_pair<false, false>(from, to, rows, columns, mapped);
    } else if constexpr (sizeof(T) * Scalars == 16 && !swaps && has_pairs) {
        using element = packing::vector<std::uint64_t>;
        packing::each<element>(from, to, rows, columns, [](element const& x) {
            return __builtin_bit_cast(element, map{}(__builtin_bit_cast(batch, x)));
        });
    } else if constexpr (Scalars == 1) {
        using bits = unsigned_of_size<sizeof(T)>;  // moved unchanged, even if they are a NaN
        packing::each<bits>(from, to, rows, columns, [](bits x) {
            lane const value = map{}(__builtin_bit_cast(lane, swapped_if<SwapIn>(x)));
            return swapped_if<SwapOut>(__builtin_bit_cast(bits, value));
        });
    } else {
        for (std::size_t i = 0; i < Scalars; ++i) {
            std::size_t const offset = i * sizeof(T);
            map_each<Operation, T, 1, SwapIn, SwapOut>({from.start + offset, from.column, from.row},
                                                       {to.start + offset, to.column, to.row}, rows, columns);
        }
    }
}

/// The functions of an operation for elements T. 16-bit floats are packed: vectors are many times as fast.
template <class Operation, class T>
[[nodiscard]] constexpr strided_row strided_row_of() noexcept {
    using scalar = scalar_of<T>;
    constexpr std::size_t n = scalars_per_element<T>;
    strided_row row{};
    if constexpr (!is_half_float<scalar>) {
        row.wrap[0][0] = map_each<Operation, scalar, n, false, false>;
        if constexpr (sizeof(scalar) > 1) {
            row.wrap[0][1] = map_each<Operation, scalar, n, false, true>;
            row.wrap[1][0] = map_each<Operation, scalar, n, true, false>;
            row.wrap[1][1] = map_each<Operation, scalar, n, true, true>;
        }
    }
    return row;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
