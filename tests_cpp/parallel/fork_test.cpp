// Promises of fork: at any time, from any thread; parent and child both go on working, and no helper is alive when the
// process is copied.
//
// This file is also built so that the library's handlers are never registered. Then the promises that are tagged
// [guarded] must not hold: that shows that these tests can fail.
#include <pthread.h>

// The library's pthread_atfork comes to this file.
static int watched_atfork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept;
#define pthread_atfork watched_atfork

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "in_child.hpp"
#include "threads_of_process.hpp"

#undef pthread_atfork

namespace {

#if defined(TWOFOLD_TEST_WITHOUT_FORK_HANDLERS)
constexpr bool registers_handlers = false;
#else
constexpr bool registers_handlers = true;
#endif

// Where a first call waits in the middle of the registration of the handlers.
enum class stage { nowhere, before, after };
std::atomic<stage> waits_at{stage::nowhere};
std::atomic<bool> is_waiting{false};
std::atomic<pid_t> waits_in{0};  // that process; 0: none does any longer

void wait_at(stage here) noexcept {
    if (waits_at != here) return;
    while (waits_in == getpid()) {
        is_waiting = true;
        sched_yield();
    }
}

}  // namespace

static int watched_atfork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
    wait_at(stage::before);
    int const result = registers_handlers ? pthread_atfork(prepare, parent, child) : 0;
    wait_at(stage::after);
    return result;
}

