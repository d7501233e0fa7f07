// Defines twofold_kernels_<set>, the kernels of one instruction set; the including file names it, as
// instruction_sets.def does:
//
//     #define TWOFOLD_KERNELS_FOR avx2
//     #include "kernels.hpp"
//
// That table is the only global symbol of its object file. An inline function that got out of here could be the copy
// that the linker keeps for the whole program, and would crash machines without the instruction set. So the namespace
// of all functions has no name here, and tests_cpp/_engine/test_kernel_symbols.py reads the objects.
#define TWOFOLD_FLAGS_NAMESPACE

#include <cfenv>
#include <cstddef>
#include <tuple>
#include <twofold/machine/float_environment.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <xsimd/xsimd.hpp>

#include "_engine/time_differences.hpp"
#include "_engine/wheel.hpp"

namespace {

namespace engine = twofold::detail;

template <class T>
struct kernels : engine::part_kernels<twofold_wheel::arch::TWOFOLD_KERNELS_FOR, T> {};

// 16-bit floats are doubled by integer arithmetic. NumPy looks at the flags that floating-point arithmetic would raise.
template <class T>
    requires engine::is_half_float<T>
struct kernels<T> : engine::part_kernels<twofold_wheel::arch::TWOFOLD_KERNELS_FOR, T> {
    template <engine::stores Where>
    static void wrap(T const* in, T* out, std::size_t n) noexcept {
        if (kernels::template checked<Where>(in, out, n)) engine::float_modes::raise(FE_OVERFLOW);
    }
    template <engine::stores Where>
    static void saturate(T const* in, T* out, std::size_t n) noexcept {
        kernels::template wrap<Where>(in, out, n);
    }
};

template <class Parts>
struct table_for;

template <class... T>
struct table_for<std::tuple<T...>> {
    static constexpr twofold_wheel::kernel_table value{engine::pointers_to<kernels<T>, T>...};
};

}  // namespace

#define TWOFOLD_KERNELS_NAME_(set) twofold_kernels_##set
#define TWOFOLD_KERNELS_NAME(set) TWOFOLD_KERNELS_NAME_(set)

extern "C" constinit twofold_wheel::kernel_table const TWOFOLD_KERNELS_NAME(TWOFOLD_KERNELS_FOR) =
    table_for<twofold_wheel::kernel_part_types>::value;
