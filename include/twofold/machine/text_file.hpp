// Text that the system writes, as in /proc and /sys: of any length, and not always well-formed. It is read in pieces
// into buffers on the stack; nothing allocates and nothing fails. Linux only.
#pragma once

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <twofold/flags.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// The text of a file, line by line. A file that cannot be opened has no lines.
class lines_of_file {
public:
    static constexpr int no_more = -1;

    explicit lines_of_file(char const* path) noexcept : file_(open(path, O_RDONLY | O_CLOEXEC)), ended_(file_ < 0) {}
    ~lines_of_file() {
        if (file_ >= 0) close(file_);
    }
    lines_of_file(lines_of_file const&) = delete;
    lines_of_file& operator=(lines_of_file const&) = delete;

    [[nodiscard]] bool at_end() noexcept { return at_ == filled_ && !fill(); }
    [[nodiscard]] bool at_end_of_line() noexcept { return at_end() || buffer_[at_] == '\n'; }

    void go_to_next_line() noexcept {
        while (next() != no_more) {
        }
        if (!at_end()) ++at_;
    }

    /// The next byte of this line.
    int next() noexcept { return at_end_of_line() ? no_more : static_cast<unsigned char>(buffer_[at_++]); }

    /// The next byte of this field of mountinfo, which ends at a blank: in a name, a blank is written as "\040".
    int next_of_field() noexcept {
        int const byte = next();
        if (byte == ' ') return no_more;
        if (byte != '\\') return byte;
        unsigned code = 0;
        for (int digit = 0; digit < 3 && !at_end_of_line() && buffer_[at_] >= '0' && buffer_[at_] <= '7'; ++digit) {
            code = code * 8 + static_cast<unsigned>(next() - '0');
        }
        return static_cast<unsigned char>(code);
    }

    void skip_field() noexcept {
        for (int byte = next(); byte != ' ' && byte != no_more; byte = next()) {
        }
    }

    void skip_blanks() noexcept {
        while (!at_end_of_line() && buffer_[at_] == ' ') ++at_;
    }

    /// Whether `wanted` is one of the comma-separated words from here to the next `last`, which is read, too.
    bool read_words(char last, char const* wanted) noexcept {
        char const* rest = wanted;  // null once the word differs
        for (bool found = false;;) {
            int const byte = next();
            if (byte == last || byte == ',' || byte == no_more) {
                found = found || (rest != nullptr && *rest == '\0');
                if (byte != ',') return found;
                rest = wanted;
            } else if (rest != nullptr) {
                rest = *rest != '\0' && *rest == byte ? rest + 1 : nullptr;
            }
        }
    }

    /// The number from here to the next blank, which is read, too, or to the end of the line. 0 if there is none, or if
    /// it is larger than any that Linux would write.
    std::uint64_t read_number() noexcept {
        constexpr std::uint64_t too_large = std::uint64_t{1} << 60;
        std::uint64_t number = 0;
        for (int byte = next(); byte != ' ' && byte != no_more; byte = next()) {
            if (byte < '0' || byte > '9' || number >= too_large / 10) return 0;
            number = number * 10 + static_cast<unsigned>(byte - '0');
        }
        return number;
    }

private:
    bool fill() noexcept {
        if (ended_) return false;
        ssize_t length = 0;
        do {
            length = read(file_, buffer_, sizeof(buffer_));
        } while (length < 0 && errno == EINTR);
        at_ = 0;
        filled_ = length > 0 ? static_cast<std::size_t>(length) : 0;
        ended_ = filled_ == 0;
        return !ended_;
    }

    int file_;
    bool ended_;
    std::size_t at_ = 0;
    std::size_t filled_ = 0;
    char buffer_[512];
};

/// A path of limited length. If it grows longer, it is cut back to the whole names that fit, and grows no more.
class short_path {
public:
    short_path() noexcept = default;

    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    [[nodiscard]] bool was_cut() const noexcept { return was_cut_; }
    [[nodiscard]] char operator[](std::size_t i) const noexcept { return text_[i]; }

    void append(char byte) noexcept {
        if (was_cut_) return;
        if (length_ == max_bytes) {
            was_cut_ = true;
            if (byte != '/') cut_last_name(0);
        } else {
            text_[length_++] = byte;
        }
    }
    void append(char const* text) noexcept {
        while (*text != '\0') append(*text++);
    }

    void cut_to(std::size_t length) noexcept {
        length_ = length;
        was_cut_ = false;
    }
    /// Leaves at least `min_length` bytes.
    void cut_last_name(std::size_t min_length) noexcept {
        do {
            if (length_ <= min_length) return;
            --length_;
        } while (text_[length_] != '/');
    }

    /// This path with `file` appended; valid until the path changes.
    [[nodiscard]] char const* with(char const* file) noexcept {
        std::size_t end = length_;
        for (; *file != '\0' && end < sizeof(text_) - 1; ++file) text_[end++] = *file;
        text_[end] = '\0';
        return text_;
    }

private:
    // Several times the length that nested containers need. The system accepts twice as much, but the stack may be
    // small.
    static constexpr std::size_t max_bytes = 2048;

    char text_[max_bytes + 32];  // room for `with`
    std::size_t length_ = 0;
    bool was_cut_ = false;
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail

#endif
