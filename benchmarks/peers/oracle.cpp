// The oracle's loops: what somebody would write by hand for this very machine, this size, and nothing else. They know
// that arrays begin on a huge page and hold whole cache lines. peers.py picks the best of them for each size.
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "way.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#endif

namespace {

using peers::way;

enum class stores { plain, streaming };

#if defined(__SSE2__)

// Each instruction set: how a vector is loaded, doubled and stored.

struct sse2 {
    using vector = __m128i;
    static vector load(void const* from) { return _mm_load_si128(static_cast<vector const*>(from)); }
    static void store(void* to, vector v) { _mm_store_si128(static_cast<vector*>(to), v); }
    static void stream(void* to, vector v) { _mm_stream_si128(static_cast<vector*>(to), v); }

    template <class T>
    static vector twice(vector v) {
        if constexpr (std::same_as<T, float>) {
            return _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(v), _mm_castsi128_ps(v)));
        } else if constexpr (std::same_as<T, double>) {
            return _mm_castpd_si128(_mm_add_pd(_mm_castsi128_pd(v), _mm_castsi128_pd(v)));
        } else if constexpr (sizeof(T) == 1) {
            return _mm_add_epi8(v, v);
        } else if constexpr (sizeof(T) == 2) {
            return _mm_add_epi16(v, v);
        } else if constexpr (sizeof(T) == 4) {
            return _mm_add_epi32(v, v);
        } else {
            return _mm_add_epi64(v, v);
        }
    }
};

#if defined(__AVX2__)
struct avx2 {
    using vector = __m256i;
    static vector load(void const* from) { return _mm256_load_si256(static_cast<vector const*>(from)); }
    static void store(void* to, vector v) { _mm256_store_si256(static_cast<vector*>(to), v); }
    static void stream(void* to, vector v) { _mm256_stream_si256(static_cast<vector*>(to), v); }

    template <class T>
    static vector twice(vector v) {
        if constexpr (std::same_as<T, float>) {
            return _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(v), _mm256_castsi256_ps(v)));
        } else if constexpr (std::same_as<T, double>) {
            return _mm256_castpd_si256(_mm256_add_pd(_mm256_castsi256_pd(v), _mm256_castsi256_pd(v)));
        } else if constexpr (sizeof(T) == 1) {
            return _mm256_add_epi8(v, v);
        } else if constexpr (sizeof(T) == 2) {
            return _mm256_add_epi16(v, v);
        } else if constexpr (sizeof(T) == 4) {
            return _mm256_add_epi32(v, v);
        } else {
            return _mm256_add_epi64(v, v);
        }
    }
};
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__)
struct avx512 {
    using vector = __m512i;
    static vector load(void const* from) { return _mm512_load_si512(from); }
    static void store(void* to, vector v) { _mm512_store_si512(to, v); }
    static void stream(void* to, vector v) { _mm512_stream_si512(static_cast<vector*>(to), v); }

    template <class T>
    static vector twice(vector v) {
        if constexpr (std::same_as<T, float>) {
            return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(v), _mm512_castsi512_ps(v)));
        } else if constexpr (std::same_as<T, double>) {
            return _mm512_castpd_si512(_mm512_add_pd(_mm512_castsi512_pd(v), _mm512_castsi512_pd(v)));
        } else if constexpr (sizeof(T) == 1) {
            return _mm512_add_epi8(v, v);
        } else if constexpr (sizeof(T) == 2) {
            return _mm512_add_epi16(v, v);
        } else if constexpr (sizeof(T) == 4) {
            return _mm512_add_epi32(v, v);
        } else {
            return _mm512_add_epi64(v, v);
        }
    }
};
#endif

// `in` and `out` may be the same.
template <class Set, std::size_t Unrolled, stores Stores, class T>
void run_loop(T const* in, T* out, std::size_t n) {
    constexpr std::size_t lanes = sizeof(typename Set::vector) / sizeof(T);
    std::size_t i = 0;
    for (; n - i >= Unrolled * lanes; i += Unrolled * lanes) {
        typename Set::vector values[Unrolled];
#pragma GCC unroll 8
        for (std::size_t j = 0; j < Unrolled; ++j) {
            values[j] = Set::template twice<T>(Set::load(in + i + j * lanes));
        }
#pragma GCC unroll 8
        for (std::size_t j = 0; j < Unrolled; ++j) {
            if constexpr (Stores == stores::streaming) {
                Set::stream(out + i + j * lanes, values[j]);
            } else {
                Set::store(out + i + j * lanes, values[j]);
            }
        }
    }
    for (; i < n; i += lanes) Set::store(out + i, Set::template twice<T>(Set::load(in + i)));
    if constexpr (Stores == stores::streaming) _mm_sfence();
}

/// One thread.
template <class Set, std::size_t Unrolled, stores Stores>
struct alone {
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        run_loop<Set, Unrolled, Stores>(in, out, n);
    }
    template <class T>
        requires(Stores == stores::plain)
    static void in_place(T* values, std::size_t n) {
        run_loop<Set, Unrolled, Stores>(values, values, n);
    }
};

