// Reductions of yours: transform_reduce. The contract is in twofold.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <ranges>

#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/operation/kernels.hpp>
#include <twofold/operation/ranges.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/parallel/chunks.hpp>
#include <twofold/parallel/item_cost.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/reduce.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
namespace detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// How a reduction of n elements is cut: a result depends on that, so n alone may decide it. At most 2^15 chunks, and
/// whole rows of accumulators.
[[nodiscard]] constexpr pieces chunks_of_reduction(std::size_t n) noexcept {
    constexpr std::size_t min_length = std::size_t{1} << 14;
    std::size_t const length = (n + chunks::max_count - 1) / chunks::max_count;
    std::size_t const rows = (length + accumulator_count - 1) / accumulator_count;
    return {n, (std::max)(min_length, rows * accumulator_count)};
}

// Not inlined, as reduce_chunk.
template <class Reduce, class T>
[[nodiscard, gnu::noinline]] T reduce_two(Reduce const& reduce, T const& a, T const& b) noexcept {
    return reduce(a, b);
}

template <class T, class Reduce, class Map, class... In>
[[nodiscard]] T reduce_elements(T init, Reduce const& reduce, Map const& map, options const& how, std::size_t n,
                                In const*... in) noexcept {
    pieces const cut = chunks_of_reduction(n);
    std::size_t const count = n == 0 ? 0 : cut.size();
    auto const reduce_values = on_values(reduce);
    auto const map_values = on_values(map);
    auto const result_of = [&](std::size_t i) noexcept {
        chunk const part = cut[i];
        return reduce_chunk<xsimd::default_arch, T>(part.count, reduce_values, map_values, (in + part.first)...);
    };
    allowance const threads = threads_for(how.threads);
    bool const may_share = count > 1 && threads.limit != 1;
    std::unique_ptr<T[]> const results(may_share ? new (std::nothrow) T[count] : nullptr);
    if (results) {
        call_kind const kind = call_kind_of(&stands_for<Reduce, Map, T, In...>);
        item_cost cost(kind);
        items const all{count, cut.length * cost.in_bytes_if_costly((std::max)({sizeof(In)...}))};
        parallel_for(kind, all, threads, [&](std::size_t first, std::size_t part, unsigned) noexcept {
            std::int64_t const start = first == 0 ? now_ns() : 0;
            for (std::size_t i = first; i < first + part; ++i) results[i] = result_of(i);
            if (first == 0) cost.learn((std::min)(part * cut.length, n), now_ns() - start);
        });
    }
    for (std::size_t i = 0; i < count; ++i) init = reduce_two(reduce_values, init, results ? results[i] : result_of(i));
    return init;
}

template <class T, class Reduce, class Map, class... In>
[[nodiscard]] T reduce_ranges(T const& init, Reduce const& reduce, Map const& map, options const& how, std::size_t n,
                              In const&... in) {
    static_assert(element<T> && !is_half_float<T>,
                  "twofold: the type of init, in which values are reduced, must be an integer of 8 to 64 bits, float, "
                  "double, or std::complex of these two");
    (require_element<element_of<In>>(), ...);
    if constexpr ((element<T> && ... && element<element_of<In>>) && !is_half_float<T>) {
        constexpr bool has_batches = have_equal_batches<T, element_of<In>...>;
        require_kernel<Map, T, element_of<In>...>();
        require_reduce<Reduce, T, has_batches>();
        if constexpr (is_kernel_for<Map, T, element_of<In>...>() && is_reduce_for<Reduce, T, has_batches>()) {
            return reduce_elements(init, reduce, map, how, n, std::ranges::data(in)...);
        }
    }
    return init;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Reduces `init` and map(x) for each element x of `in` to one value.
///
/// `map` is a kernel, as `transform` has it, that returns the type of `init`; `reduce` makes one value of two, for
/// elements of that type and for batches of them. It has to be associative and commutative, as a sum, a product, or a
/// maximum is. Sums of floats are so but for rounding; so the order is fixed: the result has the same bits for every
/// number of threads. It has the same bits for every instruction set, too, if an element is computed as a batch is
/// (with GCC and Clang that takes -ffp-contract=off; and the sign and payload of a NaN may differ).
///
/// `map` and `reduce` are called once for each element, on any thread; they are noexcept and must not fork. There are
/// no requirements on the ranges but that two inputs have one size, else std::invalid_argument. Nothing is thrown for
/// lack of memory. Of `how`, only the threads matter. Floating-point modes and flags are as with `transform`.
///
///     std::vector<double> values{1, 2, 3};
///     double squares = twofold::transform_reduce(  // 14
///         values, 0.0, [](auto a, auto b) noexcept { return a + b; }, [](auto x) noexcept { return x * x; });
template <std::ranges::contiguous_range In, class T, class Reduce, class Map>
    requires std::ranges::sized_range<In const>
[[nodiscard]] T transform_reduce(In const& in, T init, Reduce const& reduce, Map const& map, options const& how = {}) {
    return detail::reduce_ranges(init, reduce, map, how, static_cast<std::size_t>(std::ranges::size(in)), in);
}

/// The same with map(x, y) for elements of two inputs of one size.
///
///     double product = twofold::transform_reduce(
///         x, y, 0.0, [](auto a, auto b) noexcept { return a + b; }, [](auto a, auto b) noexcept { return a * b; });
template <std::ranges::contiguous_range In1, std::ranges::contiguous_range In2, class T, class Reduce, class Map>
    requires std::ranges::sized_range<In1 const> && std::ranges::sized_range<In2 const>
[[nodiscard]] T transform_reduce(In1 const& in1, In2 const& in2, T init, Reduce const& reduce, Map const& map,
                                 options const& how = {}) {
    auto const n = static_cast<std::size_t>(std::ranges::size(in1));
    auto const second = static_cast<std::size_t>(std::ranges::size(in2));
    if (n != second) [[unlikely]]
        detail::fail_input_sizes(n, second);
    return detail::reduce_ranges(init, reduce, map, how, n, in1, in2);
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
