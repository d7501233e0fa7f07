// Which instruction set runs: the one that the including file is compiled for, or, in the Python wheel, the best one
// that the machine has, from a table of kernels compiled one by one.
#pragma once

#include <cstddef>
#include <tuple>

#include "element.hpp"
#include "kernel.hpp"
#include "overflow.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Doubles one chunk; the contract is that of `apply` in kernel.hpp.
template <class T>
using chunk_kernel = void (*)(T const* in, T* out, std::size_t n) noexcept;

/// The kernels for one element type: as the engine wants a chunk stored.
template <class T>
struct element_kernels {
    chunk_kernel<T> cached;
    chunk_kernel<T> streaming;

    void operator()(T const* in, T* out, std::size_t n, stores where) const noexcept {
        (where == stores::streaming ? streaming : cached)(in, out, n);
    }
};

template <class Elements>
struct kernel_table_of;

template <class... T>
struct kernel_table_of<std::tuple<T...>> : element_kernels<T>... {};

/// The kernels of one instruction set, for every element type.
using kernel_table = kernel_table_of<element_types>;

/// Doubling with the instruction set of the including file; the compiler sees through it.
template <class Arch>
struct compiled_kernels {
    template <class T>
    void operator()(T const* in, T* out, std::size_t n, stores where) const noexcept {
        if (where == stores::streaming) {
            apply<Arch, stores::streaming>(in, out, n, wrapping_double<Arch>{});
        } else {
            apply<Arch, stores::cached>(in, out, n, wrapping_double<Arch>{});
        }
    }
};

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
