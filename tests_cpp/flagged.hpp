// Two files of one program, built with different instruction-set flags: flagged_library.cpp, twice.
#pragma once

#include <cstdint>
#include <span>

namespace baseline_flags {
void double_into(std::span<std::uint32_t const> in, std::span<std::uint32_t> out);
void double_into(std::span<float const> in, std::span<float> out);
}  // namespace baseline_flags

namespace special_flags {
void double_into(std::span<std::uint32_t const> in, std::span<std::uint32_t> out);
void double_into(std::span<float const> in, std::span<float> out);
}  // namespace special_flags
