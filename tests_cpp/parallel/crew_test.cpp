// Promises of the helper threads: each index is run once, whichever thread calls and however often.
//
// The library's calls of dlopen and sched_getcpu come to this file.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static int pretended_getcpu() noexcept;
static void* counted_dlopen(char const*, int) noexcept;
#define sched_getcpu pretended_getcpu
#define dlopen counted_dlopen

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "in_child.hpp"
#include "meeting.hpp"
#include "threads_of_process.hpp"

namespace {

std::atomic<int> pretended_cpu{-1};  // on which all threads seem to be; below 0: where they are
std::atomic<unsigned> calls_of_dlopen{0};

}  // namespace

// A helper that is on its caller's CPU leaves it: what comes of that can be tested only if it is not left to chance.
static int pretended_getcpu() noexcept {
    if (pretended_cpu >= 0) return pretended_cpu;
    unsigned cpu = 0;
    return syscall(SYS_getcpu, &cpu, nullptr, nullptr) == 0 ? static_cast<int>(cpu) : -1;
}

static void* counted_dlopen(char const*, int) noexcept {
    ++calls_of_dlopen;
    return nullptr;
}

namespace {

using crew = twofold::detail::crew;
using twofold::detail::crew_state;
using twofold::detail::helpers;

// Runs `chunk_count` chunks that each note in plain memory that they ran; true if each ran once.
bool each_index_runs_once(std::size_t chunk_count, unsigned helpers) {
    std::vector<unsigned> runs(chunk_count, 0);
    crew::share(chunk_count, helpers, [&](std::size_t i) noexcept { ++runs[i]; });
    // What the helpers wrote must be visible here, with nothing but share() in between.
    return std::ranges::all_of(runs, [](unsigned count) { return count == 1; });
}

}  // namespace

TEST_CASE("each index is run exactly once, and what helpers wrote is visible", "[crew]") {
    for (unsigned helpers = 1; helpers <= 8; ++helpers) {
        for (std::size_t const chunk_count : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
            bool right = true;
            for (unsigned repetition = 0; repetition < 500; ++repetition) {
                right = right && each_index_runs_once(chunk_count, helpers);
            }
            CAPTURE(helpers, chunk_count);
            CHECK(right);
        }
    }
    CHECK(each_index_runs_once(1000, 0));
}

TEST_CASE("helpers work at the same time as the caller", "[crew]") {
    for (unsigned const threads : {2u, 4u, 9u}) {
        meeting all(threads);
        crew::share(threads, threads - 1, [&](std::size_t) noexcept { all.wait(); });
        CHECK(crew::helper_count() >= threads - 1);
    }
}

TEST_CASE("helpers that sleep are woken", "[crew]") {
    for (unsigned repetition = 0; repetition < 100; ++repetition) {
        meeting first(3);
        crew::share(3, 2, [&](std::size_t) noexcept { first.wait(); });
        while (twofold::detail::the_crew.asleep < crew::helper_count()) sched_yield();
    }
    CHECK(twofold::detail::the_crew.asleep == crew::helper_count());
}

TEST_CASE("no more helpers come than were asked for", "[crew]") {
    constexpr unsigned all = 9;
    meeting ten(all + 1);
    crew::share(all + 1, all, [&](std::size_t) noexcept { ten.wait(); });
    for (unsigned const helpers : {1u, 2u, 5u}) {
        std::atomic<unsigned> came{0};
        std::atomic<bool> is_over{false};
        std::thread caller([&] {
            crew::share(200, helpers, [&](std::size_t) noexcept {
                if (is_over) return;
                ++came;
                while (!is_over) sched_yield();
            });
        });
        while (came <= helpers) sched_yield();
        // All others have something else to do, and then look for more: there are chunks left of the call above.
        meeting others(all - helpers + 1);
        crew::share(all - helpers + 1, all - helpers, [&](std::size_t) noexcept { others.wait(); });
        while (came + twofold::detail::the_crew.asleep <= crew::helper_count()) sched_yield();
        unsigned const came_at_most = came;
        is_over = true;
        caller.join();
        CHECK(came_at_most == helpers + 1);
    }
}

TEST_CASE("no thread is created without a request", "[crew][counts-threads]") {
    CHECK(holds_in_child(20, [] {
        if (!each_index_runs_once(100, 0) || threads_of_process() != 1) return false;
        if (!each_index_runs_once(1, 4) || threads_of_process() != 1) return false;
        if (!each_index_runs_once(100, 3) || threads_of_process() != 4) return false;
        if (!each_index_runs_once(100, 1) || threads_of_process() != 4) return false;
        return crew::helper_count() == 3;
    }));
}

TEST_CASE("a program is not asked to stay in memory, which it does anyway", "[crew]") {
    crew::share(2, 1, [](std::size_t) noexcept {});
    CHECK(crew::helper_count() > 0);
    CHECK(calls_of_dlopen == 0);
}

TEST_CASE("the helpers say whether there are any, and whether one is awake", "[crew]") {
    CHECK(holds_in_child(20, [] {
        if (crew::state_of_helpers() != helpers::none) return false;
        bool awake_in_call = false;
        meeting before(2);
        meeting after(2);  // or the helper might be asleep again when the caller looks
        crew::share(2, 1, [&](std::size_t i) noexcept {
            before.wait();
            if (i == 0) awake_in_call = crew::state_of_helpers() == helpers::awake;
            after.wait();
        });
        while (crew::state_of_helpers() != helpers::asleep) sched_yield();
        return awake_in_call;
    }));
}

