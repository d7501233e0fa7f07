// Promises of segments. Where one process is enough, it stands in for two: it attaches to what it has made, by the same
// way as another one would, and so holds it a second time.
//
// This file is also built with pthread_atfork doing nothing. Then what is tagged [guarded] must not hold.
#include "_processes/segment.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "in_child.hpp"

#if defined(TWOFOLD_TEST_WITHOUT_FORK_HANDLERS)
// In the place of the C library's.
extern "C" int pthread_atfork(void (*)(), void (*)(), void (*)()) noexcept {
    return 0;
}
#endif

using namespace twofold_segments;

namespace {

constexpr std::size_t MiB = std::size_t{1} << 20;
constexpr unsigned limit = 60;  // seconds for a scenario in a child

// Nothing is kept from an earlier test, and as much as wanted from now on.
struct fresh_start {
    fresh_start() noexcept {
        release_kept();
        keep_at_most(512 * MiB);
    }
};

segment made(std::size_t bytes) {
    segment result;
    REQUIRE(create(bytes, result) == 0);
    return result;
}

int attach_to(segment const& other, segment& found) noexcept {
    return attach(getpid(), other.descriptor, other.id, other.bytes, found);
}

segment attached_to(segment const& other) {
    segment result;
    REQUIRE(attach_to(other, result) == 0);
    return result;
}

bool is_of_same_file(segment const& a, segment const& b) noexcept {
    return a.id.random == b.id.random;
}

std::size_t open_files() {
    auto const files = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

bool limit_to(decltype(RLIMIT_AS) resource, rlim_t most) noexcept {
    rlimit const both{most, most};
    return setrlimit(resource, &both) == 0;
}

rlim_t address_space() noexcept {
    std::size_t pages = 0;
    FILE* const file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%zu", &pages) != 1) return 0;
    std::fclose(file);
    return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

// A child that has what this process has, and does nothing.
pid_t waiting_child() {
    pid_t const child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(limit);
        while (true) pause();
    }
    REQUIRE(child > 0);
    return child;
}

void end_of(pid_t child) noexcept {
    kill(child, SIGKILL);
    wait_for(child, limit);
}

// From now on a call of the system fails in this process, where its second argument compares so with the value. False:
// there is no such filter here, as in an emulator.
bool refuse(unsigned call, unsigned short comparison, unsigned value, int error) noexcept {
    constexpr auto argument = static_cast<unsigned>(offsetof(seccomp_data, args) + 8);  // its lower half
    std::array<sock_filter, 6> program{{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, call},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, argument},
        {static_cast<unsigned short>(BPF_JMP | comparison | BPF_K), 0, 1, value},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    }};
    sock_fprog const filter{program.size(), program.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// The bytes of memory that a segment takes, by a descriptor that holds nothing.
class observer {
public:
    explicit observer(pid_t pid, segment const& observed) {
        auto const path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(observed.descriptor);
        file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        REQUIRE(file_ >= 0);
    }
    ~observer() { close(file_); }
    observer(observer const&) = delete;
    observer& operator=(observer const&) = delete;

    [[nodiscard]] bool is_empty() const {  // but for the header, of a page, which may be large
        struct stat status{};
        REQUIRE(fstat(file_, &status) == 0);
        return status.st_blocks * 512 <= 65536;
    }

private:
    int file_ = -1;
};

// Not once it has ended, whether or not somebody has waited for it.
bool lives(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    std::getline(file, stat);
    std::size_t const state = stat.rfind(')') + 2;
    return state < stat.size() && stat[state] != 'Z' && stat[state] != 'X';
}

// Another process, which does what it is told: a letter, and what that takes.
class actor {
public:
    actor() {
        REQUIRE(pipe2(to_, O_CLOEXEC) == 0);
        REQUIRE(pipe2(from_, O_CLOEXEC) == 0);
    }
    ~actor() {
        if (pid != 0) end();
        for (int const end : {to_[0], to_[1], from_[0], from_[1]}) close(end);
    }
    actor(actor const&) = delete;
    actor& operator=(actor const&) = delete;

    void start() {
        pid = fork();
        if (pid == 0) act({});
        REQUIRE(pid > 0);
    }

    segment create() { return tell<segment>('c'); }

    bool attach(pid_t owner, segment const& other) {
        send('a');
        send(owner);
        send(other);
        return receive<bool>();
    }

    // The child is another actor, made before this one was started.
    void fork_into(actor& child) {
        send('f');
        send(&child);
        child.pid = receive<pid_t>();
        child.parent_ = this;
    }

    bool is_right() { return tell<bool>('r'); }
    bool drop() { return tell<bool>('d'); }

    void end() {
        if (parent_ != nullptr && parent_->pid != 0) {
            parent_->send('k');
            parent_->send(pid);
            static_cast<void>(parent_->receive<bool>());
        } else {
            kill(pid, SIGKILL);
            if (parent_ == nullptr) {
                wait_for(pid, limit);
            } else {
                while (lives(pid)) usleep(100);  // its parent was killed, and somebody else waits for it
            }
        }
        pid = 0;
    }

    pid_t pid = 0;

private:
    template <class T>
    void send(T const& value) const {
        if (write(to_[1], &value, sizeof(value)) != sizeof(value)) std::abort();
    }

    template <class T>
    [[nodiscard]] T receive() const {
        T value{};
        if (read(from_[0], &value, sizeof(value)) != sizeof(value)) std::abort();
        return value;
    }

    template <class T>
    [[nodiscard]] T tell(char letter) const {
        send(letter);
        return receive<T>();
    }

    template <class T>
    [[nodiscard]] T told() const noexcept {
        T value{};
        if (read(to_[0], &value, sizeof(value)) != sizeof(value)) _exit(2);
        return value;
    }

    template <class T>
    void answer(T const& value) const noexcept {
        if (write(from_[1], &value, sizeof(value)) != sizeof(value)) _exit(3);
    }

    [[noreturn]] void act(segment mine) const noexcept {
        alarm(limit);
        actor const* me = this;
        while (true) {
            auto const letter = me->told<char>();
            if (letter == 'c') {
                keep_at_most(0);  // the others do keep mappings
                if (twofold_segments::create(MiB, mine) == 0) std::memset(mine.payload, 7, MiB);
                me->answer(mine);
            } else if (letter == 'a') {
                auto const owner = me->told<pid_t>();
                auto const other = me->told<segment>();
                me->answer(twofold_segments::attach(owner, other.descriptor, other.id, MiB, mine) == 0);
            } else if (letter == 'f') {
                auto const* const child = me->told<actor*>();
                pid_t const child_pid = fork();
                if (child_pid == 0) {
                    me = child;
                    alarm(limit);
                } else {
                    me->answer(child_pid);
                }
            } else if (letter == 'k') {
                auto const child = me->told<pid_t>();
                kill(child, SIGKILL);
                me->answer(waitpid(child, nullptr, 0) == child);
            } else if (letter == 'r') {
                me->answer(std::all_of(mine.payload, mine.payload + MiB, [](char byte) { return byte == 7; }));
            } else {
                release(mine);
                me->answer(true);
            }
        }
    }

    int to_[2];
    int from_[2];
    actor* parent_ = nullptr;
};

}  // namespace

TEST_CASE("a segment begins with a page, is zero, and all of it can be used", "[segment]") {
    fresh_start const start;
    for (std::size_t const bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4095}, std::size_t{4096},
                                    std::size_t{4097}, MiB, 3 * MiB + 5, 65 * MiB}) {
        CAPTURE(bytes);
        segment one = made(bytes);
        CHECK(one.bytes == bytes);
        CHECK(one.is_owner);
        CHECK(one.is_zero);
        CHECK(reinterpret_cast<std::uintptr_t>(one.payload) % 4096 == 0);
        CHECK(std::all_of(one.payload, one.payload + bytes, [](char byte) { return byte == 0; }));
        std::memset(one.payload, 1, bytes);
        release(one);
        CHECK(one.mapped == nullptr);
        release(one);  // is none now
        release_kept();
    }
}

