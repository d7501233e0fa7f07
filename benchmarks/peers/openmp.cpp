// OpenMP loops, one of them with streaming stores. Their team spins between calls, as it does by default, but not when
// it is another's turn.
#include <omp.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <string>
#include <utility>

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
    template <class Kernel, class... In>
    static void map(Kernel kernel, std::size_t n, double* out, In const*... in) {
#pragma omp parallel for simd schedule(static)
        for (std::size_t i = 0; i < n; ++i) out[i] = kernel(in[i]...);
    }
    static double dot(std::size_t n, double const* x, double const* y) {
        double sum = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : sum)
        for (std::size_t i = 0; i < n; ++i) sum += x[i] * y[i];
        return sum;
    }
};

#if defined(__SSE2__)

#if defined(__AVX512F__)
using vector = __m512d;
void stream(double* to, vector v) {
    _mm512_stream_pd(to, v);
}
#elif defined(__AVX__)
using vector = __m256d;
void stream(double* to, vector v) {
    _mm256_stream_pd(to, v);
}
#else
using vector = __m128d;
void stream(double* to, vector v) {
    _mm_stream_pd(to, v);
}
#endif

// Arrays begin on a huge page, and hold whole cache lines.
struct streaming_loop {
    template <class Kernel, class... In>
    static void map(Kernel kernel, std::size_t n, double* out, In const*... in) {
#pragma omp parallel
        {
#pragma omp for schedule(static) nowait
            for (std::size_t i = 0; i < n; i += sizeof(vector) / sizeof(double)) {
                stream(out + i, kernel(*reinterpret_cast<vector const*>(in + i)...));
            }
            _mm_sfence();
        }
    }
};

#endif

void list(peers::way each) {
    each.after_turn = [] { omp_pause_resource_all(omp_pause_soft); };
    peers::all_ways().push_back(std::move(each));
}

[[maybe_unused]] bool const listed = [] {
    list(peers::make_way<openmp_loop>("openmp"));
#if defined(__SSE2__)
    list(peers::make_way<streaming_loop>("openmp_stream"));
#endif
    peers::all_versions().push_back("openmp=" + std::to_string(_OPENMP));
    return true;
}();

}  // namespace
