// The wheel's side of dispatch: which of its instruction sets runs, and the engine on pointers and element numbers, as
// twofold_engine.pyx calls it.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <twofold/operation/run.hpp>
#include <twofold/simd/kernel_set.hpp>
#include <xsimd/xsimd.hpp>

#include "wheel_elements.hpp"

// What a row of another machine holds is passed over.
#if defined(__x86_64__)
#define TWOFOLD_ON_x86_64(...) __VA_ARGS__
#define TWOFOLD_ON_aarch64(...)
#elif defined(__aarch64__)
#define TWOFOLD_ON_x86_64(...)
#define TWOFOLD_ON_aarch64(...) __VA_ARGS__
#else
#error "twofold: instruction_sets.def has no row for this machine yet"
#endif

// The tables, one object file each. C linkage, so that the names say what `nm` should show.
extern "C" {
#define TWOFOLD_INSTRUCTION_SET(name, machine, ...) \
    TWOFOLD_ON_##machine(extern twofold_wheel::kernel_table const twofold_kernels_##name;)
#include "kernels/instruction_sets.def"
#undef TWOFOLD_INSTRUCTION_SET

/// The version, as a C string. The one symbol that the extension module shows to those who look at loaded libraries, as
/// threadpoolctl does.
[[gnu::visibility("default")]] char const* twofold_version() noexcept;
}

namespace twofold_wheel {

/// What xsimd calls the instruction sets of the table.
namespace arch {
#define TWOFOLD_INSTRUCTION_SET(name, machine, xsimd_type, ...) TWOFOLD_ON_##machine(using name = xsimd::xsimd_type;)
#include "kernels/instruction_sets.def"
#undef TWOFOLD_INSTRUCTION_SET
}  // namespace arch

/// One instruction set of the wheel.
struct instruction_set {
    char const* name;
    bool supported;  // by the processor and by the operating system
    kernel_table const* kernels;
};

#define TWOFOLD_INSTRUCTION_SET(name, machine, ...) TWOFOLD_ON_##machine(+1)
inline constexpr std::size_t instruction_set_count = 0
#include "kernels/instruction_sets.def"
    ;
#undef TWOFOLD_INSTRUCTION_SET

/// All that were built, weakest first.
std::array<instruction_set, instruction_set_count> instruction_sets() noexcept;

/// The kernels that run: those of the set that the environment variable TWOFOLD_SIMD names, else of the strongest that
/// is supported. Decided once, by the first call, which reads the environment. Throws std::invalid_argument for a name
/// that is unknown or not supported.
kernel_table const& chosen_kernels();

/// The same, or null where nobody has decided yet. Reads no environment.
kernel_table const* kernels_if_chosen() noexcept;

/// The name of their instruction set. Throws as chosen_kernels does.
char const* chosen_name();

/// What the engine takes for the size of the last-level cache, in bytes.
std::size_t cache_size() noexcept;

/// Element number `i` of wheel_element_types, with i < element_count.
twofold::element_description element_at(std::size_t i) noexcept;

/// The number of the element of that kind (see describe_element) and size in bytes; -1 where there is none.
int find_element(char kind, std::size_t bytes) noexcept;

/// The least number of bytes with which a call may use more than one thread.
inline constexpr std::size_t threads_pay_bytes = twofold::detail::threads_pay_awake_bytes;

/// Limits the threads of calls that this thread makes; 0: no limit. Returns the limit before.
unsigned exchange_thread_limit(unsigned limit) noexcept;

/// The limit of this thread; 0: none.
unsigned current_thread_limit() noexcept;

/// Of this thread alone, also once it has ended, as no identifier of the system's is.
std::uint64_t number_of_this_thread() noexcept;

/// How many threads a call of this thread may use that does not say, and by which rule. Reads the environment.
/// `pool_worker`: whether this process is a worker of a process pool.
twofold::detail::thread_decision decide_threads(bool pool_worker) noexcept;

/// The same number, which then holds for recently_decided_threads, of every thread that has no limit.
unsigned decided_threads(bool pool_worker) noexcept;

/// The same, or 0 if the environment would have to be read for it.
unsigned recently_decided_threads() noexcept;

/// Whether two arrays of `bytes` each share some bytes without being the same.
bool partly_overlap(void const* a, void const* b, std::size_t bytes) noexcept;

/// Asked between the slices of a long call whether it should go on. Null: it should.
using go_on_function = bool (*)();

/// What a call returns that was told not to go on, also where it has met an overflow; it asks no more. Some slices are
/// doubled then; with overflow_policy::raise in place there may be none.
inline constexpr std::size_t stopped = ~std::size_t{0};

/// The memory that a slice of a long call reads and writes: some ten milliseconds' work for one thread, whatever the
/// layout.
inline constexpr std::size_t slice_bytes = std::size_t{64} << 20;

/// Whether so much time has passed since this last said so, on this thread, that signals should be seen to. Asked after
/// each piece of a call that is cut by others; `bytes` says how much was done, since the clock is not read for a
/// little.
bool is_time_for_signals(std::size_t bytes) noexcept;

/// Doubles n elements of element number `element` with the kernels given. `in` and `out` are the same or do not
/// overlap. Returns n, or with overflow_policy::raise the index of the first element whose double overflows; then `out`
/// is what it was if it is `in`, else unspecified. Or `stopped`.
std::size_t double_elements(kernel_table const& kernels, int element, void const* in, void* out, std::size_t n,
                            twofold::detail::allowance threads, twofold::overflow_policy policy,
                            go_on_function go_on = nullptr) noexcept;

/// One side of a call on an N-dimensional array.
struct array_side {
    void* data;                     // the element whose indices are all 0
    std::ptrdiff_t const* strides;  // in bytes, of any sign; 0 for the input alone
    bool swapped;                   // not in this machine's byte order
};

/// The same for N-dimensional arrays: `in` and `out` are the same array (data and strides), or share no byte; no two
/// elements of `out` share one. The index that it returns counts in C order of the shape, and `n` is the number of
/// elements. Any alignment will do. ndim <= 64.
std::size_t double_array(kernel_table const& kernels, int element, array_side in, array_side out,
                         std::size_t const* shape, int ndim, twofold::detail::allowance threads,
                         twofold::overflow_policy policy, go_on_function go_on = nullptr) noexcept;

/// Copies N-dimensional arrays of that shape as they are, whatever their byte order. They share no byte.
void copy_elements(int element, array_side in, array_side out, std::size_t const* shape, int ndim) noexcept;

/// Whether two arrays of that shape may share some byte without being the same array.
[[nodiscard]] bool arrays_overlap(array_side a, array_side b, std::size_t const* shape, int ndim,
                                  std::size_t element_bytes) noexcept;

/// Whether elements of an array may share bytes. None do where each axis steps over all that those of smaller strides
/// reach; such as are interleaved without that count as sharing.
[[nodiscard]] bool overlaps_itself(array_side const& side, std::size_t const* shape, int ndim,
                                   std::size_t element_bytes) noexcept;

/// Of the floating-point flags of this thread, overflow and invalid (FE_OVERFLOW and FE_INVALID of <cfenv>): what has
/// happened since they were cleared, whichever thread did it for a call.
[[nodiscard]] int raised_float_flags() noexcept;
void clear_float_flags() noexcept;

}  // namespace twofold_wheel
