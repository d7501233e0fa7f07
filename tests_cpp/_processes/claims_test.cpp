// Promises of the table of chunks: each is done exactly once, wherever in its work a worker dies. Threads stand in for
// processes, but in the last test, which kills processes.
#include "_processes/claims.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "in_child.hpp"
#include "meeting.hpp"

using namespace twofold_claims;

namespace {

constexpr mode modes[] = {mode::out_of_place, mode::in_place, mode::check};
constexpr step steps[] = {step::claimed, step::computed, step::ready, step::copied, step::done};

constexpr identity somebody{4711, 1};

// Memory as two processes would see it, full of what is left from something else.
struct memory {
    explicit memory(std::size_t size) : bytes(size) {
        begin = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(begin != MAP_FAILED);
        std::memset(begin, 0xA5, bytes);
    }
    memory(memory const&) = delete;
    ~memory() { munmap(begin, bytes); }

    std::size_t bytes;
    void* begin;
};

// An array of bytes to double, its result, and the table for it.
struct job {
    explicit job(plan const& wanted)
        : array(wanted.bytes),
          result(wanted.bytes),
          shared(table::bytes_for(wanted)),
          claims(table::create(shared.begin, wanted)) {
        auto* const values = static_cast<std::uint8_t*>(array.begin);
        for (std::size_t i = 0; i < array.bytes; ++i) values[i] = value(i);
        std::memset(result.begin, 0, result.bytes);
        CHECK(claims.join(somebody) == 0);
    }

    static std::uint8_t value(std::size_t i) { return static_cast<std::uint8_t>(i % 63 + 1); }

    [[nodiscard]] std::byte* out() const {
        return static_cast<std::byte*>(claims.how() == mode::in_place ? array.begin : result.begin);
    }

    [[nodiscard]] std::size_t compute(std::size_t first, std::size_t n, std::byte* target) const {
        auto const* const values = static_cast<std::byte const*>(array.begin);
        for (std::size_t i = 0; i < n; ++i) target[i] = values[first + i] << 1;
        return none;
    }

    // Does what is free, until at(step) throws.
    template <class At>
    void work(std::size_t worker, At const& at) const {
        std::size_t next = 0;
        auto const doubles = [this](auto... arguments) { return compute(arguments...); };
        while (claims.do_chunk(worker, next, out(), doubles, at)) {
        }
        claims.leave();
    }
    void work(std::size_t worker) const {
        work(worker, [](step) {});
    }

    // Doubled once, all of it; where it is only looked at, nothing has changed.
    [[nodiscard]] bool is_right() const {
        bool const changes = claims.how() != mode::check;
        auto const* const bytes = reinterpret_cast<std::uint8_t const*>(out());
        for (std::size_t i = 0; i < array.bytes; ++i) {
            if (bytes[i] != (changes ? 2 * value(i) : 0)) return false;
        }
        return true;
    }

    memory array, result, shared;
    table claims;
};

struct dies_here {};

// To be called at each step: dies at the given one of the chunk of that number, counted from 0.
auto dies_at(step where, int of_chunk) {
    return [=, chunk = std::make_shared<int>(-1)](step now) {
        if (now == step::claimed) ++*chunk;
        if (*chunk == of_chunk && now == where) throw dies_here{};
    };
}

}  // namespace

TEST_CASE("a chunk's word holds what it is made of", "[claims]") {
    for (state const is : {state::free, state::claimed, state::ready, state::done}) {
        for (unsigned const losses : {0u, 1u, max_losses}) {
            for (unsigned const owner : {0u, 1u, 0xFFFFu, 0xFFFFFFFFu}) {
                chunk_word const word = chunk_word::unpacked(chunk_word{is, losses, owner}.packed());
                CHECK((word.is == is && word.losses == losses && word.owner == owner));
            }
        }
    }
}

