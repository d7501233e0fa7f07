// How many CPUs and how much memory the control groups of this process grant it: the limits of a container, a systemd
// unit, a batch job.
//
// /proc/self/cgroup says in which group the process is, /proc/self/mountinfo where the groups are mounted. The limits
// of that group and of all groups above it hold at once, so the smallest counts. The limit of CPUs is in `cpu.max`
// (version 2), or in `cpu.cfs_quota_us` and `cpu.cfs_period_us` (version 1); that of memory in `memory.max` or
// `memory.limit_in_bytes`.
//
// All of this is text that the system writes (text_file.hpp). What cannot be parsed sets no limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <twofold/flags.hpp>
#include <twofold/machine/cancellation.hpp>
#include <twofold/machine/text_file.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

#if defined(__linux__)

enum class cgroup_version { none, v1, v2 };

/// The version of the groups that limit `controller` ("cpu", say) for this process, and the group of the process. If
/// both versions are in use, as on older systemd, it is the version that has the controller: the system gives that to
/// only one of them.
[[nodiscard]] inline cgroup_version find_cgroup(short_path& files, short_path& group, char const* controller) noexcept {
    cgroup_version found = cgroup_version::none;
    // A line: hierarchy:controllers:group, as in "4:cpu,cpuacct:/a/b" or, for version 2, "0::/a/b".
    lines_of_file lines(files.with("/proc/self/cgroup"));
    for (; !lines.at_end() && found != cgroup_version::v1; lines.go_to_next_line()) {
        bool const is_v2 = lines.read_words(':', "0");
        bool const is_v1 = lines.read_words(':', controller);
        if ((!is_v1 && !is_v2) || lines.next() != '/') continue;
        found = is_v1 ? cgroup_version::v1 : cgroup_version::v2;
        group.cut_to(0);
        group.append('/');
        for (int byte = lines.next(); byte != lines.no_more; byte = lines.next()) group.append(static_cast<char>(byte));
        if (group.length() == 1) group.cut_to(0);  // the root of its hierarchy
    }
    return found;
}

/// What a group may limit: the controller of version 1 that does it, and the limit that the group in `directory` itself
/// sets; 0 for none.
struct cgroup_cpu_limit {
    static constexpr char const* controller = "cpu";

    /// CPUs, rounded up.
    [[nodiscard]] static std::uint64_t of(short_path& directory, cgroup_version version) noexcept {
        std::uint64_t quota = 0;
        std::uint64_t period = 0;
        if (version == cgroup_version::v2) {
            lines_of_file limit(directory.with("/cpu.max"));  // "150000 100000", or "max 100000"
            quota = limit.read_number();
            if (quota != 0) period = limit.read_number();
        } else {
            quota = lines_of_file(directory.with("/cpu.cfs_quota_us")).read_number();  // "-1" for none
            if (quota != 0) period = lines_of_file(directory.with("/cpu.cfs_period_us")).read_number();
        }
        if (quota == 0 || period == 0) return 0;
        constexpr std::uint64_t max_cpus = 1u << 30;
        return (std::min)((quota - 1) / period + 1, max_cpus);
    }
};

struct cgroup_memory_limit {
    static constexpr char const* controller = "memory";

    /// Bytes.
    [[nodiscard]] static std::uint64_t of(short_path& directory, cgroup_version version) noexcept {
        // "max" for none, or in version 1 a number that is close to 2^63.
        char const* const file = version == cgroup_version::v2 ? "/memory.max" : "/memory.limit_in_bytes";
        return lines_of_file(directory.with(file)).read_number();
    }
};

/// What is left of that memory limit.
struct cgroup_memory_room {
    static constexpr char const* controller = "memory";

    /// Bytes; at least 1, as 0 means that there is no limit. The page cache does not count as used: the system drops it
    /// before it kills a process.
    [[nodiscard]] static std::uint64_t of(short_path& directory, cgroup_version version) noexcept {
        std::uint64_t const limit = cgroup_memory_limit::of(directory, version);
        if (limit == 0) return 0;
        bool const is_v2 = version == cgroup_version::v2;
        char const* const file = is_v2 ? "/memory.current" : "/memory.usage_in_bytes";
        std::uint64_t const used = lines_of_file(directory.with(file)).read_number();
        std::uint64_t const cached = statistic(directory, is_v2 ? "inactive_file" : "total_inactive_file") +
                                     statistic(directory, is_v2 ? "active_file" : "total_active_file");
        std::uint64_t const needed = used - (std::min)(used, cached);
        return limit > needed ? limit - needed : 1;
    }

private:
    [[nodiscard]] static std::uint64_t statistic(short_path& directory, char const* name) noexcept {
        lines_of_file lines(directory.with("/memory.stat"));  // "inactive_file 4096", one on each line
        for (; !lines.at_end(); lines.go_to_next_line()) {
            if (lines.read_words(' ', name)) return lines.read_number();
        }
        return 0;
    }
};

