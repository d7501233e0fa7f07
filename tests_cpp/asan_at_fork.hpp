// Before LLVM 18 a fork copies the locks of the address sanitizer as they are at that time. Threads take them when they
// begin, end or allocate; a thread that does so while another one forks leaves them taken in the child for ever. Here a
// fork takes them itself, as it does since LLVM 18, so that a child that hangs is a fault of the library.
#pragma once

#if defined(__clang__)
#if __clang_major__ < 18 && __has_feature(address_sanitizer)
#include <pthread.h>

// Of the sanitizer's runtime, which is linked statically.
namespace __lsan {
void LockThreadRegistry();
void LockAllocator();
void UnlockAllocator();
void UnlockThreadRegistry();
}  // namespace __lsan
namespace __sanitizer {
void StackDepotLockAll();
void StackDepotUnlockAll();
}  // namespace __sanitizer

// Handlers that are registered first take last and release first: those of the library may allocate.
[[gnu::constructor(101)]] static void hold_locks_of_asan_at_fork() {
    static constexpr auto release = [] {
        __sanitizer::StackDepotUnlockAll();
        __lsan::UnlockAllocator();
        __lsan::UnlockThreadRegistry();
    };
    pthread_atfork(
        [] {
            __lsan::LockThreadRegistry();
            __lsan::LockAllocator();
            __sanitizer::StackDepotLockAll();
        },
        release, release);
}
#endif
#endif
