// Promises of loops: each index is in one range, the first failure comes back whatever the number of threads, and how
// long items take is learnt.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <twofold/twofold.hpp>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "forced_sharing.hpp"

namespace {

namespace detail = twofold::detail;

// How often each index was in a range. Bodies are distinct types, so nothing is known of them at first.
struct counts {
    explicit counts(std::size_t n) : of(n) {}
    void add(std::size_t first, std::size_t count) noexcept {
        for (std::size_t i = first; i < first + count; ++i) of[i].fetch_add(1, std::memory_order_relaxed);
    }
    [[nodiscard]] bool all_are(int number, std::size_t from, std::size_t to) const {
        return std::all_of(of.begin() + static_cast<std::ptrdiff_t>(from), of.begin() + static_cast<std::ptrdiff_t>(to),
                           [number](std::atomic<int> const& each) { return each == number; });
    }
    std::vector<std::atomic<int>> of;
};

std::atomic<unsigned> calls{0};  // of a kernel

void stop_helpers() {
    if (detail::crew::expect_fork()) detail::crew::stop_for_fork();
    detail::crew::fork_is_over();
    REQUIRE(detail::crew::helper_count() == 0);
}

}  // namespace

TEST_CASE("each index is in one range, for any number of items and threads") {
    for (std::size_t const n : std::initializer_list<std::size_t>{0, 1, 2, 7, 1000, 100'003}) {
        for (unsigned const threads : {0U, 1U, 2U, 7U}) {
            for (std::size_t const bytes : std::initializer_list<std::size_t>{0, 1, 8, 100'000}) {
                counts seen(n);
                auto const body = [&seen](std::size_t first, std::size_t count) noexcept { seen.add(first, count); };
                static_assert(std::is_void_v<decltype(twofold::parallel_for(n, bytes, body))>);
                for (int call = 1; call <= 3; ++call) {
                    share_next_call();
                    twofold::parallel_for(n, bytes, body, {.threads = threads});
                    CAPTURE(n, threads, bytes, call);
                    REQUIRE(seen.all_are(call, 0, n));
                }
            }
        }
    }
}

TEST_CASE("a loop is cut so that chunks do not grow, however many items it has") {
    constexpr std::size_t n = std::size_t{1} << 22;
    for (unsigned const threads : {1U, 2U, 7U}) {
        std::atomic<std::size_t> all{0};
        std::atomic<std::size_t> longest{0};
        auto const body = [&](std::size_t, std::size_t count) noexcept {
            all += count;
            for (std::size_t most = longest; count > most && !longest.compare_exchange_weak(most, count);) {
            }
        };
        for (int call = 0; call < 2; ++call) {
            all = longest = 0;
            twofold::parallel_for(n, std::size_t{1} << 20, body, {.threads = threads});
            CHECK(all == n);
            if (call == 0) continue;  // nothing was known of the body
            // Of half a mebibyte, or all of a slice on one thread.
            CHECK(longest <= (threads == 1 ? detail::max_slice_bytes >> 20 : std::size_t{1}));
        }
    }
}

TEST_CASE("the code of the first range that fails comes back, and all before it has run") {
    constexpr std::size_t n = 50'000;
    // The first code is not the smallest one.
    auto const code_at = [](std::size_t i) noexcept { return 1'000'000 - static_cast<int>(i); };
    for (std::size_t const first_bad : std::initializer_list<std::size_t>{0, 1, 999, 25'000, 49'999}) {
        for (unsigned const threads : {0U, 1U, 2U, 7U}) {
            counts seen(n);
            // Each index from `first_bad` on fails with a code of its own.
            auto const body = [&](std::size_t first, std::size_t count) noexcept {
                std::size_t const end = std::clamp(first_bad, first, first + count);
                seen.add(first, end - first);
                return end < first + count ? code_at(end) : 0;
            };
            static_assert(std::is_same_v<decltype(twofold::parallel_for(n, 8, body)), int>);
            for (int call = 1; call <= 5; ++call) {
                share_next_call();
                CAPTURE(first_bad, threads, call);
                REQUIRE(twofold::parallel_for(n, 100, body, {.threads = threads}) == code_at(first_bad));
                REQUIRE(seen.all_are(call, 0, first_bad));
            }
        }
    }
}

TEST_CASE("a negative number of items is refused") {
    int first = -1;
    std::string message;
    try {
        twofold::parallel_for(static_cast<std::size_t>(first), 4, [](std::size_t, std::size_t) noexcept {});
    } catch (std::invalid_argument const& error) {
        message = error.what();
    }
    CHECK(message == "twofold: a loop of 18446744073709551615 items: was their number negative?");
}

TEST_CASE("a code of 0 is success, and a negative one comes back as the largest") {
    CHECK(twofold::parallel_for(1000, 8, [](std::size_t, std::size_t) noexcept { return 0; }) == 0);
    CHECK(twofold::parallel_for(0, 8, [](std::size_t, std::size_t) noexcept { return 5; }) == 0);
    for (unsigned const threads : {1U, 3U}) {
        auto const body = [](std::size_t, std::size_t) noexcept { return -1; };
        CHECK(twofold::parallel_for(100'000, 1000, body, {.threads = threads}) == INT_MAX);
    }
}

TEST_CASE("a loop of few items that take long is shared, once that is known", "[counts-threads]") {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    auto const body = [&](std::size_t, std::size_t count) noexcept {
        std::this_thread::sleep_for(std::chrono::milliseconds(2) * static_cast<int>(count));
        std::lock_guard const lock(mutex);
        threads.insert(std::this_thread::get_id());
    };
    twofold::parallel_for(20, 1, body, {.threads = 3});
    CHECK(threads.size() > 1);
    threads.clear();
    twofold::parallel_for(20, 1, body, {.threads = 1});
    CHECK(threads.size() == 1);
}

TEST_CASE("the first call of a long loop is shared, however little its items take", "[counts-threads]") {
    stop_helpers();
    constexpr std::size_t n = detail::threads_pay_asleep_bytes / 4;  // in bytes of 5: a quarter more
    twofold::parallel_for(n, 5, [](std::size_t, std::size_t) noexcept {}, {.threads = 3});
    CHECK(detail::crew::helper_count() == 2);
}

TEST_CASE("kernels that take long are shared from small arrays on, once that is known", "[counts-threads]") {
    std::vector<float> const in(64, 1);
    std::vector<double> out(64);
    auto const slow = [](float x) noexcept {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        return 2.0 * static_cast<double>(x);
    };
    auto const call = [&](std::size_t n) {
        twofold::transform(std::span(in).first(n), std::span(out).first(n), slow, {.threads = 3});
    };
    stop_helpers();
    call(64);
    CHECK(detail::crew::helper_count() == 0);
    for (int i = 0; i < 3; ++i) call(64);
    CHECK(detail::crew::helper_count() == 2);
    CHECK(std::all_of(out.begin(), out.end(), [](double x) { return x == 2; }));

    std::vector<std::uint8_t> const bytes(std::size_t{3} << 14, 1);
    auto const sum = [](std::int64_t x, std::int64_t y) noexcept { return x + y; };
    auto const map = [](std::uint8_t x) noexcept {
        if (++calls % 1024 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return std::int64_t{x};
    };
    stop_helpers();
    for (int i = 0; i < 4; ++i)
        CHECK(twofold::transform_reduce(bytes, std::int64_t{0}, sum, map, {.threads = 3}) == 3 << 14);
    CHECK(detail::crew::helper_count() == 2);
}

TEST_CASE("kernels that come to take long are shared, however often they were short", "[counts-threads]") {
    std::vector<float> const in(64, 1);
    std::vector<double> out(64);
    bool is_slow = false;
    auto const varying = [&is_slow](float x) noexcept {
        if (is_slow) std::this_thread::sleep_for(std::chrono::microseconds(20));
        return 2.0 * static_cast<double>(x);
    };
    auto const call = [&](std::size_t n) {
        twofold::transform(std::span(in).first(n), std::span(out).first(n), varying, {.threads = 3});
    };
    for (int i = 0; i < 1000; ++i) call(64);
    stop_helpers();
    is_slow = true;
    for (int i = 0; i < 300; ++i) {
        call(64);
        call(7);  // too few to tell: it takes no turn from the others
    }
    CHECK(detail::crew::helper_count() == 2);
}

TEST_CASE("a loop within a loop runs on its thread") {
    std::atomic<int> elsewhere{0};
    auto const inner = [&](std::thread::id self) {
        return [&elsewhere, self](std::size_t, std::size_t) noexcept {
            if (std::this_thread::get_id() != self) ++elsewhere;
        };
    };
    auto const outer = [&](std::size_t, std::size_t) noexcept {
        twofold::parallel_for(1000, 100'000, inner(std::this_thread::get_id()), {.threads = 4});
    };
    for (int call = 0; call < 20; ++call) twofold::parallel_for(64, 1 << 20, outer, {.threads = 4});
    CHECK(elsewhere == 0);
}

TEST_CASE("a loop within a loop that runs alone does so, too", "[counts-threads]") {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    auto const run_inner = [&]() noexcept {
        auto const body = [&](std::size_t, std::size_t) noexcept {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            std::lock_guard const lock(mutex);
            threads.insert(std::this_thread::get_id());
        };
        twofold::parallel_for(8, std::size_t{1} << 24, body, {.threads = 4});
    };
    auto const outer = [&](std::size_t, std::size_t) noexcept { run_inner(); };
    twofold::parallel_for(1, 1, outer, {.threads = 4});  // a trial: nothing is known of its items
    CHECK(threads.size() == 1);
    twofold::parallel_for(1, 1, outer, {.threads = 4});
    CHECK(threads.size() == 1);
    twofold::parallel_for(1, 1, outer, {.threads = 1});
    CHECK(threads.size() == 1);
    run_inner();
    CHECK(threads.size() > 1);
}

TEST_CASE("so does one within a loop that was to be shared, but a fork was ahead", "[counts-threads]") {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::atomic<bool> is_first{true};
    auto const inner = [&](std::size_t, std::size_t) noexcept {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        std::lock_guard const lock(mutex);
        threads.insert(std::this_thread::get_id());
    };
    auto const outer = [&](std::size_t, std::size_t) noexcept {
        if (is_first.exchange(false)) detail::crew::fork_is_over();
        twofold::parallel_for(8, std::size_t{1} << 24, inner, {.threads = 4});
    };
    twofold::parallel_for(1, 1, outer, {.threads = 4});  // what is learnt of the outer loop's items
    threads.clear();
    is_first = true;
    static_cast<void>(detail::crew::expect_fork());
    twofold::parallel_for(4, std::size_t{1} << 24, outer, {.threads = 4});
    CHECK(threads.size() == 1);
    threads.clear();
    twofold::parallel_for(8, std::size_t{1} << 24, inner, {.threads = 4});
    CHECK(threads.size() > 1);
}

TEST_CASE("a loop that is told not to go on ends with a slice") {
    static std::atomic<int> asked;
    asked = 0;
    counts seen(1000);
    auto const body = [&](std::size_t first, std::size_t count) noexcept {
        seen.add(first, count);
        return 0;
    };
    auto const kind = detail::call_kind_of(&seen);
    auto const go_on = []() noexcept { return ++asked < 3; };
    // Each item is a slice.
    CHECK(detail::loop(kind, 1000, detail::slice_bytes, {1, true}, go_on, body) == detail::loop_interrupted);
    CHECK(asked == 3);
    CHECK(seen.all_are(1, 0, 3));
    CHECK(seen.all_are(0, 3, 1000));
}

TEST_CASE("what is known of an item is a hint that later calls correct") {
    static int stands_for;
    auto const kind = detail::call_kind_of(&stands_for);
    detail::item_cost cost(kind);
    CHECK(!cost.is_known());
    CHECK(cost.in_bytes(8) == 8);
    CHECK(cost.in_bytes(0) == 1);
    CHECK(cost.in_bytes(~std::size_t{0}) == std::size_t{1} << 40);  // more than there is
    cost.learn(1000, 1'000'000);                                    // a microsecond each
    CHECK(cost.is_known());
    CHECK(cost.in_bytes(8) == 1000 * detail::item_cost::bytes_per_ns);
    CHECK(cost.in_bytes(1'000'000) == 1'000'000);
    for (int i = 0; i < 30; ++i) cost.learn(1'000'000, 1'000);
    CHECK(cost.in_bytes(8) == 8);
    for (int i = 0; i < 30; ++i) cost.learn(1, std::int64_t{1} << 62);
    CHECK(cost.in_bytes(8) <= std::size_t{1} << 40);
    CHECK(cost.in_bytes(8) > std::size_t{1} << 30);
    for (int i = 0; i < 100; ++i) cost.learn(0, -5);
    CHECK(cost.in_bytes(8) == 8);
}
