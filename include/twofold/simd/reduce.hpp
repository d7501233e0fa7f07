// One chunk of a reduction, on one thread.
//
// Which values are combined, and in which order, depends on neither the instruction set nor the address: value i of a
// chunk belongs to accumulator i % 64, which takes its values first to last. Then the accumulators are joined in a
// tree: k with k + 32, then k with k + 16, and so on. An accumulator begins with its first value, so no neutral element
// is needed.
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>

#include <twofold/flags.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Enough for the widest vectors to have several independent additions, of which each takes some cycles.
inline constexpr std::size_t accumulator_count = 64;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

// How many accumulators of type T lie in a vector; 1 where they are scalars.
template <class Arch, class T, class... In>
inline constexpr std::size_t accumulator_lanes = [] {
    if constexpr (have_equal_batches<T, In...>) {
        if (xsimd::batch<T, Arch>::size <= accumulator_count) return xsimd::batch<T, Arch>::size;
    }
    return std::size_t{1};
}();

template <class Arch, std::size_t Lanes, class T>
[[nodiscard, gnu::always_inline]] inline auto load_lanes(T const* in) noexcept {
    if constexpr (Lanes == 1) {
        return load_scalar(in);
    } else {
        return load_vector<Arch>(in);
    }
}

template <class T, class Values>
[[gnu::always_inline]] inline void store_lanes(T* out, Values const& values) noexcept {
    if constexpr (std::same_as<T, Values>) {
        *out = values;
    } else {
        values.store_unaligned(out);
    }
}

// The results for the vectors at in[i]. Not a lambda below, which GCC inlined in small programs only: a reduction calls
// it in 16 places.
template <class Values, class Arch, std::size_t Lanes, class Map, class... In>
[[nodiscard, gnu::always_inline]] inline Values map_lanes(Map const& map, std::size_t i, In const*... in) noexcept {
    return map(load_lanes<Arch, Lanes>(in + i)...);
}

// Reduces n values, a multiple of the number of accumulators, to those. The loop over the vectors of accumulators is
// unrolled by the pack `I`, so that they stay in registers.
template <class Arch, std::size_t Lanes, std::size_t... I, class T, class Reduce, class Map, class... In>
[[gnu::always_inline]] inline void reduce_rows(std::index_sequence<I...>, T* accumulators, std::size_t n, Reduce reduce,
                                               Map map, In const*... in) noexcept {
    using values = decltype(load_lanes<Arch, Lanes>(accumulators));
    values all[] = {map_lanes<values, Arch, Lanes>(map, I * Lanes, in...)...};
    for (std::size_t row = accumulator_count; row < n; row += accumulator_count) {
        ((all[I] = reduce(all[I], map_lanes<values, Arch, Lanes>(map, row + I * Lanes, in...))), ...);
    }
    (store_lanes(accumulators + I * Lanes, all[I]), ...);
}

/// The values map(in[i]...) for i in [0, n), reduced to one. n is not 0. Reads in[0, n) of each input, each element
/// once. Not inlined: in another copy the operands of an addition may be swapped, which shows in the sign of a NaN.
template <class Arch, class T, class Reduce, class Map, class... In>
[[nodiscard, gnu::noinline]] T reduce_chunk(std::size_t n, Reduce reduce, Map map, In const*... in) noexcept {
    constexpr std::size_t lanes = accumulator_lanes<Arch, T, In...>;
    T accumulators[accumulator_count] = {};  // filled, since GCC 12 does not see that n is not 0
    std::size_t const in_rows = n - n % accumulator_count;
    if (in_rows == 0) {
        for (std::size_t i = 0; i < n; ++i) accumulators[i] = map(load_scalar(in + i)...);
    } else {
        reduce_rows<Arch, lanes>(std::make_index_sequence<accumulator_count / lanes>{}, accumulators, in_rows, reduce,
                                 map, in...);
        for (std::size_t i = in_rows; i < n; ++i) {
            T& accumulator = accumulators[i - in_rows];
            accumulator = reduce(accumulator, T(map(load_scalar(in + i)...)));
        }
    }
    std::size_t half = accumulator_count / 2;
    using values = decltype(load_lanes<Arch, lanes>(accumulators));
    auto const values_at = [&](std::size_t k) noexcept { return load_lanes<Arch, lanes>(accumulators + k); };
    for (; half >= lanes && in_rows != 0; half /= 2) {
        for (std::size_t k = 0; k < half; k += lanes) {
            store_lanes(accumulators + k, values(reduce(values_at(k), values_at(k + half))));
        }
    }
    for (; half != 0; half /= 2) {
        for (std::size_t k = 0; k < half && k + half < n; ++k) {
            accumulators[k] = reduce(accumulators[k], accumulators[k + half]);
        }
    }
    return accumulators[0];
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
