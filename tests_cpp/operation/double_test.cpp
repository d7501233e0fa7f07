// Promises of whole calls: sizes around every threshold, any number of threads, in and out of place, every policy.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "catch.hpp"
#include "elements.hpp"
#include "forced_sharing.hpp"
#include "guarded_memory.hpp"

namespace {

using twofold::detail::threads_pay_asleep_bytes;
using twofold::detail::threads_pay_awake_bytes;
using chunks = twofold::detail::chunks;

constexpr std::size_t max_bytes = threads_pay_asleep_bytes + 64;

// As if the machine had a small cache, so that streaming begins at sizes that are tested fast.
class small_cache {
public:
    small_cache() { set(twofold::detail::min_cache_bytes); }
    small_cache(small_cache const&) = delete;
    small_cache& operator=(small_cache const&) = delete;
    ~small_cache() { set(0); }  // the next call asks the system again

private:
    static void set(std::size_t size) { twofold::detail::the_cache_size.store(size); }
};

bool all_untouched(std::byte const* begin, std::byte const* end) {
    static bytes const untouched(max_bytes + 8192, std::byte{0x5A});
    return same_bytes(begin, untouched.data(), static_cast<std::size_t>(end - begin));
}

// Elements and their doubles by one policy, in memory between guard pages.
class arrays {
public:
    arrays(element_under_test const& element, overflow_policy policy, std::size_t most)
        : element_(element),
          policy_(policy),
          source_(policy == overflow_policy::raise ? element.fitting(most) : element.arbitrary(most)),
          expected_(element.doubles(source_, policy)),
          in_memory_(source_.size() + 64),
          out_memory_(source_.size() + 64) {}

    // Both ranges end directly before a guard page, but for `offset` bytes.
    bool out_of_place_is_right(std::size_t n, std::size_t offset, unsigned threads) const {
        std::size_t const size = n * element_.size;
        std::byte* const in = in_memory_.end() - size;
        std::byte* const out = out_memory_.end() - size - offset;
        copy_bytes(in, source_.data(), size);
        std::memset(out_memory_.begin(), 0x5A, out_memory_.size());
        share_next_call();
        return element_.double_elements(in, out, n, {policy_, threads}) == n &&
               same_bytes(out, expected_.data(), size) && same_bytes(in, source_.data(), size) &&
               all_untouched(out_memory_.begin(), out) && all_untouched(out + size, out_memory_.end());
    }

    bool in_place_is_right(std::size_t n, std::size_t offset, unsigned threads) const {
        std::size_t const size = n * element_.size;
        std::byte* const values = out_memory_.end() - size - offset;
        std::memset(out_memory_.begin(), 0x5A, out_memory_.size());
        copy_bytes(values, source_.data(), size);
        share_next_call();
        return element_.double_elements(values, values, n, {policy_, threads}) == n &&
               same_bytes(values, expected_.data(), size) && all_untouched(out_memory_.begin(), values) &&
               all_untouched(values + size, out_memory_.end());
    }

    bool is_right(std::size_t n, std::size_t offset, unsigned threads) const {
        return out_of_place_is_right(n, offset, threads) && in_place_is_right(n, offset, threads);
    }

private:
    element_under_test const& element_;
    overflow_policy policy_;
    bytes source_;
    bytes expected_;
    guarded_memory in_memory_;
    guarded_memory out_memory_;
};

template <class Promise>
void for_each_element_and_policy(std::size_t max_bytes_of_array, Promise const& promise) {
    for (element_under_test const& element : elements_under_test()) {
        for (overflow_policy const policy : policies) {
            CAPTURE(element.name, static_cast<int>(policy));
            promise(arrays(element, policy, max_bytes_of_array / element.size), element.size);
        }
    }
}

}  // namespace

TEST_CASE("large arrays are doubled by any number of threads", "[double]") {
    std::size_t const most = 24 * chunks::min_bytes + 64;
    for_each_element_and_policy(most, [](arrays const& test, std::size_t size) {
        std::size_t const awake = threads_pay_awake_bytes / size;
        std::size_t const chunk = chunks::min_bytes / size;
        for (std::size_t const n :
             {awake - 1, awake, awake + 1, 9 * chunk - 1, 9 * chunk, 9 * chunk + 1, 23 * chunk + 5}) {
            for (unsigned threads = 1; threads <= 4; ++threads) {
                CAPTURE(n, threads);
                CHECK(test.is_right(n, 0, threads));
            }
        }
    });
}

TEST_CASE("arrays so large that sleeping helpers are woken are doubled by any number of threads", "[double]") {
    for (element_under_test const& element : elements_under_test()) {
        arrays const test(element, overflow_policy::wrap, max_bytes / element.size);
        std::size_t const chunk = chunks::min_bytes / element.size;
        for (std::size_t const n : {80 * chunk - 3, 80 * chunk + 3, threads_pay_asleep_bytes / element.size + 1}) {
            for (unsigned const threads : {1u, 2u, 4u}) {
                CAPTURE(element.name, n, threads);
                CHECK(test.is_right(n, 0, threads));
            }
        }
    }
}

