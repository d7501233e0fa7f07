// Doubling arrays of several dimensions, with any strides and in either byte order: double_array, double_strided.
#pragma once

#include <bit>
#include <cstddef>
#include <span>
#include <type_traits>

#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/flags.hpp>
#include <twofold/nd/arrays.hpp>
#include <twofold/nd/layout.hpp>
#include <twofold/nd/overlap.hpp>
#include <twofold/nd/strided_map.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/operation/ranges.hpp>
#include <twofold/operation/run.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// An array of several dimensions that does not own its memory.
template <class T>
struct array_view {
    T* data;                                       ///< The element whose indices are all 0.
    std::span<std::size_t const> shape;            ///< In elements, one number for each of at most 64 dimensions.
    std::span<std::ptrdiff_t const> strides;       ///< In bytes, of any sign; 0 for inputs alone.
    std::endian byte_order = std::endian::native;  ///< Of each scalar, a complex number being two.
};

namespace detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Hidden: g++ marks static members of templates STB_GNU_UNIQUE, and no object with such a symbol is ever unloaded.
template <class Operation, element T>
struct
#if defined(__GNUC__)
    __attribute__((visibility("hidden")))
#endif
    compiled_array_operation {
    static constexpr element_form form = element_form_of<sizeof(T), sizeof(scalar_of<T>)>();
    static constexpr strided_row strided = strided_row_of<Operation, T>();

    [[nodiscard]] static array_operation get() noexcept {
        return {form, row_of<compiled_kernels<Operation, T>>, strided};
    }
};

/// One side of a call, after both were checked.
template <class T>
[[nodiscard]] array_side side_of(array_view<T> const& view) noexcept {
    // Single bytes have no byte order.
    bool const has_order = sizeof(scalar_of<std::remove_const_t<T>>) > 1;
    return {const_cast<std::remove_const_t<T>*>(view.data), view.strides.data(),
            has_order && view.byte_order != std::endian::native};
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_reach() {
    fail_invalid_argument("the strides reach over more bytes than memory can have");
}

/// Checks each view, and that both fit each other. Returns the number of elements.
template <class In, class Out>
[[nodiscard]] std::size_t check_views(array_view<In> const& in, array_view<Out> const& out) {
    std::size_t const dimensions = out.shape.size();
    if (in.shape.size() != dimensions || in.strides.size() != dimensions || out.strides.size() != dimensions) {
        fail_invalid_argument(
            "input and output must have one shape, and a stride for each dimension; the shapes have " +
            in_digits(in.shape.size()) + " and " + in_digits(dimensions) + " dimensions, the strides " +
            in_digits(in.strides.size()) + " and " + in_digits(out.strides.size()));
    }
    if (dimensions > max_dimensions) {
        fail_invalid_argument("an array of " + in_digits(dimensions) + " dimensions; at most 64 are supported");
    }
    std::size_t n = 1;  // modulo 2^64, until it is known that all of them fit
    for (std::size_t i = 0; i < dimensions; ++i) {
        if (in.shape[i] != out.shape[i]) {
            fail_invalid_argument("the input has length " + in_digits(in.shape[i]) + " in dimension " + in_digits(i) +
                                  ", but the output has " + in_digits(out.shape[i]));
        }
    }
    for (std::size_t const length : out.shape) {
        if (length == 0) return 0;
        n *= length;
    }
    int const ndim = static_cast<int>(dimensions);
    array_side const from = side_of(in);
    array_side const to = side_of(out);
    std::size_t const* const shape = out.shape.data();
    if (!fits_memory(from, shape, ndim, sizeof(Out)) || !fits_memory(to, shape, ndim, sizeof(Out))) fail_reach();
    if (overlaps_itself(to, shape, ndim, sizeof(Out))) fail_invalid_argument("elements of the output share memory");
    if (arrays_overlap(from, to, shape, ndim, sizeof(Out))) fail_overlap();
    return n;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Writes the double of each element of `in` to `out`, an array of the same shape and element type.
///
/// `in` and `out` may be the same array, and the elements of one may lie between those of the other. Throws
/// std::invalid_argument, before anything is written, if the shapes differ, if elements of the two overlap otherwise
/// (or may overlap: different strides over the same memory are refused), if elements of the output share memory, or if
/// the strides reach further than memory does.
///
/// With overflow_policy::raise throws twofold::overflow_error for the first element, counted in C order of the shape,
/// whose double does not fit. Then `out` is as it was if it is `in`, and unspecified otherwise.
///
///     // A matrix of 2 rows and 3 columns into one whose columns lie one after another: {2, 8, 4, 10, 6, 12}.
///     std::vector<int> matrix{1, 2, 3, 4, 5, 6}, out(6);
///     std::size_t const shape[] = {2, 3};
///     std::ptrdiff_t const by_rows[] = {12, 4}, by_columns[] = {4, 8};
///     twofold::double_array<int>({matrix.data(), shape, by_rows}, {out.data(), shape, by_columns});
template <class T>
void double_array(array_view<std::type_identity_t<T> const> in, array_view<T> out, options const& how = {}) {
    detail::require_element<T>();
    if constexpr (element<T>) {
        std::size_t const n = detail::check_views(in, out);
        if (n == 0) return;
        std::size_t const done = detail::map_array(
            detail::compiled_array_operation<detail::doubling, T>::get(), detail::side_of(in), detail::side_of(out),
            out.shape.data(), static_cast<int>(out.shape.size()), detail::threads_for(how.threads), how.overflow);
        if (done < n) detail::fail_overflow(detail::doubling::noun, done);
    }
}

/// out[i * out_stride] = 2 * in[i * in_stride] for i in [0, n). Strides count elements and may have any sign; the
/// input's may be zero.
///
/// `in` and `out` may be the same with the same stride, and the elements of one may lie between those of the other.
/// Throws std::invalid_argument, before anything is written, if elements of the two overlap otherwise (or may overlap:
/// different strides over the same memory are refused), if they reach further than memory does, or if the output's
/// stride is zero and n is more than 1. With overflow_policy::raise throws twofold::overflow_error, with the index i,
/// before anything is written.
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
        std::ptrdiff_t in_bytes = 0;  // the stride of a single element is never used
        std::ptrdiff_t out_bytes = 0;
        detail::array_side const from{const_cast<T*>(in), &in_bytes, false};
        detail::array_side const to{out, &out_bytes, false};
        bool const fits =
            n == 1 || (!__builtin_mul_overflow(in_stride, element_bytes, &in_bytes) &&
                       !__builtin_mul_overflow(out_stride, element_bytes, &out_bytes) &&
                       detail::fits_memory(from, &n, 1, sizeof(T)) && detail::fits_memory(to, &n, 1, sizeof(T)));
        if (!fits) detail::fail_reach();
        if (detail::arrays_overlap(from, to, &n, 1, sizeof(T))) detail::fail_overlap();
        auto const operation = detail::compiled_array_operation<detail::doubling, T>::get();
        detail::allowance const threads = detail::threads_for(how.threads);
        overflow_policy policy = how.overflow;
        if (policy == overflow_policy::raise) {  // nothing is written before all are known to fit
            std::size_t const found = detail::find_array_overflow({operation, from, &n, 1, n}, threads, nullptr);
            if (found < n) detail::fail_overflow(detail::doubling::noun, found);
            policy = overflow_policy::wrap;
        }
        detail::map_array(operation, from, to, &n, 1, threads, policy);
    }
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
