// Measures the numbers that the engine is tuned by, on the machine at hand:
//
//     thresholds streaming   from which size on non-temporal stores pay (cache_size.hpp)
//     thresholds threads     from which size on a second thread pays, awake or asleep (sharing.hpp)
//     thresholds chunks      how large a chunk should be (chunks.hpp)
//     thresholds waking      how long a helper takes to come, awake or asleep (crew.hpp, sharing.hpp)
//
// Built by `meson compile -C build thresholds`, or by hand:
//
//     g++ -std=c++20 -O2 -march=native -Iinclude -I"$(scripts/xsimd_include.py)" benchmarks/thresholds.cpp -o
//     thresholds
//
// Two ways of doing the same are timed in turn, on the same pages (huge ones, where the system gives them), in pairs
// whose order alternates. Printed is the median of the pairs' ratios, with its quartiles: above 1, the second way wins.
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <twofold/twofold.hpp>
#include <vector>
#include <xsimd/xsimd.hpp>

namespace {

using namespace twofold::detail;
using value = std::uint32_t;

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr int pairs = 61;
constexpr std::int64_t min_ns = 200'000;  // a shorter way is repeated until it takes about as long

std::int64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void pause_ns(std::int64_t ns) {
    timespec const length{0, static_cast<long>(ns)};
    nanosleep(&length, nullptr);
}

value* pages(std::size_t bytes) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, bytes, MADV_HUGEPAGE);
    std::memset(memory, 1, bytes);
    return static_cast<value*>(memory);
}

constexpr std::size_t max_bytes = 128 * mib;
value* const in = pages(max_bytes);
value* const out = pages(max_bytes);

// Doubles `bytes` on `threads` threads in chunks of `chunk_bytes`, whatever the engine would have decided.
void double_as_told(std::size_t bytes, unsigned threads, stores where, std::size_t chunk_bytes) {
    std::size_t const count = (bytes + chunk_bytes - 1) / chunk_bytes;
    crew::share(count, threads - 1, [&](std::size_t i) noexcept {
        std::size_t const first = i * chunk_bytes;
        std::size_t const length = std::min(chunk_bytes, bytes - first);
        row_of<compiled_kernels<doubling, value>>.wrap[static_cast<std::size_t>(where)](
            in + first / sizeof(value), out + first / sizeof(value), length / sizeof(value));
    });
}

std::size_t usual_chunk(std::size_t bytes, unsigned threads) {
    return chunks(bytes / sizeof(value), sizeof(value), 0, threads)[0].count * sizeof(value);
}

template <class Way>
double seconds_of(Way const& way, int repeats, std::int64_t gap_ns) {
    std::int64_t total = 0;
    for (int i = 0; i < repeats; ++i) {
        if (gap_ns > 0) pause_ns(gap_ns);
        std::int64_t const start = now_ns();
        way();
        total += now_ns() - start;
    }
    return static_cast<double>(total) / 1e9 / repeats;
}

struct quartiles {
    double low, median, high;
};

quartiles quartiles_of(std::vector<double> values) {
    std::ranges::sort(values);
    auto const at = [&](double part) {
        return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
    };
    return {at(0.25), at(0.5), at(0.75)};
}

template <class First, class Second>
quartiles ratio(First const& first, Second const& second, std::int64_t gap_ns = 0) {
    std::int64_t const start = now_ns();
    first();
    second();
    std::int64_t const once = std::max<std::int64_t>((now_ns() - start) / 2, 1);
    int const repeats = gap_ns > 0 ? 3 : static_cast<int>(std::clamp<std::int64_t>(min_ns / once, 1, 1000));
    std::vector<double> ratios;
    for (int i = 0; i < pairs; ++i) {
        if (i % 2 == 0) {
            double const a = seconds_of(first, repeats, gap_ns);
            ratios.push_back(a / seconds_of(second, repeats, gap_ns));
        } else {
            double const b = seconds_of(second, repeats, gap_ns);
            ratios.push_back(seconds_of(first, repeats, gap_ns) / b);
        }
    }
    return quartiles_of(ratios);
}

