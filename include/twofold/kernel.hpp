// One chunk, one thread, one instruction set: the SIMD loop with its head and its tail.
//
// Contract of `apply`: reads in[0, n) and writes out[0, n), nothing else. `in` and `out` are the same address or do not
// overlap. Any alignment will do, also one that is no multiple of the element's size. n may be 0. `function` maps a
// scalar and a batch alike; it may meet an element twice, so it must give the same both times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "streaming.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Where stores go: through the cache, or past it straight to memory.
enum class stores { cached, streaming };

// How one batch is stored; chosen once per chunk.
enum class store_kind { unaligned, aligned, streaming };

template <store_kind Kind, class T, class Arch>
inline void store(T* out, xsimd::batch<T, Arch> const& values) noexcept {
    if constexpr (Kind == store_kind::unaligned) {
        values.store_unaligned(out);
    } else if constexpr (Kind == store_kind::aligned) {
        values.store_aligned(out);
    } else {
        stream_store(out, values);
    }
}

// The whole vectors in [i, n). Four at a time: enough independent loads to keep the load ports busy.
template <store_kind Kind, class Arch, class T, class Function>
inline void apply_to_vectors(T const* in, T* out, std::size_t i, std::size_t n, Function& function) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    for (; n - i >= 4 * lanes; i += 4 * lanes) {
        batch const a = batch::load_unaligned(in + i);
        batch const b = batch::load_unaligned(in + i + lanes);
        batch const c = batch::load_unaligned(in + i + 2 * lanes);
        batch const d = batch::load_unaligned(in + i + 3 * lanes);
        store<Kind>(out + i, function(a));
        store<Kind>(out + i + lanes, function(b));
        store<Kind>(out + i + 2 * lanes, function(c));
        store<Kind>(out + i + 3 * lanes, function(d));
    }
    for (; n - i >= lanes; i += lanes) {
        store<Kind>(out + i, function(batch::load_unaligned(in + i)));
    }
}

// Through memcpy, since `in` may lie at an odd address.
template <class Arch, class T>
[[nodiscard]] inline T load_scalar(T const* in) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), in, sizeof(T));
    return value;
}

// Fewer elements than a vector has.
template <class Arch, class T, class Function>
inline void apply_to_scalars(T const* in, T* out, std::size_t n, Function& function) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        T const value = static_cast<T>(function(load_scalar<Arch>(in + i)));
        std::memcpy(static_cast<void*>(out + i), &value, sizeof(T));
    }
}

/// out[i] = function(in[i]) for i in [0, n).
template <class Arch, stores Stores, class T, class Function>
inline void apply(T const* in, T* out, std::size_t n, Function& function) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    constexpr std::size_t vector_bytes = lanes * sizeof(T);
    if (n < lanes) {
        apply_to_scalars<Arch>(in, out, n, function);
        return;
    }
    std::size_t const past_boundary = reinterpret_cast<std::uintptr_t>(out) % vector_bytes;
    std::size_t const head = past_boundary == 0 ? 0 : (vector_bytes - past_boundary) / sizeof(T);
    // The first and the last vector may overlap the aligned ones between them. They are read before anything is
    // written and stored after everything else, which is right in place, too: every element is doubled once.
    batch const last = function(batch::load_unaligned(in + (n - lanes)));
    batch first = last;
    if (head != 0) first = function(batch::load_unaligned(in));
    if (past_boundary % sizeof(T) != 0) {  // no element of `out` stands on a boundary
        apply_to_vectors<store_kind::unaligned, Arch>(in, out, 0, n, function);
    } else {
        if constexpr (Stores == stores::streaming && can_stream<Arch, T>) {
            apply_to_vectors<store_kind::streaming, Arch>(in, out, head, n, function);
            finish_streaming<Arch>();
        } else {
            apply_to_vectors<store_kind::aligned, Arch>(in, out, head, n, function);
        }
    }
    if (head != 0) first.store_unaligned(out);
    last.store_unaligned(out + (n - lanes));
}

/// The least i in [0, n) for which `holds(in[i])`; n where there is none. Reads in[0, n), nothing else.
template <class Arch, class T, class Predicate>
[[nodiscard]] inline std::size_t find_first(T const* in, std::size_t n, Predicate holds) noexcept {
    using batch = xsimd::batch<T, Arch>;
    constexpr std::size_t lanes = batch::size;
    auto const at = [&](std::size_t i) { return holds(batch::load_unaligned(in + i)); };
    std::size_t i = 0;  // nothing before it holds
    if (n >= lanes) {
        while (n - i >= 4 * lanes && !xsimd::any((at(i) | at(i + lanes)) | (at(i + 2 * lanes) | at(i + 3 * lanes)))) {
            i += 4 * lanes;
        }
        while (n - i >= lanes && !xsimd::any(at(i))) i += lanes;
        // What is left is less than a vector, or holds it: where not even the last vector does, there is nothing.
        if (n - i < lanes && !xsimd::any(at(n - lanes))) return n;
    }
    while (i < n && !holds(load_scalar<Arch>(in + i))) ++i;
    return i;
}

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
