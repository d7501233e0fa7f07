// The kernels of an operation, made from its definition for one scalar and for one batch: each runs on one chunk, on
// one thread, with one instruction set. As pointers they have one plain type for all operations and scalar types, so
// their callers are compiled once. In a C++ program they use the instruction set that the including file is compiled
// for; in the Python wheel, the best one that the machine has.
//
// An operation is a type with class templates whose objects are called with a scalar (a `lane`) and with a batch:
//
//   map<Arch, T>          the result, integers modulo 2^bits
//   clamped<Arch, T>      the result, integers clamped to the limits of their type. If missing: the same as map
//   overflows<Arch, T>    whether the result is beyond what the type can hold. If missing: it never is
#pragma once

#include <cstddef>

#include <twofold/element.hpp>
#include <twofold/flags.hpp>
#include <twofold/simd/byte_swap.hpp>
#include <twofold/simd/loop.hpp>
#include <twofold/simd/xsimd.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// The kernels of one operation for one scalar type and instruction set. n counts scalars; the contract for memory is
/// that of `apply` in simd/loop.hpp.
struct kernel_row {
    using mapping_kernel = void (*)(void const* in, void* out, std::size_t n) noexcept;
    using checking_kernel = bool (*)(void const* in, void* out, std::size_t n) noexcept;
    using reading_kernel = std::size_t (*)(void const* in, std::size_t n) noexcept;

    mapping_kernel wrap[2];          // indexed by `stores`
    mapping_kernel wrap_swapped[2];  // of scalars that are byte-swapped on both sides
    mapping_kernel clamped[2];
    checking_kernel checked[2];     // what `wrap` does; whether any result overflowed
    reading_kernel first_overflow;  // the index of the first scalar whose result overflows; n where there is none
};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// What `map` of an operation does, noting whether any result overflows.
template <class Operation, class Arch, class T>
class checked_map {
public:
    using lane = lane_of<T>;
    using batch = xsimd::batch<lane, Arch>;

    [[gnu::always_inline]] checked_map() noexcept {}

    [[nodiscard, gnu::always_inline]] lane operator()(lane x) noexcept {
        in_scalars_ |= overflows{}(x);
        return map{}(x);
    }

    [[nodiscard, gnu::always_inline]] batch operator()(batch const& x) noexcept {
        in_batches_ = in_batches_ | overflows{}(x);
        return map{}(x);
    }

    [[nodiscard, gnu::always_inline]] bool overflowed() const noexcept {
        return in_scalars_ || xsimd::any(in_batches_);
    }

private:
    using map = typename Operation::template map<Arch, T>;
    using overflows = typename Operation::template overflows<Arch, T>;

    bool in_scalars_ = false;
    // All false: nothing has overflowed yet. Not batch_bool(false), which in xsimd 8 is a call with an argument for
    // each lane that is not always inlined.
    typename batch::batch_bool_type in_batches_ = batch(lane{0}) != batch(lane{0});
};

/// The kernels of an operation.
template <class Operation, class Arch, class T>
struct kernels {
    template <stores Where>
    static void wrap(void const* in, void* out, std::size_t n) noexcept {
        run<Where, map>(in, out, n);
    }

    template <stores Where>
    static void wrap_swapped(void const* in, void* out, std::size_t n) noexcept {
        run<Where, byte_swapped<map, Arch, T>>(in, out, n);
    }

    template <stores Where>
    static void clamped(void const* in, void* out, std::size_t n) noexcept {
        if constexpr (requires { typename Operation::template clamped<Arch, T>; }) {
            run<Where, typename Operation::template clamped<Arch, T>>(in, out, n);
        } else {
            run<Where, map>(in, out, n);
        }
    }

    template <stores Where>
    static bool checked(void const* in, void* out, std::size_t n) noexcept {
        if constexpr (can_overflow) {
            return run<Where, checked_map<Operation, Arch, T>>(in, out, n).overflowed();
        } else {
            run<Where, map>(in, out, n);
            return false;
        }
    }

    static std::size_t first_overflow([[maybe_unused]] void const* in, std::size_t n) noexcept {
        if constexpr (can_overflow) {
            using overflows = typename Operation::template overflows<Arch, T>;
            return find_first<Arch>(static_cast<lane_of<T> const*>(in), n, overflows{});
        } else {
            return n;
        }
    }

private:
    using map = typename Operation::template map<Arch, T>;
    static constexpr bool can_overflow = requires { typename Operation::template overflows<Arch, T>; };

    template <stores Where, class Function>
    static Function run(void const* in, void* out, std::size_t n) noexcept {
        using lane = typename Function::lane;
        return apply<Arch, Where>(static_cast<lane*>(out), n, Function{}, static_cast<lane const*>(in));
    }
};

/// Kernels as pointers. Hidden, since g++ marks variable templates STB_GNU_UNIQUE, and an object with such a symbol is
/// never unloaded.
template <class Kernels>
#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constexpr kernel_row row_of{
    {Kernels::template wrap<stores::cached>, Kernels::template wrap<stores::streaming>},
    {Kernels::template wrap_swapped<stores::cached>, Kernels::template wrap_swapped<stores::streaming>},
    {Kernels::template clamped<stores::cached>, Kernels::template clamped<stores::streaming>},
    {Kernels::template checked<stores::cached>, Kernels::template checked<stores::streaming>},
    Kernels::first_overflow};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
