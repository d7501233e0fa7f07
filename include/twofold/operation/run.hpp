// From pointers to results: arrays cut into chunks, chunks run by kernels, alone or shared; and each way of doubling as
// a combination of these. Errors are indices here; double.hpp makes exceptions of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/machine/cache_size.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/parallel/chunks.hpp>
#include <twofold/parallel/crew.hpp>
#include <twofold/parallel/thread_count.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The threads that a call may use which asked for `asked`; 0 asks for none in particular.
[[nodiscard]] constexpr allowance threads_for(unsigned asked) noexcept {
    return {(std::min)(asked, most_threads), asked != 0};
}

/// work(first, count) for each chunk of an array of `n` times `element_bytes` at `start`, on `workers` threads. Says
/// what helpers did.
template <class Work>
help for_each_chunk(void const* start, std::size_t n, std::size_t element_bytes, unsigned workers,
                    Work const& work) noexcept {
    if (workers == 1) {
        work(std::size_t{0}, n);
        return help::none;
    }
    static_assert(chunks::most_count + 2 <= crew::most_chunks);  // the first and the last may be short
    chunks const cut(n, element_bytes, reinterpret_cast<std::uintptr_t>(start) % cache_line_bytes, workers);
    return crew::share(cut.size(), workers - 1, [&](std::size_t i) noexcept {
        chunk const part = cut[i];
        work(part.first, part.count);
    });
}

/// kernel(first, count, stores) for each chunk of a call that reads `in` and writes `out`, which are the same address
/// or do not overlap. They may be a slice of arrays of `whole_n`.
template <class T, class Kernel>
void run_in_chunks(T const* in, T* out, std::size_t n, std::size_t whole_n, allowance threads,
                   Kernel const& kernel) noexcept {
    sharing::run(n * sizeof(T), threads, in == out, [&](unsigned workers) noexcept {
        bool const stream = in != out && streaming_pays(2 * whole_n * sizeof(T), workers);
        stores const where = stream ? stores::streaming : stores::cached;
        return for_each_chunk(out, n, sizeof(T), workers,
                              [&](std::size_t first, std::size_t count) noexcept { kernel(first, count, where); });
    });
}

/// The least of the indices that threads report. Chunks are claimed in order, so whoever finds something has every
/// chunk before its own claimed: the least that is reported is the first that there is.
class first_index {
public:
    explicit first_index(std::size_t none) noexcept : least_(none) {}

