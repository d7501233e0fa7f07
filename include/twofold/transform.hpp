// Kernels of yours on ranges: transform. The contract is in twofold.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ranges>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/operation/kernels.hpp>
#include <twofold/operation/ranges.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/parallel/item_cost.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/map_scalars.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
namespace detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// What a call reads and writes in all, as map_chunks has it: 0 in place, where the output is one of the inputs.
template <class Out, class... In>
[[nodiscard]] std::size_t touched_bytes(std::size_t n, Out const* out, In const*... in) noexcept {
    bool const in_place = ((static_cast<void const*>(in) == static_cast<void const*>(out)) || ...);
    return in_place ? 0 : n * (sizeof(Out) + ... + sizeof(In));
}

template <stores Stores, class Function, class Out, class... In>
void transform_chunk(Function const& function, std::size_t count, Out* out, In const*... in) noexcept {
    if constexpr (have_equal_batches<Out, In...>) {
        apply<xsimd::default_arch, Stores>(out, count, function, in...);
    } else {
        apply_to_scalars(out, count, function, in...);
    }
}

// Out of line, so that the part that short calls take stays short.
template <class Function, class Out, class... In>
[[gnu::noinline]] void transform_many(Function const& function, item_cost cost, bool is_due, call_kind kind,
                                      allowance threads, std::size_t n, Out* out, In const*... in) noexcept {
    constexpr std::size_t bytes_each = (std::max)({sizeof(Out), sizeof(In)...});
    items const range{n, cost.in_bytes_if_costly(bytes_each), out};
    // Of what is cheap, few short calls are timed: see experience::short_bytes.
    bool const timed =
        !cost.is_known() || range.bytes_each > bytes_each || is_due || n * bytes_each >= experience::short_bytes;
    map_chunks(kind, range, touched_bytes(n, out, in...), threads,
               [&](std::size_t first, std::size_t count, stores where) noexcept {
                   bool const learns = timed && first == 0;
                   std::int64_t const start = learns ? now_ns() : 0;
                   if (where == stores::streaming) {
                       transform_chunk<stores::streaming>(function, count, out + first, (in + first)...);
                   } else {
                       transform_chunk<stores::cached>(function, count, out + first, (in + first)...);
                   }
                   if (learns) cost.learn(count, now_ns() - start);
               });
}

// out[i] = kernel(in[i]...) for n elements of ranges that have been checked.
template <class Kernel, class Out, class... In>
void transform_elements(Kernel const& kernel, options const& how, std::size_t n, Out* out, In const*... in) noexcept {
    auto const function = on_values(kernel);
    call_kind const kind = call_kind_of(&stands_for<Kernel, Out, In...>, touched_bytes(n, out, in...) == 0);
    item_cost const cost(kind);
    bool const few = n * (std::max)({sizeof(Out), sizeof(In)...}) < threads_pay_awake_bytes;
    bool const is_due = n >= item_cost::min_timed_count && item_cost::is_due();
    if (n < item_cost::min_timed_count || (few && !is_due && cost.are_short(n))) {
        transform_chunk<stores::cached>(function, n, out, in...);
    } else {
        transform_many(function, cost, is_due, kind, threads_for(how.threads), n, out, in...);
    }
}

template <class Kernel, class Out, class... In>
void transform_ranges(Kernel const& kernel, options const& how, Out& out, In const&... in) {
    using value = element_of<Out>;
    (require_element<element_of<In>>(), ...);
    require_element<value>();
    require_writable<Out>();
    if constexpr ((element<value> && ... && element<element_of<In>>)) {
        require_kernel<Kernel, value, element_of<In>...>();
        if constexpr (is_kernel_for<Kernel, value, element_of<In>...>()) {
            unsigned which = 0;
            (check_ranges(in, out, sizeof...(In) > 1 ? ++which : 0), ...);
            auto const n = static_cast<std::size_t>(std::ranges::size(out));
            transform_elements(kernel, how, n, std::ranges::data(out), std::ranges::data(in)...);
        }
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Writes kernel(x) for each element x of `in` to `out`: the engine of `double_into`, with a kernel of yours.
///
/// A kernel maps one element to an element of the output's type, and one xsimd::batch of elements to a batch of that
/// type, with the same values: a generic lambda will often do. Where C++ would compute an element in a wider type than
/// a batch, the kernel must name the type: x * 0.1F for floats, not x * 0.1; static_cast<decltype(x)>(x + x), round
/// each operation, for integers of 8 and 16 bits. A kernel that maps to another type does not compile. If the elements
/// of input and output differ in size, it is called with elements alone. (What counts is the size of a component of
/// complex numbers.)
///
/// Several threads call const copies of a kernel at once, and may call it twice for an element; it must be noexcept and
/// must not fork. Ranges and errors are those of `double_into`; in place, both have elements of one size. There are no
/// batches of 16-bit floats. A kernel handles overflow itself: of `how`, only the threads matter. It runs with the
/// caller's floating-point modes, and the flags that it raises are raised on the caller.
///
///     std::vector<float> in{1, 2, 3}, out(3);
///     twofold::transform(in, out, [](auto x) noexcept { return x * 3.0F; });  // out is {3, 6, 9}
template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out, class Kernel>
    requires std::ranges::sized_range<In const> && std::ranges::sized_range<Out>
void transform(In const& in, Out&& out, Kernel const& kernel, options const& how = {}) {
    detail::transform_ranges(kernel, how, out, in);
}

/// The same with two inputs: kernel(x, y), of any element types. The output may be the same range as one of the inputs,
/// or as both.
///
///     std::vector<double> x{1, 2, 3}, y{10, 20, 30}, out(3);
///     twofold::transform(x, y, out, [](auto a, auto b) noexcept { return a + b; });  // out is {11, 22, 33}
template <std::ranges::contiguous_range In1, std::ranges::contiguous_range In2, std::ranges::contiguous_range Out,
          class Kernel>
    requires std::ranges::sized_range<In1 const> && std::ranges::sized_range<In2 const> && std::ranges::sized_range<Out>
void transform(In1 const& in1, In2 const& in2, Out&& out, Kernel const& kernel, options const& how = {}) {
    detail::transform_ranges(kernel, how, out, in1, in2);
}

/// The same with three inputs.
///
///     twofold::transform(a, b, c, out, [](auto x, auto y, auto z) noexcept { return x * y + z; });
template <std::ranges::contiguous_range In1, std::ranges::contiguous_range In2, std::ranges::contiguous_range In3,
          std::ranges::contiguous_range Out, class Kernel>
    requires std::ranges::sized_range<In1 const> && std::ranges::sized_range<In2 const> &&
             std::ranges::sized_range<In3 const> && std::ranges::sized_range<Out>
void transform(In1 const& in1, In2 const& in2, In3 const& in3, Out&& out, Kernel const& kernel,
               options const& how = {}) {
    detail::transform_ranges(kernel, how, out, in1, in2, in3);
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
