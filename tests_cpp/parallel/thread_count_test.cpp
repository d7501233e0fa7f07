// Promises of the number of threads: how it is read, and which rule decides.
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <twofold/parallel/thread_count.hpp>

#include "catch.hpp"
#include "in_child.hpp"
#include "machine/fake_tree.hpp"

namespace {

using twofold::detail::max_threads;
using twofold::detail::thread_decision;
using twofold::detail::thread_rule;
using twofold::detail::thread_wishes;

constexpr unsigned parsed(char const* text) {
    return twofold::detail::parse_thread_count(text);
}

unsigned decided(unsigned asked) {
    return twofold::detail::decide_threads({.argument = asked}).count;
}

// A null pointer is a variable that is not there.
void set(char const* variable, char const* value) {
    if (value == nullptr) {
        unsetenv(variable);
    } else {
        setenv(variable, value, 1);
    }
}

void set_environment(char const* twofold, char const* omp, char const* omp_limit) {
    set("TWOFOLD_NUM_THREADS", twofold);
    set("OMP_NUM_THREADS", omp);
    set("OMP_THREAD_LIMIT", omp_limit);
}

// What the decision about a process in this tree is, if nothing is remembered.
thread_decision decided_anew(thread_wishes const& wishes, fake_tree const& tree) {
    twofold::detail::the_available_cpus = 0;
    thread_decision const decision = twofold::detail::decide_threads(wishes, tree.root());
    twofold::detail::the_available_cpus = 0;
    return decision;
}

// A process whose control group has a quota of `cpus` CPUs.
fake_tree limited_to(unsigned cpus) {
    return fake_tree{{"/proc/self/cgroup", "0::/a\n"},
                     {"/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
                     {"/sys/fs/cgroup/a/cpu.max", std::to_string(cpus) + "00000 100000\n"}};
}

unsigned cpus_of_mask() {
    cpu_set_t mask;
    return sched_getaffinity(0, sizeof(mask), &mask) == 0 ? static_cast<unsigned>(CPU_COUNT(&mask)) : 0;
}

// What this process may use, as the library has no part in asking for it but for the quota, which cgroup_test is about.
unsigned cpus_of_this_process() {
    unsigned const quota = twofold::detail::cgroup_cpus();
    return quota != 0 ? std::min(quota, cpus_of_mask()) : cpus_of_mask();
}

bool allow_only_one_cpu() {
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return false;
    std::size_t cpu = 0;
    while (!CPU_ISSET(cpu, &mask)) ++cpu;
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    return sched_setaffinity(0, sizeof(mask), &mask) == 0;
}

time_t second() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

}  // namespace

TEST_CASE("a number of threads is read from text", "[threads]") {
    static_assert(parsed("4") == 4);
    static_assert(parsed("4,2") == 4);
    static_assert(parsed(" 3 ") == 3);
    static_assert(parsed("\t12\t,1") == 12);
    static_assert(parsed("256") == 256);
    static_assert(parsed("007") == 7);
    static_assert(parsed("4\r\n") == 4);
    static_assert(parsed("4,many") == 4);
    static_assert(parsed("4294967295") == 4294967295);
    static_assert(parsed("0000000000000000000000000000000005") == 5);
    CHECK(parsed("4") == 4);
}

TEST_CASE("text that is no positive number says nothing", "[threads]") {
    static_assert(parsed(nullptr) == 0);
    static_assert(parsed("") == 0);
    static_assert(parsed(" ") == 0);
    static_assert(parsed(",4") == 0);
    static_assert(parsed("abc") == 0);
    static_assert(parsed("-1") == 0);
    static_assert(parsed("+2") == 0);
    static_assert(parsed("0") == 0);
    static_assert(parsed("0,4") == 0);
    static_assert(parsed("4x") == 0);
    static_assert(parsed("4 2") == 0);
    static_assert(parsed("1.5") == 0);
    static_assert(parsed("0x8") == 0);
    static_assert(parsed("4294967296") == 0);
    static_assert(parsed("4294967300") == 0);
    static_assert(parsed("99999999999") == 0);
    static_assert(parsed("18446744073709551620") == 0);
    CHECK(parsed("abc") == 0);
}

TEST_CASE("the first rule that says something decides", "[threads]") {
    struct row {
        thread_wishes wishes;
        char const* twofold;
        char const* omp;
        char const* omp_limit;
        unsigned count;
        thread_rule rule;
    };
    unsigned const cpus = cpus_of_mask();
    REQUIRE(cpus > 0);
    using enum thread_rule;
    thread_wishes const nothing{};
    thread_wishes const all{.argument = 5, .thread_limit = 4, .pool_worker = true};
    thread_wishes const limit_and_pool{.thread_limit = 4, .pool_worker = true};
    thread_wishes const pool{.pool_worker = true};
    fake_tree const tree;  // no control group
    for (row const& r : {
             row{all, "6", "7", "8", 5, argument},
             row{{.argument = 1}, "6", "7", nullptr, 1, argument},
             row{limit_and_pool, "6", "7", "8", 4, thread_limit},
             row{pool, "6", "7", "8", 6, twofold_num_threads},
             row{pool, nullptr, "7", "8", 7, omp_num_threads},
             row{pool, nullptr, nullptr, "8", 1, pool_worker},
             row{nothing, nullptr, nullptr, "8", cpus, affinity},

             row{nothing, "", "7", nullptr, 7, omp_num_threads},
             row{nothing, "0", "7", nullptr, 7, omp_num_threads},
             row{nothing, "many", "7,3", nullptr, 7, omp_num_threads},
             row{nothing, "99999999999", "7", nullptr, 7, omp_num_threads},
             row{nothing, "-1", "none", nullptr, cpus, affinity},
             row{pool, "4x", "1.5", nullptr, 1, pool_worker},

             row{nothing, nullptr, "7", "3", 3, omp_num_threads},
             row{nothing, nullptr, "7", "7", 7, omp_num_threads},
             row{nothing, nullptr, "7", "0", 7, omp_num_threads},
             row{nothing, nullptr, "7", "-3", 7, omp_num_threads},
             row{nothing, nullptr, "7", "few", 7, omp_num_threads},
             row{nothing, nullptr, "4000000000", "3", 3, omp_num_threads},
             row{nothing, nullptr, "x", "1", cpus, affinity},
             row{nothing, "6", "7", "3", 6, twofold_num_threads},
             row{{.argument = 5}, "6", "7", "3", 5, argument},
             row{{.thread_limit = 4}, "6", "7", "3", 4, thread_limit},

             row{{.argument = 100'000}, "6", "7", nullptr, max_threads, argument},
             row{{.thread_limit = 100'000}, "6", "7", nullptr, max_threads, thread_limit},
             row{nothing, "100000", "7", nullptr, max_threads, twofold_num_threads},
             row{nothing, nullptr, "100000", nullptr, max_threads, omp_num_threads},
         }) {
        set_environment(r.twofold, r.omp, r.omp_limit);
        CAPTURE(r.wishes.argument, r.wishes.thread_limit, r.wishes.pool_worker);
        CAPTURE(std::string(r.twofold != nullptr ? r.twofold : "unset"),
                std::string(r.omp != nullptr ? r.omp : "unset"),
                std::string(r.omp_limit != nullptr ? r.omp_limit : "unset"));
        thread_decision const decision = decided_anew(r.wishes, tree);
        CHECK(decision.count == r.count);
        CHECK(decision.rule == r.rule);
    }
    set_environment(nullptr, nullptr, nullptr);
}

TEST_CASE("each rule has a name of its own", "[threads]") {
    using twofold::detail::name_of;
    using enum thread_rule;
    constexpr thread_rule rules[] = {argument, thread_limit, twofold_num_threads, omp_num_threads, pool_worker,
                                     affinity, cgroup};
    for (thread_rule const one : rules) {
        CHECK_FALSE(std::string_view(name_of(one)).empty());
        for (thread_rule const other : rules) {
            CHECK((one == other) == (std::string_view(name_of(one)) == name_of(other)));
        }
    }
}

TEST_CASE("the number that a call asks for is what it gets", "[threads]") {
    set_environment("6", "7", nullptr);
    CHECK(decided(5) == 5);
    CHECK(decided(0) == 6);
    set_environment(nullptr, nullptr, nullptr);
    CHECK(decided(5) == 5);
    CHECK(decided(0) == cpus_of_this_process());
}

TEST_CASE("the environment is followed when it changes", "[threads]") {
    set_environment(nullptr, nullptr, nullptr);
    for (char const* const count : {"2", "9", "3"}) {
        set("OMP_NUM_THREADS", count);
        CHECK(decided(0) == parsed(count));
    }
    set_environment(nullptr, nullptr, nullptr);
}

TEST_CASE("of the affinity mask and the quota, the smaller decides", "[threads]") {
    set_environment(nullptr, nullptr, nullptr);
    unsigned const cpus = cpus_of_mask();
    for (unsigned const quota : {1u, cpus, cpus + 1, 100'000u}) {
        CAPTURE(cpus, quota);
        thread_decision const decision = decided_anew({}, limited_to(quota));
        CHECK(decision.count == std::min(cpus, quota));
        CHECK(decision.rule == (quota < cpus ? thread_rule::cgroup : thread_rule::affinity));
    }
}

TEST_CASE("more than the process's CPUs are used where a rule before says so", "[threads]") {
    set_environment(nullptr, "200", nullptr);
    CHECK(decided_anew({}, limited_to(1)).count == 200);
    set_environment(nullptr, nullptr, nullptr);
    CHECK(decided_anew({.argument = 200}, limited_to(1)).count == 200);
}

TEST_CASE("the CPUs of the process are asked for once a second", "[threads]") {
    fake_tree const tree = limited_to(1);
    fake_tree const other;
    set_environment(nullptr, nullptr, nullptr);
    auto const decided_in = [](fake_tree const& root) { return twofold::detail::decide_threads({}, root.root()); };
    for (;;) {
        time_t const before = second();
        twofold::detail::the_available_cpus = 0;
        thread_decision const first = decided_in(tree);
        thread_decision const next = decided_in(other);
        if (second() != before) continue;  // all of it must happen within a second
        CHECK(first.count == 1);
        CHECK(next.count == first.count);
        CHECK(next.rule == first.rule);
        while (second() == before) {
        }
        CHECK(decided_in(other).count == cpus_of_mask());
        CHECK(decided_in(other).rule == thread_rule::affinity);
        break;
    }
    twofold::detail::the_available_cpus = 0;
}

TEST_CASE("no more threads than the process has CPUs by default", "[threads]") {
    CHECK(holds_in_child(10, [] {
        set_environment(nullptr, nullptr, nullptr);
        if (!allow_only_one_cpu()) return false;
        while (decided(0) != 1) {  // at most a second old
        }
        return decided(0) == 1;
    }));
}

TEST_CASE("a child of a fork asks for its own CPUs", "[threads]") {
    set_environment(nullptr, nullptr, nullptr);
    // In the end within a second, so that the answer of the parent is not merely old.
    for (bool tried = false; !tried;) {
        time_t const before = second();
        CHECK(decided(0) == cpus_of_this_process());
        bool const holds = holds_in_child(10, [] { return allow_only_one_cpu() && decided(0) == 1; });
        tried = second() == before;
        CHECK(holds);
    }
}
