// Loops of yours: parallel_for. The contract is in twofold.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/loop.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
namespace detail {

inline constexpr std::size_t max_loop_items = PTRDIFF_MAX;

template <class Body>
concept loop_callable = std::invocable<Body const&, std::size_t, std::size_t>;

template <class Body>
concept loop_noexcept = std::is_nothrow_invocable_v<Body const&, std::size_t, std::size_t>;

template <class Body>
using loop_result = std::invoke_result_t<Body const&, std::size_t, std::size_t>;

template <class Body>
concept loop_returns_code = std::is_void_v<loop_result<Body>> || std::same_as<loop_result<Body>, int>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

template <class Body>
consteval void require_body() {
    static_assert(loop_callable<Body>,
                  "twofold: a body must be callable with two std::size_t, the first index and how many there are, also "
                  "when it is const (no mutable lambda)");
    if constexpr (loop_callable<Body>) {
        static_assert(loop_noexcept<Body>, "twofold: a body must be noexcept");
        static_assert(loop_returns_code<Body>, "twofold: a body must return void, or a code that is an int");
    }
}

// A function whose address identifies the type of a body.
template <class Body>
void stands_for_body() noexcept {}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Calls body(first, count) for ranges of indices that cover [0, n) once, on as many threads as pay off.
///
/// A body that returns an int returns a code: 0, or another number if it failed. Then ranges behind its own may be left
/// out, those before it never, and parallel_for returns the code of the first range that failed: if each body ends at
/// its first index that fails, that is the same code for any number of threads. (A negative code comes back as
/// INT_MAX.) With a body that returns void, parallel_for returns nothing.
///
/// Several threads call the body, which is const, at once. It raises nothing, and neither forks nor ends its thread.
/// It may sleep, take a lock, and call twofold, which then runs on that thread alone. `bytes_per_item` is what one
/// index reads or writes, whichever is more; how long it takes is learnt from the calls before with a body of this
/// type. The first call runs an eighth of the items on its own thread, or until a tenth of a millisecond has passed.
///
/// Of `how`, only the threads matter. Floating-point modes and flags are as with `transform`. A number of items that is
/// negative, and so becomes more than PTRDIFF_MAX, is a std::invalid_argument.
///
///     std::vector<double> rows(1000);
///     twofold::parallel_for(rows.size(), sizeof(double), [&](std::size_t first, std::size_t count) noexcept {
///         for (std::size_t i = first; i < first + count; ++i) rows[i] = std::sqrt(static_cast<double>(i));
///     });
template <class Body>
auto parallel_for(std::size_t n, std::size_t bytes_per_item, Body const& body, options const& how = {}) {
    detail::require_body<Body>();
    if (n > detail::max_loop_items) [[unlikely]]
        detail::fail_count(n);
    if constexpr (detail::loop_callable<Body> && detail::loop_noexcept<Body> && detail::loop_returns_code<Body>) {
        constexpr bool has_code = !std::is_void_v<detail::loop_result<Body>>;
        auto const coded = [&body](std::size_t first, std::size_t count) noexcept {
            if constexpr (has_code) return body(first, count);
            if constexpr (!has_code) return body(first, count), 0;
        };
        auto const kind = detail::call_kind_of(&detail::stands_for_body<Body>);
        int const code = detail::loop(kind, n, bytes_per_item, detail::threads_for(how.threads), nullptr, coded);
        if constexpr (has_code) return code;
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
