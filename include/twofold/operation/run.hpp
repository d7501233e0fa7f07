// Runs an operation on elements of a C++ type, with the kernels that the including file is compiled for.
#pragma once

#include <cstddef>

#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/map_scalars.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

template <class Operation, element T>
using compiled_kernels = kernels<Operation, xsimd::default_arch, scalar_of<T>>;

template <element T>
[[nodiscard]] scalars scalars_of(T const* in, T* out, std::size_t n) noexcept {
    std::size_t const count = n * scalars_per_element<T>;
    return {reinterpret_cast<std::byte const*>(in), reinterpret_cast<std::byte*>(out), count, sizeof(scalar_of<T>),
            count};
}

// For calls that are long enough not to notice one more function call. Out of line, so that the inlined part stays
// short.
template <class Operation, element T>
[[gnu::noinline]] void map_many(T const* in, T* out, std::size_t n, options const& how) {
    scalars const all = scalars_of(in, out, n);
    std::size_t const done =
        map_scalars(row_of<compiled_kernels<Operation, T>>, all, threads_for(how.threads), how.overflow);
    if (done < all.n) fail_overflow(Operation::noun, done / scalars_per_element<T>);
}

/// Maps n elements; `in` and `out` are the same or do not overlap. Throws overflow_error where `how` wants it.
template <class Operation, element T>
inline void map_elements(T const* in, T* out, std::size_t n, options const& how) {
    static_assert(threads_pay_awake_bytes * 2 <= min_streamed_bytes, "what is short neither streams nor is shared");
    if (n * sizeof(T) < threads_pay_awake_bytes && how.overflow == overflow_policy::wrap) {
        compiled_kernels<Operation, T>::template wrap<stores::cached>(in, out, n * scalars_per_element<T>);
    } else {
        map_many<Operation>(in, out, n, how);
    }
}

/// The index of the first element whose result overflows; n where there is none.
template <class Operation, element T>
[[nodiscard]] std::size_t find_first_overflow(T const* in, std::size_t n, options const& how) noexcept {
    scalars const all = scalars_of<T>(in, nullptr, n);
    return find_overflow(row_of<compiled_kernels<Operation, T>>, all, threads_for(how.threads)) /
           scalars_per_element<T>;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
