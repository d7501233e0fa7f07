// Promises of the limits of control groups, on trees of files as systems have them, and as they should not be.
#include <pthread.h>

#include <cstdint>
#include <string>
#include <twofold/machine/cgroup.hpp>

#include "catch.hpp"
#include "machine/fake_tree.hpp"

namespace {

// Lines of mountinfo, as Linux writes them.
std::string const other_mounts =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n"
    "29 27 0:29 / /sys/fs/cgroup rw - tmpfs  rw,mode=755\n";  // a device without a name
std::string const v2_mount =
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n";
std::string const v1_mount = "33 29 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

unsigned cpus(fake_tree const& tree) {
    return twofold::detail::cgroup_cpus(tree.root());
}

// What a single group of version 2 with this limit grants.
unsigned cpus_of_limit(std::string const& limit) {
    return cpus(fake_tree{
        {"/proc/self/cgroup", "0::/a\n"}, {"/proc/self/mountinfo", v2_mount}, {"/sys/fs/cgroup/a/cpu.max", limit}});
}

// The same, of version 1.
unsigned cpus_of_limits(std::string const& quota, std::string const& period) {
    return cpus(fake_tree{{"/proc/self/cgroup", "4:cpu,cpuacct:/a\n"},
                          {"/proc/self/mountinfo", v1_mount},
                          {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", quota},
                          {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", period}});
}

// A tree of version 2 with this group, these mounts, and limits of 7 CPUs at the mount point's root and 3 in `/a`.
unsigned cpus_of_group(std::string const& group, std::string const& mounts) {
    return cpus(fake_tree{{"/proc/self/cgroup", group},
                          {"/proc/self/mountinfo", mounts},
                          {"/sys/fs/cgroup/cpu.max", "700000 100000\n"},
                          {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"}});
}

std::string mount_of(std::string const& group, std::string const& place = "/sys/fs/cgroup") {
    return "30 24 0:26 " + group + " " + place + " rw - cgroup2 cgroup2 rw\n";
}

}  // namespace

TEST_CASE("a quota grants as many CPUs as it takes to use it up", "[cgroup]") {
    CHECK(cpus_of_limit("100000 100000\n") == 1);
    CHECK(cpus_of_limit("150000 100000\n") == 2);
    CHECK(cpus_of_limit("200000 100000\n") == 2);
    CHECK(cpus_of_limit("200001 100000\n") == 3);
    CHECK(cpus_of_limit("1000 100000\n") == 1);
    CHECK(cpus_of_limit("1 1000000\n") == 1);
    CHECK(cpus_of_limit("25000 10000") == 3);
    CHECK(cpus_of_limits("100000\n", "100000\n") == 1);
    CHECK(cpus_of_limits("150000\n", "100000\n") == 2);
    CHECK(cpus_of_limits("50000\n", "100000\n") == 1);
}

TEST_CASE("a group without a quota sets no limit", "[cgroup]") {
    CHECK(cpus_of_limit("max 100000\n") == 0);
    CHECK(cpus_of_limits("-1\n", "100000\n") == 0);
}

TEST_CASE("limits that make no sense are none", "[cgroup]") {
    for (std::string const limit :
         {"", "\n", " ", "max", "max max", "0 100000\n", "100000 0\n", "100000", "100000 ", "-100000 100000\n",
          "100000 -1\n", "1e5 100000\n", "100000\n100000\n", "abc def\n", "100000  100000\n", "100000 100000x\n",
          "99999999999999999999999999 100000\n", "100000 99999999999999999999999999\n"}) {
        CAPTURE(limit);
        CHECK(cpus_of_limit(limit) == 0);
    }
    CHECK(cpus_of_limit(std::string("\0\0 \0", 4)) == 0);
    CHECK(cpus_of_limit(std::string(100'000, '1')) == 0);
    CHECK(cpus_of_limit(std::string(100'000, ' ')) == 0);
    CHECK(cpus_of_limits("0\n", "100000\n") == 0);
    CHECK(cpus_of_limits("100000\n", "0\n") == 0);
    CHECK(cpus_of_limits("100000\n", "") == 0);
    CHECK(cpus_of_limits("", "100000\n") == 0);
}

TEST_CASE("a limit of more CPUs than there can be is still one, not a small number", "[cgroup]") {
    CHECK(cpus_of_limit("99999999999999999 1\n") >= 1u << 30);
}

TEST_CASE("the smallest quota along the path counts, wherever it stands", "[cgroup]") {
    struct row {
        char const* top;
        char const* middle;
        char const* leaf;
        unsigned cpus;
    };
    for (row const& r :
         {row{"max", "max", "2", 2}, row{"max", "2", "max", 2}, row{"2", "max", "max", 2}, row{"5", "4", "3", 3},
          row{"3", "4", "5", 3}, row{"4", "3", "5", 3}, row{"max", "max", "max", 0}}) {
        CAPTURE(r.top, r.middle, r.leaf);
        auto const v2 = [](std::string const& limit) {
            return limit == "max" ? "max 100000\n" : limit + "00000 100000\n";
        };
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/a.slice/b\n"},
                             {"/proc/self/mountinfo", other_mounts + v2_mount},
                             {"/sys/fs/cgroup/cpu.max", v2(r.top)},
                             {"/sys/fs/cgroup/a.slice/cpu.max", v2(r.middle)},
                             {"/sys/fs/cgroup/a.slice/b/cpu.max", v2(r.leaf)}}) == r.cpus);
        auto const quota = [](std::string const& limit) { return limit == "max" ? "-1\n" : limit + "00000\n"; };
        std::string const mount = "/sys/fs/cgroup/cpu,cpuacct";
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", "7:cpuset:/\n4:cpu,cpuacct:/a/b\n1:name=systemd:/c\n"},
                             {"/proc/self/mountinfo", other_mounts + v1_mount},
                             {mount + "/cpu.cfs_quota_us", quota(r.top)},
                             {mount + "/cpu.cfs_period_us", "100000\n"},
                             {mount + "/a/cpu.cfs_quota_us", quota(r.middle)},
                             {mount + "/a/cpu.cfs_period_us", "100000\n"},
                             {mount + "/a/b/cpu.cfs_quota_us", quota(r.leaf)},
                             {mount + "/a/b/cpu.cfs_period_us", "100000\n"}}) == r.cpus);
    }
}

TEST_CASE("the smallest memory limit along the path counts, wherever it stands", "[cgroup]") {
    struct row {
        char const* top;
        char const* middle;
        char const* leaf;
        std::uint64_t bytes;
    };
    auto const memory = [](fake_tree const& tree) { return twofold::detail::cgroup_memory(tree.root()); };
    std::string const mount = "36 29 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    for (row const& r :
         {row{"max", "max", "4096", 4096}, row{"max", "8192", "max", 8192}, row{"4096", "max", "max", 4096},
          row{"3", "2", "1", 1}, row{"1", "2", "3", 1}, row{"2", "1", "3", 1},
          row{"max", "max", "1099511627776", 1'099'511'627'776}, row{"max", "max", "max", 0}}) {
        CAPTURE(r.top, r.middle, r.leaf);
        auto const v2 = [](std::string const& limit) { return limit + "\n"; };
        CHECK(memory(fake_tree{{"/proc/self/cgroup", "0::/a/b\n"},
                               {"/proc/self/mountinfo", other_mounts + v2_mount},
                               {"/sys/fs/cgroup/memory.max", v2(r.top)},
                               {"/sys/fs/cgroup/a/memory.max", v2(r.middle)},
                               {"/sys/fs/cgroup/a/b/memory.max", v2(r.leaf)}}) == r.bytes);
        // Of version 1, beside groups that limit the CPUs and say nothing of memory.
        auto const v1 = [](std::string const& limit) {
            return limit == "max" ? "9223372036854771712\n" : limit + "\n";
        };
        CHECK(memory(fake_tree{{"/proc/self/cgroup", "4:cpu,cpuacct:/c\n9:memory:/a/b\n0::/d\n"},
                               {"/proc/self/mountinfo", other_mounts + v1_mount + mount},
                               {"/sys/fs/cgroup/memory/memory.limit_in_bytes", v1(r.top)},
                               {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", v1(r.middle)},
                               {"/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", v1(r.leaf)},
                               {"/sys/fs/cgroup/cpu,cpuacct/c/memory.limit_in_bytes", "1\n"}}) == r.bytes);
    }
}

TEST_CASE("the room for more memory is what the machine has, or the group that has least", "[cgroup]") {
    constexpr std::uint64_t KiB = 1024;
    auto const room = [](fake_tree const& tree) { return twofold::detail::memory_room(tree.root()); };
    std::string const machine =
        "MemTotal:       24684252 kB\nMemFree:        18733016 kB\nMemAvailable:       1000 kB\nBuffers: 7 kB\n";
    // Of version 2: two groups, of which the inner one is close to its limit but for the cache of files.
    struct row {
        char const* what;
        char const* outer;
        char const* inner;
        char const* used;
        char const* statistics;
        std::uint64_t room;
    };
    for (row const& r : {row{"no limit", "max\n", "max\n", "5000000\n", "", 1000 * KiB},
                         row{"limits far away", "99999999999\n", "9999999999\n", "5000000\n", "", 1000 * KiB},
                         row{"inner limit", "max\n", "5001000\n", "5000000\n", "", 1000},
                         row{"outer limit", "204096\n", "5001000\n", "4000000\n", "", 4096},
                         row{"cache of files", "max\n", "5001000\n", "5000000\n",
                             "anon 4000000\ninactive_anon 1\nactive_file 2000\ninactive_file 300\nfile 7\n", 3300},
                         row{"full", "max\n", "5000000\n", "5000000\n", "", 1},
                         row{"more than full", "max\n", "4000000\n", "5000000\n", "", 1},
                         row{"more cache than memory", "max\n", "4000\n", "300\n", "inactive_file 5000\n", 4000}}) {
        CAPTURE(r.what);
        CHECK(room(fake_tree{{"/proc/meminfo", machine},
                             {"/proc/self/cgroup", "0::/a/b\n"},
                             {"/proc/self/mountinfo", other_mounts + v2_mount},
                             {"/sys/fs/cgroup/a/memory.max", r.outer},
                             {"/sys/fs/cgroup/a/memory.current", "200000\n"},
                             {"/sys/fs/cgroup/a/b/memory.max", r.inner},
                             {"/sys/fs/cgroup/a/b/memory.current", r.used},
                             {"/sys/fs/cgroup/a/b/memory.stat", r.statistics}}) == r.room);
    }
    std::string const v1 = "/sys/fs/cgroup/memory/a/memory.";
    CHECK(room(fake_tree{{"/proc/meminfo", machine},
                         {"/proc/self/cgroup", "9:memory:/a\n"},
                         {"/proc/self/mountinfo", "36 29 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"},
                         {v1 + "limit_in_bytes", "50000\n"},
                         {v1 + "usage_in_bytes", "49000\n"},
                         {v1 + "stat", "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 30\n"}}) == 1230);
    CHECK(room(fake_tree{{"/proc/meminfo", machine}}) == 1000 * KiB);
    CHECK(room(fake_tree{{"/proc/meminfo", "MemAvailable: 0 kB\n"}}) == 1);
    CHECK(room(fake_tree{{"/proc/meminfo", "MemFree: 5 kB\n"}}) == 0);  // an old system, which does not say
    CHECK(room(fake_tree{}) == 0);
}

TEST_CASE("a group beside the path does not count", "[cgroup]") {
    CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/a/b\n"},
                         {"/proc/self/mountinfo", v2_mount},
                         {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"},
                         {"/sys/fs/cgroup/a/c/cpu.max", "100000 100000\n"},
                         {"/sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n"},
                         {"/sys/fs/cpu.max", "100000 100000\n"}}) == 4);
}

TEST_CASE("intermediate groups that cannot be read are ignored", "[cgroup]") {
    fake_tree const tree{{"/proc/self/cgroup", "0::/a/b/c (deleted)\n"},
                         {"/proc/self/mountinfo", v2_mount},
                         {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"}};
    CHECK(cpus(tree) == 3);
    std::filesystem::create_directories(tree.root() + std::string("/sys/fs/cgroup/a/b/cpu.max"));  // not a file
    CHECK(cpus(tree) == 3);
}

TEST_CASE("the cpu controller of version 1 is found under any mount that has it", "[cgroup]") {
    for (std::string const controllers : {"cpu", "cpu,cpuacct", "cpuacct,cpu", "cpuset,cpu,cpuacct"}) {
        CAPTURE(controllers);
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", "3:cpuset:/x\n2:cpuacct:/y\n4:" + controllers + ":/a\n"},
                             {"/proc/self/mountinfo",
                              "31 29 0:28 / /mnt/cpuset rw - cgroup cgroup rw,cpuset\n"
                              "32 29 0:29 / /mnt/cpuacct rw,cpu - cgroup cgroup rw,cpuacct\n"
                              "33 29 0:30 / /mnt/c rw - cgroup cgroup rw," +
                                  controllers + "\n"},
                             {"/mnt/c/a/cpu.cfs_quota_us", "200000\n"},
                             {"/mnt/c/a/cpu.cfs_period_us", "100000\n"},
                             {"/mnt/c/x/cpu.cfs_quota_us", "100000\n"},
                             {"/mnt/c/x/cpu.cfs_period_us", "100000\n"},
                             {"/mnt/cpuacct/a/cpu.cfs_quota_us", "100000\n"},
                             {"/mnt/cpuacct/a/cpu.cfs_period_us", "100000\n"}}) == 2);
    }
}

TEST_CASE("where both versions are in use, that counts which has the cpu controller", "[cgroup]") {
    std::string const mounts =
        other_mounts + v1_mount + "41 29 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    std::string const v1_quota = "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us";
    std::string const v1_period = "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us";
    std::string const v2_limit = "/sys/fs/cgroup/unified/b/cpu.max";
    for (std::string const groups : {"4:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/b\n", "0::/b\n4:cpu,cpuacct:/a\n"}) {
        CAPTURE(groups);
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", groups},
                             {"/proc/self/mountinfo", mounts},
                             {v1_quota, "200000\n"},
                             {v1_period, "100000\n"}}) == 2);
    }
    CHECK(cpus(fake_tree{{"/proc/self/cgroup", "4:memory:/a\n1:name=cpu:/a\n0::/b\n"},
                         {"/proc/self/mountinfo", mounts},
                         {v1_quota, "200000\n"},
                         {v1_period, "100000\n"},
                         {v2_limit, "300000 100000\n"}}) == 3);
}

TEST_CASE("the path begins where the mount does", "[cgroup]") {
    CHECK(cpus_of_group("0::/a\n", mount_of("/")) == 3);
    CHECK(cpus_of_group("0::/docker/id/a\n", mount_of("/docker/id")) == 3);
    CHECK(cpus_of_group("0::/docker/id\n", mount_of("/docker/id")) == 7);
    CHECK(cpus_of_group("0::/docker/id/b\n", mount_of("/docker/id")) == 7);
    CHECK(cpus_of_group("0::/../a\n", mount_of("/..")) == 3);  // seen from a namespace beside it
    CHECK(cpus_of_group("0::/\n", mount_of("/")) == 7);
}

TEST_CASE("of a mount that holds another group, the root is read", "[cgroup]") {
    CHECK(cpus_of_group("0::/docker/id/a\n", mount_of("/docker/i")) == 7);
    CHECK(cpus_of_group("0::/docker/id/a\n", mount_of("/docker/other")) == 7);
    CHECK(cpus_of_group("0::/docker/id/a\n", mount_of("/locker/id")) == 7);
    CHECK(cpus_of_group("0::/docker\n", mount_of("/docker/id")) == 7);
    CHECK(cpus_of_group("0::/\n", mount_of("/docker/id")) == 7);
    CHECK(cpus_of_group("0::/../a\n", mount_of("/")) == 7);
    CHECK(cpus_of_group("0::/b/../a\n", mount_of("/")) == 7);
    CHECK(cpus_of_group("0::/a/..\n", mount_of("/")) == 7);
    CHECK(cpus_of_group("0::/a/...\n", mount_of("/")) == 3);  // a name like any other
    CHECK(cpus_of_group("0::/a/..b\n", mount_of("/")) == 3);
    CHECK(cpus_of_group("0::/a/b..\n", mount_of("/")) == 3);
}

TEST_CASE("a mount that holds another group does not count beside one that holds ours", "[cgroup]") {
    for (std::string const group : {"0::/ours\n", "0::/ours/a\n"}) {
        CAPTURE(group);
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", group},
                             {"/proc/self/mountinfo",
                              mount_of("/other", "/one") + mount_of("/ours", "/two") + mount_of("/another", "/three")},
                             {"/one/cpu.max", "100000 100000\n"},
                             {"/two/cpu.max", "600000 100000\n"},
                             {"/three/cpu.max", "100000 100000\n"}}) == 6);
    }
    // The name of the mount point goes on where that of the other group does.
    CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/ours/a\n"},
                         {"/proc/self/mountinfo", mount_of("/our", "/place")},
                         {"/place/cpu.max", "600000 100000\n"},
                         {"/places/cpu.max", "100000 100000\n"}}) == 6);
}