TEST_CASE("the number of helpers has a limit", "[crew][counts-threads]") {
    CHECK(holds_in_child(60, [] {
        return each_index_runs_once(1000, 100'000) && crew::helper_count() <= crew_state::max_helpers &&
               threads_of_process() == crew::helper_count() + 1;
    }));
}

TEST_CASE("more callers than there are slots all get their work done", "[crew]") {
    constexpr unsigned callers = crew_state::slot_count + 8;
    std::atomic<unsigned> failures{0};
    meeting start(callers);
    std::vector<std::thread> threads;
    for (unsigned caller = 0; caller < callers; ++caller) {
        threads.emplace_back([&, caller] {
            start.wait();
            for (unsigned repetition = 0; repetition < 300; ++repetition) {
                if (!each_index_runs_once(1 + (caller * 37 + repetition) % 100, 1 + caller % 4)) {
                    ++failures;
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(failures == 0);
}

TEST_CASE("a call finds a free slot after any number of calls", "[crew]") {
    for (unsigned repetition = 0; repetition < 10 * crew_state::slot_count; ++repetition) {
        meeting both(2);  // hangs, and so fails, if nobody comes because no slot is free
        crew::share(2, 1, [&](std::size_t) noexcept { both.wait(); });
    }
    for (auto const& slot : twofold::detail::the_crew.slots) CHECK(slot.caller == 0);
}

TEST_CASE("a call inside of a call is done, too", "[crew]") {
    std::atomic<unsigned> runs{0};
    crew::share(8, 3, [&](std::size_t) noexcept { crew::share(8, 3, [&](std::size_t) noexcept { ++runs; }); });
    CHECK(runs == 64);
}

TEST_CASE("a call inside of a chunk runs on its thread alone", "[crew]") {
    std::atomic<unsigned> elsewhere{0};
    meeting both(2);
    crew::share(2, 1, [&](std::size_t) noexcept {  // on the caller and on a helper
        both.wait();
        pthread_t const me = pthread_self();
        auto const helped = crew::share(100, 3, [&](std::size_t) noexcept {
            sched_yield();
            if (pthread_equal(pthread_self(), me) == 0) ++elsewhere;
        });
        if (helped != twofold::detail::help::none) ++elsewhere;
    });
    CHECK(elsewhere == 0);
}

TEST_CASE("helpers leave all signals to the program's own threads", "[crew]") {
    std::array<sigset_t, 4> blocked{};
    std::array<pthread_t, 4> ran_on{};
    meeting all(4);
    crew::share(4, 3, [&](std::size_t i) noexcept {
        pthread_sigmask(SIG_BLOCK, nullptr, &blocked[i]);
        ran_on[i] = pthread_self();
        all.wait();
    });
    for (std::size_t i = 0; i < ran_on.size(); ++i) {
        bool const is_caller = pthread_equal(ran_on[i], pthread_self()) != 0;
        // Not SIGRTMAX: qemu keeps the last two for itself.
        for (int const signal : {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD, SIGPROF, SIGRTMIN, SIGRTMAX - 2}) {
            CAPTURE(i, signal);
            CHECK((sigismember(&blocked[i], signal) == 1) == !is_caller);
        }
    }
}

TEST_CASE("helpers that leave their caller's CPU may use it all the same", "[crew]") {
    cpu_set_t allowed;
    REQUIRE(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    int first = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(first), &allowed)) ++first;
    // One call with new helpers, one with helpers that are there, both on what seems to be their caller's CPU.
    pretended_cpu = first;
    for (unsigned call = 0; call < 2; ++call) {
        meeting all(4);
        std::array<cpu_set_t, 4> masks;
        crew::share(4, 3, [&](std::size_t i) noexcept {
            sched_getaffinity(0, sizeof(masks[i]), &masks[i]);
            all.wait();
        });
        for (cpu_set_t const& mask : masks) CHECK(CPU_EQUAL(&mask, &allowed));
    }
    pretended_cpu = -1;
}

TEST_CASE("a caller that fell asleep while it waited for its helper is woken", "[crew]") {
    using twofold::detail::slot;
    for (unsigned repetition = 0; repetition < 20; ++repetition) {
        meeting both(2);
        pthread_t const caller = pthread_self();
        auto const came = crew::share(2, 1, [&](std::size_t) noexcept {
            both.wait();
            if (pthread_equal(pthread_self(), caller) != 0) return;
            while ((twofold::detail::the_crew.slots[0].word & slot::waited_for) == 0) sched_yield();
            for (unsigned turn = 0; turn < 100; ++turn) sched_yield();  // it is about to sleep
        });
        CHECK(came == twofold::detail::help::given_late);
    }
}

TEST_CASE("a call that comes just as its helper falls asleep is seen", "[crew]") {
    // Around the time at which it does, in small steps.
    constexpr std::int64_t step = 20;
    constexpr std::int64_t steps = 2000;
    std::atomic<std::int64_t> runs{0};
    for (std::int64_t i = 0; i < steps; ++i) {
        std::int64_t const end = twofold::detail::now_ns() + crew::spin_ns + (i - steps / 2) * step;
        while (twofold::detail::now_ns() < end) {
        }
        meeting both(2);  // hangs, and so fails, if the helper does not come
        crew::share(2, 1, [&](std::size_t) noexcept {
            ++runs;
            both.wait();
        });
    }
    CHECK(runs == 2 * steps);
}
