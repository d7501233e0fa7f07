// A shared object that doubles with helpers of its own. Built twice, under two names, and once more as if the headers
// were of another version.
#include <twofold/version.hpp>
#if defined(TWOFOLD_TEST_MINOR_VERSION)
#undef TWOFOLD_VERSION_MINOR
#define TWOFOLD_VERSION_MINOR TWOFOLD_TEST_MINOR_VERSION
#endif

#include <cstddef>
#include <cstdint>
#include <span>
#include <twofold/twofold.hpp>

using crew = twofold::detail::crew;

extern "C" {
void double_with_plugin(std::uint32_t* values, std::size_t n, unsigned threads);
unsigned helpers_of_plugin();
void work_with_plugin(unsigned helpers);
void double_checked_with_plugin(std::uint32_t* values, std::size_t n);
}

void double_with_plugin(std::uint32_t* values, std::size_t n, unsigned threads) {
    twofold::double_in_place(std::span(values, n), {.threads = threads});
}

unsigned helpers_of_plugin() {
    return crew::helper_count();
}

// Throws where a double does not fit.
void double_checked_with_plugin(std::uint32_t* values, std::size_t n) {
    twofold::double_in_place(std::span(values, n), {.overflow = twofold::overflow_policy::raise});
}

// Has `helpers` helpers at work at the same time as this thread.
void work_with_plugin(unsigned helpers) {
    std::atomic<unsigned> arrived{0};
    crew::share(helpers + 1, helpers, [&](std::size_t) noexcept {
        ++arrived;
        while (arrived <= helpers) sched_yield();
    });
}
