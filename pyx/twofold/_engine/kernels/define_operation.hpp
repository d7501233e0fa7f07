// Defines an operation as a value. The including file says which operation:
//
//     #define TWOFOLD_OPERATION twofold::detail::doubling       its type
//     #define TWOFOLD_TABLES twofold_kernels                    the prefix of its kernel tables, as in kernels.hpp
//     #define TWOFOLD_OPERATION_VALUE doubling_operation        the name of the value, in namespace twofold_wheel
//     #define TWOFOLD_OPERATION_NAME "twofold:double"           the name by which a worker finds it
//     #include "define_operation.hpp"
#include <array>
#include <cstddef>
#include <twofold/nd/strided_map.hpp>
#include <twofold/operation/doubling.hpp>
#include <type_traits>
#include <utility>

#include "instruction_sets.hpp"
#include "long_double.hpp"
#include "operation.hpp"
#include "timedelta.hpp"
#include "wheel_elements.hpp"

#define TWOFOLD_TABLE_(tables, name) tables##_##name
#define TWOFOLD_TABLE(tables, name) TWOFOLD_TABLE_(tables, name)

extern "C" {
#define TWOFOLD_INSTRUCTION_SET(name, machine, ...) \
    TWOFOLD_ON_##machine(extern twofold_wheel::kernel_table const TWOFOLD_TABLE(TWOFOLD_TABLES, name);)
#include "instruction_sets.def"
#undef TWOFOLD_INSTRUCTION_SET
}

namespace twofold_wheel {
namespace {

template <class T>
[[nodiscard]] constexpr twofold::detail::strided_row strided_row_of() noexcept {
    twofold::detail::strided_row row{};
    if constexpr (twofold::element<T>) {
        row = twofold::detail::strided_row_of<TWOFOLD_OPERATION, T>();
    } else if constexpr (std::is_same_v<scalar_of<T>, long double>) {
        row.wrap[0][0] = long_double_kernels<TWOFOLD_OPERATION>::wrap_each<scalars_per_element<T>>;
    } else if constexpr (std::is_same_v<TWOFOLD_OPERATION, twofold::detail::doubling>) {
        row.checked[0][0] = double_each_duration<false, false>;
        row.checked[0][1] = double_each_duration<false, true>;
        row.checked[1][0] = double_each_duration<true, false>;
        row.checked[1][1] = double_each_duration<true, true>;
    }
    return row;
}

constexpr auto strided_rows = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{strided_row_of<element_number<I>>()...};
}(std::make_index_sequence<element_count>{});

}  // namespace

constexpr operation TWOFOLD_OPERATION_VALUE{
    TWOFOLD_OPERATION_NAME,
    TWOFOLD_OPERATION::noun,
    {
#define TWOFOLD_INSTRUCTION_SET(name, machine, ...) TWOFOLD_ON_##machine(&TWOFOLD_TABLE(TWOFOLD_TABLES, name), )
#include "instruction_sets.def"
#undef TWOFOLD_INSTRUCTION_SET
    },
    &twofold::detail::row_of<long_double_kernels<TWOFOLD_OPERATION>>,
    strided_rows.data(),
};

}  // namespace twofold_wheel
