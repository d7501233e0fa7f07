// The measuring half of benchmarks/peers.py: measures one way at one task whenever it is asked to.
//
// All ways live in this one process and work on the same pages: the same loop varies by a quarter from process to
// process, with the pages that each gets. But threads that spin would slow the others down. So a turn ends when every
// other thread of the process sleeps, and not before.
//
// A request is a line on stdin, the answer a line on stdout:
//
//     about                                                     compiler, versions, instruction set
//     list                                                      the ways, each as NAME:TASKS
//     prepare BYTES ARRAYS                                      fills so many bytes of the first 2 or of all 3 arrays;
//                                                               answers how many bytes lie on huge pages
//     check WAY TYPE TASK COUNT                                 ok, or what is wrong
//     measure WAY TYPE TASK COUNT GAP_NS WARM_NS SAMPLE_NS SAMPLES TURN_NS
//                                                               nanoseconds per call, one number for each sample
//
// TASK is one that way.hpp names. With a gap, a sample is one call after a pause; without, so many calls as take
// SAMPLE_NS, once the way has been called for WARM_NS. There is at least one sample, and no further one begins once
// TURN_NS have passed.
#include <dirent.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "way.hpp"

namespace {

using peers::for_each_type;
using peers::twice;
using peers::type_names;
using peers::way;

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

// A call as long as this is measured without having been warmed up: to wake a thread takes less than a hundredth of it.
constexpr std::int64_t needs_no_warming_ns = 10'000'000;

std::int64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void pause_ns(std::int64_t ns) {
    timespec const length{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    nanosleep(&length, nullptr);
}

// Whether every thread of this process but the calling one is asleep.
bool others_sleep() {
    std::string const self = std::to_string(gettid());
    DIR* const tasks = opendir("/proc/self/task");
    if (tasks == nullptr) throw std::runtime_error("cannot see the threads of this process");
    bool all = true;
    while (dirent const* const task = readdir(tasks)) {
        std::string const id = task->d_name;
        if (id[0] == '.' || id == self) continue;
        std::ifstream file("/proc/self/task/" + id + "/stat");
        std::string stat;
        std::getline(file, stat);  // "ID (NAME) STATE ..."; none if the thread has ended meanwhile
        std::size_t const name_end = stat.rfind(')');
        all = all && (name_end == std::string::npos || stat[name_end + 2] == 'S');
    }
    closedir(tasks);
    return all;
}

void wait_until_others_sleep() {
    std::int64_t const give_up_ns = now_ns() + 5'000'000'000;
    while (!others_sleep()) {
        if (now_ns() > give_up_ns) throw std::runtime_error("threads that do not go to sleep");
        pause_ns(20'000);
    }
}

/// The input, the output and the second input, in this order.
class memory {
public:
    explicit memory(std::size_t bytes_each) : bytes_each_(bytes_each) {
        // A huge page is only where addresses allow for it.
        std::size_t const bytes = count * bytes_each + huge_page_bytes;
        void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) throw std::runtime_error("no memory for the arrays");
        madvise(mapped, bytes, MADV_HUGEPAGE);
        std::size_t const past = reinterpret_cast<std::uintptr_t>(mapped) % huge_page_bytes;
        begin_ = static_cast<std::byte*>(mapped) + (huge_page_bytes - past) % huge_page_bytes;
    }

    static constexpr std::size_t count = 3;

    [[nodiscard]] peers::arrays arrays() const noexcept {
        return {.in = begin_, .second = begin_ + 2 * bytes_each_, .out = begin_ + bytes_each_};
    }
    [[nodiscard]] std::size_t bytes_each() const noexcept { return bytes_each_; }

    // Floats below 1 whose products are normal numbers, too, so that no call is slow for what it finds there.
    void fill(std::size_t bytes, std::size_t arrays) const {
        for (std::size_t i = 0; i < arrays; ++i) std::memset(begin_ + i * bytes_each_, 0x3F, bytes);
    }

    /// How many bytes of the arrays this process sees through huge pages.
    [[nodiscard]] std::size_t bytes_on_huge_pages() const {
        std::ifstream maps("/proc/self/smaps");
        std::string line;
        bool ours = false;
        std::size_t kib = 0;
        while (std::getline(maps, line)) {
            std::uintptr_t first = 0;
            std::uintptr_t last = 0;
            if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) == 2) {
                auto const begin = reinterpret_cast<std::uintptr_t>(begin_);
                ours = first < begin + count * bytes_each_ && last > begin;
            } else if (ours && line.starts_with("AnonHugePages:")) {
                kib += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
            }
        }
        return kib * 1024;
    }

private:
    std::size_t bytes_each_;
    std::byte* begin_;
};

