// The floating-point environment of a thread: its modes (how it rounds, whether subnormals are flushed to zero, what
// traps), and its flags (overflow, invalid, ...), which stay raised until they are cleared. Both belong to a thread, so
// a helper adopts the modes of its caller, and the caller raises the flags of its helpers.
//
// Where we know the registers, they are read and written directly: this happens in every shared call, and <cfenv> takes
// many times as long.
//
// Functions here are always inlined: see flags.hpp.
#pragma once

#include <cstdint>

#include <twofold/version.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

#if defined(__x86_64__)

/// The modes of a thread.
class float_modes {
public:
    [[gnu::always_inline]] constexpr float_modes() noexcept {}

    /// The modes of this thread.
    [[nodiscard, gnu::always_inline]] static float_modes current() noexcept {
        float_modes here;
        here.mxcsr_ = _mm_getcsr() & ~flags;
        __asm__ __volatile__("fnstcw %0" : "=m"(here.x87_));
        return here;
    }

    /// Sets the modes of this thread, and clears its flags.
    [[gnu::always_inline]] void adopt() const noexcept {
        _mm_setcsr(mxcsr_);
        std::uint16_t status;
        __asm__ __volatile__("fnstsw %0" : "=a"(status));
        if ((status & flags) != 0) __asm__ __volatile__("fnclex");  // rarely: it takes longer than everything else here
        __asm__ __volatile__("fldcw %0" : : "m"(x87_));
    }

    /// Whether an operation may end in a signal.
    [[nodiscard, gnu::always_inline]] bool may_trap() const noexcept {
        constexpr std::uint32_t masked = flags << 7;
        return (mxcsr_ & masked) != masked || (x87_ & flags) != flags;
    }

    /// The flags of this thread, as bits that can be or-ed with those of another thread.
    [[nodiscard, gnu::always_inline]] static std::uint32_t raised() noexcept {
        std::uint16_t status;
        __asm__ __volatile__("fnstsw %0" : "=a"(status));
        return (_mm_getcsr() | status) & flags;
    }

    /// Raises flags of this thread. (The x87's flags are raised in MXCSR, too; <cfenv> reads both registers.)
    [[gnu::always_inline]] static void raise(std::uint32_t raised) noexcept { _mm_setcsr(_mm_getcsr() | raised); }

private:
    static constexpr std::uint32_t flags = 0x3F;  // invalid, denormal, division by zero, overflow, underflow, inexact

    std::uint32_t mxcsr_ = 0x1F80;  // as every thread begins
    std::uint16_t x87_ = 0x37F;
};

#elif defined(__aarch64__)

class float_modes {
public:
    [[gnu::always_inline]] constexpr float_modes() noexcept {}

    [[nodiscard, gnu::always_inline]] static float_modes current() noexcept {
        float_modes here;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(here.control_));
        return here;
    }

    // Writing these registers takes longer than reading them.
    [[gnu::always_inline]] void adopt() const noexcept {
        if (current().control_ != control_) __asm__ __volatile__("msr fpcr, %0" : : "r"(control_));
        std::uint64_t const status = read_status();
        if ((status & flags) != 0) write_status(status & ~flags);
    }

    [[nodiscard, gnu::always_inline]] bool may_trap() const noexcept { return (control_ & flags << 8) != 0; }

    [[nodiscard, gnu::always_inline]] static std::uint32_t raised() noexcept {
        return static_cast<std::uint32_t>(read_status() & flags);
    }

    [[gnu::always_inline]] static void raise(std::uint32_t raised) noexcept { write_status(read_status() | raised); }

private:
    [[nodiscard, gnu::always_inline]] static std::uint64_t read_status() noexcept {
        std::uint64_t status;
        __asm__ __volatile__("mrs %0, fpsr" : "=r"(status));
        return status;
    }
    [[gnu::always_inline]] static void write_status(std::uint64_t status) noexcept {
        __asm__ __volatile__("msr fpsr, %0" : : "r"(status));
    }

    static constexpr std::uint64_t flags = 0x9F;  // the same flags as above, in another bit order

    std::uint64_t control_ = 0;  // as every thread begins
};

#else

class float_modes {
public:
    [[gnu::always_inline]] constexpr float_modes() noexcept {}

    [[nodiscard, gnu::always_inline]] static float_modes current() noexcept {
        float_modes here;
        std::fegetenv(&here.environment_);
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
        here.may_trap_ = fegetexcept() != 0;
#endif
        return here;
    }

    [[gnu::always_inline]] void adopt() const noexcept {
        std::fesetenv(&environment_);
        std::feclearexcept(FE_ALL_EXCEPT);
    }

    [[nodiscard, gnu::always_inline]] bool may_trap() const noexcept { return may_trap_; }

    [[nodiscard, gnu::always_inline]] static std::uint32_t raised() noexcept {
        return static_cast<std::uint32_t>(std::fetestexcept(FE_ALL_EXCEPT));
    }

    [[gnu::always_inline]] static void raise(std::uint32_t raised) noexcept {
        std::feraiseexcept(static_cast<int>(raised));
    }

private:
    std::fenv_t environment_ = {};
    bool may_trap_ = false;
};

#endif

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