TEST_CASE("one worker does all there is, in every way", "[claims]") {
    for (mode const how : modes) {
        for (std::size_t const bytes : {1u, 63u, 64u, 65u, 4096u, 100'001u}) {
            for (std::size_t const chunk_bytes :
                 {std::size_t{64}, std::size_t{4096}, max_scratch_bytes, 4 * slice_bytes}) {
                job const all({bytes, chunk_bytes, 2, how});
                all.work(0);
                INFO("way " << static_cast<int>(how) << ", " << bytes << " bytes in chunks of " << chunk_bytes);
                CHECK((all.claims.all_done() && all.is_right() && all.claims.bytes_done() == bytes));
                CHECK(all.claims.next_holder(none) == none);
            }
        }
    }
}

TEST_CASE("a large chunk is done and counted in slices", "[claims]") {
    for (mode const how : {mode::out_of_place, mode::check}) {
        std::size_t const bytes = 2 * slice_bytes + 4096;
        job const all({bytes, bytes, 1, how});
        std::vector<std::size_t> counts;
        std::size_t next = 0;
        all.claims.do_chunk(0, next, all.out(), [&](auto... arguments) {
            counts.push_back(all.claims.bytes_done());
            return all.compute(arguments...);
        });
        CHECK(counts.size() >= 3);
        CHECK(std::ranges::is_sorted(counts));
        CHECK((counts.back() < bytes && all.claims.bytes_done() == bytes && all.is_right()));
    }
}

TEST_CASE("workers at the same time do each chunk once", "[claims]") {
    for (mode const how : modes) {
        job const all({1 << 20, 64, 5, how});
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] { all.work(all.claims.join(somebody)); });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK((all.claims.all_done() && all.is_right() && all.claims.bytes_done() == all.array.bytes));
    }
}