namespace {

using crew = twofold::detail::crew;

constexpr unsigned limit = 100;                                // seconds for a scenario
constexpr unsigned child_limit = registers_handlers ? 20 : 2;  // seconds for each of its children; some hang without

// Elements of a call that may have helpers.
constexpr std::size_t min_for_threads = twofold::detail::threads_pay_awake_bytes / sizeof(std::uint32_t);

// Has `helpers` helpers at work at the same time as this thread.
void work_with(unsigned helpers) noexcept {
    std::atomic<unsigned> arrived{0};
    crew::share(helpers + 1, helpers, [&](std::size_t) noexcept {
        ++arrived;
        while (arrived <= helpers) sched_yield();
    });
}

// Of the helpers that the next call has.
std::uint32_t generation() noexcept {
    return twofold::detail::the_crew.generation;
}

// Whether the library's handlers see to the forks of this process, which may have helpers.
bool has_handlers() noexcept {
    work_with(2);
    return crew::helper_count() >= 2 && holds_in_child(child_limit, [] { return crew::helper_count() == 0; });
}

// About a quarter of a millisecond.
void spend_some_time() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long const start = now.tv_nsec;
    while ((now.tv_nsec - start + 1'000'000'000) % 1'000'000'000 < 250'000) clock_gettime(CLOCK_MONOTONIC, &now);
}

// Arrays large enough for helpers, doubled over and over without a word to the allocator.
class doubling {
public:
    explicit doubling(std::size_t n = 3 * min_for_threads)
        : in_(arbitrary_elements<std::uint32_t>(n)), out_(n), expected_(expected_doubles(in_)) {}

    // Twice, since calls of this size have helpers if they come back to back.
    bool is_right(unsigned threads = 3) noexcept { return once_is_right(threads) && once_is_right(threads); }

    bool once_is_right(unsigned threads = 3) noexcept {
        std::ranges::fill(out_, 1u);
        twofold::double_into(in_, out_, {.threads = threads});
        return out_ == expected_;
    }

private:
    std::vector<std::uint32_t> in_;
    std::vector<std::uint32_t> out_;
    std::vector<std::uint32_t> expected_;
};

// A thread that is in a call almost all the time.
class busy_thread {
public:
    busy_thread() : thread_([this] { run(); }) {
        while (calls_ == 0) sched_yield();
    }
    bool stop_and_check() {
        stop_ = true;
        thread_.join();
        return right_;
    }

private:
    void run() {
        doubling work;
        while (!stop_) {
            if (!work.is_right()) right_ = false;
            ++calls_;
        }
    }

    std::atomic<bool> stop_{false};
    std::atomic<bool> right_{true};
    std::atomic<unsigned> calls_{0};
    std::thread thread_;
};

// Memory of this process that stands in RAM.
std::size_t resident_bytes() {
    std::size_t all_pages = 0;
    std::size_t resident_pages = 0;
    std::ifstream("/proc/self/statm") >> all_pages >> resident_pages;
    return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// What the signal handler below does, and what it finds out. One handler at a time is at work.
std::atomic<unsigned> forks{0};
std::atomic<unsigned> max_forks{0};
std::atomic<bool> is_child{false};
pid_t children[1000];

void fork_in_handler(int) noexcept {
    unsigned const i = forks;
    if (is_child || i >= max_forks) return;
    children[i] = fork();
    if (children[i] == 0) {
        is_child = true;
        alarm(child_limit);
    } else {
        forks = i + 1;
    }
}

void call_on_signal(int signal, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
}

bool is_on(pthread_t thread) noexcept {
    return pthread_equal(pthread_self(), thread) != 0;
}

// From here on what this process and its children write to stderr, and what they have written.
class caught_stderr {
public:
    caught_stderr() { dup2(file_, STDERR_FILENO); }
    std::string text() const {
        std::string all(static_cast<std::size_t>(lseek(file_, 0, SEEK_END)), ' ');
        all.resize(static_cast<std::size_t>(pread(file_, all.data(), all.size(), 0)));
        return all;
    }

private:
    int file_ = memfd_create("stderr", MFD_CLOEXEC);
};

// For this process and its children: no handler of Catch2, no core.
void abort_in_silence() {
    signal(SIGABRT, SIG_DFL);
    rlimit const none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

std::string const went_on =
    "twofold: a fork has waited 2 seconds for a kernel that is at work on a helper thread, and goes on without it\n";

// A call of another thread whose helper is in a chunk that waits for a lock, which this thread has.
class stuck_call {
public:
    stuck_call() : lock_(mutex_), caller_([this] { run(); }) {
        while (!helper_is_in_) sched_yield();
    }
    // Gives the lock away; whether every chunk has run once, and the helper took the one.
    bool ends_right() {
        lock_.unlock();
        caller_.join();
        return std::ranges::all_of(runs_, [](auto const& count) { return count == 1; }) && chunks_of_helper_ == 1;
    }

private:
    void run() {
        pthread_t const me = pthread_self();
        crew::share(std::size(runs_), 1, [&, me](std::size_t i) noexcept {
            ++runs_[i];
            if (is_on(me)) {
                while (!helper_is_in_) sched_yield();  // leaves a chunk for the helper
            } else {
                ++chunks_of_helper_;
                helper_is_in_ = true;
                std::lock_guard const guard(mutex_);
            }
        });
    }

    std::mutex mutex_;
    std::unique_lock<std::mutex> lock_;
    std::atomic<bool> helper_is_in_{false};
    std::atomic<unsigned> chunks_of_helper_{0};
    std::atomic<unsigned> runs_[8] = {};
    std::thread caller_;
};

bool all_children_are_right() {
    bool right = true;
    for (unsigned i = 0; i < forks; ++i)
        right = right && children[i] > 0 && wait_for(children[i], child_limit) == EXIT_SUCCESS;
    return right;
}

}  // namespace

// 2,000; or as many as TWOFOLD_TEST_FORKS says.
TEST_CASE("thousands of forks leave threads and memory as they were", "[fork][many-processes][counts-threads]") {
    char const* const asked = std::getenv("TWOFOLD_TEST_FORKS");
    unsigned const count = asked == nullptr ? 2000 : static_cast<unsigned>(std::strtoul(asked, nullptr, 10));
    REQUIRE(count > 0);
    CHECK(holds_in_child(limit * ((count + 1999) / 2000), [count] {
        constexpr unsigned at_a_time = 100;
        doubling work;
        unsigned made = 0;
        // Every other time while other threads are in calls. One fork in four is nested: it is that of a child.
        auto const fork_some = [&](bool with_others) {
            std::optional<busy_thread> one;
            std::optional<busy_thread> another;
            if (with_others) {
                one.emplace();
                another.emplace();
            }
            bool right = true;
            for (unsigned i = 0; i < at_a_time && right; i += i % 4 == 0 ? 2 : 1) {
                bool const nested = i % 4 == 0;
                right = work.once_is_right() && holds_in_child(child_limit, [&] {
                            return work.is_right() &&
                                   (!nested || holds_in_child(child_limit, [&] { return work.is_right(); }));
                        });
            }
            made += at_a_time;
            if (with_others) {
                right = one->stop_and_check() && right;
                right = another->stop_and_check() && right;
            }
            return right;
        };
        if (!fork_some(false) || !fork_some(true)) return false;  // until everybody has the memory that they need
        work_with(2);
        unsigned const threads = threads_of_process();
        std::size_t const memory = resident_bytes();
        for (made = 0; made < count;) {
            if (!fork_some(made / at_a_time % 2 == 1)) return false;
        }
        work_with(2);
        // A page or two may come and go; not one for each fork.
        return threads_become(threads) && resident_bytes() < memory + (std::size_t{1} << 20);
    }));
}

TEST_CASE("no helper is alive when the process is copied", "[fork][guarded][counts-threads]") {
    CHECK(holds_in_child(limit, [] {
        for (unsigned i = 0; i < 20; ++i) {
            work_with(3);
            if (threads_of_process() != 4) return false;
            // The child has one thread, and all that it needs to have helpers of its own.
            bool const child_is_right = holds_in_child(child_limit, [] {
                if (threads_of_process() != 1 || crew::helper_count() != 0) return false;
                work_with(3);
                return threads_of_process() == 4;
            });
            if (!child_is_right || !threads_become(1) || crew::helper_count() != 0) return false;
        }
        return true;
    }));
}

TEST_CASE("a child has helpers of its own as soon as it wants them", "[fork][counts-threads]") {
    CHECK(holds_in_child(limit, [] {
        work_with(2);
        return holds_in_child(child_limit, [] {
            crew::share(1000, 2, [](std::size_t) noexcept {});
            return threads_of_process() == 3;
        });
    }));
}

TEST_CASE("a child may fork again", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        doubling work;
        for (unsigned i = 0; i < 100; ++i) {
            work_with(2);
            bool const right = holds_in_child(child_limit, [&] {
                bool const before = i % 2 == 0 || work.is_right();  // with helpers at the second fork, and without
                return before && holds_in_child(child_limit, [&] { return work.is_right(); }) && work.is_right();
            });
            if (!right || !work.is_right()) return false;
        }
        return true;
    }));
}

