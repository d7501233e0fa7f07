// One chunk, one thread, one instruction set: the SIMD loop with its head and its tail.
//
// Contract of `apply`: it reads in[0, n) and writes out[0, n), nothing else. `in` and `out` are the same address or do
// not overlap. Any alignment will do, even one that is not a multiple of the element's size. n may be 0. `function`
// maps a scalar and a batch alike; it may be called twice for an element, and must then return the same result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <class T>
struct lane_type {
    using type = std::conditional_t<is_half_float<T>, std::int16_t, T>;
};

/// The type in which a scalar is computed, alone and as a lane of a batch: 16-bit floats as their bits.
template <class T>
using lane_of = typename lane_type<T>::type;

/// Where stores go: into the cache, or straight to memory (streaming, non-temporal stores).
enum class stores { cached, streaming };

inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Not store_aligned even if `out` is aligned: no processor of the last fifteen years gains from it, and xsimd would
// assert the alignment of every vector in builds with assertions.
template <stores Where, class T, class Arch>
inline void store(T* out, xsimd::batch<T, Arch> const& values) noexcept {
    if constexpr (Where == stores::streaming) {
        stream_store(out, values);
    } else {
        values.store_unaligned(out);
    }
}

// The whole vectors in [i, n), four at a time: enough independent loads to keep the load ports busy. Here and below,
// `function` is passed and returned by value, so its state stays in registers, which a store to `out` cannot alias.
// Always inlined: as a call, its state would go through memory, with which a row of 1 KiB takes up to a tenth longer.
template <stores Where, class Arch, class T, class Function>
[[gnu::always_inline]] inline Function apply_to_vectors(T const* in, T* out, std::size_t i, std::size_t n,
                                                        Function function) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    for (; n - i >= 4 * lanes; i += 4 * lanes) {
        batch const a = batch::load_unaligned(in + i);
        batch const b = batch::load_unaligned(in + i + lanes);
        batch const c = batch::load_unaligned(in + i + 2 * lanes);
        batch const d = batch::load_unaligned(in + i + 3 * lanes);
        store<Where>(out + i, function(a));
        store<Where>(out + i + lanes, function(b));
        store<Where>(out + i + 2 * lanes, function(c));
        store<Where>(out + i + 3 * lanes, function(d));
    }
    for (; n - i >= lanes; i += lanes) {
        store<Where>(out + i, function(batch::load_unaligned(in + i)));
    }
    return function;
}

// Through memcpy, since `in` may lie at an odd address.
template <class T>
[[nodiscard]] inline T load_scalar(T const* in) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), in, sizeof(T));
    return value;
}

// Fewer elements than a vector has.
template <class T, class Function>
inline Function apply_to_scalars(T const* in, T* out, std::size_t n, Function function) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        T const value = static_cast<T>(function(load_scalar(in + i)));
        std::memcpy(static_cast<void*>(out + i), &value, sizeof(T));
    }
    return function;
}

/// out[i] = function(in[i]) for i in [0, n). Returns the function, whose state may have changed.
template <class Arch, stores Where, class T, class Function>
inline Function apply(T const* in, T* out, std::size_t n, Function function) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    constexpr std::size_t vector_bytes = lanes * sizeof(T);
    if (n < lanes) return apply_to_scalars(in, out, n, function);
    // Vectors from the first boundary in `out` on are aligned; if no element of `out` lies on a boundary, none are.
    std::size_t const past_boundary = reinterpret_cast<std::uintptr_t>(out) % vector_bytes;
    bool const alignable = past_boundary % sizeof(T) == 0;
    std::size_t const head = past_boundary == 0 || !alignable ? 0 : (vector_bytes - past_boundary) / sizeof(T);
    // The first and the last vector may overlap the aligned ones between them. They are read before anything is written
    // and stored after everything else, which is also right in place: every result is computed from an input that is
    // not yet overwritten.
    batch const last = function(batch::load_unaligned(in + (n - lanes)));
    batch first = last;
    if (head != 0) first = function(batch::load_unaligned(in));
    Function const after = [&] {
        if constexpr (Where == stores::streaming && can_stream<Arch, T>) {
            if (alignable) return apply_to_vectors<stores::streaming, Arch>(in, out, head, n, function);
        }
        return apply_to_vectors<stores::cached, Arch>(in, out, head, n, function);
    }();
    if (Where == stores::streaming) finish_streaming();
    if (head != 0) first.store_unaligned(out);
    last.store_unaligned(out + (n - lanes));
    return after;
}

/// The first i in [0, n) for which `holds(in[i])`; n if there is none. Reads in[0, n), nothing else.
template <class Arch, class T, class Predicate>
[[nodiscard]] inline std::size_t find_first(T const* in, std::size_t n, Predicate holds) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    auto const at = [&](std::size_t i) { return holds(batch::load_unaligned(in + i)); };
    std::size_t i = 0;  // it does not hold for anything before this
    if (n >= lanes) {
        while (n - i >= 4 * lanes && !xsimd::any((at(i) | at(i + lanes)) | (at(i + 2 * lanes) | at(i + 3 * lanes)))) {
            i += 4 * lanes;
        }
        while (n - i >= lanes && !xsimd::any(at(i))) i += lanes;
        // What is left is less than a vector, or a vector for which it holds. In the former case the last vector
        // decides.
        if (n - i < lanes && !xsimd::any(at(n - lanes))) return n;
    }
    while (i < n && !holds(load_scalar(in + i))) ++i;
    return i;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
