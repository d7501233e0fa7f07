#include "simd/flagged.hpp"

#include <bit>
#include <twofold/twofold.hpp>

namespace TWOFOLD_TEST_NAMESPACE {
namespace {

template <class T>
flagged_functions<T> all_functions() {
    using values = std::vector<T>;
    using policy = twofold::overflow_policy;
    return {
        .double_into =
            [](values const& in, policy how) {
                values out(in.size());
                twofold::double_into(in, out, {.overflow = how});
                return out;
            },
        .double_in_place =
            [](values all, policy how) {
                twofold::double_in_place(all, {.overflow = how});
                return all;
            },
        .doubled = [](values const& in, policy how) { return twofold::doubled(in, {.overflow = how}); },
        .double_strided =
            [](values const& in, policy how) {
                values out(in.size());
                twofold::double_strided(in.data(), 1, out.data() + out.size() - 1, -1, in.size(), {.overflow = how});
                return out;
            },
        .double_array =
            [](values const& in, policy how) {
                constexpr bool is_little = std::endian::native == std::endian::little;
                values out(in.size());
                std::size_t const shape[] = {in.size()};
                std::ptrdiff_t const step[] = {sizeof(T)};
                twofold::double_array<T>({in.data(), shape, step},
                                         {out.data(), shape, step, is_little ? std::endian::big : std::endian::little},
                                         {.overflow = how});
                return out;
            },
        .first_overflow = [](values const& in) { return twofold::first_overflow(in); },
        .transform =
            [](values const& in) {
                values out(in.size());
                if constexpr (!std::same_as<T, twofold::float16>) {
                    twofold::transform(in, out, [](auto x) noexcept { return static_cast<decltype(x)>(x + x); });
                }
                return out;
            },
        .transform_reduce =
            [](values const& in) {
                if constexpr (std::same_as<T, twofold::float16>) {
                    return in[0];
                } else {
                    auto const sum = [](auto x, auto y) noexcept { return static_cast<decltype(x)>(x + y); };
                    return twofold::transform_reduce(in, T(0), sum, [](auto x) noexcept { return x; });
                }
            },
    };
}

}  // namespace

flagged_functions<std::uint32_t> functions_for(std::uint32_t) {
    return all_functions<std::uint32_t>();
}
flagged_functions<std::int8_t> functions_for(std::int8_t) {
    return all_functions<std::int8_t>();
}
flagged_functions<float> functions_for(float) {
    return all_functions<float>();
}
flagged_functions<twofold::float16> functions_for(twofold::float16) {
    return all_functions<twofold::float16>();
}
flagged_functions<std::complex<double>> functions_for(std::complex<double>) {
    return all_functions<std::complex<double>>();
}

}  // namespace TWOFOLD_TEST_NAMESPACE