TEST_CASE("workers that come to the same chunks all the time claim each once", "[claims]") {
    for (int round = 0; round < 10; ++round) {
        job const all({1 << 18, 1, 5, mode::out_of_place});
        meeting all_here(4);
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                std::size_t const worker = all.claims.join(somebody);
                std::size_t next = 0;
                all_here.wait();
                while (all.claims.do_chunk(worker, next, all.out(), [](auto...) { return none; })) {
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(all.claims.bytes_done() == all.array.bytes);
    }
}

TEST_CASE("only so many join as there is room for, and each has a number of its own", "[claims]") {
    job const all({4096, 64, 3, mode::out_of_place});
    CHECK(all.claims.join({17, 18}) == 1);
    CHECK(all.claims.join({19, 20}) == 2);
    for (int i = 0; i < 3; ++i) CHECK(all.claims.join({21, 22}) == none);
    CHECK(all.claims.workers_joined() == 3);
    CHECK((all.claims.process_of(0) == somebody && all.claims.process_of(1) == identity{17, 18} &&
           all.claims.process_of(2) == identity{19, 20}));
}

TEST_CASE("wherever a worker dies, the others finish its work", "[claims][death]") {
    for (mode const how : modes) {
        for (step const where : steps) {
            if (how != mode::in_place && (where == step::ready || where == step::copied)) continue;
            for (int const of_chunk : {0, 1, 9, 15}) {  // the last one, too
                job const all({16 * 4096 - 3, 4096, 2, how});
                std::size_t const dead = all.claims.join({17, 18});
                CHECK_THROWS_AS(all.work(dead, dies_at(where, of_chunk)), dies_here);
                bool const held = where != step::done;
                CHECK(all.claims.next_holder(none) == (held ? dead : none));
                all.work(0);
                CHECK(all.claims.all_done() == !held);

                unsigned const deaths = all.claims.bury(dead, all.out());
                bool const starts_over = where == step::claimed || where == step::computed;
                CHECK(deaths == (starts_over ? 1 : 0));
                CHECK(all.claims.next_holder(none) == none);
                CHECK(all.claims.bury(dead, all.out()) == 0);  // a second time there is nothing left of it
                all.work(0);
                INFO("way " << static_cast<int>(how) << ", step " << static_cast<int>(where) << ", chunk " << of_chunk);
                CHECK((all.claims.all_done() && all.is_right()));
                CHECK(all.claims.bytes_done() == all.array.bytes);
            }
        }
    }
}

TEST_CASE("a worker that dies half-way through copying leaves what its chunk needs", "[claims][death]") {
    job const all({4 * 4096, 4096, 2, mode::in_place});
    std::size_t const dead = all.claims.join({17, 18});
    auto const copies_half = [&](step now) {
        if (now != step::ready) return;
        for (std::size_t i = 0; i < 2000; ++i) all.out()[i] <<= 1;
        throw dies_here{};
    };
    CHECK_THROWS_AS(all.work(dead, copies_half), dies_here);
    all.claims.bury(dead, all.out());
    all.work(0);
    CHECK((all.claims.all_done() && all.is_right()));
}

TEST_CASE("a worker that dies within a large chunk is not counted for what is done again", "[claims][death]") {
    job const all({3 * slice_bytes, 3 * slice_bytes, 2, mode::out_of_place});
    std::size_t const dead = all.claims.join({17, 18});
    std::size_t next = 0;
    auto const dies_in_the_second = [&](std::size_t first, std::size_t n, std::byte* target) {
        if (first != 0) throw dies_here{};
        return all.compute(first, n, target);
    };
    CHECK_THROWS_AS(all.claims.do_chunk(dead, next, all.out(), dies_in_the_second), dies_here);
    CHECK(all.claims.bytes_done() == slice_bytes);
    CHECK(all.claims.bury(dead, all.out()) == 1);
    CHECK(all.claims.bytes_done() == 0);
    all.work(0);
    CHECK((all.is_right() && all.claims.bytes_done() == all.array.bytes));
}

TEST_CASE("deaths over one chunk are counted, those over others are not", "[claims][death]") {
    job const all({16 * 64, 64, 300, mode::in_place});
    for (unsigned death = 1; death < 299; ++death) {
        std::size_t const dead = all.claims.join({death, death});
        CHECK_THROWS_AS(all.work(dead, dies_at(step::computed, 0)), dies_here);
        CHECK(all.claims.bury(dead, all.out()) == (std::min)(death, max_losses));
    }
    std::size_t const last = all.claims.join({1, 1});
    CHECK_THROWS_AS(all.work(last, dies_at(step::computed, 3)), dies_here);
    CHECK(all.claims.bury(last, all.out()) == 1);
    all.work(0);
    CHECK(all.is_right());
}

TEST_CASE("taking over from one worker leaves the others alone", "[claims][death]") {
    for (step const where : {step::computed, step::ready}) {
        job const all({16 * 64, 64, 3, mode::in_place});
        std::size_t const dead = all.claims.join({17, 18});
        std::size_t const late = all.claims.join({19, 20});
        CHECK_THROWS_AS(all.work(dead, dies_at(where, 2)), dies_here);
        all.work(late, [&, buried = std::make_shared<bool>(false)](step now) {
            if (now != where || *buried) return;  // in the middle of its first chunk
            *buried = true;
            CHECK(all.claims.next_holder(none) == dead);
            CHECK(all.claims.next_holder(dead) == late);
            CHECK(all.claims.next_holder(late) == none);
            all.claims.bury(dead, all.out());
            CHECK(all.claims.next_holder(none) == late);
            all.work(0);
            CHECK_FALSE(all.claims.all_done());
        });
        CHECK((all.claims.all_done() && all.is_right()));
    }
}

TEST_CASE("after a cancellation no worker begins another chunk", "[claims]") {
    job const all({16 * 64, 64, 2, mode::out_of_place});
    std::size_t next = 0;
    auto const stops = [&](auto... arguments) {
        all.claims.cancel();
        return all.compute(arguments...);
    };
    CHECK(all.claims.do_chunk(0, next, all.out(), stops));  // what is begun is finished
    CHECK_FALSE(all.claims.do_chunk(0, next, all.out(), stops));
    CHECK(all.claims.bytes_done() == 64);
}

TEST_CASE("after a cancellation, once no worker holds a chunk, none will", "[claims]") {
    // So that the caller, which then returns, may reuse the memory. Only the first of many chunks is
    // free, and the worker comes to it last: when it claims it, the caller has seen it free long ago.
    constexpr std::size_t many = 1 << 16;
    for (int repetition = 0; repetition < 20; ++repetition) {
        job const one({many, 1, 3, mode::out_of_place});
        CHECK_THROWS_AS(one.work(0, dies_at(step::claimed, 0)), dies_here);
        std::size_t const another = one.claims.join(somebody);
        one.work(another);
        one.claims.bury(0, one.out());
        REQUIRE(one.claims.bytes_done() == many - 1);

        std::atomic<bool> begins{false}, has_returned{false}, late{false};
        auto const takes_its_time = [&](std::size_t first, std::size_t n, std::byte* target) {
            auto const end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
            while (!has_returned && std::chrono::steady_clock::now() < end) {
            }
            late = has_returned.load();
            return one.compute(first, n, target);
        };
        std::thread worker([&] {
            std::size_t const number = one.claims.join(somebody);
            std::size_t next = 1;
            begins = true;
            one.claims.do_chunk(number, next, one.out(), takes_its_time);
        });
        while (!begins) sched_yield();
        one.claims.cancel();
        while (one.claims.next_holder(none) != none) {
        }
        has_returned = true;
        worker.join();
        CHECK(!late);
    }
}

TEST_CASE("a large chunk is left free where the work stops, or gives up, in the middle of it", "[claims]") {
    for (bool const gives_up : {false, true}) {
        for (mode const how : {mode::out_of_place, mode::check}) {
            job const all({3 * slice_bytes, 3 * slice_bytes, 2, how});
            std::size_t next = 0;
            auto const ends_in_the_middle = [&](std::size_t first, std::size_t n, std::byte* target) {
                if (first != 0 && gives_up) return gave_up;
                if (first != 0) all.claims.cancel();
                return all.compute(first, n, target);
            };
            CHECK_FALSE(all.claims.do_chunk(1, next, all.out(), ends_in_the_middle));
            CHECK(all.claims.at(0).is == state::free);
            CHECK((all.claims.next_holder(none) == none && all.claims.bytes_done() == 0));
        }
    }
}

TEST_CASE("the first failure is found, whichever worker comes first", "[claims]") {
    for (mode const how : {mode::out_of_place, mode::check}) {
        for (std::size_t const first_bad : {0u, 1u, 4095u, 4096u, 100'000u, 262'143u}) {
            job const all({1 << 18, 4096, 4, how});
            auto const fails = [&](std::size_t first, std::size_t n, std::byte*) {
                for (std::size_t i = first; i < first + n; ++i) {
                    if (i >= first_bad && (i - first_bad) % 5000 == 0) return i;
                }
                return none;
            };
            std::vector<std::thread> threads;
            for (int i = 0; i < 3; ++i) {
                threads.emplace_back([&] {
                    std::size_t const worker = all.claims.join(somebody);
                    std::size_t next = 30;  // from the middle, so that later ones are found first
                    while (all.claims.do_chunk(worker, next, all.out(), fails)) {
                    }
                });
            }
            for (std::thread& thread : threads) thread.join();
            CHECK((all.claims.all_done() && all.claims.first_failure() == first_bad));
        }
    }
}

TEST_CASE("of several failures in one chunk the first counts", "[claims]") {
    job const one({3 * slice_bytes, 3 * slice_bytes, 1, mode::out_of_place});
    std::size_t next = 0;
    CHECK(
        one.claims.do_chunk(0, next, one.out(), [](std::size_t first, std::size_t, std::byte*) { return first + 5; }));
    CHECK(one.claims.first_failure() == 5);
}

TEST_CASE("in place, what comes after a failure stays as it was", "[claims]") {
    job const one({1000, 100, 1, mode::in_place});
    std::size_t next = 0;
    auto const fails_at_150 = [&](std::size_t first, std::size_t n, std::byte* target) {
        static_cast<void>(one.compute(first, n, target));
        return first == 100 ? std::size_t{150} : none;
    };
    while (one.claims.do_chunk(0, next, one.out(), fails_at_150)) {
    }
    CHECK(one.claims.all_done());
    unsigned changed = 0;
    for (std::size_t i = 200; i < 1000; ++i) changed += static_cast<std::uint8_t>(one.out()[i]) != job::value(i);
    CHECK(changed == 0);
}

TEST_CASE("flags of all workers come together", "[claims]") {
    job const all({64, 64, 2, mode::out_of_place});
    CHECK(all.claims.flags() == 0);
    all.claims.raise_flags(4);
    all.claims.raise_flags(1);
    CHECK(all.claims.flags() == 5);
}

TEST_CASE("a process that waits wakes up when a worker leaves, and in any case after a time", "[claims]") {
    job const all({64, 64, 2, mode::out_of_place});
    std::uint32_t const seen = all.claims.workers_left();
    all.claims.wait(seen, 1'000'000);
    std::thread leaver([&] { all.claims.leave(); });
    while (all.claims.workers_left() == seen) all.claims.wait(seen, 60'000'000'000);
    leaver.join();
    all.claims.wait(seen, 60'000'000'000);  // which has left already
    CHECK(all.claims.workers_left() == seen + 1);
}

TEST_CASE("processes killed at any moment leave a result that is exact", "[claims][death][many-processes]") {
    for (mode const how : modes) {
        for (int round = 0; round < 20; ++round) {
            job const all({std::size_t{8} << 20, 64 << 10, 64, how});
            std::vector<std::size_t> workers;
            for (int death = 0; death < 3; ++death) {
                pid_t const child = fork();
                if (child == 0) {
                    all.work(all.claims.join(somebody));
                    _exit(0);
                }
                REQUIRE(child > 0);
                std::this_thread::sleep_for(std::chrono::microseconds(rand() % 3000));
                kill(child, SIGKILL);
                waitpid(child, nullptr, 0);
                for (std::size_t dead; (dead = all.claims.next_holder(none)) != none;) all.claims.bury(dead, all.out());
            }
            all.work(0);
            CHECK((all.claims.all_done() && all.is_right() && all.claims.bytes_done() == all.array.bytes));
        }
    }
}
