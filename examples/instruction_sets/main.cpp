// One kernel, compiled for several instruction sets, of which the best that the machine has is chosen at run time. In
// the last line, the order of the files matters: dot.cpp says why.
//
//     cd examples/instruction_sets
//     compile="g++ -std=c++20 -O2 -ffp-contract=off $(pkg-config --cflags twofold)"
//     $compile -c -DDOT=dot_sse2 dot.cpp -o dot_sse2.o
//     $compile -c -DDOT=dot_avx2 -mavx2 dot.cpp -o dot_avx2.o
//     $compile -c -DDOT=dot_avx512 -mavx512f -mavx512cd -mavx512dq -mavx512bw dot.cpp -o dot_avx512.o
//     $compile main.cpp dot_sse2.o dot_avx2.o dot_avx512.o $(pkg-config --libs twofold) -o dot
#include <cstddef>
#include <cstdio>
#include <vector>

#include "dot.hpp"

namespace {

// The flags above: a machine that has the first set of AVX-512 may lack the others.
auto* best_dot() {
    bool const has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    return has_avx512 ? dot_avx512 : __builtin_cpu_supports("avx2") ? dot_avx2 : dot_sse2;
}

}  // namespace

int main() {
    static auto* const dot = best_dot();  // once
    std::vector<double> x(1'000'000), y(1'000'000);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = 1.0 / static_cast<double>(i + 1);
        y[i] = static_cast<double>(i % 7);
    }
    double const result = dot(x.data(), y.data(), x.size());
    bool const is_same = result == dot_sse2(x.data(), y.data(), x.size());
    std::printf("%.3f, %s SSE2 gives\n", result, is_same ? "as" : "not what");
}
