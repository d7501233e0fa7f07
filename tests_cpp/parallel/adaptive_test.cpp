// Promises of sharing: calls are shared where that has paid, and trying it out costs little. What calls take is made up
// here, so that no promise hangs on a clock.
#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <twofold/twofold.hpp>

#include "catch.hpp"
#include "forced_sharing.hpp"
#include "in_child.hpp"
#include "threads_of_process.hpp"

namespace {

using crew = twofold::detail::crew;
using sharing = twofold::detail::sharing;
using experience = twofold::detail::experience;
using twofold::detail::sharing_record;
using twofold::detail::threads_pay_asleep_bytes;
using twofold::detail::threads_pay_awake_bytes;

// Calls of one kind, which take what the simulation says, give or take some noise that is the same in each run.
class simulation {
public:
    // What a call takes, alone and shared; every `stall_every`th shared one by `stall_ns` longer.
    struct situation {
        double alone_ns;
        double shared_ns;
        unsigned stall_every = 0;
        double stall_ns = 0;
    };

    simulation(std::size_t bytes, double noise) : bytes_(bytes), noise_(noise) { past_.belong_to(1); }

    // `calls` calls; returns how many of them were shared.
    unsigned run(situation const& now, unsigned calls) {
        unsigned shared_calls = 0;
        for (unsigned i = 0; i < calls; ++i) shared_calls += call(now);
        return shared_calls;
    }

    // Returns whether the call was shared.
    bool call(situation const& now) {
        int const repeated = past_.repeats();
        bool const shared = repeated == 0 ? past_.should_share(bytes_) : repeated > 0;
        double const factor = 1 + noise_ * std::uniform_real_distribution<>(-1, 1)(random_);
        double ns = factor * (shared ? now.shared_ns : now.alone_ns);
        bool const stalls = shared && now.stall_every != 0 && ++shared_calls_ % now.stall_every == 0;
        if (stalls) ns += now.stall_ns;
        if (repeated == 0) {
            past_.learn(shared, shared, bytes_, static_cast<std::int64_t>(ns));
        } else if (stalls) {
            past_.waited_untimed();
        }
        total_ns += ns;
        alone_ns += factor * now.alone_ns;
        return shared;
    }

    double total_ns = 0;  // what the calls took
    double alone_ns = 0;  // and what they would have taken, had none been shared

private:
    std::size_t bytes_;
    double noise_;
    sharing_record record_;
    experience past_{record_};
    std::mt19937 random_{42};
    unsigned shared_calls_ = 0;
};

// Sizes of calls from the least that is shared to one of many chunks, and what they take alone at 10 GB/s.
struct size_of_call {
    std::size_t bytes;
    double alone_ns;
};

constexpr size_of_call sizes[] = {{threads_pay_awake_bytes, 26'000},
                                  {std::size_t{1} << 20, 105'000},
                                  {std::size_t{8} << 20, 840'000},
                                  {threads_pay_asleep_bytes, 1'680'000},
                                  {std::size_t{128} << 20, 13'400'000}};
constexpr double noises[] = {0, 0.1};

simulation::situation even(size_of_call const& size) {
    return {size.alone_ns, size.alone_ns};
}
simulation::situation helpful(size_of_call const& size) {
    return {size.alone_ns, size.alone_ns / 1.8};
}
simulation::situation useless(size_of_call const& size) {
    return {size.alone_ns, size.alone_ns * 1.1};
}
// Everything takes so many times as long, on whichever thread: pages that are touched for the first time, say.
simulation::situation slow(size_of_call const& size, double times) {
    return {size.alone_ns * times, size.alone_ns * times};
}

// The calls until 20 in a row are shared, or alone, as wanted; not more than 100,000.
unsigned calls_until(bool shared, simulation& calls, simulation::situation const& now) {
    unsigned count = 0;
    for (unsigned in_a_row = 0; in_a_row < 20 && count < 100'000; ++count) {
        in_a_row = calls.call(now) == shared ? in_a_row + 1 : 0;
    }
    return count - 20;
}

template <class Promise>
void for_each_size_and_noise(Promise const& promise) {
    for (size_of_call const& size : sizes) {
        for (double const noise : noises) {
            CAPTURE(size.bytes, noise);
            promise(size, simulation(size.bytes, noise));
        }
    }
}

}  // namespace

// ---- experience: what follows from what calls took

TEST_CASE("where sharing pays, calls are shared", "[sharing]") {
    for_each_size_and_noise(
        [](size_of_call const& size, simulation calls) { CHECK(calls.run(helpful(size), 2000) >= 1900); });
}

TEST_CASE("where sharing does not pay, trying it costs little", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        calls.run(useless(size), 2000);
        CHECK(calls.total_ns < 1.04 * calls.alone_ns);
    });
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        calls.run({size.alone_ns, size.alone_ns * 5}, 2000);
        CHECK(calls.total_ns < 1.04 * calls.alone_ns + 64 * size.alone_ns);  // the first 16 are shared
    });
}

