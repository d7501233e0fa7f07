// twofold: doubles every element of an array at memory speed.
//
//     #include <twofold/twofold.hpp>
//
//     std::vector<std::uint32_t> in{1, 2, 3}, out(3);
//     twofold::double_into(in, out);                // out is {2, 4, 6}
//     twofold::double_in_place(out);                // out is {4, 8, 12}
//     auto more = twofold::doubled(out);            // a new vector: {8, 16, 24}
//     twofold::double_into(in, out, {.threads = 1});  // on this thread alone
//     twofold::transform(in, out, [](auto x) noexcept { return x * 3u; });  // the same engine, a kernel of yours
//     twofold::double_array<T>(view, other_view);   // several dimensions, any strides, either byte order
//
// Elements      Signed and unsigned integers of 8 to 64 bits, float, double, std::complex of these two, and the storage
//               types float16 and bfloat16. Floats are doubled as x + x is: -0.0 stays, a finite value may become
//               infinite, a NaN keeps its payload and becomes quiet.
// Overflow      options::overflow. wrap, if nothing is said: integers modulo 2^bits, without undefined behaviour.
//               saturate: the limits of the integer type. raise: twofold::overflow_error with the index of the first
//               element whose double does not fit (a finite float's: is infinite); in place nothing has changed then,
//               out of place the output is unspecified. first_overflow finds that element without doubling.
// Ranges        Any contiguous, sized range: vector, array, span, a C array. Any alignment, any size, also none.
//               No byte outside the two ranges is read or written.
// Aliasing      Input and output may be the same range. If they overlap otherwise, or differ in size:
//               std::invalid_argument, and nothing is written.
// Threads       Large calls are shared with helper threads where that has paid in calls like them; the helpers are
//               started by the first call that wants them and sleep when there is nothing to do. Any number of threads
//               may call at once. See parallel/thread_count.hpp for how many are used.
// Float modes   Those of the calling thread hold, on whichever thread an element is doubled: rounding, flushing of
// and flags     subnormals. Flags that its elements raise (FE_OVERFLOW, FE_INVALID) are raised on the calling thread;
//               the 16-bit floats, doubled by integer arithmetic, raise none. If operations may trap (feenableexcept),
//               the call is not shared.
// Fork          At any time, from any thread; parent and child both go on working. Not with _Fork or a raw clone, nor
//               in a kernel on a helper's thread. A fork waits for kernels that helpers are in, two seconds at most.
//               For those that take Python's GIL: python.hpp.
// Errors        Exceptions; under -fno-exceptions one line on stderr and an abort.
// Instruction   That of the including file, as its compiler flags have it. All functions stand in an inline namespace
// sets          that is named after these flags (flags.hpp). So a program may be linked from files with different ones:
//               the linker, which keeps one copy of each inline function, cannot hand the AVX2 copy to the file that
//               was compiled for an older machine.
//
// The way of the data, and the files in which it goes: ranges (double.hpp, transform.hpp) and views of arrays
// (arrays.hpp, nd/arrays.hpp) -> pointers and kernels (operation/run.hpp, simd/map_scalars.hpp) -> chunks, alone or
// shared (parallel/parallel_for.hpp) -> crew (parallel/crew.hpp) -> kernel (simd/kernel_set.hpp, simd/loop.hpp) -> what
// doubling means (operation/doubling.hpp). Folders are floors: a file includes its own floor and lower ones, which are,
// from below: this folder's element, error, flags, options and version; machine; parallel; simd; nd; operation; the
// public headers.
#pragma once

#include <twofold/arrays.hpp>
#include <twofold/double.hpp>
#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/options.hpp>
#include <twofold/transform.hpp>
#include <twofold/version.hpp>
