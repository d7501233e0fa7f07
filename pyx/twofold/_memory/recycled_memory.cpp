#include "recycled_memory.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <twofold/machine/cgroup.hpp>
#include <twofold/machine/environment.hpp>

namespace twofold_memory {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
static_assert(recycled_bytes % huge_page == 0);

// ---- a block and its header

struct header {
    std::size_t bytes;     // as asked for
    std::size_t capacity;  // of a mapped block, in bytes of whole huge pages; 0 for a block from malloc
};
static_assert(sizeof(header) <= min_alignment);

header& header_of(void* block) noexcept {
    return *reinterpret_cast<header*>(static_cast<char*>(block) - min_alignment);
}

std::size_t page_bytes() noexcept {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
    return (bytes + unit - 1) / unit * unit;
}

// No array is as large, and adding the sizes of some pages does not overflow.
constexpr std::size_t max_bytes = SIZE_MAX / 4;

void unmap(void* block, std::size_t capacity) noexcept {
    munmap(static_cast<char*>(block) - page_bytes(), page_bytes() + capacity);
}

// Maps pages of zeros, and the header's page in front of them.
void* map(std::size_t capacity) noexcept {
    std::size_t const page = page_bytes();
    std::size_t const length = page + capacity + huge_page;  // enough to align it to a huge page
    void* const all = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return nullptr;
    char* const first = static_cast<char*>(all);
    std::size_t const skipped = round_up(reinterpret_cast<std::uintptr_t>(first) + page, huge_page) - page -
                                reinterpret_cast<std::uintptr_t>(first);
    if (skipped != 0) munmap(first, skipped);
    if (skipped != huge_page) munmap(first + skipped + page + capacity, huge_page - skipped);
#if defined(MADV_HUGEPAGE)
    madvise(first + skipped, page + capacity, MADV_HUGEPAGE);
#endif
    return first + skipped + page;
}

// ---- the table of kept blocks

// A word holds the address of a block and, in the bits that are 0 in an aligned address, its number of huge pages. That
// is all there is to know about a block, so a thread that exchanges a word for 0 owns the block, whatever other threads
// do meanwhile.
struct kept_block {
    std::atomic<std::uintptr_t> word{0};
    std::atomic<std::uint64_t> number{0};  // in the order of being freed
};

// As many as fit into the cap.
constinit std::array<kept_block, max_kept_bytes / recycled_bytes> kept{};
constinit std::atomic<std::uint64_t> last_number{0};

static_assert(max_kept_bytes / huge_page < huge_page);

std::size_t capacity_of(std::uintptr_t word) noexcept {
    return word % huge_page * huge_page;
}

void* block_of(std::uintptr_t word) noexcept {
    return reinterpret_cast<void*>(word - word % huge_page);
}

// Removes the word if it is still there. Then its block belongs to this thread.
bool take(kept_block& from, std::uintptr_t word) noexcept {
    return from.word.compare_exchange_strong(word, 0);
}

// Takes the smallest kept block of at least `capacity` bytes that wastes no more than a quarter of them: the rest of a
// block is unused as long as the block is in use. Null if there is none.
void* take_fitting(std::size_t capacity) noexcept {
    for (;;) {
        kept_block* best = nullptr;
        std::uintptr_t best_word = 0;
        for (kept_block& candidate : kept) {
            std::uintptr_t const word = candidate.word.load();
            if (capacity_of(word) < capacity || capacity_of(word) - capacity > capacity / 4) continue;
            if (best != nullptr && capacity_of(word) >= capacity_of(best_word)) continue;
            best = &candidate;
            best_word = word;
        }
        if (best == nullptr) return nullptr;
        if (take(*best, best_word)) return block_of(best_word);
    }
}

// Gives the block that was freed first back to the system.
void drop_oldest() noexcept {
    kept_block* oldest = nullptr;
    std::uintptr_t oldest_word = 0;
    for (kept_block& candidate : kept) {
        std::uintptr_t const word = candidate.word.load();
        if (word == 0 || (oldest != nullptr && candidate.number.load() >= oldest->number.load())) continue;
        oldest = &candidate;
        oldest_word = word;
    }
    if (oldest != nullptr && take(*oldest, oldest_word)) unmap(block_of(oldest_word), capacity_of(oldest_word));
}

bool put(std::uintptr_t word) noexcept {
    for (kept_block& slot : kept) {
        std::uintptr_t empty = 0;
        if (slot.word.load() != 0 || !slot.word.compare_exchange_strong(empty, word)) continue;
        slot.number.store(++last_number);
        return true;
    }
    return false;
}

constinit std::atomic<bool> watches_forks{false};

void keep(void* block, std::size_t capacity) noexcept {
    if (!is_on() || capacity > cap()) {
        unmap(block, capacity);
        return;
    }
    // If a fork comes before the handler is registered, the child keeps the blocks of its parent, which is harmless.
    if (!watches_forks.exchange(true)) pthread_atfork(nullptr, nullptr, [] { release_kept(); });
    madvise(block, capacity, MADV_FREE);
    while (!put(reinterpret_cast<std::uintptr_t>(block) + capacity / huge_page)) drop_oldest();
    // Put first, then check: of several threads that do this at once, the last sees what all have put.
    while (kept_bytes() > cap()) drop_oldest();
}

// ---- blocks from malloc, with the header in front

void* allocate_small(std::size_t bytes) noexcept {
    void* const all = std::aligned_alloc(min_alignment, min_alignment + round_up(bytes, min_alignment));
    if (all == nullptr) return nullptr;
    void* const block = static_cast<char*>(all) + min_alignment;
    header_of(block) = {bytes, 0};
    return block;
}

// A mapped block, new or recycled.
void* allocate_large(std::size_t bytes, bool zeros) noexcept {
    if (bytes > max_bytes) return nullptr;
    std::size_t capacity = round_up(bytes, huge_page);
    void* block = zeros ? nullptr : take_fitting(capacity);
    if (block != nullptr) {
        capacity = header_of(block).capacity;
    } else {
        block = map(capacity);
        // Releasing what is kept may bring this process below a limit.
        if (block == nullptr && release_kept() != 0) block = map(capacity);
        if (block == nullptr) return nullptr;
    }
    header_of(block) = {bytes, capacity};
    return block;
}

std::size_t memory_of_process() noexcept {
    std::uint64_t const memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * page_bytes();
    return twofold::detail::smaller_limit(memory, twofold::detail::cgroup_memory());
}

}  // namespace