TEST_CASE("helpers that now and then come late by a time slice cost little", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        auto now = even(size);
        now.stall_every = 100;
        now.stall_ns = 4'000'000;
        for (unsigned i = 0; i < 10; ++i) {
            calls.run(now, 500);
            CHECK(calls.total_ns < 1.05 * calls.alone_ns + now.stall_ns);  // nobody can foresee the first time
        }
    });
}

TEST_CASE("where helpers become useful, calls come to be shared, and the other way round", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        for (unsigned i = 0; i < 5; ++i) {
            calls.run(useless(size), 1000);
            CHECK(calls_until(true, calls, helpful(size)) <= 700);
            calls.run(helpful(size), 1000);
            CHECK(calls_until(false, calls, useless(size)) <= 700);
        }
    });
    // Helpers that were a hindrance are tried so much the less often.
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        calls.run({size.alone_ns, size.alone_ns * 3}, 1000);
        CHECK(calls_until(true, calls, helpful(size)) <= 2000);
        calls.run(helpful(size), 1000);
        CHECK(calls_until(false, calls, {size.alone_ns, size.alone_ns * 3}) <= 20);
    });
}

TEST_CASE("one call that takes far too long does not end sharing for long", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        for (double const times : {3.0, 5.0}) {
            calls.run(helpful(size), 500);
            calls.run(slow(size, times), 1);
            CAPTURE(times);
            CHECK(calls_until(true, calls, helpful(size)) <= 400);
        }
    });
}

TEST_CASE("a long wait is made up for by so much longer a time alone, and no more", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        calls.run(helpful(size), 500);
        calls.run(slow(size, 20), 1);
        CHECK(calls_until(true, calls, helpful(size)) <= 20 * experience::one_part_in);
    });
}

TEST_CASE("first calls that take far too long do not keep the next ones from being shared", "[sharing]") {
    for_each_size_and_noise([](size_of_call const& size, simulation calls) {
        calls.run(slow(size, 5), 3);
        CHECK(calls_until(true, calls, helpful(size)) <= 1000);
    });
}

TEST_CASE("calls that wait for helpers to wake up say nothing of sharing, unless they wait too long", "[sharing]") {
    sharing_record record;
    experience past(record);
    std::size_t const bytes = threads_pay_awake_bytes;
    std::int64_t const third = experience::waking_ns / 3;
    for (unsigned i = 0; i < 3; ++i) past.learn(true, false, bytes, third);
    CHECK(record.shared == 0);
    CHECK(record.in_a_row == 0);
    for (unsigned i = 0; i < 3 * experience::settled; ++i) past.learn(true, false, bytes, experience::waking_ns);
    CHECK(record.shared > 0);
}

TEST_CASE("a record that passes to calls of another kind forgets what it knew", "[sharing]") {
    sharing_record record;
    experience past(record);
    past.belong_to(1);
    std::size_t const bytes = std::size_t{1} << 20;
    for (unsigned i = 0; i < 1000; ++i) {
        bool const shared = past.should_share(bytes);
        past.learn(shared, shared, bytes, shared ? 500'000 : 100'000);
    }
    REQUIRE(!past.should_share(bytes));
    past.belong_to(1);
    CHECK(!past.should_share(bytes));
    past.belong_to(2);
    CHECK(past.should_share(bytes));  // as the first call of any kind
    past.belong_to(1);
    CHECK(past.should_share(bytes));
}

TEST_CASE("calls that take weeks are known to be slow, and those too short for the clock to be fast", "[sharing]") {
    constexpr std::int64_t week_ns = std::int64_t{7} * 24 * 3600 * 1'000'000'000;
    for (std::int64_t const ns : {week_ns, std::int64_t{0}}) {
        sharing_record record;
        experience past(record);
        for (int i = 0; i < experience::settled; ++i) past.learn(false, false, threads_pay_awake_bytes, ns);
        CAPTURE(ns);
        CHECK(record.alone > 0);
        if (ns == 0) continue;
        // Far more bytes than those from which that is known: a race may bring them to one record.
        past.learn(true, true, std::size_t{1} << 40, 10'000'000);
        CHECK(record.debt_ns < 0);
    }
}

// ---- sharing: with how many threads calls run

namespace {

// The workers that a call on `bytes` has, which may have `threads`. Each `Kind` is a kind of calls of its own.
template <int Kind>
unsigned workers_of_call(std::size_t bytes, twofold::detail::allowance threads) noexcept {
    unsigned given = 0;
    sharing::run({Kind}, bytes, threads, [&](unsigned workers) noexcept {
        given = workers;
        return crew::share(2 * workers, workers - 1, [](std::size_t) noexcept {});
    });
    return given;
}

// As if no call had been made for a while.
void let_helpers_fall_asleep() noexcept {
    // All of them: those that were just created may not even be awake yet, and those that were just woken neither.
    while (twofold::detail::the_crew.asleep < crew::helper_count() || !others_sleep()) sched_yield();
    twofold::detail::the_sharing.last_call_ns = 0;
}

constexpr twofold::detail::allowance up_to_four{4, false};
constexpr twofold::detail::allowance four_requested{4, true};

}  // namespace

