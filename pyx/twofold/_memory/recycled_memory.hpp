// Memory for large results: a freed block is kept, and serves the next request that it fits. So the system need not
// fault in and clear its pages for each result, which takes longer than filling them.
//
// Knows nothing of Python or NumPy. The four functions of an allocator, which any thread may call at any time; their
// blocks must not be mixed with malloc's.
//
// What is kept
//   Up to cap() bytes in all; beyond that, the block that was freed first goes back to the system. Kept blocks are
//   marked MADV_FREE, so a system that runs short of memory reclaims their pages first.
//
// Layout of a block
//   Whole huge pages, aligned to a huge page, and advised for them (MADV_HUGEPAGE). The block's size, which
//   `reallocate` and `release` are not told, is stored on a page of its own in front of it. malloc serves requests of
//   less than recycled_bytes, with the same header in front.
//
// Fork
//   The table of kept blocks holds one atomic word for each, so a fork at any moment leaves it consistent. The child
//   gives the blocks in it back at once: they are shared with its parent, and writing to them would copy them.
#pragma once

#include <cstddef>

namespace twofold_memory {

/// From this size on blocks are recycled. Smaller requests go to malloc, and glibc recycles them itself. Measured by
/// `benchmarks/fresh_results.py`.
inline constexpr std::size_t recycled_bytes = std::size_t{32} << 20;

/// Every block is aligned to at least this.
inline constexpr std::size_t min_alignment = 64;

/// A block of at least `bytes`, whose contents are arbitrary; null if there is no memory.
[[nodiscard]] void* allocate(std::size_t bytes) noexcept;

/// A block of `count` times `bytes` zeros; null if there is no memory for it.
[[nodiscard]] void* allocate_zeros(std::size_t count, std::size_t bytes) noexcept;

/// A block of at least `bytes` with the contents of the given one, which is released if the result is another block.
/// Returns null if there is no memory; then the given block is unchanged. Null gives a new block.
[[nodiscard]] void* reallocate(void* block, std::size_t bytes) noexcept;

/// Releases a block. Null is ignored.
void release(void* block) noexcept;

/// Whether blocks are recycled at all: not if the environment variable TWOFOLD_RECYCLE_MEMORY is 0. The first call
/// reads it, once; like getenv itself, that must not run concurrently with setenv.
[[nodiscard]] bool is_on() noexcept;

/// The same. Throws std::invalid_argument if the variable is neither 0 nor 1, and then decides nothing.
bool is_on_or_invalid();

/// The maximum number of bytes that are kept: max_kept_bytes, or a sixteenth of the memory of this process if that is
/// less, which is the machine's or the limit of its control groups. Decided once.
[[nodiscard]] std::size_t cap() noexcept;

/// The bytes that are kept right now.
[[nodiscard]] std::size_t kept_bytes() noexcept;

/// Gives all kept blocks back to the system. Returns how many bytes they had.
std::size_t release_kept() noexcept;

inline constexpr std::size_t max_kept_bytes = std::size_t{512} << 20;

/// The share of `memory` that may be kept, in bytes.
[[nodiscard]] constexpr std::size_t cap_for(std::size_t memory) noexcept {
    return memory / 16 < max_kept_bytes ? memory / 16 : max_kept_bytes;
}

}  // namespace twofold_memory