TEST_CASE("a fork may come while other threads are in calls", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        doubling work;
        busy_thread one;
        busy_thread another;
        for (unsigned i = 0; i < 300; ++i) {
            if (!holds_in_child(child_limit, [&] { return work.is_right(); })) return false;
        }
        bool const one_is_right = one.stop_and_check();
        return another.stop_and_check() && one_is_right;
    }));
}

TEST_CASE("a fork does not wait for callers with long chunks", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        std::atomic<bool> is_in_chunk{false};
        std::atomic<bool> has_forked{false};
        std::thread caller([&] {
            pthread_t const me = pthread_self();
            crew::share(64, 2, [&, me](std::size_t) noexcept {
                if (pthread_equal(pthread_self(), me) == 0) {
                    while (!is_in_chunk) sched_yield();  // leaves a chunk for the caller
                } else {
                    is_in_chunk = true;
                    while (!has_forked) sched_yield();
                }
            });
        });
        while (!is_in_chunk) sched_yield();
        bool const child_is_right = holds_in_child(child_limit, [] { return doubling().is_right(); });
        has_forked = true;
        caller.join();
        return child_is_right;
    }));
}

TEST_CASE("a fork waits for the chunk that a helper has in work, and for no more", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        std::uint32_t const before_fork = generation();
        std::atomic<unsigned> chunks_of_helper{0};
        std::atomic<bool> has_forked{false};
        std::thread caller([&] {
            pthread_t const me = pthread_self();
            crew::share(64, 1, [&, me](std::size_t) noexcept {
                if (pthread_equal(pthread_self(), me) == 0) ++chunks_of_helper;
                while (!has_forked && (pthread_equal(pthread_self(), me) != 0 || generation() == before_fork)) {
                    sched_yield();
                }
            });
        });
        while (chunks_of_helper == 0) sched_yield();
        bool const child_is_right = holds_in_child(child_limit, [] { return doubling().is_right(); });
        unsigned const chunks_before_fork = chunks_of_helper;
        has_forked = true;
        caller.join();
        return child_is_right && chunks_before_fork == 1;
    }));
}

