// An operation as a value: a constant table of pointers that the engine is handed, so that the engine is compiled once,
// not once per operation. define_operation.hpp makes one from a type as described in twofold/simd/kernel_set.hpp.
#pragma once

#include <twofold/nd/strided_map.hpp>
#include <twofold/simd/kernel_set.hpp>

#include "instruction_sets.hpp"
#include "wheel_elements.hpp"

namespace twofold_wheel {

/// Everything that it points to is constant.
struct operation {
    char const* name;                                 // "module:attribute", by which a worker finds it
    char const* noun;                                 // what a message calls a result: "the double"
    kernel_table const* sets[instruction_set_count];  // by instruction set, in the order of the table
    // Compiled for the weakest instruction set; `strided` is indexed by element number.
    twofold::detail::kernel_row const* long_double;
    twofold::detail::strided_row const* strided;
};

/// The operation that ships.
extern operation const doubling_operation;

}  // namespace twofold_wheel
