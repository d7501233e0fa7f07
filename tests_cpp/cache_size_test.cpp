// Promises of the cache's size and of the choice between streamed and cached stores.
#include <atomic>
#include <string_view>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"

namespace {

using twofold::detail::stores;
using arch = xsimd::default_arch;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

constexpr std::size_t parsed(std::string_view text) {
    return twofold::detail::parse_cache_size<arch>(text.data(), text.size());
}

// How many chunks of a call on `bytes` of output were streamed, and how many were not.
struct count_of_stores {
    std::size_t streamed = 0;
    std::size_t cached = 0;
};

count_of_stores stores_of_call(std::size_t bytes, bool in_place, unsigned threads) {
    std::vector<std::uint8_t> in(bytes);
    std::vector<std::uint8_t> out(in_place ? 0 : bytes);
    std::atomic<std::size_t> streamed{0};
    std::atomic<std::size_t> cached{0};
    twofold::detail::run_in_chunks<arch>(
        in.data(), in_place ? in.data() : out.data(), bytes, {threads, true},
        [&](std::size_t, std::size_t, stores where) noexcept { ++(where == stores::streaming ? streamed : cached); });
    return {streamed, cached};
}

}  // namespace

TEST_CASE("sizes of caches are read as sysfs writes them", "[cache]") {
    static_assert(parsed("32768K\n") == 32 * mebibyte);
    static_assert(parsed("512K") == mebibyte / 2);
    static_assert(parsed("36M\n") == 36 * mebibyte);
    static_assert(parsed("1G") == 1024 * mebibyte);
    static_assert(parsed("65536") == 65536);
    static_assert(parsed("") == 0);
    static_assert(parsed("\n") == 0);
    static_assert(parsed("K") == 0);
    static_assert(parsed("unknown") == 0);
    static_assert(parsed("-1K") == 0);
    CHECK(parsed("99999999999999999999G") >= twofold::detail::most_cache_bytes);  // clamped later; must not wrap to 0
}

TEST_CASE("the cache's size is believable on any machine", "[cache]") {
    std::size_t const bytes = twofold::detail::cache_size<arch>();
    CHECK(bytes >= twofold::detail::least_cache_bytes);
    CHECK(bytes <= twofold::detail::most_cache_bytes);
    CHECK(twofold::detail::cache_size<arch>() == bytes);
}

TEST_CASE("stores are streamed from 5/8 of the cache on one thread and from 5/4 on more", "[cache]") {
    twofold::detail::the_cache_size = 8 * mebibyte;
    struct row {
        std::size_t touched_bytes;
        unsigned threads;
        bool streams;
    };
    for (row const& r : {row{5 * mebibyte - 2, 1, false}, row{5 * mebibyte, 1, true}, row{5 * mebibyte, 2, false},
                         row{10 * mebibyte - 2, 2, false}, row{10 * mebibyte, 2, true}, row{10 * mebibyte, 16, true}}) {
        CAPTURE(r.touched_bytes, r.threads);
        CHECK(twofold::detail::streaming_pays<arch>(r.touched_bytes, r.threads) == r.streams);
        auto const out_of_place = stores_of_call(r.touched_bytes / 2, false, r.threads);
        CHECK((r.streams ? out_of_place.cached : out_of_place.streamed) == 0);
        CHECK((r.streams ? out_of_place.streamed : out_of_place.cached) > 0);
    }
    twofold::detail::the_cache_size = 0;
}

TEST_CASE("stores in place are never streamed", "[cache]") {
    twofold::detail::the_cache_size = mebibyte;
    for (unsigned const threads : {1u, 3u}) {
        auto const in_place = stores_of_call(16 * mebibyte, true, threads);
        CHECK(in_place.streamed == 0);
        CHECK(in_place.cached > 0);
    }
    twofold::detail::the_cache_size = 0;
}
