// Promises of the number of this process: it is right in every kind of child, and for threads that ask first together.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <twofold/machine/process_id.hpp>
#include <vector>

#include "catch.hpp"
#include "in_child.hpp"

namespace {

constexpr unsigned limit = 20;  // seconds

bool is_right() {
    return twofold::detail::process_id() == getpid() && twofold::detail::process_id() == getpid();
}

}  // namespace

TEST_CASE("process_id is right in this process, its child, and the child of that") {
    CHECK(is_right());
    CHECK(holds_in_child(limit, [] { return is_right() && holds_in_child(limit, [] { return is_right(); }); }));
    CHECK(is_right());
}

TEST_CASE("process_id is right in a child that was copied by a bare system call, without any handler") {
    CHECK(is_right());
    auto const child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (child == 0) leave_with(limit, [] { return is_right(); });
    CHECK(wait_for(child, limit) == EXIT_SUCCESS);
}

TEST_CASE("process_id is right on threads that are the first to ask, at the same time") {
    CHECK(holds_in_child(limit, [] {
        twofold::detail::the_process_id.known = nullptr;
        std::atomic<unsigned> arrived{0};
        std::atomic<unsigned> wrong{0};
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                ++arrived;
                while (arrived < 4) sched_yield();
                wrong += !is_right();
            });
        }
        for (std::thread& thread : threads) thread.join();
        return wrong == 0;
    }));
}
