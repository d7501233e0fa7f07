#include "dispatch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <twofold/machine/clock.hpp>
#include <twofold/machine/environment.hpp>
#include <twofold/machine/float_environment.hpp>
#include <twofold/nd/arrays.hpp>
#include <twofold/parallel/adaptive.hpp>
#include <twofold/parallel/loop.hpp>
#include <twofold/version.hpp>
#include <utility>

namespace twofold_wheel {
namespace {

namespace engine = twofold::detail;

// Not a static local with an initializer: if another thread is in that during a fork, the child would wait for ever.
// Several threads that decide at the same time decide the same.
constinit std::atomic<int> chosen{-1};

// The initial-exec model would be faster, but uses up the space that the loader reserves for all libraries that are
// loaded late.
thread_local unsigned thread_limit = 0;

// One rule for all variables of ours: what cannot be used is an error. An empty text counts as none.
[[noreturn]] void refuse(char const* name, char const* text, std::string const& but) {
    throw std::invalid_argument(std::string(name) + " is '" + text + "', but " + but);
}

bool says_something(char const* text) noexcept {
    return text != nullptr && *text != '\0';
}

void check_thread_count() {
    engine::environment_variable const variable("TWOFOLD_NUM_THREADS");
    char const* const text = variable.text();
    if (says_something(text) && engine::parse_thread_count(text) == 0) {
        refuse("TWOFOLD_NUM_THREADS", text, "it must be a whole number from 1 to 4294967295");
    }
}

void check_cache_size() {
    engine::environment_variable const variable("TWOFOLD_CACHE_BYTES");
    char const* const text = variable.text();
    if (says_something(text) && engine::parse_cache_size(text, std::strlen(text)) == 0) {
        refuse("TWOFOLD_CACHE_BYTES", text, "it must be a size in bytes, or with a unit, such as 32M, 32MB or 32MiB");
    }
}

int choose(char const* wanted) {
    auto const sets = instruction_sets();
    bool const anyone = !says_something(wanted);
    int best = -1;
    std::string supported;
    for (instruction_set const& set : sets) {
        if (!set.supported) continue;
        if (anyone || std::string(wanted) == set.name) best = set.number;
        supported += (supported.empty() ? "" : ", ") + std::string(set.name);
    }
    if (best < 0) {
        refuse("TWOFOLD_SIMD", anyone ? "" : wanted, "this build of twofold on this machine has: " + supported);
    }
    return best;
}

// ---- elements

constexpr auto forms = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{engine::element_form_of<sizeof(element_number<I>), sizeof(scalar_of<element_number<I>>)>()...};
}(std::make_index_sequence<element_count>{});

constexpr auto kernel_numbers = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{kernel_number_of<scalar_of<element_number<I>>>...};
}(std::make_index_sequence<element_count>{});

engine::array_operation on_element(operation const& what, int set, int element) noexcept {
    auto const i = static_cast<std::size_t>(element);
    std::size_t const row = kernel_numbers[i];
    return {forms[i],
            row < kernel_scalar_count ? what.sets[static_cast<std::size_t>(set)]->rows[row] : *what.long_double,
            what.strided[i]};
}

// Durations that overflow are errors, as in NumPy, unless they are clamped.
twofold::overflow_policy policy_for(int element, twofold::overflow_policy policy) noexcept {
    using enum twofold::overflow_policy;
    return element_rows[element].kind == 'm' && policy == wrap ? raise : policy;
}

}  // namespace

std::array<instruction_set, instruction_set_count> instruction_sets() noexcept {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    // This asks the operating system, too, which xsimd before 13.1 does not: a processor may have registers that the
    // kernel does not save.
#define TWOFOLD_ALSO(feature) &&__builtin_cpu_supports(#feature)
#define TWOFOLD_ALSO_1(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO_2(__VA_ARGS__))
#define TWOFOLD_ALSO_2(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO_3(__VA_ARGS__))
#define TWOFOLD_ALSO_3(feature, ...) TWOFOLD_ALSO(feature) __VA_OPT__(TWOFOLD_ALSO(__VA_ARGS__))
#define TWOFOLD_INSTRUCTION_SET(name, machine, xsimd_type, ...) \
    TWOFOLD_ON_##machine(instruction_set{#name, true __VA_OPT__(TWOFOLD_ALSO_1(__VA_ARGS__)), 0}, )
    std::array<instruction_set, instruction_set_count> sets{{
#include "kernels/instruction_sets.def"
    }};
#undef TWOFOLD_INSTRUCTION_SET
#undef TWOFOLD_ALSO_3
#undef TWOFOLD_ALSO_2
#undef TWOFOLD_ALSO_1
#undef TWOFOLD_ALSO
    for (int number = 0; instruction_set & set : sets) set.number = number++;
    return sets;
}

int set_if_chosen() noexcept {
    return chosen.load(std::memory_order_acquire);
}

