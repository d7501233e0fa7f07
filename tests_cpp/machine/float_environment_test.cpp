// Promises of the floating-point environment: modes and flags are those of a call on one thread, whichever threads took
// part.
#include <fenv.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <bit>
#include <complex>
#include <cstring>
#include <limits>
#include <twofold/twofold.hpp>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "forced_sharing.hpp"
#include "meeting.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using crew = twofold::detail::crew;

constexpr int exceptions[] = {FE_INVALID, FE_DIVBYZERO, FE_OVERFLOW, FE_UNDERFLOW, FE_INEXACT};
constexpr int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

// on_caller() here and on_helper() on a helper, each in a chunk of one call.
template <class OnCaller, class OnHelper>
void share_with_one_helper(OnCaller const& on_caller, OnHelper const& on_helper) {
    meeting both(2);
    pthread_t const caller = pthread_self();
    crew::share(2, 1, [&](std::size_t) noexcept {
        both.wait();
        if (pthread_equal(pthread_self(), caller) != 0) {
            on_caller();
        } else {
            on_helper();
        }
    });
}

template <class OnHelper>
void share_with_one_helper(OnHelper const& on_helper) {
    share_with_one_helper([] {}, on_helper);
}

// What `work` raises on a thread that has raised nothing before. (To raise one flag may raise another one, too.)
template <class Work>
int flags_raised_by(Work const& work) {
    feclearexcept(FE_ALL_EXCEPT);
    work();
    int const raised = fetestexcept(FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
    return raised;
}

// As the processor has it, beyond what <fenv.h> can say: subnormals are taken for zero. False: not known here how.
bool flush_subnormals(bool flush) {
#if defined(__x86_64__)
    constexpr unsigned both_ways = 0x8040;
    _mm_setcsr(flush ? _mm_getcsr() | both_ways : _mm_getcsr() & ~both_ways);
    return true;
#elif defined(__aarch64__)
    constexpr std::uint64_t both_ways = std::uint64_t{1} << 24;
    std::uint64_t control;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
    control = flush ? control | both_ways : control & ~both_ways;
    __asm__ __volatile__("msr fpcr, %0" : : "r"(control));
    return true;
#else
    static_cast<void>(flush);
    return false;
#endif
}

// Not inlined: the compiler might do the arithmetic after the next change of modes.
[[gnu::noinline]] bool subnormals_are_flushed() {
    double const volatile subnormal = std::numeric_limits<double>::denorm_min();
    return subnormal * 2 == 0;
}

// Enough for four chunks at least, and a short one.
template <class T>
constexpr std::size_t shared_count = (std::size_t{512} << 10) / sizeof(T) + 5;

template <class T>
T signalling_nan() {
    return std::numeric_limits<T>::signaling_NaN();
}

enum class how { into, in_place, checked, checked_in_place, strided };
constexpr how every_how[] = {how::into, how::in_place, how::checked, how::checked_in_place, how::strided};

// A call that is shared if it is large enough; what it throws is not of interest here.
template <class T>
std::vector<T> doubled_by(how way, std::vector<T> const& in, unsigned threads) {
    std::vector<T> out(in);
    bool const checks = way == how::checked || way == how::checked_in_place;
    twofold::options const options{checks ? overflow_policy::raise : overflow_policy::wrap, threads};
    share_next_call();
    try {
        if (way == how::strided) {
            twofold::double_strided(in.data() + in.size() - 1, -1, out.data(), 1, in.size(), options);
        } else if (way == how::in_place || way == how::checked_in_place) {
            twofold::double_in_place(out, options);
        } else {
            twofold::double_into(in, out, options);
        }
    } catch (twofold::overflow_error const&) {
    }
    return out;
}

}  // namespace

TEST_CASE("flags that a helper raises are its caller's after the call, every time", "[float environment]") {
    for (int const exception : exceptions) {
        auto const raise = [=] { feraiseexcept(exception); };
        int const expected = flags_raised_by(raise);
        unsigned wrong = 0;
        for (unsigned repetition = 0; repetition < 200; ++repetition) {
            wrong += flags_raised_by([&] { share_with_one_helper(raise); }) != expected;
        }
        CAPTURE(exception, expected);
        CHECK((expected & exception) != 0);
        CHECK(wrong == 0);
    }
}

TEST_CASE("flags that a caller raises itself, before or in a call, stay raised", "[float environment]") {
    int const before = flags_raised_by([] { feraiseexcept(FE_DIVBYZERO); });
    int const inside = flags_raised_by([] { feraiseexcept(FE_INVALID); });
    int const beside = flags_raised_by([] { feraiseexcept(FE_OVERFLOW); });
    int const raised = flags_raised_by([] {
        feraiseexcept(FE_DIVBYZERO);
        share_with_one_helper([] { feraiseexcept(FE_INVALID); }, [] { feraiseexcept(FE_OVERFLOW); });
    });
    CHECK(raised == (before | inside | beside));
}

