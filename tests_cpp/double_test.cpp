// Promises of whole calls: sizes around every threshold, any number of threads, in and out of place.
#include <algorithm>
#include <cstring>
#include <span>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "guarded_memory.hpp"

namespace {

using twofold::detail::threads_pay_asleep_bytes;
using twofold::detail::threads_pay_awake_bytes;
using arch = xsimd::default_arch;
using chunks = twofold::detail::chunks<arch>;

constexpr std::size_t most_bytes = threads_pay_asleep_bytes + 64;

// As if the machine had a small cache, so that streaming begins at sizes that are tested fast.
class small_cache {
public:
    small_cache() { set(twofold::detail::least_cache_bytes); }
    small_cache(small_cache const&) = delete;
    small_cache& operator=(small_cache const&) = delete;
    ~small_cache() { set(0); }  // the next call asks the system again

private:
    static void set(std::size_t bytes) { twofold::detail::the_cache_size.store(bytes); }
};

template <class T>
std::vector<std::size_t> counts() {
    std::size_t const awake = threads_pay_awake_bytes / sizeof(T);
    std::size_t const chunk = chunks::least_bytes / sizeof(T);
    return {awake - 1,     awake,          awake + 1,      9 * chunk - 1,  9 * chunk,
            9 * chunk + 1, 23 * chunk + 5, 80 * chunk - 3, 80 * chunk + 3, threads_pay_asleep_bytes / sizeof(T) + 1};
}

template <class T>
struct arrays {
    guarded_memory in_memory{most_bytes + 64};
    guarded_memory out_memory{most_bytes + 64};
    std::vector<T> expected = expected_doubles<T>(most_bytes / sizeof(T));
    std::vector<T> source = std::vector<T>(most_bytes / sizeof(T));

    arrays() { write_arbitrary<T>(source.data(), source.size()); }

    // Both ranges end directly before a guard page, but for `offset` bytes.
    bool out_of_place_is_right(std::size_t n, std::size_t offset, unsigned threads) {
        auto* const in = reinterpret_cast<T*>(in_memory.end() - n * sizeof(T));
        auto* const out = reinterpret_cast<T*>(out_memory.end() - n * sizeof(T) - offset);
        std::memcpy(static_cast<void*>(in), source.data(), n * sizeof(T));
        std::memset(out_memory.begin(), 0x5A, out_memory.size());
        twofold::double_into(std::span<T const>(in, n), std::span(out, n), {.threads = threads});
        auto const* const out_bytes = reinterpret_cast<std::byte const*>(out);
        return same_bits(out, expected, n) && same_bits(in, source, n) &&
               all_untouched(out_memory.begin(), out_bytes) &&
               all_untouched(out_bytes + n * sizeof(T), out_memory.end());
    }

    bool in_place_is_right(std::size_t n, std::size_t offset, unsigned threads) {
        auto* const values = reinterpret_cast<T*>(out_memory.end() - n * sizeof(T) - offset);
        std::memset(out_memory.begin(), 0x5A, out_memory.size());
        std::memcpy(static_cast<void*>(values), source.data(), n * sizeof(T));
        twofold::double_in_place(std::span(values, n), {.threads = threads});
        auto const* const bytes = reinterpret_cast<std::byte const*>(values);
        return same_bits(values, expected, n) && all_untouched(out_memory.begin(), bytes) &&
               all_untouched(bytes + n * sizeof(T), out_memory.end());
    }

    static bool all_untouched(std::byte const* begin, std::byte const* end) {
        return std::all_of(begin, end, [](std::byte value) { return value == std::byte{0x5A}; });
    }
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("large arrays are doubled by any number of threads", "[double]", twofold::element_types) {
    using T = TestType;
    arrays<T> test;
    for (std::size_t const n : counts<T>()) {
        for (unsigned threads = 1; threads <= 4; ++threads) {
            CAPTURE(n, threads);
            CHECK(test.out_of_place_is_right(n, 0, threads));
            CHECK(test.in_place_is_right(n, 0, threads));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("large arrays may begin at any address", "[double]", twofold::element_types) {
    using T = TestType;
    arrays<T> test;
    std::size_t const n = threads_pay_awake_bytes * 3 / sizeof(T) + 1;
    for (std::size_t const offset : {1u, 2u, 8u, 24u, 60u, 63u}) {
        for (unsigned const threads : {1u, 3u}) {
            CAPTURE(offset, threads);
            CHECK(test.out_of_place_is_right(n, offset, threads));
            CHECK(test.in_place_is_right(n, offset, threads));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("arrays beyond the cache are doubled by streaming stores", "[double]", twofold::element_types) {
    using T = TestType;
    small_cache const cache;
    arrays<T> test;
    std::size_t const n = (std::size_t{1} << 20) / sizeof(T) + 1;
    REQUIRE(twofold::detail::streaming_pays<arch>(2 * n * sizeof(T), 4));
    for (std::size_t const offset : {0u, 1u, 8u, 60u}) {
        for (unsigned threads = 1; threads <= 4; ++threads) {
            CAPTURE(offset, threads);
            CHECK(test.out_of_place_is_right(n, offset, threads));
            CHECK(test.in_place_is_right(n, offset, threads));
        }
    }
}

TEST_CASE("an array beyond the true cache is doubled", "[double]") {
    std::size_t const n = std::min<std::size_t>(twofold::detail::cache_size<arch>(), std::size_t{64} << 20) / 4 + 3;
    std::vector<std::uint32_t> in(n);
    write_arbitrary<std::uint32_t>(in.data(), n);
    auto const expected = expected_doubles<std::uint32_t>(n);
    for (unsigned const threads : {1u, 2u}) {
        auto const out = twofold::doubled(in, {.threads = threads});
        CHECK(same_bits(out.data(), expected, n));
    }
}
