// Maps contiguous scalars: the kernels of an operation are run on chunks, alone or shared. Errors are reported as
// indices here.
#pragma once

#include <algorithm>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/first_index.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Scalars to map. `in` and `out` are the same address or do not overlap. They may be a slice of a longer array.
struct scalars {
    std::byte const* in;
    std::byte* out;
    std::size_t n;
    std::size_t bytes_each;
    std::size_t whole_n;  // of the array of which they are a slice

    [[nodiscard, gnu::always_inline]] bool in_place() const noexcept { return in == out; }
};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// kernel(first, count, stores) for chunks of a range. `touched_bytes` is what the call, of which it may be a slice,
/// reads and writes in all; 0: in place, where nothing is streamed.
template <class Kernel>
void map_chunks(call_kind kind, items const& range, std::size_t touched_bytes, allowance threads,
                Kernel const& kernel) noexcept {
    parallel_for(kind, range, threads, [&](std::size_t first, std::size_t count, unsigned workers) noexcept {
        bool const stream = streaming_pays(touched_bytes, workers);
        kernel(first, count, stream ? stores::streaming : stores::cached);
    });
}

/// kernel(in, out, first, count, stores) for chunks of scalars.
template <class Kernel>
void map_chunks(call_kind kind, scalars const& all, allowance threads, Kernel const& kernel) noexcept {
    std::size_t const touched_bytes = all.in_place() ? 0 : 2 * all.whole_n * all.bytes_each;
    map_chunks(kind, {all.n, all.bytes_each, all.out}, touched_bytes, threads,
               [&](std::size_t first, std::size_t count, stores where) noexcept {
                   kernel(all.in + first * all.bytes_each, all.out + first * all.bytes_each, first, count, where);
               });
}

/// The same with one of the kernels of a row.
inline void map_by(kernel_row::mapping_kernel const (&kernels)[2], scalars const& all, allowance threads) noexcept {
    map_chunks(call_kind_of(kernels[0], all.in_place()), all, threads,
               [&](void const* in, void* out, std::size_t, std::size_t count, stores where) noexcept {
                   kernels[static_cast<std::size_t>(where)](in, out, count);
               });
}

/// The index of the first scalar whose result overflows; n where there is none.
[[nodiscard]] inline std::size_t find_overflow(kernel_row const& kernels, scalars const& all,
                                               allowance threads) noexcept {
    first_index found(all.n);
    parallel_for(call_kind_of(kernels.first_overflow), {all.n, all.bytes_each, all.in}, threads,
                 [&](std::size_t first, std::size_t count, unsigned) noexcept {
                     if (first > found.smallest()) return;
                     std::size_t const i = kernels.first_overflow(all.in + first * all.bytes_each, count);
                     if (i < count) found.report(first + i);
                 });
    return found.smallest();
}

/// Maps scalars according to `policy`. Returns n, or with overflow_policy::raise the index of the first one whose
/// result overflows; then `out` is unchanged if it is `in`, else unspecified.
inline std::size_t map_scalars(kernel_row const& kernels, scalars const& all, allowance threads,
                               overflow_policy policy) noexcept {
    if (policy == overflow_policy::raise && !all.in_place()) {
        first_index found(all.n);
        map_chunks(call_kind_of(kernels.checked[0]), all, threads,
                   [&](void const* in, void* out, std::size_t first, std::size_t count, stores where) noexcept {
                       if (first > found.smallest()) return;
                       if (kernels.checked[static_cast<std::size_t>(where)](in, out, count)) {
                           found.report(first + kernels.first_overflow(in, count));
                       }
                   });
        return found.smallest();
    }
    if (policy == overflow_policy::raise) {
        std::size_t const found = find_overflow(kernels, all, threads);
        if (found < all.n) return found;
    }
    map_by(policy == overflow_policy::saturate ? kernels.clamped : kernels.wrap, all, threads);
    return all.n;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
