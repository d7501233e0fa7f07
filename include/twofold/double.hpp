// The public functions: double_into, double_in_place, doubled, first_overflow, double_strided, transform. The contract
// is in twofold.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <vector>
#include <xsimd/xsimd.hpp>

#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/operation/run.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// How a call is to run.
struct options {
    /// What becomes of a double that the element type cannot hold.
    overflow_policy overflow = overflow_policy::wrap;
    /// Threads that work on the call, its own included, if it is long enough for more than one. 0: at most as many as
    /// parallel/thread_count.hpp says, and no more than have paid in calls like it (parallel/adaptive.hpp). 1: this
    /// thread only.
    unsigned threads = 0;
};

namespace detail {

template <class Range>
using element_of = std::remove_cv_t<std::ranges::range_value_t<Range>>;

// Our message instead of a screen of template errors.
template <class T>
consteval void require_element() {
    static_assert(!std::same_as<T, bool>, "twofold: bool cannot be doubled; use std::uint8_t for flags that count");
    static_assert(std::same_as<T, bool> || element<T>,
                  "twofold: only integers of 8 to 64 bits, float, double, std::complex of these two, twofold::float16 "
                  "and twofold::bfloat16 can be doubled");
}

template <class Range>
consteval void require_writable() {
    static_assert(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>,
                  "twofold: the output's elements are const");
}

template <class In, class Out>
consteval void require_input_and_output() {
    require_element<element_of<In>>();
    require_writable<Out>();
    static_assert(std::same_as<element_of<In>, element_of<Out>>,
                  "twofold: input and output must have the same element type");
}

// What is asked of a kernel that is called with `Values`: an element, or a batch of them. For a lambda whose body does
// not compile the message is the compiler's, which names the concept.
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

template <element T>
auto const* parts_of(T const* elements) noexcept {
    return reinterpret_cast<part_of<T> const*>(elements);
}
template <element T>
auto* parts_of(T* elements) noexcept {
    return reinterpret_cast<part_of<T>*>(elements);
}

// Hidden: g++ marks variable templates STB_GNU_UNIQUE, and no object that has such a symbol is ever unloaded.
template <class T>
#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constexpr part_kernel_pointers<T>
    compiled_kernels = pointers_to<part_kernels<xsimd::default_arch, T>, T>;

// What is long enough not to care about a call. Out of line, so that what is inlined into the caller is short.
template <element T>
[[gnu::noinline]] void double_many(T const* in, T* out, std::size_t n, options const& how) {
    std::size_t const parts = n * parts_per_element<T>;
    allowance const threads = threads_for(how.threads);
    std::size_t const done =
        double_parts(compiled_kernels<part_of<T>>, parts_of(in), parts_of(out), parts, threads, how.overflow);
    if (done < parts) fail_overflow(done / parts_per_element<T>);
}

/// Doubles n elements; `in` and `out` are the same or do not overlap. Throws overflow_error where `how` wants it.
template <element T>
inline void double_elements(T const* in, T* out, std::size_t n, options const& how) {
    static_assert(threads_pay_awake_bytes * 2 <= least_streamed_bytes, "what is short neither streams nor is shared");
    if (n * sizeof(T) < threads_pay_awake_bytes && how.overflow == overflow_policy::wrap) {
        using part = part_of<T>;
        part_kernels<xsimd::default_arch, part>::template wrap<stores::cached>(parts_of(in), parts_of(out),
                                                                               n * parts_per_element<T>);
    } else {
        double_many(in, out, n, how);
    }
}

/// What every function with an input and an output asks of them.
template <class In, class Out>
inline void check_ranges(In const& in, Out& out) {
    auto const n = static_cast<std::size_t>(std::ranges::size(in));
    auto const size_of_out = static_cast<std::size_t>(std::ranges::size(out));
    if (n != size_of_out) [[unlikely]]
        fail_size(n, size_of_out);
    if (partly_overlap(std::ranges::data(in), std::ranges::data(out), n * sizeof(element_of<In>))) [[unlikely]]
        fail_overlap();
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Writes the double of each element of `in` to `out`.
///
/// `in` and `out` are contiguous ranges of the same element type and size; they may be the same range (then the
/// elements are doubled in place), but must not overlap otherwise. Throws std::invalid_argument, before anything is
/// written, if the sizes differ or the ranges overlap in part.
///
/// With overflow_policy::raise throws twofold::overflow_error for the first element whose double does not fit. Then
/// `out` is as it was if it is `in`, and unspecified otherwise.
///
///     std::vector<std::uint32_t> in{1, 2, 3}, out(3);
///     twofold::double_into(in, out);  // out is {2, 4, 6}
template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out>
    requires std::ranges::sized_range<In const> && std::ranges::sized_range<Out>
void double_into(In const& in, Out&& out, options const& how = {}) {
    detail::require_input_and_output<In, Out>();
    if constexpr (element<detail::element_of<In>>) {
        detail::check_ranges(in, out);
        detail::double_elements<detail::element_of<In>>(std::ranges::data(in), std::ranges::data(out),
                                                        static_cast<std::size_t>(std::ranges::size(in)), how);
    }
}

/// Doubles each element of `values` where it stands. With overflow_policy::raise the values are read twice, and are as
/// they were if it throws.
///
///     std::vector<double> values{1.5, 2.5};
///     twofold::double_in_place(values);  // values is {3.0, 5.0}
template <std::ranges::contiguous_range Range>
    requires std::ranges::sized_range<Range>
void double_in_place(Range&& values, options const& how = {}) {
    using value = detail::element_of<Range>;
    detail::require_element<value>();
    detail::require_writable<Range>();
    if constexpr (element<value>) {
        value* const data = std::ranges::data(values);
        detail::double_elements<value>(data, data, static_cast<std::size_t>(std::ranges::size(values)), how);
    }
}

/// The double of each element of `values`, in a new std::vector. The vector's memory is first filled with zeros, as
/// std::vector has it; into memory that exists, `double_into` is faster.
///
///     twofold::doubled(std::array{1, 2, 3});  // std::vector<int>{2, 4, 6}
template <std::ranges::contiguous_range In>
    requires std::ranges::sized_range<In const>
[[nodiscard]] auto doubled(In const& values, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    if constexpr (element<value>) {
        std::vector<value> result(static_cast<std::size_t>(std::ranges::size(values)));
        detail::double_elements<value>(std::ranges::data(values), result.data(), result.size(), how);
        return result;
    }
}

/// The index of the first element whose double does not fit its type; for floats, of the first finite one whose double
/// is infinite. None: nothing. Of `how` only the threads matter.
///
///     twofold::first_overflow(std::array<std::int8_t, 3>{1, -65, 64});  // 1
template <std::ranges::contiguous_range In>
    requires std::ranges::sized_range<In const>
[[nodiscard]] std::optional<std::size_t> first_overflow(In const& values, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    if constexpr (element<value>) {
        auto const n = static_cast<std::size_t>(std::ranges::size(values));
        std::size_t const parts = n * detail::parts_per_element<value>;
        detail::allowance const threads = detail::threads_for(how.threads);
        value const* const data = std::ranges::data(values);
        std::size_t const found = detail::find_overflow(detail::compiled_kernels<detail::part_of<value>>,
                                                        detail::parts_of(data), parts, threads);
        if (found < parts) return found / detail::parts_per_element<value>;
    }
    return std::nullopt;
}

/// out[i * out_stride] = 2 * in[i * in_stride] for i in [0, n). Strides count elements and may have any sign; that of
/// the input may be zero.
///
/// `in` and `out` may be the same with the same stride, and the elements of one may lie between those of the other.
/// Throws std::invalid_argument, before anything is written, if elements of the two overlap otherwise (or may: strides
/// that differ over the same memory are refused), or if the output's stride is zero and n more than 1. With
/// overflow_policy::raise throws twofold::overflow_error, with the index i, before anything is written.
///
///     std::vector<int> matrix{1, 2, 3, 4}, column(2);
///     twofold::double_strided(matrix.data() + 1, 2, column.data(), 1, 2);  // column is {4, 8}
template <class T>
void double_strided(T const* in, std::ptrdiff_t in_stride, T* out, std::ptrdiff_t out_stride, std::size_t n,
                    options const& how = {}) {
    detail::require_element<T>();
    if constexpr (element<T>) {
        if (n == 0) return;
        auto const element_bytes = static_cast<std::ptrdiff_t>(sizeof(T));
        if (out_stride == 0 && n > 1) {
            detail::fail_invalid_argument("the output's stride is 0, so its " + detail::in_digits(n) +
                                          " elements would be one");
        }
        if (detail::partly_overlap_strided(in, in_stride * element_bytes, out, out_stride * element_bytes, n,
                                           sizeof(T))) {
            detail::fail_overlap();
        }
        if (in_stride == 1 && out_stride == 1) {
            options contiguous = how;
            if (how.overflow == overflow_policy::raise) {  // nothing is written here before it is known that all fit
                auto const found = first_overflow(std::span(in, n), how);
                if (found) detail::fail_overflow(*found);
                contiguous.overflow = overflow_policy::wrap;
            }
            detail::double_elements(in, out, n, contiguous);
            return;
        }
        constexpr std::size_t parts = detail::parts_per_element<T>;
        std::size_t const done = detail::double_strided_parts<parts>(
            detail::parts_of(in), in_stride, detail::parts_of(out), out_stride, n, how.threads, how.overflow);
        if (done < n) detail::fail_overflow(done);
    }
}

/// Writes kernel(x) for each element x of `in` to `out`: the engine of `double_into`, with a kernel of yours.
///
/// A kernel maps one element to an element, and one xsimd::batch of elements to such a batch, of exactly the same type
/// and with the same values: a generic lambda will often do. Where C++ computes one element in a wider type than a
/// batch has, the kernel says which it is: x * 0.1F of floats, not x * 0.1; static_cast<decltype(x)>(x + x) of integers
/// of 8 and 16 bits, round each operation. What maps to another type does not compile. A kernel is copied and called
/// const, by several threads at once, and may meet an element twice; it must be noexcept and must not fork. Ranges and
/// errors are those of `double_into`. Elements are those that xsimd has batches of, so not the 16-bit floats. What a
/// kernel does about overflow is its own affair: of `how` only the threads matter. It runs with the caller's
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
        value const* const source = std::ranges::data(in);
        value* const target = std::ranges::data(out);
        // Const, as it was checked; by value, as `apply` wants it.
        auto const on_values = [kernel](auto const& x) noexcept { return kernel(std::remove_cvref_t<decltype(x)>(x)); };
        detail::run_in_chunks(source, target, n, n, detail::threads_for(how.threads),
                              [&](std::size_t first, std::size_t count, detail::stores where) noexcept {
                                  if (where == detail::stores::streaming) {
                                      detail::apply<xsimd::default_arch, detail::stores::streaming>(
                                          source + first, target + first, count, on_values);
                                  } else {
                                      detail::apply<xsimd::default_arch, detail::stores::cached>(
                                          source + first, target + first, count, on_values);
                                  }
                              });
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