TEST_CASE("a process that attaches has the same memory at another address", "[segment]") {
    fresh_start const start;
    for (std::size_t const bytes : {std::size_t{0}, std::size_t{5}, MiB}) {
        segment one = made(bytes);
        segment other = attached_to(one);
        CHECK(other.payload != one.payload);
        CHECK(other.bytes == bytes);
        CHECK_FALSE(other.is_owner);
        std::fill_n(one.payload, bytes, 'a');
        CHECK(std::all_of(other.payload, other.payload + bytes, [](char byte) { return byte == 'a'; }));
        release(one);  // the memory stays for its other holders
        std::fill_n(other.payload, bytes, 'b');
        release(other);
    }
}

TEST_CASE("a segment is filled with values, and mapped ahead as far as it goes", "[segment]") {
    for (std::size_t const bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4097}, MiB, 3 * MiB + 5}) {
        fresh_start const start;
        std::vector<char> values(bytes);
        for (int use = 0; use < 3; ++use) {  // in new memory, and in memory used before
            CAPTURE(bytes, use);
            for (std::size_t i = 0; i < bytes; ++i) values[i] = static_cast<char>(i * 7 + static_cast<unsigned>(use));
            segment one = made(bytes);
            fill(one, values.data());
            segment other = attached_to(one);
            map_ahead(other, bytes / 3, bytes - bytes / 3);
            CHECK(std::equal(values.begin(), values.end(), other.payload));
            CHECK(std::equal(values.begin(), values.end(), one.payload));
            release(other);
            release(one);
        }
    }
}

