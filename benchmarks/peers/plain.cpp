// What needs no library: the loop that anybody would write, and memcpy, which doubles nothing but reads and writes as
// many bytes.
#include <cstddef>
#include <cstring>

#include "way.hpp"

namespace {

struct plain_loop {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) out[i] = peers::twice(in[i]);
    }
    template <class T>
    static void in_place(T* values, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) values[i] = peers::twice(values[i]);
    }
    template <class Kernel, class... In>
    static void map(Kernel kernel, std::size_t n, double* out, In const*... in) {
        for (std::size_t i = 0; i < n; ++i) out[i] = kernel(in[i]...);
    }
    static double dot(std::size_t n, double const* x, double const* y) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += x[i] * y[i];
        return sum;
    }
};

struct copy_of_libc {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        std::memcpy(out, in, n * sizeof(T));
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::all_ways().push_back(peers::make_way<plain_loop>("plain"));
    peers::all_ways().push_back(peers::make_way<copy_of_libc>("memcpy"));
    return true;
}();

}  // namespace
