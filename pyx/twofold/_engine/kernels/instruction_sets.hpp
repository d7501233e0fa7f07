// The rows of instruction_sets.def for this machine.
#pragma once

#include <cstddef>
#include <twofold/simd/xsimd.hpp>

// Rows of other machines are ignored.
#if defined(__x86_64__)
#define TWOFOLD_ON_x86_64(...) __VA_ARGS__
#define TWOFOLD_ON_aarch64(...)
#elif defined(__aarch64__)
#define TWOFOLD_ON_x86_64(...)
#define TWOFOLD_ON_aarch64(...) __VA_ARGS__
#else
#error "twofold: instruction_sets.def has no row for this machine yet"
#endif

namespace twofold_wheel {

/// xsimd's types for the instruction sets of the table.
namespace arch {
#define TWOFOLD_INSTRUCTION_SET(name, machine, xsimd_type, ...) TWOFOLD_ON_##machine(using name = xsimd::xsimd_type;)
#include "instruction_sets.def"
#undef TWOFOLD_INSTRUCTION_SET
}  // namespace arch

#define TWOFOLD_INSTRUCTION_SET(name, machine, ...) TWOFOLD_ON_##machine(+1)
inline constexpr std::size_t instruction_set_count = 0
#include "instruction_sets.def"
    ;
#undef TWOFOLD_INSTRUCTION_SET

}  // namespace twofold_wheel