class server {
public:
    explicit server(memory const& of_arrays) : memory_(of_arrays), arrays_(of_arrays.arrays()) {}

    /// Answers requests until there are none.
    void serve() const {
        for (std::string line; std::getline(std::cin, line);) {
            std::istringstream request(line);
            std::string what;
            request >> what;
            try {
                std::cout << answer(what, request) << std::endl;
            } catch (std::exception const& failure) {
                std::cout << "error: " << failure.what() << " in: " << line << std::endl;
            }
        }
    }

private:
    [[nodiscard]] static std::string about() {
#if defined(__clang__)
        std::string result = "compiler=Clang " __clang_version__;
#else
        std::string result = "compiler=GCC " __VERSION__;
#endif
        for (std::string const& version : peers::all_versions()) result += "\t" + version;
        return result;
    }

    // What is to be called, as a request says it.
    struct subject {
        way const* through;
        std::size_t type;
        std::string task;
        peers::function function;
        std::size_t count;
    };

    // How it is to be called, in the same way.
    struct timing {
        std::int64_t gap_ns;
        std::int64_t warm_ns;
        std::int64_t sample_ns;
        std::size_t samples;
        std::int64_t turn_ns;
    };

    [[nodiscard]] std::string answer(std::string const& what, std::istream& request) const {
        if (what == "about") return about();
        if (what == "list") {
            std::string names;
            for (way const& each : peers::all_ways()) {
                names += (names.empty() ? "" : " ") + each.name + ':';
                for (auto const& [task, functions] : each.tasks) names += (names.back() == ':' ? "" : ",") + task;
            }
            return names;
        }
        if (what == "prepare") {
            std::size_t bytes = 0;
            std::size_t arrays = 0;
            if (!(request >> bytes >> arrays) || bytes > memory_.bytes_each() || arrays > memory::count) {
                throw std::runtime_error("bad number of bytes, or of arrays");
            }
            memory_.fill(bytes, arrays);
            return std::to_string(memory_.bytes_on_huge_pages());
        }
        if (what == "check") {
            subject const it = read_subject(request);
            if (it.task != "out" && it.task != "in") return check_stream(it);
            std::string result;
            for_each_type([&]<class T>(std::size_t type) {
                if (type == it.type) result = check<T>(it);
            });
            return result;
        }
        if (what == "measure") {
            subject const it = read_subject(request);
            timing how{};
            if (!(request >> how.gap_ns >> how.warm_ns >> how.sample_ns >> how.samples >> how.turn_ns)) {
                throw std::runtime_error("bad numbers");
            }
            std::ostringstream times;
            times.precision(9);
            take_turn(*it.through, [&] {
                for (double const ns : measure(it, how)) times << ns << ' ';
            });
            return times.str();
        }
        throw std::runtime_error("unknown request");
    }

    [[nodiscard]] subject read_subject(std::istream& request) const {
        std::string name;
        std::string type;
        std::string task;
        std::size_t count = 0;
        request >> name >> type >> task >> count;
        std::vector<way> const& ways = peers::all_ways();
        auto const found = std::ranges::find(ways, name, &way::name);
        auto const known = std::ranges::find(type_names, type);
        if (!request || found == ways.end() || known == type_names.end()) {
            throw std::runtime_error("bad way, type or count");
        }
        auto const index = static_cast<std::size_t>(known - type_names.begin());
        auto const functions = found->tasks.find(task);
        peers::function const function = functions == found->tasks.end() ? nullptr : functions->second[index];
        std::size_t const bytes = count * static_cast<std::size_t>(std::stoi(type.substr(1)) / 8);
        if (function == nullptr) throw std::runtime_error("this way has no such function");
        if (bytes > memory_.bytes_each() || bytes % 64 != 0) throw std::runtime_error("bad count");
        return {&*found, index, task, function, count};
    }

    double call(subject const& it) const { return it.function(arrays_, it.count); }

    template <class Work>
    static void take_turn(way const& whose, Work const& work) {
        if (whose.before_turn != nullptr) whose.before_turn();
        work();
        if (whose.after_turn != nullptr) whose.after_turn();
        wait_until_others_sleep();
    }

