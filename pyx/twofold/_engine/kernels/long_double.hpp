// Kernels for `long double`, of which no machine has vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <twofold/nd/strided_map.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/xsimd.hpp>

namespace twofold_wheel {

/// Their instruction set.
struct no_vectors;

}  // namespace twofold_wheel

// The compiler checks the parameters of both overloads of an operation, for a number and for a batch; and in some
// versions of xsimd a batch of unknown numbers does not compile.
template <>
class xsimd::batch<long double, twofold_wheel::no_vectors> {};

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

template <class Arch>
struct doubling::overflows<Arch, long double> {
    [[nodiscard, gnu::always_inline]] constexpr bool operator()(long double x) const noexcept {
        using limits = std::numeric_limits<long double>;
        long double const magnitude = x < 0 ? -x : x;
        return magnitude > (limits::max)() / 2 && magnitude <= (limits::max)();
    }
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail

namespace twofold_wheel {
namespace {

/// An operation's kernels for them, in the form of kernel_set.hpp.
template <class Operation>
struct long_double_kernels {
    using stores = twofold::detail::stores;

    template <stores>
    static void wrap(void const* in, void* out, std::size_t n) noexcept {
        for (std::size_t i = 0; i < n; ++i) put(out, i, map{}(get(in, i)));
    }
    template <stores>
    static void wrap_swapped(void const* in, void* out, std::size_t n) noexcept {
        // Through a buffer: a number that was written in two halves cannot be forwarded from the store buffer, so it
        // can be read only once it is in the cache.
        constexpr std::size_t buffer_size = 128;
        long double buffer[buffer_size];
        for (std::size_t done = 0; done < n; done += buffer_size) {
            std::size_t const count = (std::min)(buffer_size, n - done);
            swap(static_cast<unaligned const*>(in) + done, buffer, count);
            wrap<stores::cached>(buffer, buffer, count);
            swap(buffer, static_cast<unaligned*>(out) + done, count);
        }
    }
    template <stores Where>
    static void clamped(void const* in, void* out, std::size_t n) noexcept {
        wrap<Where>(in, out, n);
    }
    template <stores>
    static bool checked(void const* in, void* out, std::size_t n) noexcept {
        bool any = false;
        for (std::size_t i = 0; i < n; ++i) {
            long double const x = get(in, i);
            any |= overflows(x);
            put(out, i, map{}(x));
        }
        return any;
    }
    static std::size_t first_overflow(void const* in, std::size_t n) noexcept {
        std::size_t i = 0;
        while (i < n && !overflows(get(in, i))) ++i;
        return i;
    }
    /// Maps a block with any strides of elements of `Scalars` scalars.
    template <std::size_t Scalars>
    static void wrap_each(twofold::detail::packing::source from, twofold::detail::packing::target to, std::size_t rows,
                          std::size_t columns) noexcept {
        twofold::detail::packing::run_along(from, to, rows, columns);
        for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t c = 0; c < columns; ++c) wrap<stores::cached>(from.at(r, c), to.at(r, c), Scalars);
        }
    }

private:
    using map = typename Operation::template map<no_vectors, long double>;

    // At any address. Read and written as a number, not as bytes, since only that uses the 80-bit registers directly.
    struct [[gnu::packed, gnu::may_alias]] unaligned {
        long double value;
    };
    [[nodiscard]] static long double get(void const* in, std::size_t i) noexcept {
        return static_cast<unaligned const*>(in)[i].value;
    }
    static void put(void* out, std::size_t i, long double value) noexcept {
        static_cast<unaligned*>(out)[i].value = value;
    }

    static constexpr bool overflows(long double x) noexcept {
        if constexpr (requires { typename Operation::template overflows<no_vectors, long double>; }) {
            return typename Operation::template overflows<no_vectors, long double>{}(x);
        } else {
            return false;
        }
    }

    static void swap(void const* in, void* out, std::size_t n) noexcept {
        std::memcpy(out, in, n * sizeof(long double));
        twofold::detail::swap_bytes_in_place<sizeof(long double)>(static_cast<std::byte*>(out), n);
    }
};

}  // namespace
}  // namespace twofold_wheel
