// Promise: a process ends cleanly, whatever its helpers are doing. What they do is the argument.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <twofold/twofold.hpp>
#include <vector>

#include "in_child.hpp"

namespace {

using crew = twofold::detail::crew;

void work_with(unsigned helpers) {
    std::atomic<unsigned> arrived{0};
    crew::share(helpers + 1, helpers, [&](std::size_t) noexcept {
        ++arrived;
        while (arrived <= helpers) sched_yield();
    });
}

// Never given back: a thread goes on with it while the process exits.
void call_for_ever(std::atomic<unsigned>& calls) {
    auto& values = *new std::vector<std::uint32_t>(5'000'000, 1);
    for (;; ++calls) twofold::double_in_place(values, {.threads = 3});
}

void call_in_other_thread() {
    static std::atomic<unsigned> calls{0};
    std::thread(call_for_ever, std::ref(calls)).detach();
    while (calls < 5) sched_yield();
}

// Objects with destructors that double, as some programs have them.
struct doubles_at_exit {
    ~doubles_at_exit() {
        work_with(2);
        std::vector<std::uint32_t> values(5'000'000, 21);
        twofold::double_in_place(values, {.threads = 3});
        if (values.front() != 42 || values.back() != 42) _exit(EXIT_FAILURE);
    }
};

}  // namespace

int main(int count, char* arguments[]) {
    std::string_view const helpers_are(count > 1 ? arguments[1] : "");
    if (helpers_are == "spinning") {
        work_with(3);
    } else if (helpers_are == "asleep") {
        work_with(3);
        while (twofold::detail::the_crew.asleep < 3) sched_yield();
    } else if (helpers_are == "working") {
        call_in_other_thread();
    } else if (helpers_are == "wanted by a destructor") {
        static doubles_at_exit const last;
        work_with(3);
    } else if (helpers_are == "those of a child") {
        work_with(3);
        pid_t const child = fork();
        if (child == 0) {
            work_with(3);
            std::exit(EXIT_SUCCESS);  // with all that is done at exit
        }
        return wait_for(child, 20) == EXIT_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
    } else {
        std::fputs("exit_test: unknown argument\n", stderr);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
