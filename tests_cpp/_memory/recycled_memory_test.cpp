// Promises of recycled memory. No test fills more than it must: pages that nobody writes to cost nothing.
//
// This file is also built with pthread_atfork doing nothing. Then what is tagged [guarded] must not hold.
#include "_memory/recycled_memory.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "in_child.hpp"

#if defined(TWOFOLD_TEST_WITHOUT_FORK_HANDLERS)
// In the place of the C library's.
extern "C" int pthread_atfork(void (*)(), void (*)(), void (*)()) noexcept {
    return 0;
}
#endif

using namespace twofold_memory;

namespace {

constexpr std::size_t MiB = std::size_t{1} << 20;
constexpr unsigned limit = 60;  // seconds for a scenario in a child

// Sizes on both sides of the one from which on blocks are recycled.
constexpr std::size_t sizes[] = {
    0, 1, 64, 65, 4096, MiB, 32 * MiB - 1, 32 * MiB, 32 * MiB + 1, 33 * MiB, 64 * MiB + 4096};

// Writes `tag` at both ends, and in between now and then.
void mark(void* block, std::size_t bytes, unsigned char tag) noexcept {
    auto* const begin = static_cast<unsigned char*>(block);
    for (std::size_t i = 0; i < bytes; i += 512 * 1024) begin[i] = tag;
    if (bytes != 0) begin[bytes - 1] = tag;
}

bool is_marked(void const* block, std::size_t bytes, unsigned char tag) noexcept {
    auto const* const begin = static_cast<unsigned char const*>(block);
    for (std::size_t i = 0; i < bytes; i += 512 * 1024) {
        if (begin[i] != tag) return false;
    }
    return bytes == 0 || begin[bytes - 1] == tag;
}

long page_faults() noexcept {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

}  // namespace

TEST_CASE("a block is aligned, and all of it can be used", "[recycled]") {
    for (std::size_t const bytes : sizes) {
        CAPTURE(bytes);
        for (int turn = 0; turn < 3; ++turn) {
            void* const block = allocate(bytes);
            REQUIRE(block != nullptr);
            CHECK(reinterpret_cast<std::uintptr_t>(block) % min_alignment == 0);
            if (bytes >= recycled_bytes) CHECK(reinterpret_cast<std::uintptr_t>(block) % (2 * MiB) == 0);
            std::memset(block, turn, bytes);
            CHECK(is_marked(block, bytes, static_cast<unsigned char>(turn)));
            release(block);
        }
    }
    release(nullptr);
    release_kept();
}

TEST_CASE("more memory than there can be is none", "[recycled]") {
    for (std::size_t const bytes : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 2 * MiB, SIZE_MAX / 2, SIZE_MAX / 4 + 1}) {
        CAPTURE(bytes);
        CHECK(allocate(bytes) == nullptr);
        CHECK(allocate_zeros(1, bytes) == nullptr);
        CHECK(allocate_zeros(bytes, 1) == nullptr);
        CHECK(allocate_zeros(bytes, 8) == nullptr);
        void* const block = allocate(40 * MiB);
        mark(block, 40 * MiB, 7);
        CHECK(reallocate(block, bytes) == nullptr);
        CHECK(is_marked(block, 40 * MiB, 7));
        release(block);
    }
    release_kept();
}

TEST_CASE("a freed block serves the next request that it fits", "[recycled]") {
    struct row {
        std::size_t freed;
        std::size_t asked;
        bool fits;
    };
    for (row const& r :
         {row{64 * MiB, 64 * MiB, true}, row{64 * MiB, 64 * MiB - 1, true}, row{64 * MiB, 52 * MiB, true},
          row{64 * MiB, 50 * MiB, false}, row{64 * MiB, 32 * MiB, false}, row{64 * MiB, 64 * MiB + 1, false},
          row{64 * MiB, 65 * MiB, false}, row{33 * MiB, 32 * MiB, true}, row{32 * MiB, 32 * MiB, true},
          row{32 * MiB, 32 * MiB - 1, false}, row{31 * MiB, 31 * MiB, false}}) {
        CAPTURE(r.freed, r.asked);
        release_kept();
        void* const freed = allocate(r.freed);
        release(freed);
        std::size_t const kept = kept_bytes();
        CHECK(kept == (r.freed < recycled_bytes ? 0 : (r.freed + 2 * MiB - 1) / (2 * MiB) * (2 * MiB)));
        void* const served = allocate(r.asked);
        CHECK(kept_bytes() == (r.fits ? 0 : kept));
        if (r.fits) CHECK(served == freed);
        release(served);
    }
    release_kept();
}

