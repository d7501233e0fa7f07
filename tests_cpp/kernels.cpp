#include "kernels.hpp"

#include <algorithm>
#include <bit>
#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <tuple>
#include <twofold/twofold.hpp>
#include <type_traits>
#include <utility>

namespace {

using bytes = std::vector<std::byte>;

// On which sums and products neither overflow nor round.
template <class T>
bytes numbers(std::size_t which, std::size_t n) {
    bytes all(n * sizeof(T));
    for (std::size_t i = 0; i < n; ++i) {
        auto const number = static_cast<std::uint8_t>((i * 7 + which * 3) % 40);
        T value;
        if constexpr (std::same_as<T, twofold::float16> || std::same_as<T, twofold::bfloat16>) {
            value = {number};
        } else {
            value = T(number);
        }
        std::memcpy(all.data() + i * sizeof(T), static_cast<void const*>(&value), sizeof(T));
    }
    return all;
}

template <class T>
T element_at(std::byte const* in, std::size_t i) {
    T value;
    std::memcpy(static_cast<void*>(&value), in + i * sizeof(T), sizeof(T));
    return value;
}

// The type of a kernel is all that is known of it where it runs, so it has no state.
template <class Out, class... In, class Kernel>
transform_under_test describe(char const* name, Kernel) {
    using all_numbers = bytes (*)(std::size_t, std::size_t);
    static constexpr auto inputs = std::index_sequence_for<In...>{};
    return {
        .name = name,
        .in_sizes = {sizeof(In)...},
        .out_size = sizeof(Out),
        .lanes = xsimd::batch<twofold::detail::lane_of<typename twofold::detail::scalar<Out>::type>>::size,
        .input =
            [](std::size_t which, std::size_t n) {
                static constexpr all_numbers each[] = {numbers<In>...};
                return each[which](which, n);
            },
        .expected =
            [](std::byte const* const* in, std::byte* out, std::size_t n) {
                auto const map = [&]<std::size_t... Which>(std::size_t i, std::index_sequence<Which...>) {
                    return static_cast<Out>(Kernel{}(element_at<In>(in[Which], i)...));
                };
                for (std::size_t i = 0; i < n; ++i) {
                    Out const value = map(i, inputs);
                    std::memcpy(out + i * sizeof(Out), static_cast<void const*>(&value), sizeof(Out));
                }
            },
        .transform =
            [](std::byte const* const* in, std::byte* out, std::size_t n, twofold::options const& how) {
                [&]<std::size_t... Which>(std::index_sequence<Which...>) {
                    twofold::transform(std::span(reinterpret_cast<In const*>(in[Which]), n)...,
                                       std::span(reinterpret_cast<Out*>(out), n), Kernel{}, how);
                }(inputs);
            },
    };
}

struct to_float {
    float operator()(std::int32_t x) const noexcept { return static_cast<float>(x); }
    template <class Arch>
    xsimd::batch<float, Arch> operator()(xsimd::batch<std::int32_t, Arch> const& x) const noexcept {
        return xsimd::to_float(x);
    }
    template <class Values>
    auto operator()(float x, Values k) const noexcept {
        return x * (*this)(k);
    }
    template <class Arch, class Values>
    auto operator()(xsimd::batch<float, Arch> const& x, Values k) const noexcept {
        return x * (*this)(k);
    }
};

// ---- reductions

// Floats of all sorts of exponents, integers of all bits.
template <class T>
bytes arbitrary_numbers(std::size_t which, std::size_t n) {
    bytes all(n * sizeof(T));
    std::uint64_t state = 7 + which;
    for (std::size_t i = 0; i < n; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        T value;
        if constexpr (std::integral<T>) {
            value = static_cast<T>(state >> 13);
        } else {
            using scalar = twofold::detail::scalar_of<T>;
            auto const mantissa = static_cast<scalar>(static_cast<std::int32_t>(state >> 32));
            value = T(mantissa * static_cast<scalar>(std::uint64_t{1} << (state >> 25) % 32));
        }
        std::memcpy(all.data() + i * sizeof(T), static_cast<void const*>(&value), sizeof(T));
    }
    return all;
}

// The same with infinities and NaNs here and there, not all of which cancel out.
template <class T>
bytes special_numbers(std::size_t which, std::size_t n) {
    bytes all = arbitrary_numbers<T>(which, n);
    T const special[] = {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                         -std::numeric_limits<T>::quiet_NaN()};
    for (std::size_t i = 40 + which; i < n; i += 5000) {
        std::memcpy(all.data() + i * sizeof(T), &special[i / 5000 % 3], sizeof(T));
    }
    return all;
}

// As the documentation has it, value by value.
template <class T, class Reduce>
T reduced(std::vector<T> const& values, T result, Reduce reduce) {
    std::size_t const n = values.size();
    std::size_t const length = std::max<std::size_t>(16384, (n + 32767) / 32768);
    for (std::size_t first = 0; first < n; first += length) {
        std::vector<T> accumulators;
        for (std::size_t i = first; i < std::min(first + length, n); ++i) {
            std::size_t const k = (i - first) % 64;
            if (i - first < 64) {
                accumulators.push_back(values[i]);
            } else {
                accumulators[k] = reduce(accumulators[k], values[i]);
            }
        }
        for (std::size_t half = 32; half > 0; half /= 2) {
            while (accumulators.size() > half) {
                std::size_t const k = accumulators.size() - 1 - half;
                accumulators[k] = reduce(accumulators[k], accumulators.back());
                accumulators.pop_back();
            }
        }
        result = reduce(result, accumulators[0]);
    }
    return result;
}

template <class T>
bytes bytes_of(T value) {
    bytes all(sizeof(T));
    std::memcpy(all.data(), static_cast<void const*>(&value), sizeof(T));
    return all;
}

constexpr auto initial = 3;

template <class T, class... In, class Reduce, class Map>
reduction_under_test describe_reduction(char const* name, Reduce, Map, bool has_special = false) {
    using all_numbers = bytes (*)(std::size_t, std::size_t);
    static constexpr auto inputs = std::index_sequence_for<In...>{};
    all_numbers input = [](std::size_t which, std::size_t n) {
        static constexpr all_numbers each[] = {arbitrary_numbers<In>...};
        return each[which](which, n);
    };
    if constexpr ((std::floating_point<In> && ...)) {
        if (has_special) {
            input = [](std::size_t which, std::size_t n) {
                static constexpr all_numbers each[] = {special_numbers<In>...};
                return each[which](which, n);
            };
        }
    }
    return {
        .name = name,
        .in_sizes = {sizeof(In)...},
        .is_nan_exact = !has_special,
        .input = input,
        .expected =
            [](std::byte const* const* in, std::size_t n) {
                std::vector<T> values;
                [&]<std::size_t... Which>(std::index_sequence<Which...>) {
                    for (std::size_t i = 0; i < n; ++i) values.push_back(Map{}(element_at<In>(in[Which], i)...));
                }(inputs);
                return bytes_of(reduced(values, T(initial), Reduce{}));
            },
        .reduce =
            [](std::byte const* const* in, std::size_t n, twofold::options const& how) {
                return [&]<std::size_t... Which>(std::index_sequence<Which...>) {
                    return bytes_of(twofold::transform_reduce(std::span(reinterpret_cast<In const*>(in[Which]), n)...,
                                                              T(initial), Reduce{}, Map{}, how));
                }(inputs);
            },
        .is_nan =
            [](bytes const& result) {
                auto const value = element_at<T>(result.data(), 0);
                return value != value;
            },
    };
}

struct larger {
    template <class T>
    T operator()(T x, T y) const noexcept {
        if constexpr (std::integral<T>) {
            return x < y ? y : x;
        } else {
            return xsimd::select(x < y, y, x);
        }
    }
};

std::vector<reduction_under_test> describe_all_reductions() {
    using complex64 = std::complex<float>;
    using complex128 = std::complex<double>;
    auto const sum = [](auto x, auto y) noexcept { return static_cast<decltype(x)>(x + y); };
    auto const product = [](auto x, auto y) noexcept { return static_cast<decltype(x)>(x * y); };
    auto const same = [](auto x) noexcept { return x; };
    auto const square = [](auto x) noexcept { return x * x; };
    return {
        describe_reduction<double, double>("sum of f64", sum, same),
        describe_reduction<float, float>("squares of f32", sum, square),
        describe_reduction<double, double, double>("dot of f64", sum, product),
        describe_reduction<float, float, float>("dot of f32", sum, product),
        describe_reduction<double, double>("sum of special f64", sum, same, true),
        describe_reduction<float, float, float>("dot of special f32", sum, product, true),
        describe_reduction<complex128, complex128>("sum of c128", sum, same),
        describe_reduction<std::uint64_t, std::uint64_t>("sum of u64", sum, same),
        describe_reduction<std::int32_t, std::int32_t>("largest i32", larger{}, same),
        describe_reduction<std::uint32_t, std::uint32_t, std::uint32_t>("dot of u32", sum, product),
        describe_reduction<std::uint16_t, std::uint16_t>("largest u16", larger{}, same),
        describe_reduction<std::int8_t, std::int8_t>("sum of i8, which wraps", sum, same),
        // A batch holds equally many of both types.
        describe_reduction<float, complex64>("norms of c64", sum, [](auto x) noexcept { return norm(x); }),
        // Element by element.
        describe_reduction<double, float>("sum of f32 in f64", sum,
                                          [](float x) noexcept { return static_cast<double>(x); }),
        describe_reduction<std::uint64_t, std::uint8_t, std::uint8_t>(
            "dot of u8 in u64", sum, [](std::uint64_t x, std::uint64_t y) noexcept { return x * y; }),
        describe_reduction<std::int8_t, std::int64_t>("largest bytes of i64", larger{},
                                                      [](auto x) noexcept { return static_cast<std::int8_t>(x); }),
    };
}

// ---- transforms

std::vector<transform_under_test> describe_all() {
    using complex64 = std::complex<float>;
    using complex128 = std::complex<double>;
    auto const sum = [](auto x, auto... others) noexcept { return static_cast<decltype(x)>((x + ... + others)); };
    auto const multiply_add = [](auto x, auto y, auto z) noexcept {
        return static_cast<decltype(x)>(static_cast<decltype(x)>(x * y) + z);
    };
    return {
        // Of one type.
        describe<double, double, double>("f64 + f64", sum),
        describe<float, float, float, float>("f32 * f32 + f32", multiply_add),
        describe<std::int8_t, std::int8_t, std::int8_t, std::int8_t>("i8 + i8 + i8", sum),
        describe<std::uint16_t, std::uint16_t, std::uint16_t, std::uint16_t>("u16 * u16 + u16", multiply_add),
        describe<std::uint64_t, std::uint64_t, std::uint64_t>("u64 + u64", sum),
        describe<complex128, complex128, complex128>("c128 + c128", sum),
        // Of types that a batch holds equally many of.
        describe<float, std::int32_t>("float of i32", to_float{}),
        describe<float, float, std::int32_t>("f32 * i32", to_float{}),
        describe<double, complex128>("norm of c128", [](auto x) noexcept { return norm(x); }),
        describe<complex64, complex64, float>("c64 + f32", sum),
        // Of other types, element by element.
        describe<float, double>("float of f64", [](double x) noexcept { return static_cast<float>(x); }),
        describe<std::int32_t, std::uint8_t, std::uint8_t>("u8 * u8", [](int x, int y) noexcept { return x * y; }),
        describe<std::int8_t, std::int64_t>("i8 of i64", [](auto x) noexcept { return static_cast<std::int8_t>(x); }),
        describe<double, float, double, std::int16_t>(
            "f32 * f64 + i16", [](float x, double y, double z) noexcept { return static_cast<double>(x) * y + z; }),
        describe<double, std::int8_t, complex64, twofold::float16>(
            "i8 + c64 + bits of f16",
            [](double x, complex64 y, twofold::float16 z) noexcept {
                return x + static_cast<double>(y.real()) + z.bits;
            }),
    };
}

}  // namespace

std::vector<transform_under_test> const& transforms_under_test() {
    static auto const all = describe_all();
    return all;
}

std::vector<reduction_under_test> const& reductions_under_test() {
    static auto const all = describe_all_reductions();
    return all;
}
