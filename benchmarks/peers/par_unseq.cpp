// The standard library's parallel algorithm, which runs on TBB's threads.
#include <tbb/version.h>

#include <algorithm>
#include <cstddef>
#include <execution>
#include <numeric>

#include "way.hpp"

namespace {

struct parallel_transform {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        std::transform(std::execution::par_unseq, in, in + n, out, [](T x) { return peers::twice(x); });
    }
    template <class T>
    static void in_place(T* values, std::size_t n) {
        out_of_place(values, values, n);
    }
    template <class Kernel>
    static void map(Kernel kernel, std::size_t n, double* out, double const* in) {
        std::transform(std::execution::par_unseq, in, in + n, out, kernel);
    }
    template <class Kernel>
    static void map(Kernel kernel, std::size_t n, double* out, double const* x, double const* y) {
        std::transform(std::execution::par_unseq, x, x + n, y, out, kernel);
    }
    static double dot(std::size_t n, double const* x, double const* y) {
        return std::transform_reduce(std::execution::par_unseq, x, x + n, y, 0.0);
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::all_ways().push_back(peers::make_way<parallel_transform>("par_unseq"));
    peers::all_versions().push_back("tbb=" TBB_VERSION_STRING);
    return true;
}();

}  // namespace
