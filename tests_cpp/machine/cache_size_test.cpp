// Promises of the cache's size and of the choice between streamed and cached stores.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>
#include <twofold/twofold.hpp>
#include <vector>

#include "catch.hpp"
#include "forced_sharing.hpp"
#include "machine/fake_tree.hpp"

namespace {

using twofold::detail::stores;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

constexpr std::size_t parsed(std::string_view text) {
    return twofold::detail::parse_cache_size(text.data(), text.size());
}

// A cache as sysfs has it. What is empty has no file.
struct cache {
    std::string index, type, size;
};

fake_tree caches(std::vector<cache> const& described) {
    fake_tree tree;
    for (cache const& one : described) {
        std::string const place = "/sys/devices/system/cpu/cpu0/cache/index" + one.index;
        if (!one.type.empty()) tree.write(place + "/type", one.type + "\n");
        if (!one.size.empty()) tree.write(place + "/size", one.size + "\n");
    }
    return tree;
}

std::size_t by_sysfs(std::vector<cache> const& described) {
    fake_tree const tree = caches(described);
    return twofold::detail::cache_size_by_sysfs(tree.root());
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
    share_next_call();
    auto const all = twofold::detail::scalars_of(in.data(), in_place ? in.data() : out.data(), bytes);
    twofold::detail::map_chunks({1}, all, {threads, true},
                                [&](void const*, void*, std::size_t, std::size_t, stores where) noexcept {
                                    ++(where == stores::streaming ? streamed : cached);
                                });
    return {streamed, cached};
}

}  // namespace

TEST_CASE("sizes of caches are read as sysfs and people write them", "[cache]") {
    static_assert(parsed("32768K\n") == 32 * mebibyte);
    static_assert(parsed("512K") == mebibyte / 2);
    static_assert(parsed("36M\n") == 36 * mebibyte);
    static_assert(parsed("1G") == 1024 * mebibyte);
    static_assert(parsed("65536") == 65536);
    static_assert(parsed(" 8m\r\n") == 8 * mebibyte);
    static_assert(parsed("007k") == 7168);
    static_assert(parsed("7KB") == 7168 && parsed("7KiB") == 7168 && parsed("7kb") == 7168);
    static_assert(parsed("36MB") == 36 * mebibyte && parsed("36MiB\n") == 36 * mebibyte);
    static_assert(parsed("1GB") == 1024 * mebibyte && parsed("1GiB") == 1024 * mebibyte);
    for (char const* const none : {"7Mi", "7iB", "7B", "7MBB", "7MiBB", "7MIB", "7M B", "7BM"})
        CHECK(parsed(none) == 0);
    CHECK(parsed("36M") == 36 * mebibyte);
}

TEST_CASE("text that is no size says nothing", "[cache]") {
    for (std::string_view const text : {"", "\n", "K", "unknown", "-1K", "+1K", "0", "0K", "1.5M", "32768K0", "32 K",
                                        "32T", "0x10M", "1 1", "M32", ",32M"}) {
        CAPTURE(text);
        CHECK(parsed(text) == 0);
    }
}

TEST_CASE("a size that is too large is the largest, never a small one", "[cache]") {
    static_assert(parsed("2G") == twofold::detail::max_cache_bytes);
    static_assert(parsed("4294967296G") == twofold::detail::max_cache_bytes);
    static_assert(parsed("18446744073709551616") == twofold::detail::max_cache_bytes);
    CHECK(parsed("99999999999999999999G") == twofold::detail::max_cache_bytes);
}

