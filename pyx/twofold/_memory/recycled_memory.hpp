// Memory for large results that come and go: a freed block is kept, and serves the next request that it fits. So its
// pages need not be faulted in, and cleared by the system, for each result anew, which takes longer than to fill them.
//
// Knows nothing of Python or NumPy. The four functions of an allocator, which any thread may call at any time; a block
// of one of them belongs to none of malloc's.
//
// What is kept
//   Up to cap() bytes in all; beyond, the block that was freed first goes back to the system. Kept blocks are marked as
//   free to take (MADV_FREE), so a system that runs short of memory takes their pages before it looks at any other's.
//
// Where a block lies
//   On addresses that are multiples of a huge page, in whole huge pages, and advised for them. What `reallocate` and
//   `release` are not told, its size, stands on a page of its own in front of that. Requests of less than
//   recycled_bytes are served by malloc, with the same header in front.
//
// Fork
//   The table of kept blocks holds one atomic word for each, so a fork at any moment leaves one that makes sense. The
//   child gives the blocks in it back at once: they are its parent's, and writing to them would copy them.
#pragma once

#include <cstddef>

namespace twofold_memory {

/// From this size on blocks are recycled. Below, glibc recycles what it is asked for itself, and here malloc serves.
/// Measured by `benchmarks/fresh_results.py`.
inline constexpr std::size_t recycled_bytes = std::size_t{32} << 20;

/// Every block begins at a multiple of this.
inline constexpr std::size_t min_alignment = 64;

/// A block of at least `bytes`, whose contents are arbitrary; null if there is no memory.
[[nodiscard]] void* allocate(std::size_t bytes) noexcept;

/// A block of `count` times `bytes` zeros; null if there is no memory for it.
[[nodiscard]] void* allocate_zeros(std::size_t count, std::size_t bytes) noexcept;

/// A block of at least `bytes` that begins as the one given, which is released if it is another. If there is no memory,
/// null, and the one given stays as it is. Null gives a new one.
[[nodiscard]] void* reallocate(void* block, std::size_t bytes) noexcept;

/// Takes a block back. Null is none.
void release(void* block) noexcept;

/// Whether blocks are recycled at all: not if the environment variable TWOFOLD_RECYCLE_MEMORY is 0. Read once, by the
/// first call that asks; like getenv itself, that must not run beside a setenv.
[[nodiscard]] bool is_on() noexcept;

/// The most bytes that are kept: max_kept_bytes, or a sixteenth of the memory there is for this process, which is that
/// of the machine or the limit of its control groups. Decided once.
[[nodiscard]] std::size_t cap() noexcept;

/// The bytes that are kept right now.
[[nodiscard]] std::size_t kept_bytes() noexcept;

/// Gives all kept blocks back to the system. Returns how many bytes they were.
std::size_t release_kept() noexcept;

inline constexpr std::size_t max_kept_bytes = std::size_t{512} << 20;

/// The share of `memory` that may be kept, in bytes.
[[nodiscard]] constexpr std::size_t cap_for(std::size_t memory) noexcept {
    return memory / 16 < max_kept_bytes ? memory / 16 : max_kept_bytes;
}

}  // namespace twofold_memory
