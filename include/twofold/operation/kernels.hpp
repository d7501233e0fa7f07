// What transform and transform_reduce require of a user's kernels, with messages of our own instead of a screenful of
// template errors. If the body of a lambda does not compile, the message is the compiler's, which names the concept.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// A kernel is called with `Values`: an element of each input, or a batch of elements of each.
template <class Kernel, class... Values>
concept kernel_callable_with = std::invocable<Kernel const&, Values...>;

template <class Kernel, class... Values>
concept kernel_noexcept_with = std::is_nothrow_invocable_v<Kernel const&, Values...>;

// A const value or a reference is as good as the value.
template <class Kernel, class Result, class... Values>
concept kernel_returns = std::same_as<std::remove_cvref_t<std::invoke_result_t<Kernel const&, Values...>>, Result>;

template <class Kernel, class Result, class... Values>
concept kernel_on = kernel_callable_with<Kernel, Values...> && kernel_noexcept_with<Kernel, Values...> &&
                    kernel_returns<Kernel, Result, Values...>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

template <class Kernel, class Out, class... In>
consteval bool is_kernel_for() {
    if constexpr (!std::copy_constructible<Kernel> || !kernel_on<Kernel, Out, In...>) {
        return false;
    } else if constexpr (!have_equal_batches<Out, In...>) {
        return true;
    } else if constexpr (is_half_float<Out> || (is_half_float<In> || ...)) {
        return false;
    } else {
        return kernel_on<Kernel, xsimd::batch<Out>, xsimd::batch<In>...>;
    }
}

template <class Kernel, class Out, class... In>
consteval void require_kernel_on_elements() {
    static_assert(kernel_callable_with<Kernel, In...>,
                  "twofold: a kernel must be callable with an element of each input, also when it is const (no mutable "
                  "lambda)");
    if constexpr (kernel_callable_with<Kernel, In...>) {
        constexpr bool is_of_one_type = (std::same_as<In, Out> && ...);
        static_assert(kernel_noexcept_with<Kernel, In...>, "twofold: a kernel must be noexcept with an element");
        static_assert(kernel_returns<Kernel, Out, In...> || !is_of_one_type,
                      "twofold: a kernel must map an element to one of the same type, as it does with batches. C++ "
                      "makes int of what integers of 8 and 16 bits give, and double of a float times 0.1: write each "
                      "operation as static_cast<decltype(x)>(x + x), and constants in the element's type, x * 0.1F");
        static_assert(kernel_returns<Kernel, Out, In...> || is_of_one_type,
                      "twofold: a kernel must return exactly the type of the output's elements, or, in "
                      "transform_reduce, of init: 0 is an int, 0.0 a double");
    }
}

// With AVX-512 a batch_bool is a mask, which converts to bool. So `x < 1 ? x : 1` would compile there, and decide for
// all elements of a batch at once. Therefore the body of a kernel is compiled for SSE2's batches, too, which are no
// conditions; the error is the compiler's. A kernel that can only be called with batches of this instruction set is
// not.
template <class Kernel, class... T>
consteval void refuse_batches_as_conditions() {
#if defined(__x86_64__)
    if constexpr ((std::convertible_to<decltype(std::declval<xsimd::batch<T>>() == std::declval<xsimd::batch<T>>()),
                                       bool> ||
                   ...)) {
        // By itself, GCC 16 would evaluate the concept before it knows the types.
        static_cast<void>(std::bool_constant<kernel_callable_with<Kernel, xsimd::batch<T, xsimd::sse2>...>>());
    }
#endif
}

template <class Kernel, class Out, class... In>
consteval void require_kernel_on_batches() {
    refuse_batches_as_conditions<Kernel, In...>();
    static_assert(kernel_callable_with<Kernel, xsimd::batch<In>...>,
                  "twofold: a kernel must be callable with an xsimd::batch of elements, also when it is const: declare "
                  "its parameters as auto, or overload it for xsimd::batch<T, Arch>");
    if constexpr (kernel_callable_with<Kernel, xsimd::batch<In>...>) {
        static_assert(kernel_noexcept_with<Kernel, xsimd::batch<In>...>,
                      "twofold: a kernel must be noexcept with an xsimd::batch of elements");
        static_assert(kernel_returns<Kernel, xsimd::batch<Out>, xsimd::batch<In>...>,
                      "twofold: a kernel must map an xsimd::batch of elements to a batch of the same type, or of the "
                      "type that it maps an element to");
    }
}

/// Of a kernel that maps elements `In...` to an `Out`. It is called with batches, too, if a batch holds as many
/// elements of each type.
template <class Kernel, class Out, class... In>
consteval void require_kernel() {
    constexpr bool has_batches = have_equal_batches<Out, In...>;
    constexpr bool has_half_floats = is_half_float<Out> || (is_half_float<In> || ...);
    static_assert(!has_batches || !has_half_floats,
                  "twofold: there is no SIMD arithmetic for 16-bit floats; transform their bits");
    static_assert(std::copy_constructible<Kernel>, "twofold: a kernel must be copyable");
    if constexpr (!has_batches || !has_half_floats) {
        require_kernel_on_elements<Kernel, Out, In...>();
        if constexpr (has_batches) require_kernel_on_batches<Kernel, Out, In...>();
    }
}

template <class Reduce, class T, bool HasBatches>
consteval bool is_reduce_for() {
    if constexpr (!std::copy_constructible<Reduce> || !kernel_on<Reduce, T, T, T>) {
        return false;
    } else if constexpr (!HasBatches) {
        return true;
    } else {
        return kernel_on<Reduce, xsimd::batch<T>, xsimd::batch<T>, xsimd::batch<T>>;
    }
}

/// Of what reduces two elements of the type T to one, and two batches if there are any.
template <class Reduce, class T, bool HasBatches>
consteval void require_reduce() {
    static_assert(std::copy_constructible<Reduce>, "twofold: reduce must be copyable");
    static_assert(kernel_callable_with<Reduce, T, T>,
                  "twofold: reduce must be callable with two elements of the type of init, also when it is const (no "
                  "mutable lambda)");
    if constexpr (kernel_callable_with<Reduce, T, T>) {
        static_assert(kernel_noexcept_with<Reduce, T, T>, "twofold: reduce must be noexcept with elements");
        static_assert(kernel_returns<Reduce, T, T, T>,
                      "twofold: reduce must return the type of init. C++ makes int of what integers of 8 and 16 bits "
                      "give: take a wider init, or, if the sum is to wrap, return static_cast<decltype(a)>(a + b)");
    }
    if constexpr (HasBatches) {
        using batch = xsimd::batch<T>;
        refuse_batches_as_conditions<Reduce, T, T>();
        static_assert(kernel_callable_with<Reduce, batch, batch>,
                      "twofold: reduce must be callable with two xsimd::batches of the type of init, also when it is "
                      "const");
        if constexpr (kernel_callable_with<Reduce, batch, batch>) {
            static_assert(kernel_noexcept_with<Reduce, batch, batch>,
                          "twofold: reduce must be noexcept with xsimd::batches");
            static_assert(kernel_returns<Reduce, batch, batch, batch>,
                          "twofold: reduce must return an xsimd::batch of the type of init for two of them");
        }
    }
}

/// A kernel as loops want it: const, as was checked, and called with values.
template <class Kernel>
[[nodiscard]] auto on_values(Kernel const& kernel) noexcept {
    return [kernel](auto const&... x) noexcept { return kernel(std::remove_cvref_t<decltype(x)>(x)...); };
}

// A function whose address identifies kernels and the types that they map.
template <class...>
void stands_for() noexcept {}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