TEST_CASE("of mounts that all hold other groups the first counts", "[cgroup]") {
    fake_tree const tree{{"/proc/self/cgroup", "0::/ours\n"},
                         {"/proc/self/mountinfo", mount_of("/other", "/one") + mount_of("/another", "/two")},
                         {"/one/cpu.max", "600000 100000\n"},
                         {"/two/cpu.max", "100000 100000\n"}};
    CHECK(cpus(tree) == 6);
}

TEST_CASE("all mounts that hold the group count", "[cgroup]") {
    for (std::string const& mounts :
         {mount_of("/ours/a", "/one") + mount_of("/", "/two"), mount_of("/", "/two") + mount_of("/ours/a", "/one")}) {
        CAPTURE(mounts);
        CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/ours/a\n"},
                             {"/proc/self/mountinfo", mounts},
                             {"/one/cpu.max", "max 100000\n"},
                             {"/two/ours/cpu.max", "600000 100000\n"}}) == 6);
    }
}

TEST_CASE("a mount point that is too long is not taken for the directory above it", "[cgroup]") {
    fake_tree const tree{{"/proc/self/cgroup", "0::/a\n"}};
    // All lengths around the longest.
    for (std::size_t length = 1900; length < 2200; ++length) {
        std::string place;
        while (place.size() + 102 < length) place += "/" + std::string(100, 'x');
        place += "/" + std::string(length - place.size() - 1, 'x');
        std::string const limit_above = place.substr(0, place.rfind('/')) + "/cpu.max";
        tree.write(limit_above, "100000 100000\n");
        tree.write("/proc/self/mountinfo", mount_of("/", place));
        CAPTURE(length);
        REQUIRE(cpus(tree) == 0);
        tree.write(limit_above, "max 100000\n");  // the next place may be here
    }
}

