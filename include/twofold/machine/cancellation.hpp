// pthread_cancel must not end a thread inside the library: its functions are noexcept, so that would terminate the
// program.
#pragma once

#if defined(__linux__)
#include <pthread.h>
#endif

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// While it lives, a cancellation of this thread stays pending. For code that calls cancellation points of POSIX (open,
/// read, pthread_join, ...).
class without_cancellation {
public:
#if defined(__linux__)
    without_cancellation() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~without_cancellation() { pthread_setcancelstate(before_, nullptr); }
#else
    without_cancellation() noexcept = default;
#endif
    without_cancellation(without_cancellation const&) = delete;
    without_cancellation& operator=(without_cancellation const&) = delete;

private:
#if defined(__linux__)
    int before_;
#endif
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