TEST_CASE("a child can announce calls, even if all slots were taken in its parent", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        constexpr unsigned callers = twofold::detail::crew_state::slot_count;
        std::atomic<unsigned> calls_in_chunk{0};
        std::atomic<bool> has_forked{false};
        std::vector<std::thread> threads;
        for (unsigned caller = 0; caller < callers; ++caller) {
            threads.emplace_back([&] {
                pthread_t const me = pthread_self();
                std::atomic<bool> is_in_chunk{false};
                crew::share(64, 1, [&, me](std::size_t) noexcept {
                    if (pthread_equal(pthread_self(), me) == 0) {
                        while (!is_in_chunk) sched_yield();  // leaves a chunk for the caller
                    } else if (!is_in_chunk.exchange(true)) {
                        ++calls_in_chunk;
                        while (!has_forked) sched_yield();
                    }
                });
            });
        }
        while (calls_in_chunk < callers) sched_yield();
        bool const child_is_right = holds_in_child(child_limit, [] {
            work_with(2);  // hangs if nobody hears of it
            return true;
        });
        has_forked = true;
        for (std::thread& thread : threads) thread.join();
        return child_is_right;
    }));
}

TEST_CASE("the helpers of a child leave the calls of its parent alone", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        pid_t const parent = getpid();
        std::uint32_t const before_fork = generation();
        std::atomic<unsigned> calls_in_chunk{0};
        std::atomic<bool> has_forked{false};
        std::atomic<bool> ran_in_child{false};
        // Not on the stacks of the callers, which the child's threads may get.
        auto const chunk = [&](std::size_t i) noexcept {
            if (getpid() != parent) ran_in_child = true;
            if (i == 0) ++calls_in_chunk;  // the caller's
            // Until the fork chunks are left.
            while (!has_forked && getpid() == parent && (i == 0 || generation() == before_fork)) sched_yield();
        };
        std::thread one([&] { crew::share(64, 1, chunk); });
        std::thread another([&] { crew::share(64, 1, chunk); });
        while (calls_in_chunk < 2) sched_yield();
        bool const child_is_right = holds_in_child(child_limit, [&] {
            work_with(2);
            while (crew::state_of_helpers() != twofold::detail::helpers::asleep) sched_yield();
            return !ran_in_child;
        });
        has_forked = true;
        one.join();
        another.join();
        return child_is_right;
    }));
}

TEST_CASE("a lock that a kernel wants and the forking thread has is a delay, no hang", "[fork][counts-threads]") {
    CHECK(holds_in_child(limit, [] {
        caught_stderr const said;
        stuck_call call;
        bool const child_is_right = holds_in_child(child_limit, [] {
            work_with(2);
            return threads_of_process() == 3 && doubling().is_right();
        });
        // The helper is left behind. Others come and go meanwhile, and nobody waits for it again.
        bool right = child_is_right && said.text() == went_on;
        for (unsigned i = 0; i < 3 && right; ++i) {
            work_with(2);
            right = threads_of_process() == 5 && holds_in_child(child_limit, [] { return doubling().is_right(); });
        }
        work_with(2);
        return call.ends_right() && right && said.text() == went_on && threads_become(3);
    }));
}

TEST_CASE("helpers that were left behind are no danger to those of later calls", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        caught_stderr const said;
        std::optional<stuck_call> first(std::in_place);
        bool right = holds_in_child(child_limit, [] { return true; });
        std::optional<stuck_call> second(std::in_place);
        bool child_is_right = false;
        std::thread forking(
            [&] { child_is_right = holds_in_child(child_limit, [] { return doubling().is_right(); }); });
        right = first->ends_right() && right;  // while the fork waits for that of the second
        forking.join();
        right = child_is_right && right;
        right = second->ends_right() && right;
        work_with(2);
        return right && said.text() == went_on + went_on && doubling().is_right();
    }));
}

TEST_CASE("a fork in a chunk on the caller's own thread is one like any other", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        for (unsigned repetition = 0; repetition < 20; ++repetition) {
            pthread_t const me = pthread_self();
            std::atomic<unsigned> runs[64] = {};
            std::atomic<bool> helper_is_in{false};
            pid_t child = -1;
            crew::share(std::size(runs), 2, [&, me](std::size_t i) noexcept {
                ++runs[i];
                if (!is_on(me)) {
                    helper_is_in = true;
                    spend_some_time();
                } else if (child == -1) {
                    while (!helper_is_in) sched_yield();
                    child = fork();
                }
            });
            bool const right = std::ranges::all_of(runs, [](auto const& count) { return count == 1; });
            if (child == 0) leave_with(child_limit, [&] { return right && doubling().is_right(); });
            if (!right || wait_for(child, child_limit) != EXIT_SUCCESS) return false;
        }
        return true;
    }));
}

