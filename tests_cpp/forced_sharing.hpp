// Calls are shared with helpers where experience says that it pays. Tests want it at once, and whatever it costs.
#pragma once

#include <twofold/twofold.hpp>

/// The next call of this thread that is large enough to be shared is shared: nothing is known of its kind, and it comes
/// back to back with another one. That one seems to end in a minute, so that the machine may be as slow as it likes.
inline void share_next_call() noexcept {
    constexpr std::int64_t minute_ns = 60'000'000'000;
    for (auto& record : twofold::detail::the_sharing.records) record.owner.store(0);
    twofold::detail::the_sharing.last_call_ns.store(twofold::detail::now_ns() + minute_ns);
}
