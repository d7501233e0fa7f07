// Streaming (non-temporal) stores, which avoid reading a cache line that is only overwritten; and from which size on
// they pay off. xsimd has them from 14.2 on, and we build with 8.1, so they are written here, for the instruction sets
// that have them.
#pragma once

#include <cstddef>
#include <type_traits>

#include <twofold/flags.hpp>
#include <twofold/machine/cache_size.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// Streaming pays off from these fractions of the cache on, input and output together: below, plain stores fit into the
// cache, and several threads have more of it than one. Measured by `benchmarks/thresholds.cpp` (streaming).
inline constexpr std::size_t streaming_eighths_one_thread = 5;
inline constexpr std::size_t streaming_eighths_more_threads = 10;

/// No call that touches less than this streams.
inline constexpr std::size_t min_streamed_bytes = min_cache_bytes / 8 * streaming_eighths_one_thread;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

#if defined(__SSE2__)

// Batches of complex numbers, which a user's kernel may have, are two registers; they are stored with ordinary stores.
template <class Arch, class T>
inline constexpr bool can_stream =
    std::is_arithmetic_v<T> && (std::is_base_of_v<xsimd::sse2, Arch> || std::is_base_of_v<xsimd::avx, Arch>
#if defined(__AVX512F__)
                                || std::is_base_of_v<xsimd::avx512f, Arch>
#endif
                               );

/// Stores one batch with a streaming store, if there is one for it. `out` is aligned to the batch's size in bytes.
template <class T, class Arch>
inline void stream_store(T* out, xsimd::batch<T, Arch> const& values) noexcept {
    if constexpr (!can_stream<Arch, T>) {
        values.store_unaligned(out);
    } else {
        using register_type = typename xsimd::batch<T, Arch>::register_type;
        auto const bits = static_cast<register_type>(values);
        if constexpr (sizeof(register_type) == 16) {
            _mm_stream_si128(reinterpret_cast<__m128i*>(out), reinterpret_cast<__m128i const&>(bits));
        }
#if defined(__AVX__)
        if constexpr (sizeof(register_type) == 32) {
            _mm256_stream_si256(reinterpret_cast<__m256i*>(out), reinterpret_cast<__m256i const&>(bits));
        }
#endif
#if defined(__AVX512F__)
        if constexpr (sizeof(register_type) == 64) {
            _mm512_stream_si512(reinterpret_cast<__m512i*>(out), reinterpret_cast<__m512i const&>(bits));
        }
#endif
    }
}

/// Makes the streamed stores of this thread visible before whatever it stores next. Neither a release store nor a lock
/// orders non-temporal stores.
inline void finish_streaming() noexcept {
    _mm_sfence();
}

#else

template <class Arch, class T>
inline constexpr bool can_stream = false;

template <class T, class Arch>
inline void stream_store(T* out, xsimd::batch<T, Arch> const& values) noexcept {
    values.store_unaligned(out);
}

inline void finish_streaming() noexcept {}

#endif

/// Whether a call that reads and writes `touched_bytes` in all, out of place, should stream its stores.
[[nodiscard]] inline bool streaming_pays(std::size_t touched_bytes, unsigned threads) noexcept {
    if (touched_bytes < min_streamed_bytes) return false;
    std::size_t const eighths = threads > 1 ? streaming_eighths_more_threads : streaming_eighths_one_thread;
    return touched_bytes >= cache_size() / 8 * eighths;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