[[nodiscard]] constexpr std::uint64_t smaller_limit(std::uint64_t a, std::uint64_t b) noexcept {
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/// The smallest limit of the groups from `directory` up to its first `top` bytes, where the groups are mounted.
template <class Limit>
[[nodiscard]] std::uint64_t limit_along_path(short_path& directory, std::size_t top, cgroup_version version) noexcept {
    for (std::uint64_t limit = 0;; directory.cut_last_name(top)) {
        limit = smaller_limit(limit, Limit::of(directory, version));
        if (directory.length() <= top) return limit;
    }
}

/// Appends the part of `group` from `first` on to `directory`; nothing if it contains "..": such a group lies outside
/// of what is mounted there.
inline void append_group(short_path& directory, short_path const& group, std::size_t first) noexcept {
    std::size_t const top = directory.length();
    std::size_t dots = 0;  // the length of a name of dots alone; 3 for any other name
    for (std::size_t i = first; i <= group.length(); ++i) {
        char const byte = i < group.length() ? group[i] : '/';
        if (byte == '/' && dots == 2) {
            directory.cut_to(top);
            return;
        }
        dots = byte == '/' ? 0 : byte == '.' && dots < 2 ? dots + 1 : 3;
        if (i < group.length()) directory.append(byte);
    }
}

/// What a line of mountinfo says about where a group is mounted.
struct cgroup_mount {
    enum { nothing, our_group, another_group } holds;
    std::size_t above;  // how much of our group's path is above the mount point
};

/// Reads a line of mountinfo, and appends the mount point to the first `length_of_root` bytes of `directory`.
[[nodiscard]] inline cgroup_mount read_mount(lines_of_file& lines, cgroup_version version, char const* controller,
                                             short_path const& group, short_path& directory,
                                             std::size_t length_of_root) noexcept {
    // Id, parent, device, mounted directory, mount point, options, any number of tags, "-", type, device, options of
    // the type, as in "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw".
    for (int field = 0; field < 3; ++field) lines.skip_field();

    std::size_t above = 0;
    bool is_above = true;
    for (int byte = lines.next_of_field(); byte != lines.no_more; byte = lines.next_of_field()) {
        is_above = is_above && above < group.length() && group[above] == static_cast<char>(byte);
        ++above;
    }
    if (above == 1) {  // "/"
        above = 0;
        is_above = true;
    }
    bool const holds_group = is_above && (above == 0 || above == group.length() || group[above] == '/');

    directory.cut_to(length_of_root);
    for (int byte = lines.next_of_field(); byte != lines.no_more; byte = lines.next_of_field()) {
        directory.append(static_cast<char>(byte));
    }

    while (!lines.at_end_of_line() && !lines.read_words(' ', "-")) {
    }
    bool const is_v2 = version == cgroup_version::v2;
    if (!lines.read_words(' ', is_v2 ? "cgroup2" : "cgroup")) return {cgroup_mount::nothing, 0};
    lines.skip_field();
    if (!is_v2 && !lines.read_words(' ', controller)) return {cgroup_mount::nothing, 0};
    if (directory.was_cut()) return {cgroup_mount::nothing, 0};
    return {holds_group ? cgroup_mount::our_group : cgroup_mount::another_group, above};
}

/// What the control groups of this process grant it; 0 where they set no limit. Tests pass a directory in place of the
/// file system's root.
template <class Limit>
[[nodiscard]] std::uint64_t find_cgroup_limit(char const* root) noexcept {
    without_cancellation const guard;
    short_path directory;
    directory.append(root);
    std::size_t const length_of_root = directory.length();
    short_path group;
    cgroup_version const version = find_cgroup(directory, group, Limit::controller);
    if (version == cgroup_version::none) return 0;

    std::uint64_t limit = 0;
    bool found = false;
    std::uint64_t limit_elsewhere = 0;
    bool found_elsewhere = false;
    lines_of_file lines(directory.with("/proc/self/mountinfo"));
    for (; !lines.at_end(); lines.go_to_next_line()) {
        cgroup_mount const mount = read_mount(lines, version, Limit::controller, group, directory, length_of_root);
        if (mount.holds == cgroup_mount::our_group) {
            found = true;
            std::size_t const top = directory.length();
            append_group(directory, group, mount.above);
            limit = smaller_limit(limit, limit_along_path<Limit>(directory, top, version));
        } else if (mount.holds == cgroup_mount::another_group && !found_elsewhere) {
            // A container without a cgroup namespace may see only this group, and it is likely to be its own.
            found_elsewhere = true;
            limit_elsewhere = Limit::of(directory, version);
        }
    }
    return found ? limit : limit_elsewhere;
}

/// The CPUs that the control groups of this process grant it, rounded up; 0 where they set no limit.
[[nodiscard]] inline unsigned cgroup_cpus(char const* root = "") noexcept {
    return static_cast<unsigned>(find_cgroup_limit<cgroup_cpu_limit>(root));
}

/// The bytes of memory that they grant it; 0 where they set no limit.
[[nodiscard]] inline std::uint64_t cgroup_memory(char const* root = "") noexcept {
    return find_cgroup_limit<cgroup_memory_limit>(root);
}

/// The bytes of memory that this process can still get: what the machine has available, or what is left to one of its
/// control groups if that is less. At least 1; 0 if unknown.
[[nodiscard]] inline std::uint64_t memory_room(char const* root = "") noexcept {
    std::uint64_t available = 0;
    {
        without_cancellation const guard;
        short_path directory;
        directory.append(root);
        lines_of_file lines(directory.with("/proc/meminfo"));  // "MemAvailable:   22132332 kB"
        for (; !lines.at_end() && available == 0; lines.go_to_next_line()) {
            if (!lines.read_words(':', "MemAvailable")) continue;
            lines.skip_blanks();
            available = (std::max)(lines.read_number() * 1024, std::uint64_t{1});
        }
    }
    return smaller_limit(available, find_cgroup_limit<cgroup_memory_room>(root));
}

#else

[[nodiscard]] constexpr unsigned cgroup_cpus(char const* = "") noexcept {
    return 0;
}

[[nodiscard]] constexpr std::uint64_t cgroup_memory(char const* = "") noexcept {
    return 0;
}

[[nodiscard]] constexpr std::uint64_t memory_room(char const* = "") noexcept {
    return 0;
}

#endif

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
