// The smallest of the indices that the threads of a call report.
#pragma once

#include <atomic>
#include <cstddef>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Callers skip only chunks behind an index that was reported, so the smallest index that is reported is the first one
/// of all.
class first_index {
public:
    explicit first_index(std::size_t none) noexcept : smallest_(none) {}

    void report(std::size_t index) noexcept {
        std::size_t smallest = smallest_.load(std::memory_order_relaxed);
        while (index < smallest && !smallest_.compare_exchange_weak(smallest, index, std::memory_order_relaxed)) {
        }
    }
    [[nodiscard]] std::size_t smallest() const noexcept { return smallest_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::size_t> smallest_;
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
