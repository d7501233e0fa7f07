// An operation as a value: a constant table of pointers, which the engine is handed, so that it is compiled once, not
// once an operation. define_operation.hpp makes one of a type that twofold/simd/kernel_set.hpp describes.
#pragma once

#include <twofold/nd/strided_map.hpp>
#include <twofold/simd/kernel_set.hpp>

#include "instruction_sets.hpp"
#include "wheel_elements.hpp"

namespace twofold_wheel {

/// All that it points to is constant.
struct operation {
    char const* name;                                 // "module:attribute", by which a worker finds it
    char const* noun;                                 // what a message calls a result: "the double"
    kernel_table const* sets[instruction_set_count];  // by instruction set, in the order of the table
    // Of the weakest instruction set, by element number.
    twofold::detail::kernel_row const* long_double;
    twofold::detail::strided_row const* strided;
};

/// The one that ships.
extern operation const doubling_operation;

}  // namespace twofold_wheel