    void report(std::size_t index) noexcept {
        std::size_t least = least_.load(std::memory_order_relaxed);
        while (index < least && !least_.compare_exchange_weak(least, index, std::memory_order_relaxed)) {
        }
    }
    [[nodiscard]] std::size_t least() const noexcept { return least_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::size_t> least_;
};

/// The first of `n` parts whose double overflows; n where none does.
template <class T>
[[nodiscard]] std::size_t find_overflow(part_kernel_pointers<T> const& kernels, T const* in, std::size_t n,
                                        allowance threads) noexcept {
    first_index found(n);
    sharing::run(n * sizeof(T), threads, false, [&](unsigned workers) noexcept {
        return for_each_chunk(in, n, sizeof(T), workers, [&](std::size_t first, std::size_t count) noexcept {
            if (first > found.least()) return;
            std::size_t const i = kernels.first_overflow(in + first, count);
            if (i < count) found.report(first + i);
        });
    });
    return found.least();
}

/// Doubles `n` parts as `policy` has it. Returns n, or with overflow_policy::raise the index of the first part whose
/// double overflows; then `out` is what it was if it is `in`, else unspecified. `in` and `out` may be a slice of arrays
/// of `whole_n` parts.
template <class T>
std::size_t double_parts(part_kernel_pointers<T> const& kernels, T const* in, T* out, std::size_t n, allowance threads,
                         overflow_policy policy, std::size_t whole_n = 0) noexcept {
    whole_n = (std::max)(n, whole_n);
    if (policy == overflow_policy::raise && in != out) {
        first_index found(n);
        run_in_chunks(in, out, n, whole_n, threads, [&](std::size_t first, std::size_t count, stores where) noexcept {
            if (first > found.least()) return;
            if (kernels.checked[static_cast<std::size_t>(where)](in + first, out + first, count)) {
                found.report(first + kernels.first_overflow(in + first, count));
            }
        });
        return found.least();
    }
    if (policy == overflow_policy::raise) {
        std::size_t const found = find_overflow(kernels, in, n, threads);
        if (found < n) return found;
    }
    auto const& by_stores = policy == overflow_policy::saturate ? kernels.saturate : kernels.wrap;
    run_in_chunks(in, out, n, whole_n, threads, [&](std::size_t first, std::size_t count, stores where) noexcept {
        by_stores[static_cast<std::size_t>(where)](in + first, out + first, count);
    });
    return n;
}

/// Whether two arrays of `bytes` each share some bytes without being the same.
[[nodiscard]] inline bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept {
    auto const first = reinterpret_cast<std::uintptr_t>(a);
    auto const second = reinterpret_cast<std::uintptr_t>(b);
    return first != second && (first < second ? second - first : first - second) < bytes;
}

// ---- strides

/// The bytes that `n` elements with a stride lie in: [first, end).
struct strided_extent {
    std::uintptr_t first;
    std::uintptr_t end;
};

[[nodiscard]] inline strided_extent extent_of(void const* start, std::ptrdiff_t stride_bytes, std::size_t n,
                                              std::size_t element_bytes) noexcept {
    auto const at_start = reinterpret_cast<std::uintptr_t>(start);
    auto const at_last = at_start + static_cast<std::uintptr_t>(stride_bytes) * (n - 1);  // modulo 2^64: may go down
    return stride_bytes < 0 ? strided_extent{at_last, at_start + element_bytes}
                            : strided_extent{at_start, at_last + element_bytes};
}

/// Whether some element of `in` and another one of `out` share bytes. It may say so of arrays that do not, if their
/// strides differ; never the other way round. n > 0; strides in bytes.
[[nodiscard]] inline bool partly_overlap_strided(void const* in, std::ptrdiff_t in_stride, void const* out,
                                                 std::ptrdiff_t out_stride, std::size_t n,
                                                 std::size_t element_bytes) noexcept {
    auto const a = extent_of(in, in_stride, n, element_bytes);
    auto const b = extent_of(out, out_stride, n, element_bytes);
    if (a.end <= b.first || b.end <= a.first) return false;
    if (in == out && (in_stride == out_stride || n == 1)) return false;  // in place
    if (in_stride != out_stride || in_stride == 0) return true;
    // Equal strides: the elements of one may lie in the gaps of the other, as real and imaginary parts do.
    std::size_t const step =
        in_stride < 0 ? std::size_t{0} - static_cast<std::size_t>(in_stride) : static_cast<std::size_t>(in_stride);
    std::size_t const past_element = (a.first > b.first ? a.first - b.first : b.first - a.first) % step;
    return past_element < element_bytes || step - past_element < element_bytes;
}

/// out[i * out_stride] = function(in[i * in_stride]) for i in [0, n), an element being `Parts` parts one after another.
/// Strides in elements. Contract for memory: as `apply` in simd/loop.hpp has it.
template <std::size_t Parts, class T, class Function>
void apply_strided(T const* in, std::ptrdiff_t in_stride, T* out, std::ptrdiff_t out_stride, std::size_t n,
                   Function function) noexcept {
    for (auto i = std::ptrdiff_t{0}; i < static_cast<std::ptrdiff_t>(n); ++i) {
        apply_to_scalars(in + i * in_stride * std::ptrdiff_t{Parts}, out + i * out_stride * std::ptrdiff_t{Parts},
                         Parts, function);
    }
}

/// The first of `n` elements with a part whose double overflows; n where there is none.
template <std::size_t Parts, class T>
[[nodiscard]] std::size_t find_overflow_strided(T const* in, std::ptrdiff_t stride, std::size_t n) noexcept {
    using lane = lane_of<T>;
    for (std::size_t i = 0; i < n; ++i) {
        T const* const element = in + static_cast<std::ptrdiff_t>(i) * stride * std::ptrdiff_t{Parts};
        for (std::size_t part = 0; part < Parts; ++part) {
            if (double_overflows<xsimd::default_arch, T>{}(load_scalar(reinterpret_cast<lane const*>(element + part))))
                return i;
        }
    }
    return n;
}

/// What double_parts does, for elements with strides; but where an element overflows nothing is written.
template <std::size_t Parts, class T>
std::size_t double_strided_parts(T const* in, std::ptrdiff_t in_stride, T* out, std::ptrdiff_t out_stride,
                                 std::size_t n, unsigned threads, overflow_policy policy) noexcept {
    using lane = lane_of<T>;
    // What an element costs is its cache line, or its share of one.
    auto const bytes_per_element = [](std::ptrdiff_t stride) {
        std::size_t const step =
            stride < 0 ? std::size_t{0} - static_cast<std::size_t>(stride) : static_cast<std::size_t>(stride);
        return (std::min)((std::max)(step, std::size_t{1}), cache_line_bytes / sizeof(T)) * sizeof(T) * Parts;
    };
    std::size_t const element_bytes = (std::max)(bytes_per_element(in_stride), bytes_per_element(out_stride));
    auto const in_chunks = [&](auto const& work) {
        sharing::run(n * element_bytes, threads_for(threads), in == out, [&](unsigned workers) noexcept {
            return for_each_chunk(nullptr, n, element_bytes, workers, work);
        });
    };
    auto const source = [&](std::size_t i) {
        return in + static_cast<std::ptrdiff_t>(i) * in_stride * std::ptrdiff_t{Parts};
    };
    if (policy == overflow_policy::raise) {
        first_index found(n);
        in_chunks([&](std::size_t first, std::size_t count) noexcept {
            if (first > found.least()) return;
            std::size_t const i = find_overflow_strided<Parts>(source(first), in_stride, count);
            if (i < count) found.report(first + i);
        });
        if (found.least() < n) return found.least();
    }
    in_chunks([&](std::size_t first, std::size_t count) noexcept {
        auto const* const from = reinterpret_cast<lane const*>(source(first));
        auto* const to =
            reinterpret_cast<lane*>(out + static_cast<std::ptrdiff_t>(first) * out_stride * std::ptrdiff_t{Parts});
        if (policy == overflow_policy::saturate) {
            apply_strided<Parts>(from, in_stride, to, out_stride, count, saturating_double<xsimd::default_arch, T>{});
        } else {
            apply_strided<Parts>(from, in_stride, to, out_stride, count, wrapping_double<xsimd::default_arch, T>{});
        }
    });
    return n;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
