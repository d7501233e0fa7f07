#pragma once

#include <sched.h>

#include <atomic>

/// A place where threads wait for one another, and so prove that they run at the same time.
class meeting {
public:
    explicit meeting(unsigned expected) : expected_(expected) {}
    void wait() noexcept {
        ++arrived_;
        while (arrived_ < expected_) sched_yield();
    }

private:
    unsigned expected_;
    std::atomic<unsigned> arrived_{0};
};