TEST_CASE("names with blanks and backslashes are found", "[cgroup]") {
    std::string const place = "/my cgroup\t\\x";
    CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/a b\\c/d:e\n"},
                         {"/proc/self/mountinfo", mount_of("/a\\040b\\134c", "/my\\040cgroup\\011\\134x")},
                         {place + "/d:e/cpu.max", "200000 100000\n"}}) == 2);
}

TEST_CASE("a mountinfo of any length is read to its end", "[cgroup]") {
    std::string mounts;
    // All lengths of what comes before, so that the buffer ends at every byte of our line.
    for (std::size_t i = 0; i < 600; ++i) {
        mounts = "1 2 0:3 / /" + std::string(i, 'x') + " rw - ext4 /dev/vda rw\n" + mount_of("/a\\040b", "/c\\040d");
        CAPTURE(i);
        REQUIRE(cpus(fake_tree{{"/proc/self/cgroup", "0::/a b/c\n"},
                               {"/proc/self/mountinfo", mounts},
                               {"/c d/c/cpu.max", "200000 100000\n"}}) == 2);
    }
    mounts.clear();
    for (std::size_t i = 0; i < 20'000; ++i) {
        mounts += "1 2 0:3 / /var/lib/" + std::string(i % 300, 'y') + " rw shared:1 - overlay overlay rw\n";
    }
    mounts += "1 2 0:3 / /" + std::string(1'000'000, 'z') + " rw - cgroup2 cgroup2 rw\n";
    CHECK(cpus_of_group("0::/a\n", mounts + mount_of("/")) == 3);
}

