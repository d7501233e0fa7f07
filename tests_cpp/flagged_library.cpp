#include "flagged.hpp"

#include <twofold/twofold.hpp>

namespace TWOFOLD_TEST_NAMESPACE {

void double_into(std::span<std::uint32_t const> in, std::span<std::uint32_t> out) {
    twofold::double_into(in, out);
    twofold::double_in_place(out.first(0));
}

void double_into(std::span<float const> in, std::span<float> out) {
    twofold::double_into(in, out);
    twofold::double_in_place(out.first(0));
}

}  // namespace TWOFOLD_TEST_NAMESPACE
