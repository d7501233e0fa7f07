#include "wheel.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace twofold_wheel {
namespace {

using twofold::detail::kernel_table;
using baseline = xsimd::default_arch;  // this file has no flags
using elements = twofold::element_types;

template <std::size_t I>
using element_number = std::tuple_element_t<I, elements>;

// Not a static with an initializer in chosen_kernels: a fork while another thread is in that would leave the child
// waiting for ever. Threads that come first together decide the same.
constinit std::atomic<kernel_table const*> chosen{nullptr};

constexpr auto descriptions = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{twofold::describe_element<element_number<I>>...};
}(std::make_index_sequence<element_count>{});

instruction_set choose(char const* wanted) {
    auto const sets = instruction_sets();
    bool const anyone = wanted == nullptr || *wanted == '\0';
    instruction_set const* best = nullptr;
    std::string supported;
    for (instruction_set const& set : sets) {
        if (!set.supported) continue;
        if (anyone || std::string(wanted) == set.name) best = &set;
        supported += (supported.empty() ? "" : ", ") + std::string(set.name);
    }
    if (best == nullptr) {
        throw std::invalid_argument("TWOFOLD_SIMD is '" + std::string(anyone ? "" : wanted) +
                                    "', but this build of twofold on this machine has: " + supported);
    }
    return *best;
}

}  // namespace

std::array<instruction_set, instruction_set_count> instruction_sets() noexcept {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    // Asks the operating system too: a processor may have registers that the kernel does not save. xsimd does not
    // before 13.1.
#define TWOFOLD_ALSO(feature) &&__builtin_cpu_supports(#feature)
#define TWOFOLD_ALSO_1(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO_2(__VA_ARGS__))
#define TWOFOLD_ALSO_2(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO_3(__VA_ARGS__))
#define TWOFOLD_ALSO_3(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO(__VA_ARGS__))
#define TWOFOLD_INSTRUCTION_SET(name, machine, xsimd_type, ...) \
    TWOFOLD_ON_##machine(                                       \
        instruction_set{#name, true __VA_OPT__(TWOFOLD_ALSO_1(__VA_ARGS__)), &twofold_kernels_##name}, )
    return {
#include "instruction_sets.def"
    };
#undef TWOFOLD_INSTRUCTION_SET
#undef TWOFOLD_ALSO_3
#undef TWOFOLD_ALSO_2
#undef TWOFOLD_ALSO_1
#undef TWOFOLD_ALSO
}

kernel_table const* kernels_if_chosen() noexcept {
    return chosen.load(std::memory_order_acquire);
}

kernel_table const& chosen_kernels() {
    kernel_table const* kernels = kernels_if_chosen();
    if (kernels == nullptr) {
        kernels = choose(std::getenv("TWOFOLD_SIMD")).kernels;
        // Here under the GIL, since it reads the environment; the calls that want it next run without the GIL.
        static_cast<void>(twofold::detail::cache_size<baseline>());
        chosen.store(kernels, std::memory_order_release);
    }
    return *kernels;
}

char const* chosen_name() {
    kernel_table const* const kernels = &chosen_kernels();
    auto const sets = instruction_sets();
    return std::ranges::find(sets, kernels, &instruction_set::kernels)->name;
}

twofold::element_description element_at(std::size_t i) noexcept {
    return descriptions[i];
}

int find_element(char kind, std::size_t bytes) noexcept {
    auto const found = std::ranges::find_if(
        descriptions, [=](auto const& known) { return known.kind == kind && known.bits == 8 * bytes; });
    return found == descriptions.end() ? -1 : static_cast<int>(found - descriptions.begin());
}

unsigned decided_threads() noexcept {
    return twofold::detail::sharing<baseline>::decided_threads(twofold::detail::now_ns<baseline>());
}

unsigned recently_decided_threads() noexcept {
    return twofold::detail::sharing<baseline>::recently_decided_threads(twofold::detail::now_ns<baseline>());
}

bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept {
    return twofold::detail::partly_overlap<baseline>(a, b, bytes);
}

std::size_t double_elements(kernel_table const& kernels, int element, void const* in, void* out, std::size_t n,
                            twofold::detail::allowance threads, twofold::overflow_policy policy) noexcept {
    std::size_t done = n;
    auto const run = [&]<class T>(std::type_identity<T>) {
        using part = twofold::detail::part_of<T>;
        constexpr std::size_t parts = twofold::detail::parts_per_element<T>;
        twofold::detail::part_kernel_pointers<part> const& pointers = kernels;
        done = twofold::detail::double_parts<baseline>(pointers, static_cast<part const*>(in), static_cast<part*>(out),
                                                       n * parts, threads, policy) /
               parts;
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (void)((static_cast<std::size_t>(element) == I && (run(std::type_identity<element_number<I>>{}), true)) || ...);
    }(std::make_index_sequence<element_count>{});
    return done;
}

bool double_elements_noting_overflow(kernel_table const& kernels, int element, void const* in, void* out, std::size_t n,
                                     twofold::detail::allowance threads) noexcept {
    bool overflowed = false;
    auto const run = [&]<class T>(std::type_identity<T>) {
        if constexpr (twofold::detail::is_half_float<T>) {
            twofold::detail::part_kernel_pointers<T> const& pointers = kernels;
            overflowed = twofold::detail::double_parts_noting_overflow<baseline>(pointers, static_cast<T const*>(in),
                                                                                 static_cast<T*>(out), n, threads);
            return true;
        }
        return false;
    };
    bool const is_noted = [&]<std::size_t... I>(std::index_sequence<I...>) {
        return ((static_cast<std::size_t>(element) == I && run(std::type_identity<element_number<I>>{})) || ...);
    }(std::make_index_sequence<element_count>{});
    if (!is_noted) double_elements(kernels, element, in, out, n, threads, twofold::overflow_policy::wrap);
    return overflowed;
}

}  // namespace twofold_wheel
