// Promises of environment variables: they are getenv's, or what a binding says they are.
#include <cstdlib>
#include <cstring>
#include <string>
#include <twofold/machine/cache_size.hpp>
#include <twofold/machine/environment.hpp>
#include <twofold/parallel/thread_count.hpp>

#include "catch.hpp"

namespace detail = twofold::detail;

namespace {

char const* the_value = "";  // of every variable, as this reader has it

char const* read(char const*, char* memory, std::size_t bytes) noexcept {
    std::strncpy(memory, the_value, bytes - 1);
    memory[bytes - 1] = '\0';
    return memory;
}

}  // namespace

TEST_CASE("a variable is what getenv says") {
    setenv("TWOFOLD_NUM_THREADS", "3", 1);
    CHECK(std::string(detail::environment_variable("TWOFOLD_NUM_THREADS").text()) == "3");
    unsetenv("TWOFOLD_NUM_THREADS");
    CHECK(detail::environment_variable("TWOFOLD_NUM_THREADS").text() == nullptr);
}

TEST_CASE("a variable is what the binding's reader says, wherever one is read") {
    setenv("TWOFOLD_NUM_THREADS", "3", 1);
    setenv("TWOFOLD_CACHE_BYTES", "16M", 1);
    detail::the_variable_reader = read;
    the_value = "5";
    CHECK(detail::decide_threads({}).count == 5);
    CHECK(detail::cache_size_by_environment() == 5);
    std::string const ones(10'000, '1');  // more digits than any number has
    the_value = ones.c_str();
    CHECK(detail::threads_by_environment().count == 0);
    detail::the_variable_reader = nullptr;
    CHECK(detail::decide_threads({}).count == 3);
    CHECK(detail::cache_size_by_environment() == std::size_t{16} << 20);
}
