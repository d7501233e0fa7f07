// Promises where the system gives no more threads. Each in a child of a process that never had a helper: the C library
// keeps the stacks of threads that have ended, and would make new threads of those.
//
// The lack is made by RLIMIT_AS, which leaves no room for a stack; RLIMIT_NPROC would not bind root.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "in_child.hpp"
#include "threads_of_process.hpp"

namespace {

using crew = twofold::detail::crew;

std::size_t address_space_in_use() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// From here on this process gets `more` bytes of address space at most.
bool limit_address_space(std::size_t more) {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = address_space_in_use() + more;
    return setrlimit(RLIMIT_AS, &limit) == 0;
}

bool lift_limit_of_address_space() {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_AS, &limit) == 0;
}

std::size_t default_stack_bytes() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    std::size_t bytes = 0;
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    return bytes;
}

bool a_thread_can_be_created() {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) != 0) return false;
    pthread_join(thread, nullptr);
    return true;
}

bool each_index_runs_once(unsigned helpers) {
    std::vector<unsigned> runs(1000, 0);
    crew::share(runs.size(), helpers, [&](std::size_t i) noexcept { ++runs[i]; });
    return std::ranges::all_of(runs, [](unsigned count) { return count == 1; });
}

}  // namespace

TEST_CASE("where no thread can be created, the caller does all the work", "[crew][counts-threads]") {
    CHECK(holds_in_child(20, [] {
        auto const in = arbitrary_elements<std::uint32_t>(twofold::detail::threads_pay_asleep_bytes / 4 + 5);
        auto const expected = expected_doubles(in);
        std::vector<std::uint32_t> out(in.size());
        if (!limit_address_space(std::size_t{64} << 10) || a_thread_can_be_created()) return false;
        twofold::double_into(in, out, {.threads = 4});
        return out == expected && crew::helper_count() == 0 && threads_of_process() <= 1;
    }));
}

TEST_CASE("where few threads can be created, those help, and the others come when they can", "[crew][counts-threads]") {
    CHECK(holds_in_child(20, [] {
        if (!limit_address_space(default_stack_bytes() * 5 / 2)) return false;
        if (!each_index_runs_once(7)) return false;
        if (crew::helper_count() != 2) return false;
        if (!lift_limit_of_address_space()) return false;
        while (crew::helper_count() < 7) {
            if (!each_index_runs_once(7)) return false;
        }
        return threads_of_process() == 8;
    }));
}