TEST_CASE("of the blocks that fit, the smallest is taken", "[recycled]") {
    release_kept();
    std::vector<void*> blocks;
    for (std::size_t const bytes : {44 * MiB, 40 * MiB, 42 * MiB}) blocks.push_back(allocate(bytes));
    for (void* const block : blocks) release(block);
    for (int const expected : {1, 2, 0}) CHECK(allocate(39 * MiB) == blocks[static_cast<std::size_t>(expected)]);
    CHECK(kept_bytes() == 0);
    for (void* const block : blocks) release(block);
    release_kept();
}

TEST_CASE("filling a recycled block causes no page faults", "[recycled]") {
    constexpr std::size_t bytes = 33 * MiB;
    release_kept();
    for (int turn = 0; turn < 3; ++turn) {
        void* const block = allocate(bytes);
        long const before = page_faults();
        std::memset(block, turn, bytes);
        long const faults = page_faults() - before;
        if (turn == 0) CHECK(faults > 10);  // else nothing is shown here
        if (turn != 0) CHECK(faults <= 2);
        release(block);
    }
    release_kept();
}

TEST_CASE("zeros are zeros, whatever was in the memory before", "[recycled]") {
    for (std::size_t const bytes : sizes) {
        CAPTURE(bytes);
        void* const dirty = allocate(bytes);
        std::memset(dirty, 1, bytes);
        release(dirty);
        auto* const zeros = static_cast<unsigned char*>(allocate_zeros(bytes == 0 ? 0 : 1, bytes));
        REQUIRE(zeros != nullptr);
        CHECK(std::all_of(zeros, zeros + bytes, [](unsigned char byte) { return byte == 0; }));
        release(zeros);
    }
    release_kept();
}

TEST_CASE("a block that is reallocated keeps what it holds", "[recycled]") {
    for (std::size_t const before : sizes) {
        for (std::size_t const after : sizes) {
            CAPTURE(before, after);
            std::size_t const common = (std::min)(before, after);
            void* block = allocate(before);
            mark(block, common, 5);
            block = reallocate(block, after);
            REQUIRE(block != nullptr);
            CHECK(is_marked(block, common, 5));
            mark(block, after, 6);
            CHECK(is_marked(block, after, 6));
            release(block);
        }
        void* const block = reallocate(nullptr, before);
        REQUIRE(block != nullptr);
        mark(block, before, 5);
        release(block);
    }
    release_kept();
}

TEST_CASE("a large block that becomes small does not hold on to its memory", "[recycled]") {
    release_kept();
    void* const block = reallocate(allocate(256 * MiB), 40 * MiB);
    CHECK(kept_bytes() == (256 * MiB <= cap() ? 256 * MiB : 0));
    release(reallocate(block, 100));
    release_kept();
}

TEST_CASE("no more is kept than the cap, and what was freed first goes first", "[recycled]") {
    release_kept();
    std::size_t const count = cap() / (32 * MiB);
    REQUIRE(count >= 1);  // on a machine of 512 MiB and more
    std::vector<void*> blocks;
    for (std::size_t i = 0; i < count + 3; ++i) blocks.push_back(allocate(32 * MiB));
    for (void* const block : blocks) release(block);
    CHECK(kept_bytes() == count * 32 * MiB);
    std::vector<void*> served;
    for (std::size_t i = 0; i < count; ++i) served.push_back(allocate(32 * MiB));
    CHECK(kept_bytes() == 0);
    std::sort(served.begin(), served.end());
    std::sort(blocks.begin() + 3, blocks.end());
    CHECK(std::equal(served.begin(), served.end(), blocks.begin() + 3));
    for (void* const block : served) release(block);

    if (cap() >= 96 * MiB) {  // a large one takes the place of several
        void* const large = allocate(cap() - 32 * MiB);
        release(large);
        CHECK(kept_bytes() <= cap());
        CHECK(allocate(cap() - 32 * MiB) == large);
        release(large);
    }
    release_kept();
}

