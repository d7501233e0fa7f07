// An OpenMP loop. Its team spins between calls, as it does by default, but not when it is another's turn.
#include <omp.h>

#include <cstddef>
#include <string>

#include "way.hpp"

namespace {

struct openmp_loop {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
#pragma omp parallel for simd schedule(static)
        for (std::size_t i = 0; i < n; ++i) out[i] = peers::twice(in[i]);
    }
    template <class T>
    static void in_place(T* values, std::size_t n) {
#pragma omp parallel for simd schedule(static)
        for (std::size_t i = 0; i < n; ++i) values[i] = peers::twice(values[i]);
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::way loop = peers::make_way<openmp_loop>("openmp");
    loop.after_turn = [] { omp_pause_resource_all(omp_pause_soft); };
    peers::all_ways().push_back(loop);
    peers::all_versions().push_back("openmp=" + std::to_string(_OPENMP));
    return true;
}();

}  // namespace