void* allocate(std::size_t bytes) noexcept {
    return bytes < recycled_bytes ? allocate_small(bytes) : allocate_large(bytes, false);
}

void* allocate_zeros(std::size_t count, std::size_t bytes) noexcept {
    if (bytes != 0 && count > max_bytes / bytes) return nullptr;
    bytes *= count;
    if (bytes >= recycled_bytes) return allocate_large(bytes, true);
    void* const block = allocate_small(bytes);
    if (block != nullptr) std::memset(block, 0, bytes);
    return block;
}

void* reallocate(void* block, std::size_t bytes) noexcept {
    if (block == nullptr) return allocate(bytes);
    header& has = header_of(block);
    bool const stays = has.capacity != 0 && bytes >= recycled_bytes && bytes <= has.capacity &&
                       has.capacity - bytes <= bytes / 4 + huge_page;
    if (stays) {
        has.bytes = bytes;
        return block;
    }
    void* const other = allocate(bytes);
    if (other == nullptr) return nullptr;
    std::memcpy(other, block, (std::min)(bytes, has.bytes));
    release(block);
    return other;
}

void release(void* block) noexcept {
    if (block == nullptr) return;
    if (std::size_t const capacity = header_of(block).capacity; capacity != 0) {
        keep(block, capacity);
    } else {
        std::free(static_cast<char*>(block) - min_alignment);
    }
}

namespace {
enum recycling : int { unknown, off, on };
constinit std::atomic<int> known{unknown};
}  // namespace

bool is_on() noexcept {
    int state = known.load(std::memory_order_relaxed);
    if (state == unknown) {
        twofold::detail::environment_variable const wanted("TWOFOLD_RECYCLE_MEMORY");
        state = wanted.text() != nullptr && std::strcmp(wanted.text(), "0") == 0 ? off : on;
        known.store(state, std::memory_order_relaxed);
    }
    return state == on;
}

bool is_on_or_invalid() {
    if (known.load(std::memory_order_relaxed) == unknown) {
        twofold::detail::environment_variable const wanted("TWOFOLD_RECYCLE_MEMORY");
        std::string_view const text = wanted.text() == nullptr ? "" : wanted.text();
        if (text != "" && text != "0" && text != "1") {
            throw std::invalid_argument("TWOFOLD_RECYCLE_MEMORY is '" + std::string(text) + "', but it must be 0 or 1");
        }
    }
    return is_on();
}

std::size_t cap() noexcept {
    static constinit std::atomic<std::size_t> decided{0};
    std::size_t bytes = decided.load(std::memory_order_relaxed);
    if (bytes == 0) {
        bytes = (std::max)(cap_for(memory_of_process()), std::size_t{1});
        decided.store(bytes, std::memory_order_relaxed);
    }
    return bytes;
}

std::size_t kept_bytes() noexcept {
    std::size_t bytes = 0;
    for (kept_block const& block : kept) bytes += capacity_of(block.word.load());
    return bytes;
}

std::size_t release_kept() noexcept {
    std::size_t bytes = 0;
    for (kept_block& block : kept) {
        std::uintptr_t const word = block.word.exchange(0);
        if (word == 0) continue;
        unmap(block_of(word), capacity_of(word));
        bytes += capacity_of(word);
    }
    return bytes;
}

}  // namespace twofold_memory
