// Promises of calls that several threads make at once: each does its own work, whichever others are in a call. Small
// enough for the thread sanitizer, which sees here all that whole calls share.
#include <sched.h>

#include <atomic>
#include <thread>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"

namespace {

// One caller's arrays, and what it expects of them.
class work {
public:
    explicit work(std::size_t n) : in_(arbitrary_elements_that_fit<std::uint32_t>(n)), out_(n) {}

    bool is_right(twofold::options const& how) {
        out_.assign(out_.size(), 1);
        share_next_call();
        twofold::double_into(in_, out_, how);
        if (!same_bits(out_, expected_)) return false;
        out_ = in_;
        share_next_call();
        twofold::double_in_place(out_, how);
        return same_bits(out_, expected_);
    }

    // Whether a call throws for the first of two elements that do not fit.
    bool finds_overflow(std::size_t first, std::size_t second) {
        auto const kept = in_;
        in_[first] = in_[second] = smallest_overflowing<std::uint32_t>();
        std::size_t found = in_.size();
        try {
            share_next_call();
            twofold::double_into(in_, out_, {.overflow = overflow_policy::raise, .threads = 3});
        } catch (twofold::overflow_error const& error) {
            found = error.index();
        }
        in_ = kept;
        return found == first;
    }

private:
    std::vector<std::uint32_t> in_;
    std::vector<std::uint32_t> out_;
    std::vector<std::uint32_t> expected_ = expected_doubles(in_);
};

// Whether `promise(work, repetition)` holds for each of several threads, again and again, all of them at once.
template <class Promise>
bool holds_for_all_callers(Promise const& promise) {
    constexpr unsigned callers = 4;
    constexpr std::size_t n = (std::size_t{512} << 10) / sizeof(std::uint32_t) + 5;
    static_assert(n * sizeof(std::uint32_t) > 4 * twofold::detail::threads_pay_awake_bytes);
    std::atomic<unsigned> arrived{0};
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned caller = 0; caller < callers; ++caller) {
        threads.emplace_back([&] {
            work mine(n);
            ++arrived;
            while (arrived < callers) sched_yield();
            for (unsigned repetition = 0; repetition < 10; ++repetition) wrong += !promise(mine, repetition);
        });
    }
    for (std::thread& thread : threads) thread.join();
    return wrong == 0;
}

}  // namespace

TEST_CASE("several threads may double at once, each with helpers", "[concurrent]") {
    for (overflow_policy const policy : {overflow_policy::wrap, overflow_policy::saturate, overflow_policy::raise}) {
        CHECK(holds_for_all_callers([=](work& mine, unsigned) { return mine.is_right({policy, 3}); }));
    }
    CHECK(holds_for_all_callers([](work& mine, unsigned) { return mine.is_right({}); }));
}

TEST_CASE("several threads may stream at once, each with helpers", "[concurrent]") {
    twofold::detail::the_cache_size.store(std::size_t{64} << 10);
    CHECK(twofold::detail::streaming_pays(twofold::detail::min_cache_bytes, 3));
    CHECK(holds_for_all_callers([](work& mine, unsigned) { return mine.is_right({.threads = 3}); }));
    twofold::detail::the_cache_size.store(0);  // the next call asks the system again
}

TEST_CASE("the first overflow is found, whichever thread comes upon one first", "[concurrent]") {
    CHECK(holds_for_all_callers([](work& mine, unsigned repetition) {
        return mine.finds_overflow(1000 + repetition, 100'000) && mine.finds_overflow(100'000 + repetition, 130'000);
    }));
}
