// A directory that stands for the root of a file system, with the files of /proc and /sys that a test writes.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

class fake_tree {
public:
    fake_tree() {
        std::string name = std::filesystem::temp_directory_path() / "twofold_test_XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no directory for the test: " + name);
        root_ = name;
    }
    fake_tree(std::initializer_list<std::pair<std::string, std::string>> files) : fake_tree() {
        for (auto const& [path, text] : files) write(path, text);
    }
    ~fake_tree() {
        std::error_code ignored;
        if (!root_.empty()) std::filesystem::remove_all(root_, ignored);
    }
    fake_tree(fake_tree&& other) noexcept : root_(std::exchange(other.root_, {})) {}
    fake_tree& operator=(fake_tree&&) = delete;

    /// Writes a file, with the directories above it. `path` begins with a slash.
    void write(std::string const& path, std::string const& text) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
        if (!std::filesystem::exists(root_ + path)) throw std::runtime_error("cannot write " + root_ + path);
    }

    [[nodiscard]] char const* root() const noexcept { return root_.c_str(); }

private:
    std::string root_;
};
