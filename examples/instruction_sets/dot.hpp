// One function for each instruction set. dot.cpp is compiled for each; main.cpp chooses at run time.
#pragma once

#include <cstddef>

double dot_sse2(double const* x, double const* y, std::size_t n);
double dot_avx2(double const* x, double const* y, std::size_t n);
double dot_avx512(double const* x, double const* y, std::size_t n);
