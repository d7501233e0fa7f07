// Defines the kernels of an operation for one instruction set. The including file names the set as in
// instruction_sets.def:
//
//     #define TWOFOLD_KERNELS_FOR avx2
//     #include "kernels.hpp"
//
// For another operation than doubling, define TWOFOLD_OPERATION, its type, TWOFOLD_OPERATION_HEADER, which defines that
// type, and TWOFOLD_TABLES, the prefix of its tables: they are called <TWOFOLD_TABLES>_avx2 instead of
// twofold_kernels_avx2.
//
// The table is the only global symbol of its object file. If an inline function were visible outside, it could be the
// copy that the linker keeps for the whole program, and crash machines without the instruction set. So the namespace of
// all functions is unnamed here, and tests_cpp/_engine/test_kernel_symbols.py checks the objects.
#define TWOFOLD_FLAGS_NAMESPACE

#include <cfenv>
#include <cstddef>
#include <tuple>
#include <twofold/machine/float_environment.hpp>
#include <twofold/operation/doubling.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <twofold/simd/xsimd.hpp>

#include "instruction_sets.hpp"
#include "timedelta.hpp"
#include "wheel_elements.hpp"

#if defined(TWOFOLD_OPERATION)
#include TWOFOLD_OPERATION_HEADER
#else
#define TWOFOLD_OPERATION twofold::detail::doubling
#define TWOFOLD_TABLES twofold_kernels
#endif

namespace {

namespace engine = twofold::detail;

using arch = twofold_wheel::arch::TWOFOLD_KERNELS_FOR;

template <class T>
struct kernels : engine::kernels<TWOFOLD_OPERATION, arch, T> {};

// 16-bit floats are computed by integer arithmetic, but NumPy expects the flags that floating-point arithmetic would
// raise.
template <class T>
    requires engine::is_half_float<T>
struct kernels<T> : engine::kernels<TWOFOLD_OPERATION, arch, T> {
    template <engine::stores Where>
    static void wrap(void const* in, void* out, std::size_t n) noexcept {
        if (kernels::template checked<Where>(in, out, n)) engine::float_modes::raise(FE_OVERFLOW);
    }
    template <engine::stores Where>
    static void clamped(void const* in, void* out, std::size_t n) noexcept {
        kernels::template wrap<Where>(in, out, n);
    }
};

template <class T>
constexpr engine::kernel_row row() noexcept {
    engine::kernel_row made = engine::row_of<kernels<T>>;
    if (engine::is_half_float<T>) made.wrap_swapped[0] = made.wrap_swapped[1] = nullptr;  // it would raise no flags
    return made;
}

template <class Scalars>
struct table_for;

template <class... T>
struct table_for<std::tuple<T...>> {
    static constexpr twofold_wheel::kernel_table value{{row<T>()...}};
};

}  // namespace

#define TWOFOLD_KERNELS_NAME_(tables, set) tables##_##set
#define TWOFOLD_KERNELS_NAME(tables, set) TWOFOLD_KERNELS_NAME_(tables, set)

extern "C" constinit twofold_wheel::kernel_table const TWOFOLD_KERNELS_NAME(TWOFOLD_TABLES, TWOFOLD_KERNELS_FOR) =
    table_for<twofold_wheel::kernel_scalar_types>::value;
