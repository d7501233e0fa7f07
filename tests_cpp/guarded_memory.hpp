// Memory between two pages that cannot be touched: a byte read or written outside of it ends the test at once.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

class guarded_memory {
public:
    explicit guarded_memory(std::size_t min_bytes)
        : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
          bytes_((min_bytes + page_ - 1) / page_ * page_),
          mapping_(mmap(nullptr, bytes_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        if (mapping_ == MAP_FAILED || mprotect(begin(), bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    }
    guarded_memory(guarded_memory const&) = delete;
    guarded_memory& operator=(guarded_memory const&) = delete;
    ~guarded_memory() { munmap(mapping_, bytes_ + 2 * page_); }

    /// The first byte, directly after a guard page.
    [[nodiscard]] std::byte* begin() const noexcept { return static_cast<std::byte*>(mapping_) + page_; }
    /// One past the last byte: the first of a guard page.
    [[nodiscard]] std::byte* end() const noexcept { return begin() + bytes_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_; }

private:
    std::size_t page_;
    std::size_t bytes_;
    void* mapping_;
};