TEST_CASE("small calls, and calls that may have one thread, run on that alone", "[sharing]") {
    for (twofold::detail::allowance const threads : {up_to_four, four_requested}) {
        share_next_call();
        CHECK(workers_of_call<0>(0, threads) == 1);
        share_next_call();
        CHECK(workers_of_call<0>(threads_pay_awake_bytes - 1, threads) == 1);
    }
    for (bool const requested : {false, true}) {
        share_next_call();
        CHECK(workers_of_call<0>(threads_pay_asleep_bytes, {1, requested}) == 1);
    }
}

TEST_CASE("the first large call of a process is shared", "[sharing]") {
    CHECK(holds_in_child(
        20, [] { return workers_of_call<1>(threads_pay_asleep_bytes, up_to_four) == 4 && crew::helper_count() == 3; }));
}

TEST_CASE("an occasional call of medium size wakes no helper", "[sharing]") {
    let_helpers_fall_asleep();
    CHECK(holds_in_child(20, [] {
        return workers_of_call<2>(threads_pay_asleep_bytes - 1, up_to_four) == 1 && crew::helper_count() == 0;
    }));
    for (twofold::detail::allowance const threads : {up_to_four, four_requested}) {
        share_next_call();
        CHECK(workers_of_call<2>(threads_pay_asleep_bytes, four_requested) == 4);
        let_helpers_fall_asleep();
        CHECK(workers_of_call<2>(threads_pay_asleep_bytes - 1, threads) == 1);
    }
}

TEST_CASE("calls of medium size in close succession come to be shared", "[sharing]") {
    CHECK(holds_in_child(20, [] {
        while (workers_of_call<3>(threads_pay_awake_bytes, up_to_four) == 1) {
        }
        return true;
    }));
}

TEST_CASE("long calls of medium size in close succession are shared as requested", "[sharing]") {
    CHECK(holds_in_child(20, [] {
        unsigned given = 0;
        auto const long_call = [&](unsigned workers) noexcept {
            given = workers;
            std::int64_t const end = twofold::detail::now_ns() + 20 * sharing::back_to_back_ns;
            while (twofold::detail::now_ns() < end) {
            }
            return twofold::detail::help::none;
        };
        while (given != 4) sharing::run({4}, threads_pay_awake_bytes, four_requested, long_call);
        return true;
    }));
}

TEST_CASE("threads that the caller requests are used, whatever experience says of them", "[sharing]") {
    unsigned given = 0;
    auto const slower_with_helpers = [&](unsigned workers) noexcept {
        given = workers;
        std::int64_t const end = twofold::detail::now_ns() + (workers > 1 ? 3'000'000 : 300'000);
        while (twofold::detail::now_ns() < end) {
        }
        return workers > 1 ? twofold::detail::help::given : twofold::detail::help::none;
    };
    auto const call = [&](twofold::detail::allowance threads) {
        sharing::run({5}, threads_pay_asleep_bytes, threads, slower_with_helpers);
        return given;
    };
    // Until it is known that sharing does not pay.
    for (unsigned alone = 0; alone < 10;) alone += call(up_to_four) == 1;
    for (unsigned i = 0; i < 20; ++i) CHECK(call(four_requested) == 4);
}

TEST_CASE("what is known of calls is known of one kind of them, and of one size", "[sharing]") {
    auto const known = [] {
        auto const is_known = [](sharing_record const& record) { return record.owner != 0; };
        return std::ranges::count_if(twofold::detail::the_sharing.records, is_known);
    };
    share_next_call();  // nothing is known any more
    workers_of_call<6>(threads_pay_awake_bytes, up_to_four);
    CHECK(known() == 1);
    workers_of_call<6>(threads_pay_awake_bytes + 1, up_to_four);
    CHECK(known() == 1);
    workers_of_call<6>(2 * threads_pay_awake_bytes, up_to_four);
    CHECK(known() == 2);
    workers_of_call<7>(threads_pay_awake_bytes, up_to_four);
    CHECK(known() == 3);
    workers_of_call<8>(threads_pay_awake_bytes, four_requested);  // of which nobody wants to know anything
    CHECK(known() == 3);
}

TEST_CASE("a kind of calls is what is called, and how", "[sharing]") {
    static int const called[2] = {};
    std::set<std::uint64_t> kinds;
    for (int const& what : called) {
        for (unsigned const variant : {0u, 1u, 8u, 0xFFFFu}) {
            CHECK(twofold::detail::call_kind_of(&what, variant).value ==
                  twofold::detail::call_kind_of(&what, variant).value);
            kinds.insert(twofold::detail::call_kind_of(&what, variant).value);
        }
    }
    CHECK(kinds.size() == 8);
}