TEST_CASE("a call that lost a chunk in the child of a fork ends the child, with a message", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        caught_stderr const said;
        abort_in_silence();
        pthread_t const me = pthread_self();
        std::mutex mutex;
        std::unique_lock lock(mutex);  // until the fork is over
        std::atomic<unsigned> runs[64] = {};
        std::atomic<bool> helper_is_in{false};
        pid_t child = -1;
        crew::share(std::size(runs), 1, [&, me](std::size_t i) noexcept {
            if (!is_on(me)) {
                helper_is_in = true;
                std::lock_guard const guard(mutex);
                ++runs[i];
            } else {
                ++runs[i];
                if (child != -1) return;
                while (!helper_is_in) sched_yield();
                child = fork();
                if (child == 0) alarm(child_limit);
                lock.unlock();
            }
        });
        if (child == 0) _exit(EXIT_SUCCESS);  // as if all were well
        return wait_for(child, child_limit) == -SIGABRT &&
               std::ranges::all_of(runs, [](auto const& count) { return count == 1; }) &&
               said.text() == went_on +
                                  "twofold: this child of a fork is in a call that it cannot end: a helper thread, for "
                                  "which the fork did not wait, had a part of it\n";
    }));
}

TEST_CASE("a fork on a helper's thread is an abort, with a word", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        caught_stderr const said;
        abort_in_silence();
        pid_t const child = fork();
        if (child == 0) {
            leave_with(child_limit, [] {
                pthread_t const me = pthread_self();
                std::atomic<bool> helper_is_in{false};
                crew::share(2, 1, [&, me](std::size_t) noexcept {
                    if (is_on(me)) {
                        while (!helper_is_in) sched_yield();
                    } else {
                        helper_is_in = true;
                        if (fork() == 0) _exit(EXIT_SUCCESS);
                    }
                });
                return true;
            });
        }
        return wait_for(child, child_limit) == -SIGABRT &&
               said.text() ==
                   "twofold: a kernel forks on a helper thread, and the child would have that thread alone, in a call "
                   "of nobody's\n";
    }));
}

TEST_CASE("no helper is started while a fork is to come", "[fork][counts-threads]") {
    CHECK(holds_in_child(limit, [] {
        auto const goes_alone = [] {
            bool const alone = crew::share(100, 2, [](std::size_t) noexcept {}) == twofold::detail::help::none;
            return alone && threads_become(1) && crew::helper_count() == 0;
        };
        if (crew::expect_fork()) return false;  // no helper is there
        crew::fork_is_over();
        work_with(2);
        // Two forks are to come, by two threads, and the second one fails.
        for (unsigned i = 0; i < 2; ++i) {
            if (crew::expect_fork() != (i == 0)) return false;
            crew::stop_for_fork();
        }
        if (!goes_alone()) return false;
        bool const child_is_right = holds_in_child(child_limit, [] {
            work_with(2);
            crew::fork_is_over();  // of one that it was not told of
            work_with(3);
            return true;
        });
        crew::fork_is_over();
        if (!child_is_right || !goes_alone()) return false;
        crew::fork_is_over();
        work_with(2);
        return crew::helper_count() == 2;
    }));
}

TEST_CASE("forks may come while kernels sleep and nest and threads come and go", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        std::atomic<bool> is_over{false};
        std::atomic<unsigned> wrong{0};
        auto const call = [&] {
            std::atomic<unsigned> runs{0};
            crew::share(4, 2, [&](std::size_t i) noexcept {
                timespec const millisecond{0, 1'000'000};
                if (i % 2 == 0) nanosleep(&millisecond, nullptr);
                crew::share(4, 2, [&](std::size_t) noexcept { ++runs; });
            });
            wrong += runs != 16;
        };
        std::thread one([&] {
            while (!is_over) call();
        });
        std::thread another([&] {
            while (!is_over) std::thread(call).join();
        });
        bool right = true;
        for (unsigned i = 0; i < 100; ++i) {
            right = right && holds_in_child(child_limit, [] {
                        work_with(2);
                        return true;
                    });
        }
        is_over = true;
        one.join();
        another.join();
        return right && wrong == 0;
    }));
}

TEST_CASE("any thread may fork", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        doubling work;
        work_with(2);
        bool right = true;
        for (unsigned i = 0; i < 100; ++i) {
            std::thread([&] {
                right = right && holds_in_child(child_limit, [&] { return work.is_right(); }) && work.is_right();
            }).join();
        }
        return right && work.is_right();
    }));
}

