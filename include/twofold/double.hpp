// The public functions: double_into, double_in_place, doubled. The contract is in twofold.hpp.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <vector>
#include <xsimd/xsimd.hpp>

#include "cache_size.hpp"
#include "chunks.hpp"
#include "crew.hpp"
#include "dispatch.hpp"
#include "element.hpp"
#include "error.hpp"
#include "thread_count.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// How a call is to run.
struct options {
    /// Threads that may work on the call, its own included. 0: decided as thread_count.hpp says; 1: this thread only.
    unsigned threads = 0;
};

namespace detail {

/// The engine: pointers in, chunks out to the crew, each run by `kernel(in, out, n, stores)`.
/// `in` and `out` are the same address or do not overlap.
template <class Arch, class T, class Kernel>
void run_in_chunks(T const* in, T* out, std::size_t n, unsigned threads, Kernel const& kernel) noexcept {
    std::size_t const bytes = n * sizeof(T);
    unsigned const workers = bytes < threads_pay_awake_bytes ? 1 : threads;
    stores const where = in != out && streaming_pays<Arch>(2 * bytes, workers) ? stores::streaming : stores::cached;
    if (workers == 1) {
        kernel(in, out, n, where);
        return;
    }
    std::size_t const bytes_past_line = reinterpret_cast<std::uintptr_t>(out) % cache_line_bytes;
    chunks<Arch> const cut(n, sizeof(T), bytes_past_line, workers);
    wake const waking = bytes < threads_pay_asleep_bytes ? wake::only_if_awake : wake::always;
    crew<Arch>::share(cut.size(), workers - 1, waking, [&](std::size_t i) noexcept {
        chunk const part = cut[i];
        kernel(in + part.first, out + part.first, part.count, where);
    });
}

/// How many threads a call on `bytes` may use. Small calls do not look at the environment.
template <class Arch>
[[nodiscard]] unsigned threads_for(std::size_t bytes, unsigned asked) noexcept {
    return bytes < threads_pay_awake_bytes ? 1 : thread_count<Arch>(asked);
}

/// Whether two arrays of `bytes` each share some bytes without being the same.
template <class Arch>
[[nodiscard]] bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept {
    auto const first = reinterpret_cast<std::uintptr_t>(a);
    auto const second = reinterpret_cast<std::uintptr_t>(b);
    return first != second && (first < second ? second - first : first - second) < bytes;
}

template <class Range>
using element_of = std::remove_cv_t<std::ranges::range_value_t<Range>>;

// Our message instead of a screen of template errors.
template <class T>
consteval void require_element() {
    static_assert(!std::same_as<T, bool>, "twofold: bool cannot be doubled; use std::uint8_t for flags that count");
    static_assert(std::same_as<T, bool> || element<T>,
                  "twofold: only signed and unsigned integers of 8 to 64 bits, float and double can be doubled");
}

template <class Range>
consteval void require_writable() {
    static_assert(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>,
                  "twofold: the output's elements are const");
}

template <class Arch, class T>
void double_span(T const* in, T* out, std::size_t n, options const& how) noexcept {
    run_in_chunks<Arch>(in, out, n, threads_for<Arch>(n * sizeof(T), how.threads), compiled_kernels<Arch>{});
}

}  // namespace detail

/// Writes the double of each element of `in` to `out`. Integers wrap modulo 2^bits.
///
/// `in` and `out` are contiguous ranges of the same element type and size; they may be the same range (then the
/// elements are doubled in place), but must not overlap otherwise. Throws std::invalid_argument, before anything is
/// written, if the sizes differ or the ranges overlap in part.
///
///     std::vector<std::uint32_t> in{1, 2, 3}, out(3);
///     twofold::double_into(in, out);  // out is {2, 4, 6}
template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out, class Arch = xsimd::default_arch>
    requires std::ranges::sized_range<In const> && std::ranges::sized_range<Out>
void double_into(In const& in, Out&& out, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    detail::require_writable<Out>();
    static_assert(std::same_as<value, detail::element_of<Out>>,
                  "twofold: input and output must have the same element type");
    if constexpr (element<value>) {
        auto const n = static_cast<std::size_t>(std::ranges::size(in));
        auto const size_of_out = static_cast<std::size_t>(std::ranges::size(out));
        value const* const source = std::ranges::data(in);
        value* const target = std::ranges::data(out);
        if (n != size_of_out) {
            detail::fail_invalid_argument<Arch>("the input has " + std::to_string(n) +
                                                " elements, but the output has " + std::to_string(size_of_out));
        }
        if (detail::partly_overlap<Arch>(source, target, n * sizeof(value))) {
            detail::fail_invalid_argument<Arch>(
                "input and output overlap without being the same range; copy one of them first");
        }
        detail::double_span<Arch>(source, target, n, how);
    }
}

/// Doubles each element of `values` where it stands. Integers wrap modulo 2^bits.
///
///     std::vector<double> values{1.5, 2.5};
///     twofold::double_in_place(values);  // values is {3.0, 5.0}
template <std::ranges::contiguous_range Range, class Arch = xsimd::default_arch>
    requires std::ranges::sized_range<Range>
void double_in_place(Range&& values, options const& how = {}) {
    using value = detail::element_of<Range>;
    detail::require_element<value>();
    detail::require_writable<Range>();
    if constexpr (element<value>) {
        value* const data = std::ranges::data(values);
        detail::double_span<Arch>(data, data, static_cast<std::size_t>(std::ranges::size(values)), how);
    }
}

/// The double of each element of `values`, in a new std::vector. Integers wrap modulo 2^bits. The vector's memory is
/// first filled with zeros, as std::vector has it; into memory that exists, `double_into` is faster.
///
///     twofold::doubled(std::array{1, 2, 3});  // std::vector<int>{2, 4, 6}
template <std::ranges::contiguous_range In, class Arch = xsimd::default_arch>
    requires std::ranges::sized_range<In const>
[[nodiscard]] auto doubled(In const& values, options const& how = {}) {
    using value = detail::element_of<In>;
    detail::require_element<value>();
    if constexpr (element<value>) {
        auto const n = static_cast<std::size_t>(std::ranges::size(values));
        std::vector<value> result(n);
        detail::double_span<Arch>(static_cast<value const*>(std::ranges::data(values)), result.data(), n, how);
        return result;
    }
}

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
