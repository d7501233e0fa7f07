// Kernels of yours on ranges: transform. The contract is in twofold.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/ranges.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/map_scalars.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
namespace detail {

// The requirements on a kernel that is called with `Values`: an element, or a batch of elements. If the body of a
// lambda does not compile, the message is the compiler's, which names the concept.
template <class Kernel, class Values>
concept kernel_callable_with = std::invocable<Kernel const&, Values>;

template <class Kernel, class Values>
concept kernel_noexcept_with = std::is_nothrow_invocable_v<Kernel const&, Values>;

// A const value or a reference is as good as the value.
template <class Kernel, class Values>
concept kernel_keeps_type_of = std::same_as<std::remove_cvref_t<std::invoke_result_t<Kernel const&, Values>>, Values>;

template <class Kernel, class Values>
concept kernel_on = kernel_callable_with<Kernel, Values> && kernel_noexcept_with<Kernel, Values> &&
                    kernel_keeps_type_of<Kernel, Values>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

template <class Kernel, class T>
inline constexpr bool is_kernel_for =
    std::copy_constructible<Kernel> && kernel_on<Kernel, T> && kernel_on<Kernel, xsimd::batch<T>>;

template <class Kernel, class T>
consteval void require_kernel_on_element() {
    static_assert(kernel_callable_with<Kernel, T>,
                  "twofold: a kernel must be callable with an element, also when it is const (no mutable lambda)");
    if constexpr (kernel_callable_with<Kernel, T>) {
        static_assert(kernel_noexcept_with<Kernel, T>, "twofold: a kernel must be noexcept with an element");
        static_assert(kernel_keeps_type_of<Kernel, T>,
                      "twofold: a kernel must map an element to one of the same type, as it does with batches. C++ "
                      "makes int of what integers of 8 and 16 bits give, and double of a float times 0.1: write each "
                      "operation as static_cast<decltype(x)>(x + x), and constants in the element's type, x * 0.1F");
    }
}

template <class Kernel, class T>
consteval void require_kernel_on_batch() {
    using batch = xsimd::batch<T>;
    static_assert(kernel_callable_with<Kernel, batch>,
                  "twofold: a kernel must be callable with an xsimd::batch of elements, also when it is const");
    if constexpr (kernel_callable_with<Kernel, batch>) {
        static_assert(kernel_noexcept_with<Kernel, batch>,
                      "twofold: a kernel must be noexcept with an xsimd::batch of elements");
        static_assert(kernel_keeps_type_of<Kernel, batch>,
                      "twofold: a kernel must map an xsimd::batch of elements to a batch of the same type");
    }
}

template <class Kernel, class T>
consteval void require_kernel() {
    static_assert(!is_half_float<T>, "twofold: there is no SIMD arithmetic for 16-bit floats; transform their bits");
    static_assert(std::copy_constructible<Kernel>, "twofold: a kernel must be copyable");
    if constexpr (!is_half_float<T>) {
        require_kernel_on_element<Kernel, T>();
        require_kernel_on_batch<Kernel, T>();
    }
}

// A function whose address identifies a kernel type.
template <class Kernel, class T>
void stands_for() noexcept {}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Writes kernel(x) for each element x of `in` to `out`: the engine of `double_into`, with a kernel of yours.
///
/// A kernel maps one element to an element, and one xsimd::batch of elements to such a batch, of exactly the same type
/// and with the same values: a generic lambda will often do. Where C++ would compute an element in a wider type than a
/// batch, the kernel must name the type: x * 0.1F for floats, not x * 0.1; static_cast<decltype(x)>(x + x), round each
/// operation, for integers of 8 and 16 bits. A kernel that maps to another type does not compile. Several threads call
/// const copies of a kernel at once, and may call it twice for an element; it must be noexcept and must not fork.
/// Ranges and errors are those of `double_into`. Elements are those that xsimd has batches of, so not the 16-bit
/// floats. A kernel handles overflow itself: of `how`, only the threads matter. It runs with the caller's
/// floating-point modes, and the flags that it raises are raised on the caller.
///
///     std::vector<float> in{1, 2, 3}, out(3);
///     twofold::transform(in, out, [](auto x) noexcept { return x * 3.0F; });  // out is {3, 6, 9}
template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out, class Kernel>
    requires std::ranges::sized_range<In const> && std::ranges::sized_range<Out>
void transform(In const& in, Out&& out, Kernel const& kernel, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_input_and_output<In, Out>();
    detail::require_kernel<Kernel, value>();
    if constexpr (element<value> && detail::is_kernel_for<Kernel, value>) {
        detail::check_ranges(in, out);
        auto const n = static_cast<std::size_t>(std::ranges::size(in));
        auto const* const source = reinterpret_cast<std::byte const*>(std::ranges::data(in));
        auto* const target = reinterpret_cast<std::byte*>(std::ranges::data(out));
        // Const, as checked above; by value, as `apply` wants it.
        auto const on_values = [kernel](auto const& x) noexcept { return kernel(std::remove_cvref_t<decltype(x)>(x)); };
        auto const kind = detail::call_kind_of(&detail::stands_for<Kernel, value>, source == target);
        detail::map_chunks(
            kind, {source, target, n, sizeof(value), n}, detail::threads_for(how.threads),
            [&](std::byte const* from, std::byte* to, std::size_t, std::size_t count, detail::stores where) noexcept {
                auto const* const first = reinterpret_cast<value const*>(from);
                auto* const first_out = reinterpret_cast<value*>(to);
                if (where == detail::stores::streaming) {
                    detail::apply<xsimd::default_arch, detail::stores::streaming>(first, first_out, count, on_values);
                } else {
                    detail::apply<xsimd::default_arch, detail::stores::cached>(first, first_out, count, on_values);
                }
            });
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
