// Promises of the number of threads: how it is read, and who decides.
#include <sched.h>

#include <cstdlib>
#include <twofold/thread_count.hpp>

#include "catch.hpp"
#include "in_child.hpp"

namespace {

struct any_arch;
using twofold::detail::most_threads;

constexpr unsigned parsed(char const* text) {
    return twofold::detail::parse_thread_count<any_arch>(text);
}

unsigned decided(unsigned asked) {
    return twofold::detail::thread_count<any_arch>(asked);
}

// A null pointer is a variable that is not there.
void set(char const* variable, char const* value) {
    if (value == nullptr) {
        unsetenv(variable);
    } else {
        setenv(variable, value, 1);
    }
}

unsigned cpus_of_this_process() {
    cpu_set_t mask;
    return sched_getaffinity(0, sizeof(mask), &mask) == 0 ? static_cast<unsigned>(CPU_COUNT(&mask)) : 0;
}

}  // namespace

TEST_CASE("a number of threads is read from text", "[threads]") {
    static_assert(parsed("4") == 4);
    static_assert(parsed("4,2") == 4);
    static_assert(parsed(" 3 ") == 3);
    static_assert(parsed("\t12\t,1") == 12);
    static_assert(parsed("256") == 256);
    static_assert(parsed("007") == 7);
    static_assert(parsed("99999999999") == most_threads);
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
    CHECK(parsed("abc") == 0);
}

TEST_CASE("the call decides before TWOFOLD_NUM_THREADS, that before OMP_NUM_THREADS, that before the CPUs",
          "[threads]") {
    unsigned const cpus = cpus_of_this_process();
    REQUIRE(cpus > 0);
    struct row {
        unsigned asked;
        char const* twofold;
        char const* omp;
        unsigned threads;
    };
    for (row const& r : {row{5, "6", "7", 5}, row{0, "6", "7", 6}, row{0, nullptr, "7", 7}, row{0, nullptr, "7,3", 7},
                         row{0, nullptr, nullptr, cpus}, row{0, "", "7", 7}, row{0, "0", "7", 7},
                         row{0, "many", "7", 7}, row{0, "-1", "none", cpus}, row{1, "6", "7", 1},
                         row{100'000, "6", "7", most_threads}, row{0, "100000", "7", most_threads}}) {
        set("TWOFOLD_NUM_THREADS", r.twofold);
        set("OMP_NUM_THREADS", r.omp);
        CAPTURE(r.asked, r.threads);
        CHECK(decided(r.asked) == r.threads);
    }
}

TEST_CASE("the environment is followed when it changes", "[threads]") {
    set("TWOFOLD_NUM_THREADS", nullptr);
    for (char const* const count : {"2", "9", "3"}) {
        set("OMP_NUM_THREADS", count);
        CHECK(decided(0) == parsed(count));
    }
}

TEST_CASE("no more threads than the process has CPUs, if nobody says otherwise", "[threads]") {
    CHECK(holds_in_child(10, [] {
        set("TWOFOLD_NUM_THREADS", nullptr);
        set("OMP_NUM_THREADS", nullptr);
        cpu_set_t mask;
        if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return false;
        std::size_t cpu = 0;
        while (!CPU_ISSET(cpu, &mask)) ++cpu;
        CPU_ZERO(&mask);
        CPU_SET(cpu, &mask);
        if (sched_setaffinity(0, sizeof(mask), &mask) != 0) return false;
        while (decided(0) != 1) {  // at most a second old
        }
        return decided(0) == 1;
    }));
}