TEST_CASE("what is larger than the cap is not kept", "[recycled]") {
    release_kept();
    release(allocate(32 * MiB));
    std::size_t const kept = kept_bytes();
    release(allocate(cap() + 1));
    CHECK(kept_bytes() == kept);
    release_kept();
}

TEST_CASE("the cap is a sixteenth of the memory, at most 512 MiB", "[recycled]") {
    CHECK(cap_for(0) == 0);
    CHECK(cap_for(1024 * MiB) == 64 * MiB);
    CHECK(cap_for(8192 * MiB - 16) == 512 * MiB - 1);
    CHECK(cap_for(8192 * MiB) == 512 * MiB);
    CHECK(cap_for(SIZE_MAX) == 512 * MiB);
    CHECK(cap() <= 512 * MiB);
}

TEST_CASE("what is given back is counted, and blocks in use outlive it", "[recycled]") {
    release_kept();
    void* const used = allocate(40 * MiB);
    mark(used, 40 * MiB, 9);
    release(allocate(34 * MiB));
    CHECK(release_kept() == 34 * MiB);
    CHECK(release_kept() == 0);
    CHECK(kept_bytes() == 0);
    CHECK(is_marked(used, 40 * MiB, 9));
    release(used);
    CHECK(release_kept() == 40 * MiB);
}

TEST_CASE("no two threads get the same block", "[recycled]") {
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned char tag = 1; tag <= 6; ++tag) {
        threads.emplace_back([tag, &wrong] {
            for (unsigned i = 0; i < 2000; ++i) {
                std::size_t const bytes = (32 + 2 * (i * tag % 5)) * MiB;
                auto* const block = static_cast<std::atomic<unsigned char>*>(allocate(bytes));
                block[0].store(tag);
                std::this_thread::yield();
                if (block[0].load() != tag) ++wrong;
                release(block);
                if (i % 512 == 0) release_kept();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(kept_bytes() <= cap());
    release_kept();
}

TEST_CASE("a child of a fork keeps nothing of its parent, and goes on", "[recycled][guarded]") {
    release_kept();
    void* const used = allocate(40 * MiB);
    mark(used, 40 * MiB, 3);
    release(allocate(64 * MiB));
    CHECK(holds_in_child(limit, [used]() noexcept {
        if (kept_bytes() != 0 || !is_marked(used, 40 * MiB, 3)) return false;
        mark(used, 40 * MiB, 4);
        release(used);
        if (kept_bytes() != 40 * MiB) return false;
        void* const again = allocate(40 * MiB);
        bool const is_recycled = again == used;
        release(again);
        // And so in its own child.
        return is_recycled && holds_in_child(limit, []() noexcept { return kept_bytes() == 0; }) &&
               kept_bytes() == 40 * MiB;
    }));
    CHECK(kept_bytes() == 64 * MiB);
    CHECK(is_marked(used, 40 * MiB, 3));
    release(used);
    release_kept();
}

TEST_CASE("forks while other threads allocate leave parent and child in order", "[recycled]") {
    std::atomic<bool> enough{false};
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned char tag = 1; tag <= 2; ++tag) {
        threads.emplace_back([tag, &enough, &wrong] {
            while (!enough) {
                void* const block = allocate(32 * MiB);
                mark(block, 1, tag);
                if (!is_marked(block, 1, tag)) ++wrong;
                release(block);
            }
        });
    }
    for (int i = 0; i < 200; ++i) {
        REQUIRE(holds_in_child(limit, []() noexcept {
            for (unsigned char tag = 1; tag < 4; ++tag) {
                void* const one = allocate(32 * MiB);
                void* const other = allocate(32 * MiB);
                if (one == other) return false;
                mark(one, 1, tag);
                mark(other, 1, 0);
                if (!is_marked(one, 1, tag)) return false;
                release(one);
                release(other);
            }
            return kept_bytes() <= cap() && release_kept() != 0;
        }));
    }
    enough = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    release_kept();
}