    // Different from element to element, and large enough to wrap.
    template <class T>
    [[nodiscard]] static T pattern(std::size_t i) {
        if constexpr (std::is_floating_point_v<T>) {
            return static_cast<T>(i % 1'000'003) + T{0.5};
        } else {
            return static_cast<T>(i * 0x9E3779B97F4A7C15u >> (64 - 8 * sizeof(T)));
        }
    }

    template <class T>
    [[nodiscard]] std::string check(subject const& it) const {
        T* const from = static_cast<T*>(it.task == "in" ? arrays_.out : arrays_.in);
        T* const to = static_cast<T*>(arrays_.out);
        std::fill_n(to, it.count, T{});
        for (std::size_t i = 0; i < it.count; ++i) from[i] = pattern<T>(i);
        take_turn(*it.through, [&] { call(it); });
        bool const copies = it.through->name == "memcpy";
        for (std::size_t i = 0; i < it.count; ++i) {
            T const expected = copies ? pattern<T>(i) : twice(pattern<T>(i));
            if (std::memcmp(&to[i], &expected, sizeof(T)) != 0) return "wrong at element " + std::to_string(i);
        }
        return "ok";
    }

    // The numbers are such that nothing is rounded, so that a fused multiplication, or another order of a sum, changes
    // nothing.
    [[nodiscard]] std::string check_stream(subject const& it) const {
        auto* const x = static_cast<double*>(arrays_.in);
        auto* const y = static_cast<double*>(arrays_.second);
        auto* const out = static_cast<double*>(arrays_.out);
        double sum = 0;
        for (std::size_t i = 0; i < it.count; ++i) {
            x[i] = pattern<double>(i);
            y[i] = static_cast<double>(i % 13 + 1);
            sum += x[i] * y[i];
        }
        std::fill_n(out, it.count, 0.0);
        double result = 0;
        take_turn(*it.through, [&] { result = call(it); });
        if (it.task == "dot") return result == sum ? "ok" : "wrong";
        for (std::size_t i = 0; i < it.count; ++i) {
            if (out[i] != expected_of_stream(it.task, x[i], y[i])) return "wrong at element " + std::to_string(i);
        }
        return "ok";
    }

    [[nodiscard]] static double expected_of_stream(std::string const& task, double x, double y) {
        if (task == "copy") return x;
        if (task == "scale") return 3 * x;
        if (task == "add") return x + y;
        return x + 3 * y;
    }

    [[nodiscard]] std::int64_t ns_of(subject const& it, std::int64_t calls) const {
        std::int64_t const start = now_ns();
        for (std::int64_t i = 0; i < calls; ++i) call(it);
        return now_ns() - start;
    }

    [[nodiscard]] std::vector<double> measure(subject const& it, timing const& how) const {
        // With a gap, one call is enough of a warm-up: threads sleep again anyway.
        std::int64_t calls = 1;
        if (how.gap_ns > 0) pause_ns(how.gap_ns);
        std::int64_t begin_ns = now_ns();
        std::int64_t took = ns_of(it, calls);
        std::vector<double> times;
        if (took >= needs_no_warming_ns) {
            times.push_back(static_cast<double>(took));
        } else if (how.gap_ns == 0) {
            std::int64_t const warm_at_ns = now_ns() + how.warm_ns;
            while (took < how.sample_ns || now_ns() < warm_at_ns) {
                calls = std::max<std::int64_t>(took < how.sample_ns ? 2 * calls : calls * how.sample_ns / took, 1);
                took = ns_of(it, calls);
            }
            calls = std::max<std::int64_t>(calls * how.sample_ns / took, 1);
            begin_ns = now_ns();
        }
        while (times.empty() || (times.size() < how.samples && now_ns() < begin_ns + how.turn_ns)) {
            if (how.gap_ns > 0) pause_ns(how.gap_ns);
            times.push_back(static_cast<double>(ns_of(it, calls)) / static_cast<double>(calls));
        }
        return times;
    }

    memory const& memory_;
    peers::arrays arrays_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: peers BYTES_OF_EACH_ARRAY; benchmarks/peers.py does that\n");
        return 2;
    }
    try {
        memory const of_arrays(std::strtoull(argv[1], nullptr, 10));
        server(of_arrays).serve();
    } catch (std::exception const& failure) {
        std::fprintf(stderr, "%s: %s\n", argv[0], failure.what());
        return 1;
    }
}
