// One chunk, one thread, one instruction set: the SIMD loop with its head and its tail.
//
// Contract of `apply`: it reads in[0, n) of each input and writes out[0, n), nothing else. An input and `out` are the
// same address or do not overlap. Any alignment will do, even one that is not a multiple of the element's size. n may
// be 0. `function` maps scalars and batches alike, one of each input; it may be called twice for an element, and must
// then return the same result. A batch has as many lanes of each type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/simd/streaming.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <class T>
struct lane_type {
    using type = std::conditional_t<is_half_float<T>, std::int16_t, T>;
};

/// The type in which a scalar is computed, alone and as a lane of a batch: 16-bit floats as their bits.
template <class T>
using lane_of = typename lane_type<T>::type;

/// Whether a batch holds as many elements of each type: their components have one size.
template <class First, class... Others>
inline constexpr bool have_equal_batches =
    ((sizeof(typename scalar<First>::type) == sizeof(typename scalar<Others>::type)) && ...);

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

template <class Arch, class T>
[[nodiscard, gnu::always_inline]] inline xsimd::batch<T, Arch> load_vector(T const* in) noexcept {
    return xsimd::batch<T, Arch>::load_unaligned(in);
}

// A vector of each input, to be handed to a function: once it is called, stores no longer hold up the loads.
template <class Arch, class... In>
[[nodiscard, gnu::always_inline]] inline auto load_vectors(In const*... in) noexcept {
    return [... values = load_vector<Arch>(in)](auto& function) noexcept { return function(values...); };
}

// The whole vectors in [i, n), four at a time: enough independent loads to keep the load ports busy. Here and below,
// `function` is passed and returned by value, so its state stays in registers, which a store to `out` cannot alias.
// Always inlined: as a call, its state would go through memory, with which a row of 1 KiB takes up to a tenth longer.
template <stores Where, class Arch, class Out, class Function, class... In>
[[gnu::always_inline]] inline Function apply_to_vectors(Out* out, std::size_t i, std::size_t n, Function function,
                                                        In const*... in) noexcept {
    using batch = xsimd::batch<Out, Arch>;
    constexpr std::size_t lanes = batch::size;
    for (; n - i >= 4 * lanes; i += 4 * lanes) {
        auto const a = load_vectors<Arch>((in + i)...);
        auto const b = load_vectors<Arch>((in + i + lanes)...);
        auto const c = load_vectors<Arch>((in + i + 2 * lanes)...);
        auto const d = load_vectors<Arch>((in + i + 3 * lanes)...);
        store<Where>(out + i, batch(a(function)));
        store<Where>(out + i + lanes, batch(b(function)));
        store<Where>(out + i + 2 * lanes, batch(c(function)));
        store<Where>(out + i + 3 * lanes, batch(d(function)));
    }
    for (; n - i >= lanes; i += lanes) {
        store<Where>(out + i, batch(function(load_vector<Arch>(in + i)...)));
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

/// The same as `apply` without vectors: for fewer elements than a vector has, or types of which it has other numbers.
template <class Out, class Function, class... In>
inline Function apply_to_scalars(Out* out, std::size_t n, Function function, In const*... in) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        Out const value = static_cast<Out>(function(load_scalar(in + i)...));
        std::memcpy(static_cast<void*>(out + i), &value, sizeof(Out));
    }
    return function;
}

/// out[i] = function(in[i]...) for i in [0, n). Returns the function, whose state may have changed.
template <class Arch, stores Where, class Out, class Function, class... In>
inline Function apply(Out* out, std::size_t n, Function function, In const*... in) noexcept {
    using batch = xsimd::batch<Out, Arch>;
    constexpr std::size_t lanes = batch::size;
    static_assert(((xsimd::batch<In, Arch>::size == lanes) && ...));
    constexpr std::size_t vector_bytes = lanes * sizeof(Out);
    if (n < lanes) return apply_to_scalars(out, n, function, in...);
    // Vectors from the first boundary in `out` on are aligned; if no element of `out` lies on a boundary, none are.
    std::size_t const past_boundary = reinterpret_cast<std::uintptr_t>(out) % vector_bytes;
    bool const alignable = past_boundary % sizeof(Out) == 0;
    std::size_t const head = past_boundary == 0 || !alignable ? 0 : (vector_bytes - past_boundary) / sizeof(Out);
    // The first and the last vector may overlap the aligned ones between them. They are read before anything is written
    // and stored after everything else, which is also right in place: every result is computed from an input that is
    // not yet overwritten.
    batch const last = function(load_vector<Arch>(in + (n - lanes))...);
    batch first = last;
    if (head != 0) first = function(load_vector<Arch>(in)...);
    Function const after = [&] {
        if constexpr (Where == stores::streaming && can_stream<Arch, Out>) {
            if (alignable) return apply_to_vectors<stores::streaming, Arch>(out, head, n, function, in...);
        }
        return apply_to_vectors<stores::cached, Arch>(out, head, n, function, in...);
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