TEST_CASE("the child of a fork has the segments of its parent", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    CHECK(holds_in_child(limit, [&one]() noexcept {
        one.payload[7] = 'x';
        segment other;
        if (attach_to(one, other) != 0 || other.payload[7] != 'x') return false;
        release(one);
        other.payload[8] = 'y';
        release(other);
        return true;
    }));
    CHECK(one.payload[7] == 'x');
    CHECK(one.payload[8] == 'y');
    release(one);
}

TEST_CASE("attaching to something else fails with the reason, and leaves nothing open", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    identity other_segment = one.id;
    other_segment.random[3] ^= 1;
    identity other_use = one.id;
    ++other_use.use;

    auto const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    int const memory = memfd_create("another", MFD_CLOEXEC);
    int const unsealed = memfd_create("twofold", MFD_CLOEXEC);
    int const small = memfd_create("twofold", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int const foreign = memfd_create("twofold", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(ftruncate(unsealed, static_cast<off_t>(page + MiB)) == 0);  // else as `one`
    std::vector<char> const header(one.payload - page, one.payload);
    REQUIRE(pwrite(unsealed, header.data(), page, 0) == static_cast<ssize_t>(page));
    REQUIRE(ftruncate(small, 100) == 0);
    REQUIRE(ftruncate(foreign, 8192) == 0);
    for (int const file : {small, foreign}) REQUIRE(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    int const closed = dup(memory);
    close(closed);
    pid_t const nobody = fork();
    if (nobody == 0) _exit(0);
    REQUIRE(wait_for(nobody, limit) == 0);

    struct row {
        char const* what;
        pid_t pid;
        int descriptor;
        identity id;
        std::size_t bytes;
        int expected;
    };
    pid_t const self = getpid();
    std::size_t const files = open_files();
    for (row const& r :
         {row{"another identity", self, one.descriptor, other_segment, MiB, ESTALE},
          row{"another use", self, one.descriptor, other_use, MiB, ESTALE},
          row{"more than there is", self, one.descriptor, one.id, MiB + 1, ESTALE},
          row{"another memory", self, memory, one.id, MiB, ESTALE},
          row{"a pipe", self, pipe_ends[0], one.id, MiB, ESTALE}, row{"unsealed", self, unsealed, one.id, MiB, EPROTO},
          row{"too small", self, small, one.id, MiB, EPROTO}, row{"another header", self, foreign, one.id, MiB, EPROTO},
          row{"closed", self, closed, one.id, MiB, ENOENT}, row{"no descriptor", self, -1, one.id, MiB, ENOENT},
          row{"no process", nobody, one.descriptor, one.id, MiB, ENOENT}}) {
        CAPTURE(r.what);
        segment found;
        CHECK(attach(r.pid, r.descriptor, r.id, r.bytes, found) == r.expected);
        CHECK(found.mapped == nullptr);
        CHECK(open_files() == files);
    }
    segment found = attached_to(one);  // as before
    release(found);
    release(one);
    for (int const file : {memory, unsealed, small, foreign, pipe_ends[0], pipe_ends[1]}) close(file);
}

TEST_CASE("pages cannot be removed", "[segment]") {
    segment one = made(MiB);
    CHECK(ftruncate(one.descriptor, 0) != 0);
    CHECK((fcntl(one.descriptor, F_GETFD) & FD_CLOEXEC) != 0);
    release(one);
}

// ---- used again

TEST_CASE("a segment without holders is reused, and earlier references are invalid", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    one.payload[0] = 1;
    segment const before = one;
    release(one);
    CHECK(kept_bytes() == MiB);
    segment found;
    CHECK(attach_to(before, found) == ESTALE);
    segment again = made(MiB);
    CHECK(kept_bytes() == 0);
    CHECK(is_of_same_file(again, before));
    CHECK(again.id.use != before.id.use);
    CHECK_FALSE(again.is_zero);
    CHECK(attach_to(before, found) == ESTALE);
    segment other = attached_to(again);
    release(other);
    release(again);
    CHECK(kept_bytes() == MiB);
}

TEST_CASE("of another size only if little is wasted", "[segment]") {
    struct row {
        std::size_t kept;
        std::size_t asked;
        bool is_used;
    };
    for (row const& r : {row{4 * MiB, 4 * MiB, true}, row{4 * MiB, 3 * MiB, true}, row{4 * MiB, 3 * MiB - 1, false},
                         row{4 * MiB, 4 * MiB + 1, false}, row{4096, 4096, false}}) {
        CAPTURE(r.kept, r.asked);
        fresh_start const start;
        segment one = made(r.kept);
        segment const before = one;
        release(one);
        segment other = made(r.asked);
        CHECK(is_of_same_file(other, before) == r.is_used);
        CHECK(other.bytes == r.asked);
        release(other);
    }
}

TEST_CASE("a segment that a process holds is not reused", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    segment const before = one;
    segment other = attached_to(one);  // and is killed, perhaps: nobody counts it out
    release(one);
    CHECK(kept_bytes() == 0);
    segment next = made(MiB);
    CHECK_FALSE(is_of_same_file(next, before));
    segment third;
    CHECK(attach(getpid(), other.descriptor, other.id, MiB, third) == 0);  // a process that has it can pass it on
    release(third);
    release(other);
    release(next);
}

TEST_CASE("a segment is used again after all processes that had it have released it", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    segment const before = one;
    std::vector<segment> others;
    for (int i = 0; i < 3; ++i) others.push_back(attached_to(one));
    for (segment& other : others) release(other);
    release(one);
    segment again = made(MiB);
    CHECK(is_of_same_file(again, before));
    release(again);
}

TEST_CASE("a segment that the child of a fork has is not used again", "[segment][guarded]") {
    for (bool const owner_forks : {true, false}) {
        CAPTURE(owner_forks);
        fresh_start const start;
        segment one;
        segment other;
        pid_t child = 0;
        if (owner_forks) {
            one = made(MiB);
            child = waiting_child();
        } else {
            // The child of a process that has attached. The owner is another process here, so that it does not fork
            // meanwhile.
            int lines[2][2];
            REQUIRE((pipe(lines[0]) == 0 && pipe(lines[1]) == 0));
            pid_t const owner = fork();
            if (owner == 0) {
                leave_with(limit, [&lines]() noexcept {
                    segment mine;
                    char go = 0;
                    if (create(MiB, mine) != 0) return false;
                    segment const before = mine;
                    bool held = write(lines[0][1], &before, sizeof(before)) == sizeof(before);
                    held = held && read(lines[1][0], &go, 1) == 1;
                    release(mine);
                    return held && create(MiB, mine) == 0 && mine.id.random != before.id.random;
                });
            }
            REQUIRE(read(lines[0][0], &one, sizeof(one)) == sizeof(one));
            REQUIRE(attach(owner, one.descriptor, one.id, one.bytes, other) == 0);
            child = waiting_child();
            release(other);
            REQUIRE(write(lines[1][1], "", 1) == 1);
            CHECK(wait_for(owner, limit) == 0);
            end_of(child);
            for (auto const& line : lines) {
                for (int const end : line) close(end);
            }
            continue;
        }
        segment const before = one;
        release(one);
        CHECK(kept_bytes() == 0);
        segment next = made(MiB);
        CHECK_FALSE(is_of_same_file(next, before));
        release(next);
        end_of(child);
    }
}

TEST_CASE("a segment is used again after the children that had it have ended", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    segment const before = one;
    end_of(waiting_child());
    release(one);
    CHECK(kept_bytes() == MiB);
    segment again = made(MiB);
    CHECK(is_of_same_file(again, before));
    CHECK(again.id.use != before.id.use);
    segment found;
    CHECK(attach_to(before, found) == ESTALE);
    CHECK(attach_to(again, found) == 0);
    std::memset(again.payload, 3, MiB);
    CHECK(std::all_of(found.payload, found.payload + MiB, [](char byte) { return byte == 3; }));
    release(found);
    release(again);
}

// Puts a file of somebody else's in the place of a descriptor that it has closed, and tells later whether it was let
// be.
class other_file {
public:
    explicit other_file(int descriptor) : descriptor_(descriptor) {
        int const file = memfd_create("other", 0);  // on the device that a segment's is on
        REQUIRE(file >= 0);
        std::vector<char> const ones(2 * MiB, 1);
        REQUIRE(write(file, ones.data(), ones.size()) == static_cast<ssize_t>(ones.size()));
        REQUIRE(dup2(file, descriptor) == descriptor);
        close(file);
    }
    ~other_file() { close(descriptor_); }
    other_file(other_file const&) = delete;
    other_file& operator=(other_file const&) = delete;

    [[nodiscard]] bool is_whole() const {
        std::vector<char> found(2 * MiB);
        return pread(descriptor_, found.data(), found.size(), 0) == static_cast<ssize_t>(found.size()) &&
               std::all_of(found.begin(), found.end(), [](char byte) { return byte == 1; });
    }

private:
    int descriptor_;
};

TEST_CASE("files that have the number of a descriptor which others closed are let be", "[segment]") {
    fresh_start const start;
    SECTION("of a segment") {
        segment one = made(MiB);
        other_file const other(one.descriptor);
        release(one);
        CHECK(other.is_whole());
    }
    SECTION("of a segment, after a fork") {
        segment one = made(MiB);
        other_file const other(one.descriptor);
        end_of(waiting_child());
        release(one);
        CHECK(other.is_whole());
    }
    SECTION("of one that is kept") {
        segment one = made(MiB);
        int const descriptor = one.descriptor;
        release(one);
        REQUIRE(kept_bytes() == MiB);
        other_file const other(descriptor);
        segment again = made(MiB);
        CHECK(again.descriptor != descriptor);
        release(again);
        release_kept();
        CHECK(other.is_whole());
    }
    SECTION("of a mapping that is kept") {
        segment one = made(MiB);
        segment found = attached_to(one);
        int const descriptor = found.descriptor;
        release(found);
        other_file const other(descriptor);
        found = attached_to(one);
        CHECK(found.descriptor != descriptor);
        std::memset(found.payload, 2, MiB);
        segment const before = one;
        release(one);
        segment again = made(MiB);  // not in the memory that is still held
        CHECK_FALSE(is_of_same_file(again, before));
        std::memset(again.payload, 3, MiB);
        CHECK(std::all_of(found.payload, found.payload + MiB, [](char byte) { return byte == 2; }));
        release(found);
        release(again);
        CHECK(other.is_whole());
    }
    SECTION("of what a call hides from children") {
        segment one = made(MiB);
        hide(one);
        other_file const other(one.descriptor);
        pid_t const child = fork();
        if (child == 0) _exit(other.is_whole() ? 0 : 1);
        CHECK(wait_for(child, limit) == 0);
        CHECK(show(one));
        release(one);
        CHECK(other.is_whole());
    }
}

TEST_CASE("a child that has closed all descriptors holds what it has", "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    std::memset(one.payload, 7, MiB);
    std::array<int, 2> to{}, from{};
    REQUIRE(pipe(to.data()) == 0);
    REQUIRE(pipe(from.data()) == 0);
    pid_t const child = fork();
    if (child == 0) {
        alarm(limit);
        close(one.descriptor);
        char letter = 'c';
        if (write(from[1], &letter, 1) != 1 || read(to[0], &letter, 1) != 1) _exit(2);
        _exit(std::all_of(one.payload, one.payload + MiB, [](char byte) { return byte == 7; }) ? 0 : 1);
    }
    char letter = 0;
    REQUIRE(read(from[0], &letter, 1) == 1);
    release(one);
    segment again = made(MiB);
    std::memset(again.payload, 8, MiB);
    REQUIRE(write(to[1], &letter, 1) == 1);
    CHECK(wait_for(child, limit) == 0);
    release(again);
    for (int const end : {to[0], to[1], from[0], from[1]}) close(end);
}

TEST_CASE("what is kept is given back where it is all that is missing", "[segment]") {
    fresh_start const start;
    CHECK(holds_in_child(limit, []() noexcept {
        std::array<segment, 4> held{};
        for (segment& one : held) {
            if (create(MiB, one) != 0) return false;
        }
        for (segment& one : held) release(one);
        int const highest = dup(0);
        if (!limit_to(RLIMIT_NOFILE, static_cast<rlim_t>(highest) + 1)) return false;
        while (dup(0) >= 0) {
        }
        segment larger{};
        return kept_bytes() == 4 * MiB && create(8 * MiB, larger) == 0 && kept_bytes() == 0;
    }));
}

TEST_CASE("memory is given back by its last holder, whichever process was killed before", "[segment]") {
    // Besides its holders, one process has released it, keeps the mapping, and waits.
    std::array<char const*, 4> const names{"owner", "child of the owner", "attached", "child of the attached"};
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    do {
        for (unsigned killed = 0; killed < 8; ++killed) {
            CAPTURE(names[order[0]], names[order[1]], names[order[2]], names[order[3]], killed);
            std::array<actor, 4> all;
            actor waiting;
            all[0].start();
            all[2].start();
            waiting.start();
            segment const one = all[0].create();
            CHECK(waiting.attach(all[0].pid, one));
            CHECK(waiting.drop());
            CHECK(all[2].attach(all[0].pid, one));
            all[0].fork_into(all[1]);
            all[2].fork_into(all[3]);
            observer const memory(all[0].pid, one);
            for (std::size_t i = 0; i < 4; ++i) {
                CHECK_FALSE(memory.is_empty());
                for (std::size_t other = i; other < 4; ++other) CHECK(all[order[other]].is_right());
                if ((killed >> i & 1) != 0) {
                    all[order[i]].end();
                } else {
                    CHECK(all[order[i]].drop());
                }
            }
            CHECK(memory.is_empty());
        }
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("what is hidden is not the children's, and comes to light in them", "[segment][guarded]") {
    fresh_start const start;
    segment one = made(MiB);
    segment shown = made(MiB);
    std::memset(one.payload, 7, MiB);
    std::memset(shown.payload, 8, MiB);
    hide(one);
    hide(shown);
    CHECK(show(shown));
    std::size_t const files = open_files();
    CHECK(holds_in_child(limit, [&one, &shown, files]() noexcept {
        bool const is_gone = open_files() == files - 1 && is_lost(one) && !show(one) && one.payload[5] == 0;
        one.payload[5] = 1;  // whatever is done to it does nothing
        segment again;
        bool const is_there = attach(getppid(), one.descriptor, one.id, MiB, again) == 0 && again.payload[5] == 7;
        release(again);
        release(one);
        return is_gone && is_there && !is_lost(shown) && show(shown) && shown.payload[5] == 8;
    }));
    CHECK_FALSE(is_lost(one));
    segment const before = one;
    release(one);  // without `show`, as where a call has failed
    segment next = made(MiB);
    CHECK(is_of_same_file(next, before));
    CHECK(holds_in_child(limit, [&next]() noexcept { return !is_lost(next); }));
    CHECK(show(next));
    release(next);
    release(shown);
}

TEST_CASE("what the child of a fork has stays when its parent leaves, and then the process that has attached",
          "[segment]") {
    // The child does not count as a holder of the segment, and is all that is left of them.
    fresh_start const start;
    segment one = made(MiB);
    std::memset(one.payload, 7, MiB);
    int line[2];
    REQUIRE(pipe(line) == 0);
    pid_t const child = fork();
    if (child == 0) {
        leave_with(limit, [&]() noexcept {
            char go = 0;
            return read(line[0], &go, 1) == 1 &&
                   std::all_of(one.payload, one.payload + MiB, [](char byte) { return byte == 7; });
        });
    }
    segment other = attached_to(one);
    release(one);
    release(other);
    REQUIRE(write(line[1], "", 1) == 1);
    CHECK(wait_for(child, limit) == 0);
    for (int const end : line) close(end);
}

TEST_CASE("what a process keeps, the child of its fork does not", "[segment][guarded]") {
    fresh_start const start;
    segment one = made(MiB);
    segment const before = one;
    release(one);
    std::size_t const files = open_files();
    CHECK(holds_in_child(limit, [&before, files]() noexcept {
        segment next;
        return kept_bytes() == 0 && open_files() == files - 1 && create(MiB, next) == 0 &&
               !is_of_same_file(next, before);
    }));
    segment again = made(MiB);  // and the parent still does
    CHECK(is_of_same_file(again, before));
    release(again);
}

TEST_CASE("no more is kept than was said, and all of it is given back on demand", "[segment]") {
    fresh_start const start;
    keep_at_most(3 * MiB);
    std::vector<segment> all;
    for (int i = 0; i < 5; ++i) all.push_back(made(MiB));
    for (segment& one : all) release(one);
    CHECK(kept_bytes() == 3 * MiB);
    segment large = made(4 * MiB);
    release(large);
    CHECK(kept_bytes() == 3 * MiB);
    std::size_t const files = open_files();
    CHECK(release_kept() == 3 * MiB);
    CHECK(kept_bytes() == 0);
    CHECK(open_files() == files - 3);
    CHECK(release_kept() == 0);

    keep_at_most(0);
    segment none = made(MiB);
    release(none);
    CHECK(kept_bytes() == 0);
}

TEST_CASE("no more mappings of others are kept than was said", "[segment]") {
    fresh_start const start;
    keep_at_most(3 * MiB);
    std::vector<segment> all;
    std::vector<segment> attached;
    for (std::size_t const bytes : {MiB, MiB, 4 * MiB, MiB, MiB, MiB}) {
        all.push_back(made(bytes));
        attached.push_back(attached_to(all.back()));
    }
    std::size_t const files = open_files();
    for (segment& one : attached) release(one);
    CHECK(open_files() == files - 3);
    CHECK(kept_bytes() == 0);  // those count for themselves
    release_kept();
    CHECK(open_files() == files - 6);
    for (segment& one : all) release(one);
}

TEST_CASE("a process that has attached keeps the mapping for the next use, and releases it when the owner does",
          "[segment]") {
    fresh_start const start;
    segment one = made(MiB);
    std::size_t const files = open_files();
    char* place = nullptr;
    for (int use = 0; use < 3; ++use) {
        segment other = attached_to(one);
        if (use > 0) CHECK(other.payload == place);
        place = other.payload;
        release(other);
        release(one);
        one = made(MiB);
        CHECK(open_files() == files + 1);
    }
    keep_at_most(0);
    release(one);
    segment const none{};
    segment found;
    CHECK(attach(getpid(), -1, none.id, 0, found) == ENOENT);  // any call of this looks
    CHECK(open_files() == files - 1);
}

TEST_CASE("memory is given back although a mapping is kept", "[segment]") {
    for (bool const owner_is_last : {true, false}) {
        CAPTURE(owner_is_last);
        fresh_start const start;
        keep_at_most(0);
        segment one = made(4 * MiB);
        int const file = dup(one.descriptor);
        std::memset(one.payload, 1, one.bytes);
        segment kept = attached_to(one);
        segment other = attached_to(one);
        release(kept);  // stays mapped, which nobody sees
        segment& last = owner_is_last ? one : other;
        release(owner_is_last ? other : one);
        struct stat status{};
        REQUIRE(fstat(file, &status) == 0);
        CHECK(status.st_blocks * 512 >= static_cast<blkcnt_t>(4 * MiB));
        release(last);
        REQUIRE(fstat(file, &status) == 0);
        CHECK(status.st_blocks * 512 <= 65536);  // the header
        close(file);
    }
}

TEST_CASE("a process that attaches reads what the reference was made for, whenever segments are reused", "[segment]") {
    fresh_start const start;
    std::atomic<bool> enough{false};
    std::atomic<unsigned> read{0};
    std::atomic<unsigned> wrong{0};
    std::mutex changing;
    segment latest;
    std::thread reader([&] {
        while (!enough) {
            segment wanted;
            {
                std::lock_guard const lock(changing);
                wanted = latest;
            }
            segment found;
            if (wanted.mapped == nullptr || attach_to(wanted, found) != 0) continue;
            auto const* const number = reinterpret_cast<std::atomic<std::uint32_t> const*>(found.payload);
            for (int i = 0; i < 20; ++i) wrong += number->load() != found.id.use;
            release(found);
            // Now and then nobody holds it, so that it is used again.
            if (++read % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
    });
    unsigned again = 0;
    // As long as it takes, on a machine that has much else to do: else nothing would be shown here.
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (int i = 0; (read < 1000 || again < 1000) && std::chrono::steady_clock::now() < end; ++i) {
        segment one = made(MiB);
        again += !one.is_zero;
        reinterpret_cast<std::atomic<std::uint32_t>*>(one.payload)->store(one.id.use);
        {
            std::lock_guard const lock(changing);
            latest = one;
        }
        for (int turn = 0; turn < i % 64; ++turn) std::this_thread::yield();
        release(one);
    }
    enough = true;
    reader.join();
    CHECK(wrong == 0);
    CHECK(read > 0);
    CHECK(again > 0);
}

// ---- tickets

TEST_CASE("a ticket is open until any holder of the segment hands it in", "[segment]") {
    segment one = made(100);
    segment other = attached_to(one);
    unsigned const first = draw_ticket(one);
    unsigned const second = draw_ticket(other);
    CHECK(first != second);
    CHECK((is_open(one, first) && is_open(one, second) && is_open(other, first)));
    hand_in_ticket(other, first);
    CHECK((!is_open(one, first) && is_open(one, second)));
    hand_in_ticket(other, first);
    hand_in_ticket(one, second);
    CHECK((!is_open(one, first) && !is_open(other, second)));
    release(other);
    release(one);
}

TEST_CASE("when there are no tickets left, none is drawn", "[segment]") {
    segment one = made(100);
    std::vector<unsigned> all;
    for (unsigned ticket = draw_ticket(one); ticket != no_ticket; ticket = draw_ticket(one)) all.push_back(ticket);
    CHECK(all.size() >= 1000);
    CHECK_FALSE(is_open(one, no_ticket));
    hand_in_ticket(one, no_ticket);
    hand_in_ticket(one, all[500]);
    CHECK(draw_ticket(one) == all[500]);
    release(one);
}

// ---- shortage

TEST_CASE("more memory than there is, is refused before any is taken", "[segment]") {
    for (std::size_t const bytes : {std::size_t{1} << 46, std::size_t{1} << 62, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX}) {
        CAPTURE(bytes);
        // Who takes memory nevertheless is ended by the limit of files: SIGXFSZ.
        CHECK(holds_in_child(limit, [bytes]() noexcept {
            segment none;
            return limit_to(RLIMIT_FSIZE, 1 << 20) && create(bytes, none) == ENOMEM && none.mapped == nullptr;
        }));
    }
}

TEST_CASE("a profiler's signals do not keep a segment from being made", "[segment]") {
    CHECK(holds_in_child(limit, []() noexcept {
        signal(SIGPROF, [](int) {});
        itimerval const each_millisecond{{0, 1000}, {0, 1000}};
        setitimer(ITIMER_PROF, &each_millisecond, nullptr);
        segment one;
        bool const is_made = create(256 * MiB, one) == 0;
        itimerval const none{};
        setitimer(ITIMER_PROF, &none, nullptr);
        return is_made && one.payload[256 * MiB - 1] == 0;
    }));
}

TEST_CASE("a shortage is an error that leaves nothing behind", "[segment]") {
    struct row {
        char const* what;
        decltype(RLIMIT_AS) resource;
        std::size_t room;
        int expected;
    };
    for (row const& r :
         {row{"addresses", RLIMIT_AS, 8 * MiB, ENOMEM}, row{"size of files", RLIMIT_FSIZE, 8 * MiB, EFBIG},
          row{"descriptors", RLIMIT_NOFILE, 0, EMFILE}}) {
        CAPTURE(r.what);
        segment large = made(16 * MiB);
        CHECK(holds_in_child(limit, [&r, &large]() noexcept {
            int const next_file = dup(0);
            close(next_file);
            rlim_t const used = r.resource == RLIMIT_AS       ? address_space()
                                : r.resource == RLIMIT_NOFILE ? static_cast<rlim_t>(next_file)
                                                              : 0;
            if (!limit_to(r.resource, used + r.room)) return false;
            void* const probe = mmap(nullptr, 16 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (r.resource == RLIMIT_AS && probe != MAP_FAILED) return true;  // an emulator, which has no such limit
            segment none;
            bool const is_refused = create(16 * MiB, none) == r.expected && none.mapped == nullptr;
            bool const is_refused_there = r.resource == RLIMIT_FSIZE || attach_to(large, none) == r.expected;
            bool const is_clean = dup(0) == (r.resource == RLIMIT_NOFILE ? -1 : next_file);
            return is_refused && is_refused_there && is_clean;
        }));
        release(large);
        release_kept();
    }
}

TEST_CASE("where the system makes no such file, it says so; and old and strict systems make one", "[segment]") {
    constexpr unsigned noexec = 8;
    struct row {
        char const* what;
        unsigned short comparison;
        unsigned flags;
        int error;
        int expected;
    };
    for (row const& r : {row{"blocked", BPF_JGE, 0, EPERM, EPERM}, row{"not there", BPF_JGE, 0, ENOSYS, ENOSYS},
                         row{"by policy", BPF_JGE, 0, EACCES, EACCES}, row{"no room", BPF_JGE, 0, ENFILE, ENFILE},
                         row{"an older system", BPF_JSET, noexec, EINVAL, 0}}) {
        CAPTURE(r.what);
        CHECK(holds_in_child(limit, [&r]() noexcept {
            if (!refuse(SYS_memfd_create, r.comparison, r.flags, r.error)) return true;
            segment one;
            return create(MiB, one) == r.expected && (one.mapped != nullptr) == (r.expected == 0);
        }));
    }
    segment one = made(MiB);
    int const probe = memfd_create("probe", MFD_CLOEXEC | noexec);
    // F_SEAL_EXEC, without which vm.memfd_noexec = 2 refuses.
    CHECK(((fcntl(one.descriptor, F_GET_SEALS) & 0x20) != 0) == (probe >= 0));
    if (probe >= 0) close(probe);
    release(one);
}

TEST_CASE("where the system has no such locks, nothing is used again, and all else is as always", "[segment]") {
    CHECK(holds_in_child(limit, []() noexcept {
        release_kept();
        if (!refuse(SYS_fcntl, BPF_JEQ, F_OFD_SETLK, EINVAL)) return true;
        segment one;
        segment other;
        if (create(MiB, one) != 0 || attach_to(one, other) != 0) return false;
        std::size_t const files = open_files();
        one.payload[3] = 'x';
        bool const is_same = other.payload[3] == 'x';
        segment const before = one;
        release(one);
        bool const is_there = other.payload[3] == 'x';
        release(other);
        return is_same && is_there && kept_bytes() == 0 && open_files() == files - 2 && create(MiB, one) == 0 &&
               !is_of_same_file(one, before);
    }));
    // A process without a lock must not attach, since no other would see that it holds the segment.
    segment one = made(MiB);
    CHECK(holds_in_child(limit, [&one]() noexcept {
        if (!refuse(SYS_fcntl, BPF_JEQ, F_OFD_SETLK, ENOLCK)) return true;
        segment none;
        return attach(getppid(), one.descriptor, one.id, MiB, none) == ENOLCK && none.mapped == nullptr;
    }));
    release(one);
}

TEST_CASE("a limit of file sizes is distinguished from a lack of memory, and ends no process", "[segment]") {
    for (auto const action : {SIG_DFL, SIG_IGN}) {
        CHECK(holds_in_child(limit, [action]() noexcept {
            signal(SIGXFSZ, action);
            segment one;
            return limit_to(RLIMIT_FSIZE, MiB) && create(MiB, one) == EFBIG && create(MiB - 4096, one) == 0;
        }));
    }
}