TEST_CASE("a helper brings no flags of a call that is over", "[float environment]") {
    unsigned wrong = 0;
    for (unsigned repetition = 0; repetition < 200; ++repetition) {
        share_with_one_helper([] { feraiseexcept(FE_ALL_EXCEPT); });
        std::atomic<int> at_start{0};
        int const raised =
            flags_raised_by([&] { share_with_one_helper([&] { at_start = fetestexcept(FE_ALL_EXCEPT); }); });
        wrong += raised != 0 || at_start != 0;
    }
    CHECK(wrong == 0);
}

TEST_CASE("helpers round as their caller does, call by call", "[float environment]") {
    unsigned wrong = 0;
    for (unsigned repetition = 0; repetition < 50; ++repetition) {
        for (int const rounding : roundings) {
            std::atomic<int> of_helper{-1};
            fesetround(rounding);
            share_with_one_helper([&] { of_helper = fegetround(); });
            wrong += of_helper != rounding || fegetround() != rounding;
            fesetround(FE_TONEAREST);
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("helpers flush subnormals if their caller does, call by call", "[float environment]") {
    unsigned wrong = 0;
    for (unsigned repetition = 0; repetition < 50; ++repetition) {
        for (bool const flush : {true, false}) {
            if (!flush_subnormals(flush)) return;
            bool const of_caller = subnormals_are_flushed();
            std::atomic<bool> of_helper{!flush};
            share_with_one_helper([&] { of_helper = subnormals_are_flushed(); });
            flush_subnormals(false);
            wrong += of_helper != flush || of_caller != flush;
        }
    }
    CHECK(wrong == 0);
}

#if defined(__x86_64__)
TEST_CASE("helpers compute long doubles as precisely as their caller does", "[float environment]") {
    auto const control = [] {
        std::uint16_t word;
        __asm__ __volatile__("fnstcw %0" : "=m"(word));
        return word;
    };
    std::uint16_t const usual = control();
    for (int const precision : {0x000, 0x200, 0x300}) {
        auto const wanted = static_cast<std::uint16_t>((usual & ~0x300) | precision);
        std::atomic<unsigned> of_helper{0};
        __asm__ __volatile__("fldcw %0" : : "m"(wanted));
        share_with_one_helper([&] { of_helper = control(); });
        __asm__ __volatile__("fldcw %0" : : "m"(usual));
        CHECK(of_helper == wanted);
    }
}
#endif

#if defined(__GLIBC__)
TEST_CASE("a caller whose operations trap works alone", "[float environment]") {
    // The thread sanitizer's and the emulator's processors may have no traps.
    if (feenableexcept(FE_OVERFLOW) == -1 || fegetexcept() != FE_OVERFLOW) return;
    pthread_t const caller = pthread_self();
    std::atomic<unsigned> others{0};
    auto const came = crew::share(100, 3, [&](std::size_t) noexcept {
        if (pthread_equal(pthread_self(), caller) == 0) ++others;
        sched_yield();
    });
    fedisableexcept(FE_ALL_EXCEPT);
    CHECK(came == twofold::detail::help::none);
    CHECK(others == 0);
}
#endif

TEST_CASE("a kernel's flags are raised, whichever thread ran it", "[float environment]") {
    // So large that it is shared whatever went before: else the caller might wait here for a helper that nobody called.
    std::vector<double> in(twofold::detail::threads_pay_asleep_bytes / sizeof(double), 1.0);
    in.back() = 0;  // in the chunk that the helper takes first
    std::vector<double> out(in.size());
    for (unsigned call = 1; call <= 10; ++call) {
        meeting both(2);
        static thread_local unsigned last_met = 0;
        auto const inverse = [&, call](auto x) noexcept {
            if (last_met != call) both.wait();
            last_met = call;
            return decltype(x)(1) / x;
        };
        int const raised = flags_raised_by([&] { twofold::transform(in, out, inverse, {.threads = 2}); });
        CHECK((raised & FE_DIVBYZERO) != 0);
    }
}

TEST_CASE("a reduction's flags are raised, whichever thread ran it, and no others", "[float environment]") {
    std::vector<double> in(twofold::detail::threads_pay_asleep_bytes / sizeof(double), 1.0);
    auto const sum = [](auto x, auto y) noexcept { return x + y; };
    for (unsigned call = 1; call <= 10; ++call) {
        for (double const last : {1.0, 0.0}) {
            in.back() = last;  // in the chunk that the helper takes first
            meeting both(2);
            static thread_local unsigned last_met = 0;
            unsigned const this_meeting = 2 * call + (last == 0);
            auto const inverse = [&both, this_meeting](auto x) noexcept {
                if (last_met != this_meeting) both.wait();
                last_met = this_meeting;
                return decltype(x)(1) / x;
            };
            double result = 0;
            int const raised =
                flags_raised_by([&] { result = twofold::transform_reduce(in, 0.0, sum, inverse, {.threads = 2}); });
            CHECK(raised == (last == 0 ? FE_DIVBYZERO : 0));
            CHECK((result == static_cast<double>(in.size())) == (last != 0));
        }
    }
}

TEST_CASE("in every mode a reduction by many threads gives what one gives", "[float environment]") {
    std::vector<float> in(shared_count<float> * 4);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = 1.0F / static_cast<float>(i + 1);
    auto const sum = [](auto x, auto y) noexcept { return x + y; };
    auto const square = [](auto x) noexcept { return x * x; };
    auto const reduced_by = [&](unsigned threads) {
        share_next_call();
        return std::vector{twofold::transform_reduce(in, 0.0F, sum, square, {.threads = threads})};
    };
    auto const usual = reduced_by(1);
    for (int const rounding : roundings) {
        fesetround(rounding);
        auto const alone = reduced_by(1);
        unsigned wrong = 0;
        for (unsigned repetition = 0; repetition < 20; ++repetition) wrong += !same_bits(reduced_by(3), alone);
        fesetround(FE_TONEAREST);
        CAPTURE(rounding);
        CHECK(wrong == 0);
        CHECK(same_bits(alone, usual) == (rounding == FE_TONEAREST));
    }
}

TEMPLATE_TEST_CASE("overflow and signalling NaNs raise their flags, wherever they stand", "[float environment]", float,
                   double, std::complex<float>, std::complex<double>) {
    using T = TestType;
    using scalar = twofold::detail::scalar_of<T>;
    for (how const way : every_how) {
        std::vector<T> values(shared_count<T>, T(1));
        unsigned lost = 0;
        for (unsigned repetition = 0; repetition < 20; ++repetition) {
            for (std::size_t const where : {std::size_t{0}, values.size() / 2, values.size() - 1}) {
                // What is found before it is doubled, as in place and with strides, raises an exception and no flag.
                if (way != how::checked_in_place) {
                    values[where] = T(-std::numeric_limits<scalar>::max());
                    int const raised = flags_raised_by([&] { doubled_by(way, values, 3); });
                    lost += (raised & FE_OVERFLOW) == 0 || (raised & FE_INVALID) != 0;
                }
                scalar const nan = signalling_nan<scalar>();
                std::memcpy(static_cast<void*>(&values[where]), &nan, sizeof(nan));
                int const raised = flags_raised_by([&] { doubled_by(way, values, 3); });
                lost += (raised & FE_INVALID) == 0 || (raised & FE_OVERFLOW) != 0;
                values[where] = T(1);
            }
        }
        CAPTURE(static_cast<int>(way));
        CHECK(lost == 0);
    }
}

TEMPLATE_LIST_TEST_CASE("what neither overflows nor signals raises no flag, and sharing itself does not",
                        "[float environment]", twofold::element_types) {
    using T = TestType;
    using scalar = twofold::detail::scalar_of<T>;
    auto values = arbitrary_elements_that_fit<T>(shared_count<T>);  // infinities and subnormals among them
    if constexpr (std::floating_point<scalar>) {
        scalar* const scalars = reinterpret_cast<scalar*>(values.data());
        for (std::size_t i = 0; i < values.size() * sizeof(T) / sizeof(scalar); ++i) {
            if (scalars[i] != scalars[i]) scalars[i] = std::numeric_limits<scalar>::quiet_NaN();
        }
    }
    for (how const way : every_how) {
        for (unsigned const threads : {0u, 1u, 3u}) {  // 0: calls are timed, and the times weighed
            for (unsigned repetition = 0; repetition < 10; ++repetition) {
                int const raised = flags_raised_by([&] { doubled_by(way, values, threads); });
                CAPTURE(static_cast<int>(way), threads, repetition);
                REQUIRE(raised == 0);
            }
        }
    }
    int const raised = flags_raised_by([&] { static_cast<void>(twofold::first_overflow(values)); });
    CHECK(raised == 0);
}

TEMPLATE_TEST_CASE("in every mode many threads give what one gives", "[float environment]", float, double,
                   std::complex<float>, std::complex<double>) {
    using T = TestType;
    using scalar = twofold::detail::scalar_of<T>;
    using limits = std::numeric_limits<scalar>;
    std::vector<T> values(shared_count<T>);
    scalar const kinds[] = {limits::max(), limits::lowest(), limits::min() / 4, -limits::denorm_min(), scalar(1)};
    scalar* const scalars = reinterpret_cast<scalar*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(T) / sizeof(scalar); ++i) scalars[i] = kinds[i % 5];
    auto const usual = doubled_by(how::into, values, 1);
    for (int const rounding : roundings) {
        for (bool const flush : {false, true}) {
            for (how const way : {how::into, how::in_place, how::strided}) {
                fesetround(rounding);
                bool const is_flushed = flush && flush_subnormals(true);
                auto const alone = doubled_by(way, values, 1);
                unsigned wrong = 0;
                for (unsigned repetition = 0; repetition < 20; ++repetition) {
                    wrong += !same_bits(doubled_by(way, values, 3), alone);
                }
                if (is_flushed) flush_subnormals(false);
                fesetround(FE_TONEAREST);
                CAPTURE(rounding, is_flushed, static_cast<int>(way));
                CHECK(wrong == 0);
                bool const is_usual = rounding == FE_TONEAREST && !is_flushed;
                if (way == how::into) CHECK(same_bits(alone, usual) == is_usual);
            }
        }
    }
}