TEST_CASE("threads that fork at the same time do not get in each other's way", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        std::atomic<bool> right{true};
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 4; ++i) {
            threads.emplace_back([&right] {
                doubling work(min_for_threads);
                for (unsigned repetition = 0; repetition < 50; ++repetition) {
                    if (!work.is_right() || !holds_in_child(child_limit, [&] { return work.is_right(); }))
                        right = false;
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        return right.load();
    }));
}

TEST_CASE("a fork in the middle of a first call leaves the child with handlers", "[fork]") {
    for (stage const where : {stage::before, stage::after}) {
        CAPTURE(where == stage::after);
        CHECK(holds_in_child(limit, [where] {
            waits_at = where;
            waits_in = getpid();
            std::thread first_caller([] { crew::share(2, 1, [](std::size_t) noexcept {}); });
            while (!is_waiting) sched_yield();
            bool const child_is_right = holds_in_child(child_limit, has_handlers);
            waits_in = 0;
            first_caller.join();
            return child_is_right && has_handlers();
        }));
    }
}

TEST_CASE("a first call in the middle of a fork leaves nothing of itself in the child", "[fork]") {
    // The call is under way, or has just registered the handlers; musl lets it do neither before the fork is over.
    for (stage const where : {stage::nowhere, stage::after}) {
        CAPTURE(where == stage::after);
        CHECK(holds_in_child(limit, [where] {
            // What a handler of somebody else's may do: wait, as long as it likes. It is registered before the crew's.
            static std::atomic<bool> fork_has_begun{false};
            static std::atomic<bool> call_is_under_way{false};
            static pid_t parent = 0;
            parent = getpid();
            waits_at = where;
            waits_in = parent;
            pthread_atfork(
                [] {
                    fork_has_begun = true;
                    while (!call_is_under_way && !is_waiting && !others_sleep()) sched_yield();
                },
                nullptr, nullptr);
            std::atomic<bool> is_over{false};
            std::atomic<bool> is_childs{false};
            std::thread first_caller([&] {
                while (!fork_has_begun) sched_yield();
                // More helpers are wanted than come in, so that helpers of the child would find room.
                crew::share(16, 8, [&](std::size_t) noexcept {
                    is_childs = is_childs || getpid() != parent;
                    call_is_under_way = true;
                    while (!is_over && getpid() == parent) sched_yield();
                });
            });
            bool const child_is_right = holds_in_child(child_limit, [&] { return has_handlers() && !is_childs; });
            waits_in = 0;
            is_over = true;
            first_caller.join();
            return child_is_right && has_handlers();
        }));
    }
}

TEST_CASE("a fork may come at the time of the very first call", "[fork]") {
    bool right = true;
    for (unsigned i = 0; i < 100; ++i) {
        right = right && holds_in_child(limit, [] {
                    doubling work(min_for_threads);
                    std::atomic<bool> go{false};
                    std::thread first_caller([&] {
                        while (!go) sched_yield();
                        // Alone, if the fork has the lock just then: no chunk may wait for a helper.
                        crew::share(2, 1, [](std::size_t) noexcept {});
                    });
                    go = true;
                    bool const child_is_right = holds_in_child(child_limit, [&] { return work.is_right(); });
                    first_caller.join();
                    return child_is_right && work.is_right();
                });
    }
    CHECK(right);
}

TEST_CASE("threads may make the first calls of a process at the same time", "[fork][many-processes]") {
    // _Fork runs no handlers, so its child is a process in which the crew has yet to set itself up, like a new one.
    REQUIRE(holds_in_child(limit, [] {
        for (unsigned round = 0; round < 2000; ++round) {
            pid_t const child = _Fork();
            if (child == 0) {
                leave_with(child_limit, [] {
                    constexpr unsigned callers = 8;
                    std::atomic<unsigned> arrived{0};
                    std::atomic<unsigned> wrong{0};
                    std::vector<std::thread> threads;
                    for (unsigned caller = 0; caller < callers; ++caller) {
                        threads.emplace_back([&] {
                            std::atomic<unsigned> runs[64] = {};
                            ++arrived;
                            while (arrived < callers) sched_yield();
                            for (unsigned call = 0; call < 20; ++call) {
                                crew::share(64, 2, [&](std::size_t i) noexcept { ++runs[i]; });
                            }
                            for (auto const& count : runs) wrong += count != 20;
                        });
                    }
                    for (std::thread& thread : threads) thread.join();
                    return wrong == 0 && crew::helper_count() == 2;
                });
            }
            if (child < 0 || wait_for(child, child_limit) != EXIT_SUCCESS) return false;
        }
        return true;
    }));
}

