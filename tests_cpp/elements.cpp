#include "elements.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "expected.hpp"

// The instruction set under test: that of the flags, or what XSIMD_DEFAULT_ARCH names (xsimd has some that are no
// machine's).
using arch = xsimd::default_arch;

namespace {

template <class T>
bytes as_bytes(std::vector<T> const& elements) {
    bytes all(elements.size() * sizeof(T));
    copy_bytes(all.data(), elements.data(), all.size());
    return all;
}

template <class T>
std::vector<T> as_elements(bytes const& all) {
    std::vector<T> elements(all.size() / sizeof(T));
    copy_bytes(elements.data(), all.data(), all.size());
    return elements;
}

// The index that an overflow_error of `call` holds, or n.
template <class Call>
std::size_t index_of_error(std::size_t n, Call const& call) {
    try {
        call();
    } catch (twofold::overflow_error const& error) {
        return error.index();
    }
    return n;
}

template <class T>
element_under_test describe() {
    // Kernels run on scalars, of which a complex number is two.
    using scalar = twofold::detail::scalar_of<T>;
    static constexpr std::size_t scalars = twofold::detail::scalars_per_element<T>;
    // Not constexpr: GCC 16 would take a lambda that calls one of them for constexpr, too, and then refuse it.
    using kernels_of_element = twofold::detail::compiled_kernels<twofold::detail::doubling, T>;
    static auto const* const kernels = &twofold::detail::row_of<kernels_of_element>;
    auto const description = describe_element<T>;
    return {
        .name = description.kind + std::to_string(description.bits),
        .size = sizeof(T),
        .scalar_size = sizeof(scalar),
        .lanes = std::max<std::size_t>(xsimd::batch<twofold::detail::lane_of<scalar>, arch>::size / scalars, 1),
        .arbitrary = [](std::size_t n) { return as_bytes(arbitrary_elements<T>(n)); },
        .fitting = [](std::size_t n) { return as_bytes(arbitrary_elements_that_fit<T>(n)); },
        .special_values = [] { return as_bytes(special_values<T>()); },
        .overflowing = [] { return as_bytes(std::vector{smallest_overflowing<T>()}); },
        .doubles = [](bytes const& all,
                      overflow_policy policy) { return as_bytes(expected_doubles(as_elements<T>(all), policy)); },
        .overflows =
            [](bytes const& all) {
                std::vector<bool> overflows;
                for (T const& x : as_elements<T>(all)) overflows.push_back(expected_overflows(x));
                return overflows;
            },
        .double_elements = [](void const* in, void* out, std::size_t n, options const& how) -> std::size_t {
            std::span<T const> const source(static_cast<T const*>(in), n);
            std::span<T> const target(static_cast<T*>(out), n);
            return index_of_error(n, [&] {
                if (in == out) {
                    twofold::double_in_place(target, how);
                } else {
                    twofold::double_into(source, target, how);
                }
            });
        },
        .double_strided = [](void const* in, std::ptrdiff_t in_stride, void* out, std::ptrdiff_t out_stride,
                             std::size_t n, options const& how) -> std::size_t {
            return index_of_error(n, [&] {
                twofold::double_strided(static_cast<T const*>(in), in_stride, static_cast<T*>(out), out_stride, n, how);
            });
        },
        .double_array = [](twofold::array_view<std::byte const> in, twofold::array_view<std::byte> out,
                           options const& how) -> std::size_t {
            std::size_t n = 1;
            for (std::size_t const length : out.shape) n *= length;
            return index_of_error(n, [&] {
                twofold::double_array<T>({reinterpret_cast<T const*>(in.data), in.shape, in.strides, in.byte_order},
                                         {reinterpret_cast<T*>(out.data), out.shape, out.strides, out.byte_order}, how);
            });
        },
        .first_overflow = [](void const* in, std::size_t n, options const& how) -> std::size_t {
            std::span<T const> const source(static_cast<T const*>(in), n);
            return twofold::first_overflow(source, how).value_or(n);
        },
        .double_by_kernel = [](void const* in, void* out, std::size_t n, overflow_policy policy,
                               stores where) -> std::size_t {
            auto const by_stores = static_cast<std::size_t>(where);
            if (policy == overflow_policy::raise) {
                bool const overflowed = kernels->checked[by_stores](in, out, n * scalars);
                return overflowed ? kernels->first_overflow(in, n * scalars) / scalars : n;
            }
            (policy == overflow_policy::saturate ? kernels->clamped : kernels->wrap)[by_stores](in, out, n * scalars);
            return n;
        },
        .first_overflow_by_kernel = [](void const* in, std::size_t n) -> std::size_t {
            return kernels->first_overflow(in, n * scalars) / scalars;
        },
    };
}

template <class... T>
std::vector<element_under_test> describe_all(std::tuple<T...> const*) {
    return {describe<T>()...};
}

}  // namespace

std::vector<element_under_test> const& elements_under_test() {
    static auto const all = describe_all(static_cast<twofold::element_types const*>(nullptr));
    return all;
}

instruction_set_under_test set_under_test() {
#if defined(TWOFOLD_EXPECTED_ARCH)
    return {arch::name(), xsimd::TWOFOLD_EXPECTED_ARCH::name(), arch::available()};
#else
    return {arch::name(), arch::name(), arch::available()};
#endif
}
