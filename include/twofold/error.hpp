// How the library fails: an exception, or, where exceptions are switched off, one line on stderr and an abort.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

#if !defined(__cpp_exceptions)
#include <cstdio>
#include <cstdlib>
#endif

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {

/// A result does not fit its type; thrown under overflow_policy::raise.
// Of default visibility, so that it can be caught across shared objects that hide their symbols.
class
#if defined(__GNUC__)
    __attribute__((visibility("default")))
#endif
    overflow_error : public std::overflow_error {
public:
    // Always inlined: see flags.hpp.
    [[gnu::always_inline]] overflow_error(std::string const& message, std::size_t index)
        : std::overflow_error(message), index_(index) {}

    /// The index of the first element whose result does not fit.
    [[nodiscard, gnu::always_inline]] std::size_t index() const noexcept { return index_; }

private:
    std::size_t index_;
};

namespace detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Not std::to_string: a static table in it (STB_GNU_UNIQUE) would keep a shared object loaded for ever.
[[nodiscard]] inline std::string in_digits(std::size_t number) {
    std::string digits;
    for (; digits.empty() || number != 0; number /= 10) {
        digits.insert(digits.begin(), static_cast<char>('0' + number % 10));
    }
    return digits;
}

template <class Error, class... Index>
[[noreturn]] void fail(std::string const& message, [[maybe_unused]] Index... index) {
#if defined(__cpp_exceptions)
    throw Error("twofold: " + message, index...);
#else
    std::fprintf(stderr, "twofold: %s\n", message.c_str());
    std::abort();
#endif
}

[[noreturn]] inline void fail_invalid_argument(std::string const& message) {
    fail<std::invalid_argument>(message);
}

// Out of line and cold, like everything that writes a message, so that the checks before them stay short.
// `which` of several inputs; 0 if there is one.
[[noreturn, gnu::cold, gnu::noinline]] inline void fail_size(std::size_t in, std::size_t out, unsigned which = 0) {
    fail_invalid_argument((which == 0 ? "the input" : "input " + in_digits(which)) + " has " + in_digits(in) +
                          " elements, but the output has " + in_digits(out));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_input_sizes(std::size_t first, std::size_t second) {
    fail_invalid_argument("the first input has " + in_digits(first) + " elements, but the second has " +
                          in_digits(second));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_count(std::size_t n) {
    fail_invalid_argument("a loop of " + in_digits(n) + " items: was their number negative?");
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_overlap() {
    fail_invalid_argument("input and output overlap without being the same; copy one of them first");
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_overflow(char const* noun, std::size_t index) {
    fail<overflow_error>(std::string(noun) + " of element " + in_digits(index) + " does not fit its type", index);
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
