// Which instruction set runs: the one that the including file is compiled for, or, in the Python wheel, the best one
// that the machine has, from a table of kernels compiled one by one.
#pragma once

#include <cstddef>
#include <tuple>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Kernels as pointers: what part_kernels has, for an instruction set that is chosen at run time.
template <class T>
struct part_kernel_pointers {
    using doubling_kernel = void (*)(T const* in, T* out, std::size_t n) noexcept;
    using checking_kernel = bool (*)(T const* in, T* out, std::size_t n) noexcept;
    using reading_kernel = std::size_t (*)(T const* in, std::size_t n) noexcept;

    doubling_kernel wrap[2];  // indexed by `stores`
    doubling_kernel wrap_turned[2];
    doubling_kernel saturate[2];
    checking_kernel checked[2];
    reading_kernel first_overflow;
};

template <class Parts>
struct kernel_table_of;

template <class... T>
struct kernel_table_of<std::tuple<T...>> : part_kernel_pointers<T>... {};

/// The kernels of one instruction set, for every part type.
using kernel_table = kernel_table_of<part_types>;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The kernels that double parts of type T, compiled for Arch.
///
/// The contract for memory is that of `apply` in simd/loop.hpp.
template <class Arch, class T>
struct part_kernels {
    template <stores Where>
    static void wrap(T const* in, T* out, std::size_t n) noexcept {
        struct function : wrapping_double<Arch, T> {};
        apply<Arch, Where>(lanes(in), lanes(out), n, function{});
    }

    /// Of parts whose bytes are the other way round, on both sides.
    template <stores Where>
    static void wrap_turned(T const* in, T* out, std::size_t n) noexcept {
        struct function : wrapping_double_turned<Arch, T> {};
        using bits = typename function::lane;
        apply<Arch, Where>(reinterpret_cast<bits const*>(in), reinterpret_cast<bits*>(out), n, function{});
    }

    template <stores Where>
    static void saturate(T const* in, T* out, std::size_t n) noexcept {
        struct function : saturating_double<Arch, T> {};
        apply<Arch, Where>(lanes(in), lanes(out), n, function{});
    }

    /// What `wrap` does; returns whether any double overflowed.
    template <stores Where>
    static bool checked(T const* in, T* out, std::size_t n) noexcept {
        struct function : checked_double<Arch, T> {};
        function const after = apply<Arch, Where>(lanes(in), lanes(out), n, function{});
        return after.overflowed();
    }

    /// The index of the first part whose double overflows; n where there is none.
    static std::size_t first_overflow(T const* in, std::size_t n) noexcept {
        struct predicate : double_overflows<Arch, T> {};
        return find_first<Arch>(lanes(in), n, predicate{});
    }

private:
    static lane_of<T> const* lanes(T const* parts) noexcept { return reinterpret_cast<lane_of<T> const*>(parts); }
    static lane_of<T>* lanes(T* parts) noexcept { return reinterpret_cast<lane_of<T>*>(parts); }
};

template <class Kernels, class T>
inline constexpr part_kernel_pointers<T> pointers_to{
    {Kernels::template wrap<stores::cached>, Kernels::template wrap<stores::streaming>},
    {Kernels::template wrap_turned<stores::cached>, Kernels::template wrap_turned<stores::streaming>},
    {Kernels::template saturate<stores::cached>, Kernels::template saturate<stores::streaming>},
    {Kernels::template checked<stores::cached>, Kernels::template checked<stores::streaming>},
    Kernels::first_overflow};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
