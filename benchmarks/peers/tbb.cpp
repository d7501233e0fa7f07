// TBB's parallel_for and parallel_reduce, as they are without an argument: TBB decides how finely a range is cut.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>

#include <cstddef>
#include <functional>

#include "way.hpp"

namespace {

struct tbb_loop {
    using range = tbb::blocked_range<std::size_t>;

    template <class Kernel, class... In>
    static void map(Kernel kernel, std::size_t n, double* out, In const*... in) {
        tbb::parallel_for(range(0, n), [=](range const& part) {
            for (std::size_t i = part.begin(); i < part.end(); ++i) out[i] = kernel(in[i]...);
        });
    }
    static double dot(std::size_t n, double const* x, double const* y) {
        auto const of_part = [=](range const& part, double sum) {
            return sum + dot_of_part(part.size(), x + part.begin(), y + part.begin());
        };
        return tbb::parallel_reduce(range(0, n), 0.0, of_part, std::plus<>());
    }

private:
    // Not inlined: in the lambda GCC 12 keeps the sum in memory.
    [[gnu::noinline]] static double dot_of_part(std::size_t n, double const* x, double const* y) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::size_t i = 0; i < n; ++i) sum += x[i] * y[i];
        return sum;
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::all_ways().push_back(peers::make_way<tbb_loop>("tbb"));
    return true;
}();

}  // namespace
