// twofold, with as many threads as it likes and with one.
#include <twofold/twofold.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <xsimd/xsimd.hpp>

#include "way.hpp"

namespace {

template <unsigned Threads>
struct with_twofold {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        twofold::double_into(std::span(in, n), std::span(out, n), {.threads = Threads});
    }
    template <class T>
    static void in_place(T* values, std::size_t n) {
        twofold::double_in_place(std::span(values, n), {.threads = Threads});
    }
    template <class Kernel, class... In>
    static void map(Kernel kernel, std::size_t n, double* out, In const*... in) {
        twofold::transform(std::span(in, n)..., std::span(out, n), kernel, {.threads = Threads});
    }
    static double dot(std::size_t n, double const* x, double const* y) {
        return twofold::transform_reduce(
            std::span(x, n), std::span(y, n), 0.0, [](auto a, auto b) noexcept { return a + b; },
            [](auto a, auto b) noexcept { return a * b; }, {.threads = Threads});
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::all_ways().push_back(peers::make_way<with_twofold<0>>("twofold"));
    peers::all_ways().push_back(peers::make_way<with_twofold<1>>("one_thread"));
    peers::all_versions().push_back("twofold=" TWOFOLD_VERSION);
    peers::all_versions().push_back("xsimd=" + std::to_string(XSIMD_VERSION_MAJOR) + "." +
                                    std::to_string(XSIMD_VERSION_MINOR) + "." + std::to_string(XSIMD_VERSION_PATCH));
    peers::all_versions().push_back(std::string("instruction_set=") + xsimd::default_arch::name());
    return true;
}();

}  // namespace
