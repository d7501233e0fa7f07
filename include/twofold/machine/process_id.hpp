// The pid, cached: a system call takes 40 to 300 ns, and every call that wants helpers needs it.
#pragma once

#if defined(__linux__)

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

// On a page that the kernel wipes in every child, even after _Fork, or after a fork that began before handlers were
// registered.
inline constinit std::atomic<std::atomic<pid_t>*> the_process_id{nullptr};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Null if Linux is older than 4.14, which cannot wipe pages, or if there is no memory.
[[nodiscard]] inline std::atomic<pid_t>* make_wiped_process_id() noexcept {
#if defined(MADV_WIPEONFORK)
    static_assert(std::atomic<pid_t>::is_always_lock_free);  // so zeroed memory is a valid one
    auto const bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* const page = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return nullptr;
    std::atomic<pid_t>* known = nullptr;
    auto* const made = static_cast<std::atomic<pid_t>*>(page);
    if (madvise(page, bytes, MADV_WIPEONFORK) == 0 && the_process_id.compare_exchange_strong(known, made)) return made;
    munmap(page, bytes);
    return known;  // made by another thread, which was first
#else
    return nullptr;
#endif
}

/// getpid(), mostly without a system call.
[[nodiscard]] inline pid_t process_id() noexcept {
    std::atomic<pid_t>* known = the_process_id.load(std::memory_order_acquire);
    if (known == nullptr) known = make_wiped_process_id();
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
