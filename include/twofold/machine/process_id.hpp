// Which process this is. A system call takes 40 to 300 ns, and every call that wants helpers asks.
#pragma once

#if defined(__linux__)

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

struct process_id_state {
    static constexpr std::size_t max_page_bytes = std::size_t{64} << 10;

    // On a page that the kernel wipes in every child: also in one that was copied by _Fork, or by a fork that had begun
    // before anybody could register handlers. Null: there is none yet.
    std::atomic<std::atomic<pid_t>*> known{nullptr};
    std::atomic<bool> cannot_wipe{false};
    std::byte holds_a_page[2 * max_page_bytes] = {};
};

// Hidden, so that each shared object has its own, and can be unloaded.
__attribute__((visibility("hidden"))) inline constinit process_id_state the_process_id;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Null: Linux is older than 4.14; or this is an emulator that says yes to any advice, as qemu-user does, even to one
// that there is not. Threads that do this at the same time do the same.
[[nodiscard]] inline std::atomic<pid_t>* make_wiped_process_id() noexcept {
#if defined(MADV_WIPEONFORK)
    static_assert(std::atomic<pid_t>::is_always_lock_free);  // so zeros, as the kernel leaves them, are one
    auto const bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::byte* const first = the_process_id.holds_a_page;
    std::byte* const page = first + (bytes - reinterpret_cast<std::uintptr_t>(first) % bytes) % bytes;
    if (bytes <= process_id_state::max_page_bytes && madvise(page, bytes, -1) != 0 &&
        madvise(page, bytes, MADV_WIPEONFORK) == 0) {
        auto* const made = reinterpret_cast<std::atomic<pid_t>*>(page);
        the_process_id.known.store(made, std::memory_order_release);
        return made;
    }
#endif
    the_process_id.cannot_wipe.store(true, std::memory_order_relaxed);
    return nullptr;
}

/// getpid(), mostly without a system call.
[[nodiscard]] inline pid_t process_id() noexcept {
    std::atomic<pid_t>* known = the_process_id.known.load(std::memory_order_acquire);
    if (known == nullptr && !the_process_id.cannot_wipe.load(std::memory_order_relaxed)) {
        known = make_wiped_process_id();
    }
    if (known == nullptr) return getpid();
    pid_t process = known->load(std::memory_order_relaxed);
    if (process == 0) {
        process = getpid();
        known->store(process, std::memory_order_relaxed);
    }
    return process;
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail

#endif
