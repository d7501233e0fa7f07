// Promises of shared objects: each has helpers of its own, and they hold it in memory.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <twofold/error.hpp>
#include <vector>

#include "catch.hpp"
#include "expected.hpp"
#include "in_child.hpp"
#include "threads_of_process.hpp"

namespace {

constexpr unsigned limit = 20;

struct plugin {
    void* handle;
    void (*double_in_place)(std::uint32_t*, std::size_t, unsigned);
    unsigned (*helpers)();
    void (*work_with)(unsigned);
    void (*double_checked)(std::uint32_t*, std::size_t);

    plugin(char const* file, int mode)
        : handle(dlopen(file, RTLD_NOW | mode)),
          double_in_place(reinterpret_cast<decltype(double_in_place)>(dlsym(handle, "double_with_plugin"))),
          helpers(reinterpret_cast<decltype(helpers)>(dlsym(handle, "helpers_of_plugin"))),
          work_with(reinterpret_cast<decltype(work_with)>(dlsym(handle, "work_with_plugin"))),
          double_checked(reinterpret_cast<decltype(double_checked)>(dlsym(handle, "double_checked_with_plugin"))) {}

    [[nodiscard]] bool is_right() const {
        auto values = arbitrary_elements<std::uint32_t>(5'000'000);
        auto const expected = expected_doubles(values);
        double_in_place(values.data(), values.size(), 3);
        return values == expected;
    }
};

bool crews_are_apart(int mode, char const* other = TWOFOLD_PLUGIN_TWO) {
    plugin const one(TWOFOLD_PLUGIN_ONE, mode);
    plugin const two(other, mode);
    one.work_with(2);
    if (one.helpers() != 2 || two.helpers() != 0 || threads_of_process() != 3) return false;
    two.work_with(3);
    if (one.helpers() != 2 || two.helpers() != 3 || threads_of_process() != 6) return false;
    bool const child_is_right = holds_in_child(limit, [&] {
        return threads_of_process() == 1 && one.helpers() == 0 && two.helpers() == 0 && one.is_right() &&
               two.is_right();
    });
    // Both stop their helpers at a fork.
    return child_is_right && threads_become(1) && one.is_right() && two.is_right();
}

}  // namespace

TEST_CASE("two shared objects have helpers of their own", "[shared][counts-threads]") {
    CHECK(holds_in_child(limit, [] { return crews_are_apart(RTLD_LOCAL); }));
}

TEST_CASE("two shared objects have helpers of their own, also where their symbols are seen by all",
          "[shared][counts-threads]") {
    CHECK(holds_in_child(limit, [] { return crews_are_apart(RTLD_GLOBAL); }));
}

TEST_CASE("two versions of the library have helpers of their own in one process", "[shared][counts-threads]") {
    CHECK(holds_in_child(limit, [] { return crews_are_apart(RTLD_GLOBAL, TWOFOLD_PLUGIN_OF_OTHER_VERSION); }));
}

TEST_CASE("what another version of the library throws is a standard exception, and not one of this version",
          "[shared]") {
    plugin const throwing(TWOFOLD_PLUGIN_OF_OTHER_VERSION, RTLD_LOCAL);
    std::vector<std::uint32_t> values{1, 0x80000000};
    bool is_ours = false;
    std::string message;
    try {
        throwing.double_checked(values.data(), values.size());
    } catch (twofold::overflow_error const&) {
        is_ours = true;
    } catch (std::overflow_error const& error) {
        message = error.what();
    }
    CHECK_FALSE(is_ours);
    CHECK(message == "twofold: the double of element 1 does not fit its type");
}

TEST_CASE("what a shared object throws is caught outside of it, whether or not the catcher knows the library",
          "[shared]") {
    plugin const throwing(TWOFOLD_PLUGIN_ONE, RTLD_LOCAL);
    std::vector<std::uint32_t> values{1, 2, 0x80000000, 0xFFFFFFFF};
    std::string message;
    try {
        throwing.double_checked(values.data(), values.size());
    } catch (std::overflow_error const& error) {
        message = error.what();
    }
    CHECK(message == "twofold: the double of element 2 does not fit its type");
    std::size_t index = 0;
    try {
        throwing.double_checked(values.data(), values.size());
    } catch (twofold::overflow_error const& error) {
        index = error.index();
    }
    CHECK(index == 2);
    CHECK(values == std::vector<std::uint32_t>{1, 2, 0x80000000, 0xFFFFFFFF});
}

TEST_CASE("a shared object may be closed while its helpers live, and the process goes on", "[shared][counts-threads]") {
    CHECK(holds_in_child(limit, [] {
        plugin const closed(TWOFOLD_PLUGIN_ONE, RTLD_LOCAL);
        closed.work_with(3);
        if (dlclose(closed.handle) != 0 || threads_of_process() != 4) return false;
        // A fork wakes and stops the helpers by code of the closed object.
        if (!holds_in_child(limit, [] { return threads_of_process() == 1; }) || !threads_become(1)) return false;
        plugin const again(TWOFOLD_PLUGIN_ONE, RTLD_LOCAL);
        again.work_with(3);
        return again.handle == closed.handle && again.helpers() == 3 && again.is_right();
    }));
}

TEST_CASE("a shared object that never had a helper can be closed", "[shared]") {
    CHECK(holds_in_child(limit, [] {
        plugin const closed(TWOFOLD_PLUGIN_ONE, RTLD_LOCAL);
        std::uint32_t value = 21;
        closed.double_in_place(&value, 1, 0);
        return value == 42 && dlclose(closed.handle) == 0 &&
               dlopen(TWOFOLD_PLUGIN_ONE, RTLD_NOW | RTLD_NOLOAD) == nullptr;
    }));
}
