// Promise: without exceptions the library works, and a failure prints one line and aborts.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <twofold/twofold.hpp>
#include <vector>

#include "in_child.hpp"

#if defined(__cpp_exceptions)
#error "this file tests builds with -fno-exceptions"
#endif

namespace {

int failures = 0;

void check(bool holds, char const* promise) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", promise);
    ++failures;
}

// What a child that does `action` writes to its standard error, and how it ends.
template <class Action>
int end_of_child(Action const& action, std::string& written) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_t const child = fork();
    if (child == 0) {
        rlimit const no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        leave_with(10, [&] {
            action();
            return true;
        });
    }
    close(ends[1]);
    char text[256];
    for (ssize_t length; (length = read(ends[0], text, sizeof(text))) > 0;) {
        written.append(text, static_cast<std::size_t>(length));
    }
    close(ends[0]);
    return wait_for(child, 10);
}

}  // namespace

int main() {
    std::vector<int> const three{1, 2, 3};
    check(twofold::doubled(three) == std::vector<int>{2, 4, 6}, "three elements are doubled");
    std::vector<int> many(5'000'000, 21);
    twofold::double_in_place(many, {.threads = 3});
    check(many == std::vector<int>(many.size(), 42), "many elements are doubled");

    std::string written;
    std::vector<int> two(2);
    check(end_of_child([&] { twofold::double_into(three, two); }, written) == -SIGABRT, "different sizes abort");
    check(written == "twofold: the input has 3 elements, but the output has 2\n", "one line says why");

    written.clear();
    std::size_t const shape[] = {3};
    std::ptrdiff_t const step[] = {4}, no_step[] = {0};
    std::vector<int> out(3);
    twofold::double_array<int>({three.data(), shape, step}, {out.data(), shape, step});
    check(out == std::vector{2, 4, 6}, "an array is doubled");
    check(end_of_child([&] { twofold::double_array<int>({three.data(), shape, step}, {out.data(), shape, no_step}); },
                       written) == -SIGABRT,
          "an output that overlaps itself aborts");
    check(written == "twofold: elements of the output share memory\n", "one line says what is refused");

    written.clear();
    std::vector<std::int8_t> bytes{1, 64, 3};
    twofold::double_in_place(std::span(bytes).first(1), {.overflow = twofold::overflow_policy::raise});
    check(bytes[0] == 2, "where nothing overflows, `raise` doubles");
    check(end_of_child([&] { (void)twofold::doubled(bytes, {.overflow = twofold::overflow_policy::raise}); },
                       written) == -SIGABRT,
          "overflow aborts");
    check(written == "twofold: the double of element 1 does not fit its type\n", "one line says where");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