TEST_CASE("sysfs is asked for the largest cache that holds data", "[cache]") {
    CHECK(by_sysfs({}) == 0);
    CHECK(by_sysfs({{"0", "Data", "32K"}, {"1", "Instruction", "64K"}}) == 32 << 10);
    CHECK(by_sysfs({{"0", "Data", "32K"}, {"1", "Unified", "1M"}, {"2", "Instruction", "64M"}}) == mebibyte);
    CHECK(by_sysfs({{"0", "Data", "32K"}, {"2", "Unified", "1M"}, {"3", "Unified", "32M"}}) == 32 * mebibyte);
    CHECK(by_sysfs({{"0", "Data", "32K"}, {"1", "Unified", "1M"}, {"2", "Unified", "512K"}}) == mebibyte);
    CHECK(by_sysfs({{"9", "Unified", "48M"}}) == 48 * mebibyte);
    CHECK(by_sysfs({{"0", "Data", ""}, {"1", "Unified", "2M"}}) == 2 * mebibyte);  // no size
    CHECK(by_sysfs({{"0", "", "4M"}, {"1", "Unified", "2M"}}) == 4 * mebibyte);    // no type
    CHECK(by_sysfs({{"0", "Unified", "lots"}, {"1", "Data", "2M"}}) == 2 * mebibyte);
    CHECK(by_sysfs({{"0", "Unified", "0K"}}) == 0);
    CHECK(by_sysfs({{"0", "Unified", std::string(32, '1')}}) == 0);
    CHECK(by_sysfs({{"0", "Unified", "4M" + std::string(100'000, '\n')}, {"1", "Data", "2M"}}) == 2 * mebibyte);
    CHECK(by_sysfs({{"0/size", "Unified", "4M"}}) == 0);  // a directory
    CHECK(by_sysfs({{"0", "Unified", "5000M"}}) == 1024 * mebibyte);
}

TEST_CASE("where sysfs says nothing the processor is asked, and then 32 MiB are assumed", "[cache]") {
    std::size_t const by_processor = twofold::detail::cache_size_by_cpuid();
    CHECK(twofold::detail::find_cache_size(fake_tree{}.root()) ==
          (by_processor != 0 ? std::clamp(by_processor, mebibyte, 1024 * mebibyte) : 32 * mebibyte));
    fake_tree const of_6_mebibytes = caches({{"0", "Unified", "6M"}});
    CHECK(twofold::detail::find_cache_size(of_6_mebibytes.root()) == 6 * mebibyte);
}

TEST_CASE("a last-level cache has from 1 MiB to 1 GiB", "[cache]") {
    fake_tree const small = caches({{"0", "Unified", "512K"}});
    fake_tree const large = caches({{"0", "Unified", "1025M"}});
    CHECK(twofold::detail::find_cache_size(small.root()) == mebibyte);
    CHECK(twofold::detail::find_cache_size(large.root()) == 1024 * mebibyte);
}

TEST_CASE("the size of a cache is read from the registers of CPUID", "[cache]") {
    using twofold::detail::cpuid_registers;
    using twofold::detail::decode_cache_size;
    // Line bytes, partitions, ways and sets, each less one, as the manuals of Intel and AMD have them.
    constexpr auto registers = [](unsigned type, unsigned line, unsigned partitions, unsigned ways, unsigned sets) {
        return cpuid_registers{type, (ways - 1) << 22 | (partitions - 1) << 12 | (line - 1), sets - 1, 0};
    };
    // As an AMD EPYC 9004 (Zen 4) gives them, type and level in eax.
    static_assert(decode_cache_size({0x00000121, 0x01c0003f, 0x0000003f, 0}) == 32 << 10);       // L1 data
    static_assert(decode_cache_size({0x00000122, 0x01c0003f, 0x0000003f, 0}) == 0);              // L1 instructions
    static_assert(decode_cache_size({0x00000143, 0x01c0003f, 0x000007ff, 2}) == mebibyte);       // L2
    static_assert(decode_cache_size({0x00004163, 0x03c0003f, 0x00007fff, 1}) == 32 * mebibyte);  // L3
    // An Intel L3 of 11 ways, 33 MiB, and an L1 of 12 ways, 48 KiB.
    static_assert(decode_cache_size(registers(3, 64, 1, 11, 49152)) == 33 * mebibyte);
    static_assert(decode_cache_size(registers(1, 64, 1, 12, 64)) == 48 << 10);
    static_assert(decode_cache_size(registers(3, 64, 2, 16, 1024)) == 2 * mebibyte);
    static_assert(decode_cache_size(registers(2, 64, 1, 8, 64)) == 0);
    static_assert(decode_cache_size({0, 0, 0, 0}) == 0);
    static_assert(decode_cache_size({4, 0x03c0003f, 0x7fff, 0}) == 0);  // a type that is not in use
    static_assert(decode_cache_size({3, 0xffffffff, 0xffffffff, 0}) == UINT64_MAX);
    CHECK(decode_cache_size({0x4163, 0x03c0003f, 0x7fff, 1}) == 32 * mebibyte);
}

TEST_CASE("the caches of CPUID are counted up to one without a type", "[cache]") {
    using twofold::detail::cpuid_registers;
    using twofold::detail::largest_described_cache;
    constexpr cpuid_registers data{1, 0x01c0003f, 0x3f, 0};            // 32 KiB
    constexpr cpuid_registers instructions{2, 0x03c0003f, 0x7fff, 0};  // 32 MiB
    constexpr cpuid_registers unified{3, 0x01c0003f, 0x7ff, 0};        // 1 MiB
    constexpr cpuid_registers none{};
    auto const largest = [](std::vector<cpuid_registers> const& described) {
        return largest_described_cache([&](std::uint32_t i, cpuid_registers& to) noexcept {
            if (i >= described.size()) return false;
            to = described[i];
            return true;
        });
    };
    CHECK(largest({}) == 0);
    CHECK(largest({none}) == 0);
    CHECK(largest({data, instructions, none}) == 32 << 10);
    CHECK(largest({data, instructions, unified, none}) == mebibyte);
    CHECK(largest({unified, data}) == mebibyte);
    CHECK(largest({data, none, unified}) == 32 << 10);
    CHECK(largest({{3, 0xffffffff, 0xffffffff, 0}}) == twofold::detail::max_cache_bytes);
    std::uint32_t asked = 0;
    CHECK(largest_described_cache([&](std::uint32_t i, cpuid_registers& to) noexcept {
              asked = i;
              to = unified;
              return true;  // for ever
          }) == mebibyte);
    CHECK(asked < 100);
}

TEST_CASE("sysfs and the processor of this machine, where they answer, say something believable", "[cache]") {
    // Not that they say the same: virtual machines do not always.
    std::size_t const by_sysfs = twofold::detail::cache_size_by_sysfs();
    std::size_t const by_processor = twofold::detail::cache_size_by_cpuid();
    for (std::size_t const bytes : {by_sysfs, by_processor}) {
        if (bytes == 0) continue;
        CHECK(bytes >= twofold::detail::min_cache_bytes);
        CHECK(bytes <= twofold::detail::max_cache_bytes);
    }
}

TEST_CASE("TWOFOLD_CACHE_BYTES decides before the machine", "[cache]") {
    std::size_t const detected = twofold::detail::find_cache_size();
    struct row {
        char const* text;
        std::size_t bytes;
    };
    for (row const& r : {row{"7M", 7 * mebibyte}, row{"5242880", 5 * mebibyte}, row{"1K", mebibyte}, row{"1", mebibyte},
                         row{"100G", 1024 * mebibyte}, row{"", detected}, row{"0", detected}, row{"-7M", detected},
                         row{"lots", detected}, row{"7MX", detected}, row{"7MB", 7 * mebibyte}}) {
        setenv("TWOFOLD_CACHE_BYTES", r.text, 1);
        twofold::detail::the_cache_size = 0;
        CAPTURE(r.text);
        CHECK(twofold::detail::cache_size() == r.bytes);
    }
    unsetenv("TWOFOLD_CACHE_BYTES");
    twofold::detail::the_cache_size = 0;
}

TEST_CASE("the cache's size is asked for once", "[cache]") {
    setenv("TWOFOLD_CACHE_BYTES", "7M", 1);
    twofold::detail::the_cache_size = 0;
    CHECK(twofold::detail::cache_size() == 7 * mebibyte);
    setenv("TWOFOLD_CACHE_BYTES", "9M", 1);
    CHECK(twofold::detail::cache_size() == 7 * mebibyte);
    unsetenv("TWOFOLD_CACHE_BYTES");
    CHECK(twofold::detail::cache_size() == 7 * mebibyte);
    twofold::detail::the_cache_size = 0;
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
        CHECK(twofold::detail::streaming_pays(r.touched_bytes, r.threads) == r.streams);
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
