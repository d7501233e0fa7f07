// Chooses the wheel's instruction set; and runs the engine on pointers and element numbers, as called by
// twofold_engine.pyx.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <twofold/machine/cache_size.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/nd/layout.hpp>
#include <twofold/nd/overlap.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel/parallel_for.hpp>
#include <twofold/parallel/slices.hpp>

#include "kernels/instruction_sets.hpp"
#include "kernels/operation.hpp"
#include "kernels/wheel_elements.hpp"

extern "C" {
/// The version, as a C string. The only symbol that the extension module exports, for tools that inspect loaded
/// libraries, as threadpoolctl does.
[[gnu::visibility("default")]] char const* twofold_version() noexcept;
}

namespace twofold_wheel {

/// One instruction set of the wheel.
struct instruction_set {
    char const* name;
    bool supported;  // by the processor and by the operating system
    int number;      // its index in the table
};

/// All that were built, weakest first.
std::array<instruction_set, instruction_set_count> instruction_sets() noexcept;

/// The number of the set whose kernels run: the one that the environment variable TWOFOLD_SIMD names, else the
/// strongest that is supported. Decided once, by the first call, which reads the environment. Throws
/// std::invalid_argument for a name that is unknown or not supported, and if TWOFOLD_CACHE_BYTES is no size.
int chosen_set();

/// The same, or -1 if it is not decided yet. Does not read the environment.
int set_if_chosen() noexcept;

/// Bytes in the last-level cache. The first call reads the environment; it throws std::invalid_argument if
/// TWOFOLD_CACHE_BYTES is no size.
std::size_t cache_size();

/// The number of the element of that kind (see element_types.def) and size in bytes; -1 if there is none.
int find_element(char kind, std::size_t bytes) noexcept;

/// The smallest number of bytes for which a call may use more than one thread.
inline constexpr std::size_t threads_pay_bytes = twofold::detail::threads_pay_awake_bytes;

/// Limits the threads of calls that this thread makes; 0: no limit. Returns the previous limit.
unsigned exchange_thread_limit(unsigned limit) noexcept;

/// The limit of this thread; 0: none.
unsigned current_thread_limit() noexcept;

/// How many threads a call of this thread may use if it does not request a number, and by which rule. Reads the
/// environment; throws std::invalid_argument if TWOFOLD_NUM_THREADS is none. `pool_worker`: whether this process is a
/// worker of a process pool.
twofold::detail::thread_decision decide_threads(bool pool_worker);

/// The same number, which then is valid for recently_decided_threads on every thread without a limit.
unsigned decided_threads(bool pool_worker);

/// The same, or 0 if the environment would have to be read for it.
unsigned recently_decided_threads() noexcept;

/// Whether enough time has passed on this thread, since this last returned true, that signals should be handled. Called
/// after each piece of a call that NumPy has cut; `bytes` says how much was done, since the clock is not read for small
/// amounts.
bool is_time_for_signals(std::size_t bytes) noexcept;

using twofold::detail::array_side;
using twofold::detail::go_on_function;
using twofold::detail::interrupted;

/// Runs an operation with the kernels of that set on n elements of element number `element`. `in` and `out` are the
/// same or do not overlap. Returns n, or with overflow_policy::raise the index of the first element whose result
/// overflows; then `out` is unchanged if it is `in`, else unspecified. Or `interrupted`.
std::size_t run_elements(operation const& what, int set, int element, void const* in, void* out, std::size_t n,
                         twofold::detail::allowance threads, twofold::overflow_policy policy,
                         go_on_function go_on = nullptr) noexcept;

/// The same for N-dimensional arrays: `in` and `out` are the same array (data and strides), or share no byte; no two
/// elements of `out` share one. The index that it returns is in C order of the shape, and `n` is the number of
/// elements. Any alignment will do. ndim <= 64.
std::size_t run_array(operation const& what, int set, int element, array_side in, array_side out,
                      std::size_t const* shape, int ndim, twofold::detail::allowance threads,
                      twofold::overflow_policy policy, go_on_function go_on = nullptr) noexcept;

/// A loop of the user's: see parallel/loop.hpp. `what` identifies the kind of loops whose items take about the same
/// time.
using range_body = int (*)(std::ptrdiff_t first, std::ptrdiff_t count, void* user);
struct user_loop {
    void const* what;
    std::size_t n;
    std::size_t bytes_each;
    range_body body;
    void* user;
};

/// For how many bytes of doubling the loop stands, as far as is known: for all there are, where nothing is.
std::size_t bytes_of_loop(user_loop const& loop) noexcept;

/// Runs the loop. Returns 0, or the code of the first range that fails, or -1 if `go_on` said no.
int run_loop(user_loop const& loop, twofold::detail::allowance threads, go_on_function go_on) noexcept;

/// Copies N-dimensional arrays of that shape bit by bit, whatever their byte order. They share no byte.
void copy_elements(int element, array_side in, array_side out, std::size_t const* shape, int ndim) noexcept;

/// `count` items of a loop of that kind took `ns` on one thread.
void learn_item_cost(void const* what, std::size_t count, std::int64_t ns) noexcept;

/// Whether a call that is known to be short should be timed.
[[nodiscard]] bool is_due_for_timing() noexcept;

/// All floating-point flags of this thread, in the form in which set_float_flags takes them.
[[nodiscard]] std::uint32_t all_float_flags() noexcept;
void set_float_flags(std::uint32_t flags) noexcept;

/// The floating-point flags of this thread, of which overflow and invalid (FE_OVERFLOW and FE_INVALID of <cfenv>):
/// those raised since they were cleared, including by helpers of its calls.
[[nodiscard]] int raised_float_flags() noexcept;
void clear_float_flags() noexcept;

}  // namespace twofold_wheel
