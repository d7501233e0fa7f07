// Defines twofold_kernels_<set>, the kernels of one instruction set; the including file names it, as
// instruction_sets.def does:
//
//     #define TWOFOLD_KERNELS_FOR avx2
//     #include "kernels.hpp"
//
// That table is the only global symbol of its object file. An inline function that got out of here could be the copy
// that the linker keeps for the whole program, and would crash machines without the instruction set. So all that is
// instantiated here depends on a type of the unnamed namespace, and tests_cpp/test_kernel_symbols.py reads the objects.
#include <tuple>
#include <twofold/dispatch.hpp>
#include <xsimd/xsimd.hpp>

#include "wheel.hpp"

namespace {

namespace engine = twofold::detail;

struct here;  // which makes every kernel below a type of this file alone

template <class Parts>
struct table_for;

template <class... T>
struct table_for<std::tuple<T...>> {
    static constexpr engine::kernel_table value{
        engine::pointers_to<engine::part_kernels<twofold_wheel::arch::TWOFOLD_KERNELS_FOR, T, here>, T>...};
};

}  // namespace

#define TWOFOLD_KERNELS_NAME_(set) twofold_kernels_##set
#define TWOFOLD_KERNELS_NAME(set) TWOFOLD_KERNELS_NAME_(set)

extern "C" constinit engine::kernel_table const TWOFOLD_KERNELS_NAME(TWOFOLD_KERNELS_FOR) =
    table_for<engine::part_types>::value;
