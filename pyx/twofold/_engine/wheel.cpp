#include "wheel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <twofold/nd/layout.hpp>
#include <utility>

namespace twofold_wheel {
namespace {

// Not a static with an initializer in chosen_kernels: a fork while another thread is in that would leave the child
// waiting for ever. Threads that come first together decide the same.
constinit std::atomic<kernel_table const*> chosen{nullptr};

// Of initial-exec would be faster, but takes from what the loader sets aside for all libraries that are loaded late.
thread_local unsigned thread_limit = 0;

constexpr auto descriptions = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{describe_wheel_element<element_number<I>>()...};
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
#include "kernels/instruction_sets.def"
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
        static_cast<void>(twofold::detail::cache_size());
        chosen.store(kernels, std::memory_order_release);
    }
    return *kernels;
}

char const* chosen_name() {
    kernel_table const* const kernels = &chosen_kernels();
    auto const sets = instruction_sets();
    return std::ranges::find(sets, kernels, &instruction_set::kernels)->name;
}

std::size_t cache_size() noexcept {
    return twofold::detail::cache_size();
}

twofold::element_description element_at(std::size_t i) noexcept {
    return descriptions[i];
}

int find_element(char kind, std::size_t bytes) noexcept {
    auto const found = std::ranges::find_if(
        descriptions, [=](auto const& known) { return known.kind == kind && known.bits == 8 * bytes; });
    return found == descriptions.end() ? -1 : static_cast<int>(found - descriptions.begin());
}

unsigned exchange_thread_limit(unsigned limit) noexcept {
    return std::exchange(thread_limit, limit);
}

unsigned current_thread_limit() noexcept {
    return thread_limit;
}

std::uint64_t number_of_this_thread() noexcept {
    static constinit std::atomic<std::uint64_t> threads{0};
    thread_local std::uint64_t number = 0;
    if (number == 0) number = ++threads;
    return number;
}

twofold::detail::thread_decision decide_threads(bool pool_worker) noexcept {
    return twofold::detail::decide_threads({.thread_limit = thread_limit, .pool_worker = pool_worker});
}

unsigned decided_threads(bool pool_worker) noexcept {
    if (thread_limit != 0) return thread_limit;
    return twofold::detail::sharing::decided_threads(twofold::detail::now_ns(), {.pool_worker = pool_worker});
}

unsigned recently_decided_threads() noexcept {
    if (thread_limit != 0) return thread_limit;
    return twofold::detail::sharing::recently_decided_threads(twofold::detail::now_ns());
}

// What <cfenv> would take ten times as long for; float_modes has its numbers for these flags.
int raised_float_flags() noexcept {
    return static_cast<int>(twofold::detail::float_modes::raised()) & (FE_OVERFLOW | FE_INVALID);
}

void clear_float_flags() noexcept {
    if (raised_float_flags() != 0) twofold::detail::float_modes::current().adopt();
}

bool is_time_for_signals(std::size_t bytes) noexcept {
    // A piece costs its caller about as much as these bytes; so many bytes are some ten microseconds' work, and with a
    // cast by NumPy, which may be slow, some milliseconds'.
    constexpr std::size_t piece_bytes = 256;
    constexpr std::size_t looked_after_bytes = std::size_t{128} << 10;
    constexpr std::int64_t interval_ns = 10'000'000;
    thread_local constinit struct {
        std::size_t bytes = 0;
        std::int64_t seen_ns = 0;
    } done;
    done.bytes += bytes + piece_bytes;
    if (done.bytes < looked_after_bytes) [[likely]] {
        return false;
    }
    done.bytes = 0;
    std::int64_t const now = twofold::detail::now_ns();
    if (now - done.seen_ns < interval_ns) return false;
    done.seen_ns = now;
    return true;
}

bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept {
    return twofold::detail::partly_overlap(a, b, bytes);
}

bool arrays_overlap(array_side a, array_side b, std::size_t const* shape, int ndim,
                    std::size_t element_bytes) noexcept {
    bool is_same = a.data == b.data && a.swapped == b.swapped;
    // The bytes that each lies in: [first, end).
    auto const extent_of = [&](array_side const& side) {
        auto first = reinterpret_cast<std::uintptr_t>(side.data);
        auto end = first + element_bytes;
        for (int i = 0; i < ndim; ++i) {
            auto const reach = static_cast<std::uintptr_t>(side.strides[i]) * (shape[i] - 1);  // modulo 2^64
            (side.strides[i] < 0 ? first : end) += reach;
        }
        return std::pair{first, end};
    };
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return false;
        if (shape[i] > 1 && a.strides[i] != b.strides[i]) is_same = false;
    }
    auto const [a_first, a_end] = extent_of(a);
    auto const [b_first, b_end] = extent_of(b);
    return !is_same && a_first < b_end && b_first < a_end;
}

bool overlaps_itself(array_side const& side, std::size_t const* shape, int ndim, std::size_t element_bytes) noexcept {
    std::array<std::pair<std::size_t, std::size_t>, twofold::detail::most_dimensions> axes;  // stride, length
    auto end = axes.begin();
    for (int i = 0; i < ndim; ++i) {
        if (shape[i] == 0) return false;
        if (shape[i] > 1) *end++ = {twofold::detail::magnitude(side.strides[i]), shape[i]};
    }
    std::sort(axes.begin(), end);
    std::size_t reach = element_bytes;
    for (auto axis = axes.begin(); axis != end; ++axis) {
        if (axis->first < reach) return true;
        reach += axis->first * (axis->second - 1);
    }
    return false;
}

}  // namespace twofold_wheel

char const* twofold_version() noexcept {
    return TWOFOLD_VERSION;
}