TEST_CASE("of a path that is too long, the groups above count", "[cgroup]") {
    std::string deep = "/a";
    while (deep.size() < 1900) deep += "/" + std::string(90, 'b');
    CHECK(cpus_of_group("0::" + deep + "\n", mount_of("/")) == 3);
    for (std::size_t length : {150u, 200u, 5000u, 1'000'000u}) {
        CHECK(cpus_of_group("0::" + deep + std::string(length, 'b') + "\n", mount_of("/")) == 3);
        CHECK(cpus_of_group("0::" + deep + "/" + std::string(length, '/') + "\n", mount_of("/")) == 3);
        CHECK(cpus_of_group("0::/a/" + std::string(length, 'b') + "\n", mount_of("/")) == 3);
    }
}

TEST_CASE("a path that is too long is not taken for one that begins as it does", "[cgroup]") {
    fake_tree const tree{{"/proc/self/mountinfo", mount_of("/", "/m")}};
    std::string above;
    while (above.size() < 1850) above += "/" + std::string(90, 'a');
    for (std::size_t length = 1; length < 200; ++length) {
        tree.write("/m" + above + "/" + std::string(length, 'b') + "/cpu.max", "100000 100000\n");
    }
    tree.write("/m" + above + "/cpu.max", "300000 100000\n");
    tree.write("/proc/self/cgroup", "0::" + above + "/" + std::string(200, 'b') + "\n");
    CHECK(cpus(tree) == 3);
}