void print(quartiles const& q) {
    std::printf("   %5.2f (%4.2f..%4.2f)", q.median, q.low, q.high);
}

void measure_streaming() {
    std::printf("cached over streaming stores, last-level cache %zu MiB\n", cache_size() / mib);
    std::printf("in + out     1 thread             2 threads\n");
    constexpr std::size_t totals[] = {4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 256};
    for (std::size_t const total : totals) {
        std::size_t const bytes = total * mib / 2;
        std::printf("%4zu MiB ", total);
        for (unsigned const threads : {1u, 2u}) {
            std::size_t const chunk = threads == 1 ? bytes : usual_chunk(bytes, threads);
            print(ratio([&] { double_as_told(bytes, threads, stores::cached, chunk); },
                        [&] { double_as_told(bytes, threads, stores::streaming, chunk); }));
        }
        std::printf("\n");
    }
}

void measure_threads() {
    std::printf("one thread over two\noutput       back to back         after 1 ms (asleep)\n");
    for (std::size_t bytes = 8 * kib; bytes <= 64 * mib; bytes *= 2) {
        std::printf("%6zu KiB", bytes / kib);
        for (std::int64_t const gap : {std::int64_t{0}, std::int64_t{1'000'000}}) {
            auto const way = [&](unsigned threads) {
                stores const where = streaming_pays(2 * bytes, threads) ? stores::streaming : stores::cached;
                double_as_told(bytes, threads, where, threads == 1 ? bytes : usual_chunk(bytes, threads));
            };
            print(ratio([&] { way(1); }, [&] { way(2); }, gap));
        }
        std::printf("\n");
    }
}

void measure_chunks() {
    std::printf("two threads, chunks of the size that the engine takes over chunks of\noutput     ");
    constexpr std::size_t sizes[] = {8 * kib,   16 * kib,  32 * kib,  64 * kib,
                                     128 * kib, 256 * kib, 512 * kib, 1024 * kib};
    for (std::size_t const chunk : sizes) std::printf("   %6zu KiB        ", chunk / kib);
    std::printf("\n");
    for (std::size_t bytes = 128 * kib; bytes <= 128 * mib; bytes *= 4) {
        std::printf("%7zu KiB", bytes / kib);
        for (std::size_t const chunk : sizes) {
            if (chunk > bytes / 2) break;
            stores const where = streaming_pays(2 * bytes, 2) ? stores::streaming : stores::cached;
            print(ratio([&] { double_as_told(bytes, 2, where, usual_chunk(bytes, 2)); },
                        [&] { double_as_told(bytes, 2, where, chunk); }));
        }
        std::printf("\n");
    }
}

// How long after the start of a call a helper begins with its first chunk.
std::int64_t ns_until_help() {
    std::atomic<std::int64_t> came{0};
    std::int64_t const start = now_ns();
    crew::share(2, 1, [&](std::size_t i) noexcept {
        if (i == 1) came = now_ns();
        // The caller keeps its chunk until the helper is there, so that there is something to come for.
        while (i == 0 && came == 0 && now_ns() - start < 100'000'000) {
        }
    });
    return came - start;
}

void measure_waking() {
    std::printf("nanoseconds until a helper comes: median, nine in ten, 99 in 100\n");
    for (bool const asleep : {false, true}) {
        std::vector<std::int64_t> times;
        for (int i = 0; i < 1000; ++i) {
            if (asleep) pause_ns(1'000'000);
            times.push_back(ns_until_help());
        }
        std::ranges::sort(times);
        std::printf("%s %9lld %9lld %9lld\n", asleep ? "asleep" : "awake ", static_cast<long long>(times[500]),
                    static_cast<long long>(times[900]), static_cast<long long>(times[990]));
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::string_view const what = argc == 2 ? argv[1] : "";
    if (what == "streaming") {
        measure_streaming();
    } else if (what == "threads") {
        measure_threads();
    } else if (what == "chunks") {
        measure_chunks();
    } else if (what == "waking") {
        measure_waking();
    } else {
        std::fprintf(stderr, "usage: thresholds streaming|threads|chunks|waking\n");
        return 2;
    }
}