int chosen_set() {
    int set = set_if_chosen();
    if (set < 0) {
        set = choose(engine::environment_variable("TWOFOLD_SIMD").text());
        // Here with the GIL, since it reads the environment; the calls that need it next run without the GIL.
        static_cast<void>(cache_size());
        chosen.store(set, std::memory_order_release);
    }
    return set;
}

std::size_t cache_size() {
    if (engine::the_cache_size.load(std::memory_order_relaxed) == 0) check_cache_size();
    return engine::cache_size();
}

int find_element(char kind, std::size_t bytes) noexcept {
    auto const found = std::ranges::find_if(
        element_rows, [=](auto const& known) { return known.kind == kind && known.bits == 8 * bytes; });
    return found == std::end(element_rows) ? -1 : static_cast<int>(found - element_rows);
}

unsigned exchange_thread_limit(unsigned limit) noexcept {
    return std::exchange(thread_limit, limit);
}

unsigned current_thread_limit() noexcept {
    return thread_limit;
}

engine::thread_decision decide_threads(bool pool_worker) {
    if (thread_limit == 0) check_thread_count();
    return engine::decide_threads({.thread_limit = thread_limit, .pool_worker = pool_worker});
}

unsigned decided_threads(bool pool_worker) {
    if (thread_limit != 0) return thread_limit;
    check_thread_count();
    return engine::sharing::decided_threads(engine::now_ns(), {.pool_worker = pool_worker});
}

unsigned recently_decided_threads() noexcept {
    if (thread_limit != 0) return thread_limit;
    return engine::sharing::recently_decided_threads(engine::now_ns());
}

// <cfenv> would take ten times as long; float_modes uses its values for these flags.
int raised_float_flags() noexcept {
    return static_cast<int>(engine::float_modes::raised()) & (FE_OVERFLOW | FE_INVALID);
}

void clear_float_flags() noexcept {
    if (raised_float_flags() != 0) engine::float_modes::current().adopt();
}

void learn_item_cost(void const* what, std::size_t count, std::int64_t ns) noexcept {
    engine::item_cost(engine::call_kind_of(what)).learn(count, ns);
}

bool is_due_for_timing() noexcept {
    return engine::item_cost::is_due();
}

std::uint32_t all_float_flags() noexcept {
    return engine::float_modes::raised();
}

void set_float_flags(std::uint32_t flags) noexcept {
    engine::float_modes::current().adopt();
    engine::float_modes::raise(flags);
}

bool is_time_for_signals(std::size_t bytes) noexcept {
    // Calling a piece costs about as much as processing `piece_bytes`; `unchecked_bytes` are some ten microseconds'
    // work, or with a cast by NumPy, which may be slow, some milliseconds'.
    constexpr std::size_t piece_bytes = 256;
    constexpr std::size_t unchecked_bytes = std::size_t{128} << 10;
    constexpr std::int64_t interval_ns = 10'000'000;
    thread_local constinit struct {
        std::size_t bytes = 0;
        std::int64_t seen_ns = 0;
    } done;
    done.bytes += bytes + piece_bytes;
    if (done.bytes < unchecked_bytes) [[likely]] {
        return false;
    }
    done.bytes = 0;
    std::int64_t const now = engine::now_ns();
    if (now - done.seen_ns < interval_ns) return false;
    done.seen_ns = now;
    return true;
}

std::size_t run_elements(operation const& what, int set, int element, void const* in, void* out, std::size_t n,
                         engine::allowance threads, twofold::overflow_policy policy, go_on_function go_on) noexcept {
    return engine::map_contiguous(on_element(what, set, element), in, out, n, threads, policy_for(element, policy),
                                  go_on);
}

std::size_t run_array(operation const& what, int set, int element, array_side in, array_side out,
                      std::size_t const* shape, int ndim, engine::allowance threads, twofold::overflow_policy policy,
                      go_on_function go_on) noexcept {
    return engine::map_array(on_element(what, set, element), in, out, shape, ndim, threads, policy_for(element, policy),
                             go_on);
}

std::size_t bytes_of_loop(user_loop const& loop) noexcept {
    engine::item_cost const cost(engine::call_kind_of(loop.what));
    constexpr std::size_t all = ~std::size_t{0};
    std::size_t const bytes = cost.in_bytes(loop.bytes_each);
    return !cost.is_known() || loop.n > all / bytes ? all : loop.n * bytes;
}

int run_loop(user_loop const& loop, engine::allowance threads, go_on_function go_on) noexcept {
    return engine::loop(engine::call_kind_of(loop.what), loop.n, loop.bytes_each, threads, go_on,
                        [&loop](std::size_t first, std::size_t count) noexcept {
                            return loop.body(static_cast<std::ptrdiff_t>(first), static_cast<std::ptrdiff_t>(count),
                                             loop.user);
                        });
}

void copy_elements(int element, array_side in, array_side out, std::size_t const* shape, int ndim) noexcept {
    engine::copy_array(forms[static_cast<std::size_t>(element)], in, out, shape, ndim);
}

}  // namespace twofold_wheel

char const* twofold_version() noexcept {
    return TWOFOLD_VERSION;
}