TEST_CASE("files that are missing, empty or something else set no limit", "[cgroup]") {
    CHECK(cpus(fake_tree{}) == 0);
    CHECK(cpus(fake_tree{{"/proc/self/cgroup", "0::/a\n"}}) == 0);
    CHECK(cpus(fake_tree{{"/proc/self/mountinfo", v2_mount}, {"/sys/fs/cgroup/cpu.max", "100000 100000\n"}}) == 0);
    CHECK(cpus(fake_tree{{"/proc/self/cgroup/a", ""}, {"/proc/self/mountinfo/a", ""}}) == 0);  // directories
    for (std::string const& groups :
         {std::string(), std::string("\n"), std::string("0"), std::string("0:"), std::string("::::\n"),
          std::string("4:memory:/a\n"), std::string(3, '\0'), std::string(100'000, ':'), std::string(100'000, 'a'),
          std::string("1:cpux:/a\n1:xcpu:/a\n1:cp:/a\n"), std::string("1:cpu\0:/a\n", 10)}) {
        CAPTURE(groups);
        CHECK(cpus_of_group(groups, mount_of("/")) == 0);
    }
    CHECK(cpus_of_group("0::\n", mount_of("/")) == 0);
    CHECK(cpus_of_group("0::a\n", mount_of("/")) == 0);
    CHECK(cpus_of_group("0::/a\n4:cpu:a\n", mount_of("/")) == 3);
    CHECK(cpus_of_group("0::/a", mount_of("/")) == 3);
    for (std::string const& mounts :
         {std::string(), std::string("\n\n"), std::string("30 24"), std::string("30 24 0:26 / /sys/fs/cgroup"),
          std::string("30 24 0:26 / /sys/fs/cgroup rw -"), std::string("30 24 0:26 / /sys/fs/cgroup rw cgroup2 x rw\n"),
          std::string("30 24 0:26 / /sys/fs/cgroup rw - cgroup x rw,cpu\n"), std::string(100'000, ' '),
          std::string(100'000, '-'), std::string(100'000, '\\'), std::string(100'000, '\0'),
          std::string("30 24 0:26 / /sys/fs/cgroup\\04 rw - cgroup2 x rw\n"),
          std::string("30 24 0:26 / /sys/fs/cgroup\\ rw - cgroup2 x rw\n")}) {
        CAPTURE(mounts);
        CHECK(cpus_of_group("0::/a\n", mounts) == 0);
        CHECK(cpus_of_group("0::/a\n", mounts + "\n" + mount_of("/")) == 3);
    }
}

TEST_CASE("a cancelled thread still gets its answer", "[cgroup]") {
    static fake_tree const tree{{"/proc/self/cgroup", "0::/a\n"},
                                {"/proc/self/mountinfo", v2_mount},
                                {"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"}};
    static unsigned answer;
    answer = 0;
    pthread_t thread;
    REQUIRE(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                    pthread_cancel(pthread_self());
                    answer = cpus(tree);
                    pthread_testcancel();
                    return nullptr;
                },
                nullptr) == 0);
    void* end = nullptr;
    REQUIRE(pthread_join(thread, &end) == 0);
    CHECK(answer == 2);
    CHECK(end == PTHREAD_CANCELED);
}
