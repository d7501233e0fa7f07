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
//     twofold::transform(a, b, c, out, kernel);     // up to three inputs, element types of any sort
//     double dot = twofold::transform_reduce(x, y, 0.0, sum, product);  // kernels of yours again, to one value
//     twofold::parallel_for(n, bytes_per_item, body);  // a loop of yours: body(first, count) on ranges of [0, n)
//     twofold::double_array<T>(view, other_view);   // several dimensions, any strides, either byte order
//
// Elements      Signed and unsigned integers of 8 to 64 bits, float, double, std::complex of these two, and the storage
//               types float16 and bfloat16. Floats are doubled as x + x is: -0.0 stays, a finite value may become
//               infinite, a NaN keeps its payload and becomes quiet.
// Overflow      options::overflow. wrap, the default: integers modulo 2^bits, without undefined behaviour.
//               saturate: clamped to the limits of the type. raise: twofold::overflow_error with the index of the
//               first element whose double does not fit (of a finite float: is infinite); in place nothing has
//               changed then, and out of place the output is unspecified. first_overflow finds that element without
//               doubling.
// Ranges        Any contiguous, sized range: vector, array, span, a C array. Any alignment, any size, zero included.
//               No byte outside the two ranges is read or written.
// Aliasing      Input and output may be the same range. If they overlap otherwise, or differ in size:
//               std::invalid_argument, and nothing is written. Of several inputs, each may be the output.
// Threads       Large calls are shared with helper threads where that has paid off in similar calls; the helpers are
//               started by the first call that wants them and sleep when there is nothing to do. Any number of threads
//               may call at once. See parallel/thread_count.hpp for how many are used.
// Float modes   The calling thread's modes (rounding, flushing of subnormals) hold on whichever thread an element is
// and flags     doubled. Flags that its elements raise (FE_OVERFLOW, FE_INVALID) are raised on the calling thread;
//               the 16-bit floats, doubled by integer arithmetic, raise none. If operations may trap (feenableexcept),
//               the call is not shared.
// Fork          At any time, from any thread; parent and child both keep working. Not with _Fork or a raw clone, nor
//               in a kernel on a helper's thread. A fork waits for the kernels that helpers are running, for at most
//               two seconds. If those take Python's GIL, see python.hpp.
// Errors        Exceptions; under -fno-exceptions one line on stderr and an abort.
// Instruction   That of the including file, chosen by its compiler flags. All functions stand in an inline namespace
// sets          that is named after these flags (flags.hpp). So a program may link files with different flags:
//               the linker, which keeps one copy of each inline function, cannot hand the AVX2 copy to the file that
//               was compiled for an older machine.
// Reductions    transform_reduce gives the same bits for every number of threads: in which order values are combined
//               depends on how many they are, and on nothing else. See docs/kernels.md.
// Loops         parallel_for runs a loop of yours under the same rules of threads, float modes, flags and forks. How
//               long its items take is learnt from the calls before, so a loop of few costly items is shared, too.
//
// How data flows, and through which files: ranges (double.hpp, transform.hpp) and views of arrays (arrays.hpp,
// nd/arrays.hpp) -> pointers and kernels (operation/run.hpp, simd/map_scalars.hpp) -> chunks, alone or shared
// (parallel/parallel_for.hpp) -> crew (parallel/crew.hpp) -> kernel (simd/kernel_set.hpp, simd/loop.hpp) -> what
// doubling means (operation/doubling.hpp). Folders are floors: a file includes its own floor and lower ones, which are,
// from below: this folder's element, error, flags, options and version; machine; parallel; simd; nd; operation; the
// public headers.
#pragma once

#include <twofold/arrays.hpp>
#include <twofold/double.hpp>
#include <twofold/element.hpp>
#include <twofold/error.hpp>
#include <twofold/options.hpp>
#include <twofold/parallel_for.hpp>
#include <twofold/transform.hpp>
#include <twofold/transform_reduce.hpp>
#include <twofold/version.hpp>