TEST_CASE("a signal handler may fork in the middle of a call that has helpers", "[fork][guarded]") {
    CHECK(holds_in_child(limit, [] {
        call_on_signal(SIGUSR1, fork_in_handler);
        max_forks = 20;
        for (unsigned call = 0; call < max_forks && !is_child; ++call) {
            pthread_t const caller = pthread_self();
            std::atomic<bool> helper_is_here{false};
            std::vector<std::atomic<unsigned>> runs(500);
            crew::share(runs.size(), 1, [&](std::size_t i) noexcept {
                ++runs[i];
                if (pthread_equal(pthread_self(), caller) == 0) {
                    helper_is_here = true;
                    spend_some_time();  // so that work is left, and the helper still here, when the fork comes
                } else if (forks == call && !is_child) {
                    while (!helper_is_here) sched_yield();
                    raise(SIGUSR1);
                }
            });
            for (auto const& count : runs) {
                if (count != 1) return false;
            }
        }
        // A child has finished the call in which it was made; it goes on to the next.
        return is_child ? doubling().is_right() : all_children_are_right();
    }));
}

TEST_CASE("a signal handler may fork at any point of a call", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        call_on_signal(SIGPROF, fork_in_handler);
        doubling work;
        max_forks = 150;
        itimerval every_millisecond{{0, 1000}, {0, 1000}};
        setitimer(ITIMER_PROF, &every_millisecond, nullptr);  // not inherited by children
        while (forks < max_forks && !is_child) {
            if (!work.is_right()) return false;
        }
        return is_child ? work.is_right() : all_children_are_right();
    }));
}

namespace {

std::atomic<unsigned> signals{0};
std::atomic<unsigned> signals_under_lock{0};

void look_at_lock(int) noexcept {
    ++signals;
    signals_under_lock += twofold::detail::the_crew.lock_owner != 0;
}

}  // namespace

TEST_CASE("signals wait while a fork holds the lock", "[fork]") {
    // A signal handler that forks would wait for that lock, for ever.
    CHECK(holds_in_child(limit, [] {
        call_on_signal(SIGUSR1, look_at_lock);
        // What is registered before the library's handlers is called after them.
        pthread_atfork([] { raise(SIGUSR1); }, nullptr, nullptr);
        work_with(1);
        return holds_in_child(child_limit, [] { return true; }) && signals == 1 && signals_under_lock == 0;
    }));
}

TEST_CASE("a lock that was taken when _Fork copied the process does not bind the copy", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        twofold::detail::the_crew.lock_owner = getpid();  // as if another thread were about to start helpers
        pid_t const child = _Fork();
        if (child == 0) {
            leave_with(child_limit, [] {
                work_with(2);
                return true;
            });
        }
        return child > 0 && wait_for(child, child_limit) == EXIT_SUCCESS;
    }));
}

TEST_CASE("a fork makes good what a _Fork before it left behind", "[fork]") {
    CHECK(holds_in_child(limit, [] {
        caught_stderr const said;
        work_with(2);
        while (crew::state_of_helpers() != twofold::detail::helpers::asleep) sched_yield();
        pid_t const child = _Fork();
        if (child == 0) {
            leave_with(child_limit, [] {  // with neither helpers nor a word to the library
                return holds_in_child(child_limit, [] {
                    if (crew::state_of_helpers() != twofold::detail::helpers::none) return false;
                    std::atomic<unsigned> arrived{0};
                    std::atomic<unsigned> awake{0};
                    crew::share(3, 2, [&](std::size_t) noexcept {
                        ++arrived;
                        while (arrived < 3) sched_yield();
                        awake += crew::state_of_helpers() == twofold::detail::helpers::awake;
                        ++arrived;
                        while (arrived < 6) sched_yield();  // nobody goes to sleep before all have looked
                    });
                    return crew::helper_count() == 2 && awake == 3;
                });
            });
        }
        return child > 0 && wait_for(child, child_limit) == EXIT_SUCCESS && said.text().empty();
    }));
}
