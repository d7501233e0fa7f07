// The engine with a kernel of yours: out[i] = in[i] * factor, never above a limit.
//
//     g++ -std=c++20 -O2 -march=native examples/scale.cpp $(pkg-config --cflags --libs twofold) -o scale
#include <cstdio>
#include <twofold/twofold.hpp>
#include <vector>

// One element and one xsimd::batch of elements alike, each to its own type; noexcept, and callable when const.
struct scale {
    float factor, limit;

    float operator()(float x) const noexcept {
        float const scaled = x * factor;
        return scaled < limit ? scaled : limit;
    }
    template <class Arch>
    xsimd::batch<float, Arch> operator()(xsimd::batch<float, Arch> const& x) const noexcept {
        // Word for word what is said of one element, so NaNs are the same, too.
        xsimd::batch<float, Arch> const scaled = x * factor, most(limit);
        return xsimd::select(scaled < most, scaled, most);
    }
};

int main() {
    std::vector<float> const in{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    std::vector<float> out(in.size());
    twofold::transform(in, out, scale{2.5F, 20});
    for (float const x : out) std::printf("%g ", static_cast<double>(x));
    // Where one expression is right for both, a lambda will do.
    twofold::transform(out, out, [](auto x) noexcept { return x * x; });
    std::printf("%g\n", static_cast<double>(out.back()));
}
