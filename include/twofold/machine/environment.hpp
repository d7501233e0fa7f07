// Environment variables: read by getenv, or in the way of a binding whose language has its own. Like getenv itself,
// that must not run concurrently with setenv.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// Returns the value of a variable, null if it is not set; or copies it, cut to `bytes` with its null, to `memory`, and
/// returns that.
using variable_reader = char const* (*)(char const* name, char* memory, std::size_t bytes) noexcept;

// Null: getenv.
#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline constinit std::atomic<variable_reader>
    the_variable_reader{nullptr};

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The value of one variable.
class environment_variable {
public:
    explicit environment_variable(char const* name) noexcept {
        variable_reader const read = the_variable_reader.load(std::memory_order_acquire);
        text_ = read == nullptr ? std::getenv(name) : read(name, memory_, sizeof(memory_));
    }
    environment_variable(environment_variable const&) = delete;
    environment_variable& operator=(environment_variable const&) = delete;

    /// Null if it is not set. Valid as long as this object.
    [[nodiscard]] char const* text() const noexcept { return text_; }

private:
    char const* text_;
    char memory_[256];
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