struct half {
    void (*run)(void const* in, void* out, std::size_t n) = nullptr;  // null: sleep
    void const* in = nullptr;
    void* out = nullptr;
    std::size_t n = 0;
};

// The second thread of a pair: it spins for the next half array while a turn lasts, and sleeps between turns. There
// is nothing here that a library needs: one caller, one helper, no sharing with others, no fork.
class helper {
public:
    static void wake() {
        static pthread_t const thread = [] {
            std::thread started(main);
            pthread_t const handle = started.native_handle();
            started.detach();  // it ends with the process
            return handle;
        }();
        // Linux likes to wake a thread on the CPU of the one that wakes it, where the two would wait for each other.
        cpu_set_t others;
        if (sched_getaffinity(0, sizeof(others), &others) == 0) {
            CPU_CLR(static_cast<std::size_t>(sched_getcpu()), &others);
            pthread_setaffinity_np(thread, sizeof(others), &others);
        }
        asleep_.store(false, std::memory_order_release);
        asleep_.notify_one();
        // Empty work: once it is done the helper spins.
        post({[](void const*, void*, std::size_t) {}, nullptr, nullptr, 0});
        wait();
    }

    static void send_to_sleep() {
        asleep_.store(true, std::memory_order_relaxed);
        post({});
        wait();
    }

    static void post(half const& work) {
        work_ = work;
        posted_.store(posted_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

    static void wait() {
        while (done_.load(std::memory_order_acquire) != posted_.load(std::memory_order_relaxed)) _mm_pause();
    }

private:
    [[noreturn]] static void main() {
        for (std::uint32_t seen = 0;;) {
            while (posted_.load(std::memory_order_acquire) == seen) _mm_pause();
            half const work = work_;
            if (work.run != nullptr) work.run(work.in, work.out, work.n);
            done_.store(++seen, std::memory_order_release);
            if (work.run == nullptr) asleep_.wait(true, std::memory_order_acquire);
        }
    }

    // What the caller writes, and what the helper writes: a cache line each.
    alignas(64) static inline half work_;
    static inline std::atomic<std::uint32_t> posted_{0};
    alignas(64) static inline std::atomic<std::uint32_t> done_{0};
    alignas(64) static inline std::atomic<bool> asleep_{false};
};

/// Two threads, a half each.
template <class Set, std::size_t Unrolled, stores Stores>
struct pair {
    template <class T>
    static void both(T const* in, T* out, std::size_t n) {
        constexpr std::size_t line = 64 / sizeof(T);
        std::size_t const mine = (n / 2 + line - 1) / line * line;
        helper::post({[](void const* from, void* to, std::size_t count) {
                          run_loop<Set, Unrolled, Stores>(static_cast<T const*>(from), static_cast<T*>(to), count);
                      },
                      in + mine, out + mine, n - mine});
        run_loop<Set, Unrolled, Stores>(in, out, mine);
        helper::wait();
    }
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        both(in, out, n);
    }
    template <class T>
        requires(Stores == stores::plain)
    static void in_place(T* values, std::size_t n) {
        both(values, values, n);
    }
};

template <template <class, std::size_t, stores> class Threads, class Set, std::size_t Unrolled, stores Stores>
void add(std::vector<way>& ways, std::string const& name) {
    ways.push_back(peers::make_way<Threads<Set, Unrolled, Stores>>("oracle/" + name));
}

template <class Set>
void add_set(std::vector<way>& ways, std::string const& set) {
    add<alone, Set, 4, stores::plain>(ways, set + "_x4");
    add<alone, Set, 8, stores::plain>(ways, set + "_x8");
    add<alone, Set, 4, stores::streaming>(ways, set + "_stream");
    if (std::thread::hardware_concurrency() < 2) return;
    auto const first_pair = static_cast<std::ptrdiff_t>(ways.size());
    add<pair, Set, 4, stores::plain>(ways, set + "_pair");
    add<pair, Set, 4, stores::streaming>(ways, set + "_pair_stream");
    for (auto each = ways.begin() + first_pair; each != ways.end(); ++each) {
        each->before_turn = helper::wake;
        each->after_turn = helper::send_to_sleep;
    }
}

#endif

[[maybe_unused]] bool const listed = [] {
    // The two widest instruction sets that this is compiled for: the wider one is not always the faster one. Nothing
    // where there are no intrinsics of x86.
    [[maybe_unused]] std::vector<way>& ways = peers::all_ways();
#if defined(__AVX512F__) && defined(__AVX512BW__)
    add_set<avx512>(ways, "avx512");
    add_set<avx2>(ways, "avx2");
#elif defined(__AVX2__)
    add_set<avx2>(ways, "avx2");
    add_set<sse2>(ways, "sse2");
#elif defined(__SSE2__)
    add_set<sse2>(ways, "sse2");
#endif
    return true;
}();

}  // namespace
