// Two files of one program, built with different instruction-set flags: flagged_library.cpp, twice.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <twofold/element.hpp>
#include <twofold/options.hpp>
#include <vector>

/// Each public function, as one of the two files has it for elements T.
template <class T>
struct flagged_functions {
    std::vector<T> (*double_into)(std::vector<T> const&, twofold::overflow_policy);
    std::vector<T> (*double_in_place)(std::vector<T>, twofold::overflow_policy);
    std::vector<T> (*doubled)(std::vector<T> const&, twofold::overflow_policy);
    std::vector<T> (*double_strided)(std::vector<T> const&, twofold::overflow_policy);  // from the last to the first
    std::vector<T> (*double_array)(std::vector<T> const&, twofold::overflow_policy);    // into the other byte order
    std::optional<std::size_t> (*first_overflow)(std::vector<T> const&);
    std::vector<T> (*transform)(std::vector<T> const&);  // x + x
    T (*transform_reduce)(std::vector<T> const&);        // the sum, which may wrap
};

namespace baseline_flags {
flagged_functions<std::uint32_t> functions_for(std::uint32_t);
flagged_functions<std::int8_t> functions_for(std::int8_t);
flagged_functions<float> functions_for(float);
flagged_functions<twofold::float16> functions_for(twofold::float16);
flagged_functions<std::complex<double>> functions_for(std::complex<double>);
}  // namespace baseline_flags

namespace special_flags {
flagged_functions<std::uint32_t> functions_for(std::uint32_t);
flagged_functions<std::int8_t> functions_for(std::int8_t);
flagged_functions<float> functions_for(float);
flagged_functions<twofold::float16> functions_for(twofold::float16);
flagged_functions<std::complex<double>> functions_for(std::complex<double>);
}  // namespace special_flags