TEST_CASE("large arrays may begin at any address", "[double]") {
    for_each_element_and_policy(threads_pay_awake_bytes * 3 + 64, [](arrays const& test, std::size_t size) {
        std::size_t const n = threads_pay_awake_bytes * 3 / size + 1;
        for (std::size_t const offset : {1u, 2u, 8u, 24u, 60u, 63u}) {
            for (unsigned const threads : {1u, 3u}) {
                CAPTURE(offset, threads);
                CHECK(test.is_right(n, offset, threads));
            }
        }
    });
}

TEST_CASE("arrays beyond the cache are doubled by streaming stores", "[double]") {
    small_cache const cache;
    for_each_element_and_policy((std::size_t{1} << 20) + 64, [](arrays const& test, std::size_t size) {
        std::size_t const n = (std::size_t{1} << 20) / size + 1;
        REQUIRE(twofold::detail::streaming_pays(2 * n * size, 4));
        for (std::size_t const offset : {0u, 1u, 8u, 60u}) {
            for (unsigned threads = 1; threads <= 4; ++threads) {
                CAPTURE(offset, threads);
                CHECK(test.is_right(n, offset, threads));
            }
        }
    });
}

TEST_CASE("an array beyond the true cache is doubled", "[double]") {
    std::size_t const n = std::min<std::size_t>(twofold::detail::cache_size(), std::size_t{64} << 20) / 4 + 3;
    for (element_under_test const& element : elements_under_test()) {
        if (element.name != "u32") continue;
        auto const in = element.arbitrary(n);
        auto const expected = element.doubles(in, overflow_policy::wrap);
        for (unsigned const threads : {1u, 2u}) {
            bytes out(in.size());
            share_next_call();
            element.double_elements(in.data(), out.data(), n, {.threads = threads});
            CHECK((out == expected));
        }
    }
}

TEST_CASE("the first of the elements that overflow is named, whichever threads find which", "[double]") {
    small_cache const cache;  // so that the larger arrays are streamed
    for (element_under_test const& element : elements_under_test()) {
        std::size_t const size = element.size;
        auto const overflowing = element.overflowing();
        std::size_t const chunk = chunks::min_bytes / size;
        for (std::size_t const n : {4 * chunk + 7, (std::size_t{2} << 20) / size + 5}) {
            auto const fitting = element.fitting(n);
            auto values = fitting;
            bytes out(values.size());
            // One element that overflows, or several of one chunk, or of several chunks.
            for (std::vector<std::size_t> const& where : {std::vector<std::size_t>{0},
                                                          {n - 1},
                                                          {chunk},
                                                          {chunk - 1, chunk},
                                                          {n / 2, n / 2 + 1, n - 1},
                                                          {2 * chunk + 3, 3 * chunk, 3 * chunk + 1, n - 2},
                                                          {n - 2, chunk / 2, chunk + 1}}) {
                for (std::size_t const i : where) copy_bytes(&values[i * size], overflowing.data(), size);
                auto const before = values;
                std::size_t const first = *std::ranges::min_element(where);
                for (unsigned threads = 1; threads <= 4; ++threads) {
                    CAPTURE(element.name, n, first, threads);
                    share_next_call();
                    CHECK(element.double_elements(values.data(), out.data(), n, {overflow_policy::raise, threads}) ==
                          first);
                    share_next_call();
                    CHECK(element.first_overflow(values.data(), n, {.threads = threads}) == first);
                    share_next_call();
                    CHECK(element.double_elements(values.data(), values.data(), n, {overflow_policy::raise, threads}) ==
                          first);
                    CHECK((values == before));  // in place nothing has changed
                }
                for (std::size_t const i : where) copy_bytes(&values[i * size], &fitting[i * size], size);
            }
        }
    }
}

TEST_CASE("the smallest of all reported indices is the first, in whatever order they come", "[double]") {
    twofold::detail::first_index found(100);
    CHECK(found.smallest() == 100);
    for (std::size_t const index : {40u, 7u, 23u, 99u, 8u}) found.report(index);
    CHECK(found.smallest() == 7);
}

TEST_CASE("no two threads write to one cache line", "[double]") {
    bytes memory((std::size_t{1} << 20) + 64);
    for (std::size_t const offset : {0u, 1u, 28u, 63u}) {
        auto* const out = reinterpret_cast<std::uint8_t*>(memory.data()) + offset;
        std::atomic<std::size_t> parts{0};
        std::atomic<std::size_t> off_lines{0};
        share_next_call();
        constexpr std::size_t n = std::size_t{1} << 20;
        twofold::detail::parallel_for(
            {1}, {n, 1, out}, {3, true}, [&](std::size_t first, std::size_t, unsigned) noexcept {
                ++parts;
                off_lines += first != 0 && reinterpret_cast<std::uintptr_t>(out + first) % 64 != 0;
            });
        CAPTURE(offset);
        CHECK(parts > 3);
        CHECK(off_lines == 0);
    }
}
