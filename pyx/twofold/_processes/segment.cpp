#include "segment.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <twofold/machine/cgroup.hpp>

namespace twofold_segments {
namespace {

// ---- the header

constexpr std::uint64_t layout = 0x32'64'6c'6f'66'6f'77'74;  // "twofold2": changes with the header

struct header {
    std::uint64_t layout;
    std::array<unsigned char, 16> random;
    std::uint64_t capacity;                               // bytes there are for the payload, whole pages
    std::int64_t owner;                                   // the process that made it
    bool is_counted;                                      // each holder has a lock
    std::atomic<std::uint32_t> use;                       // its number
    std::array<std::atomic<std::uint64_t>, 500> tickets;  // a bit each; set: drawn, and not yet handed in
};
static_assert(sizeof(header) <= 4096);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

std::size_t page_bytes() noexcept {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

struct mapping {
    header* head;
    std::size_t capacity;
    int descriptor;
    dev_t device;  // of the file that had that descriptor, which others may have closed: a daemon closes all
    ino_t inode;
    bool is_hidden = false;
    bool is_lost = false;  // hidden, in the child of a fork: all zeros, and no descriptor

    [[nodiscard]] std::size_t bytes() const noexcept { return page_bytes() + capacity; }
    [[nodiscard]] char* payload() const noexcept { return reinterpret_cast<char*>(head) + page_bytes(); }
};

namespace {

bool is_file_of(mapping const& mapped, int descriptor) noexcept {
    struct stat status{};
    return !mapped.is_lost && fstat(descriptor, &status) == 0 && status.st_dev == mapped.device &&
           status.st_ino == mapped.inode;
}

// False if the descriptor is closed or another file's.
bool has_file(mapping const& mapped) noexcept {
    return is_file_of(mapped, mapped.descriptor);
}

// Undoes `map`, and nothing else: the memory belongs to the processes that still have the file.
void dispose(mapping* mapped) noexcept {
    munmap(mapped->head, mapped->bytes());
    if (has_file(*mapped)) close(mapped->descriptor);
    delete mapped;
}

// Maps an open file that is a segment, or will be one. Null if that fails; then the file stays open.
mapping* map(int descriptor, std::size_t capacity) noexcept {
    struct stat status{};
    if (fstat(descriptor, &status) != 0) return nullptr;
    void* const all = mmap(nullptr, page_bytes() + capacity, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (all == MAP_FAILED) return nullptr;
    auto* const mapped =
        new (std::nothrow) mapping{static_cast<header*>(all), capacity, descriptor, status.st_dev, status.st_ino};
    if (mapped == nullptr) munmap(all, page_bytes() + capacity);
    return mapped;
}

// ---- holders

// Smaller segments are cheaper to make than to keep, which takes a system call or two.
constexpr std::size_t min_kept_bytes = std::size_t{256} << 10;

// F_RDLCK: one of the holders; F_WRLCK: the only holder; F_UNLCK: no holder. Returns 0, EAGAIN if other holders prevent
// it, or another error.
int lock(mapping const& mapped, short kind) noexcept {
    if (!has_file(mapped)) return EBADF;
    struct flock first_byte{};
    first_byte.l_type = kind;
    first_byte.l_whence = SEEK_SET;
    first_byte.l_len = 1;
    return fcntl(mapped.descriptor, F_OFD_SETLK, &first_byte) == 0 ? 0 : errno == EACCES ? EAGAIN : errno;
}

// Opens the same memory with a new open file description, at the same address and under the same descriptor: children
// of a fork keep the old one, with its lock. Returns false if it is unchanged, or gone.
bool open_anew(mapping& mapped) noexcept {
    char path[32];
    std::snprintf(path, sizeof(path), "/proc/self/fd/%d", mapped.descriptor);
    int const file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    bool const is_open =
        is_file_of(mapped, file) &&
        mmap(mapped.head, mapped.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED &&
        dup3(file, mapped.descriptor, O_CLOEXEC) >= 0;
    close(file);
    return is_open;
}

// Releases the lock. Returns true if no other process holds the segment; then it is locked exclusively, and all
// existing references are invalid.
bool retire(mapping const& mapped) noexcept {
    // Each holder first leaves, and then checks whether any is left. So the last one finds none.
    if (lock(mapped, F_UNLCK) != 0 || lock(mapped, F_WRLCK) != 0) return false;
    ++mapped.head->use;
    return true;
}

// Gives the memory of a retired segment back, even if other processes keep the mapping for reuse.
void empty(mapping const& retired) noexcept {
    if (!has_file(retired)) return;
    fallocate(retired.descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(page_bytes()),
              static_cast<off_t>(retired.capacity));
}

// ---- what is kept for reuse

// The maximum number of bytes of either kind.
constinit std::atomic<std::size_t> max_kept{0};

// A thread that exchanges a slot for null owns what was there, whatever other threads do meanwhile; and a fork at any
// moment leaves each slot consistent.
template <void (*drop)(mapping*) noexcept>
class shelf {
public:
    // Takes the first mapping that is wanted; null if there is none.
    template <class IsWanted>
    [[nodiscard]] mapping* take(IsWanted const& is_wanted) noexcept {
        for (std::atomic<mapping*>& slot : slots_) {
            if (slot.load() == nullptr) continue;
            mapping* const mapped = slot.exchange(nullptr);
            if (mapped == nullptr) continue;
            if (is_wanted(*mapped)) {
                bytes_ -= mapped->capacity;
                return mapped;
            }
            put_at(slot, mapped);
        }
        return nullptr;
    }

    void put(mapping* mapped) noexcept {
        bytes_ += mapped->capacity;
        put_somewhere(mapped);
        // Put first, then check: of several threads that do this at once, the last sees what all have put.
        while (bytes_ > max_kept) {
            mapping* const one = take([](mapping const&) noexcept { return true; });
            if (one == nullptr) return;
            drop(one);
        }
    }

    // Returns how many bytes they were.
    std::size_t drop_all() noexcept {
        std::size_t bytes = 0;
        while (mapping* const mapped = take([](mapping const&) noexcept { return true; })) {
            bytes += mapped->capacity;
            drop(mapped);
        }
        return bytes;
    }

    // What is kept belongs to the parent.
    void start_as_child() noexcept {
        for (std::atomic<mapping*>& slot : slots_) {
            if (mapping* const mapped = slot.exchange(nullptr); mapped != nullptr) dispose(mapped);
        }
        bytes_ = 0;
    }

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    void put_somewhere(mapping* mapped) noexcept {
        for (std::atomic<mapping*>& slot : slots_) {
            mapping* none = nullptr;
            if (slot.load() == nullptr && slot.compare_exchange_strong(none, mapped)) return;
        }
        put_at(slots_[next_dropped_++ % slots_.size()], mapped);
    }

    void put_at(std::atomic<mapping*>& slot, mapping* mapped) noexcept {
        mapping* const other = slot.exchange(mapped);
        if (other == nullptr) return;
        bytes_ -= other->capacity;
        drop(other);
    }

    std::array<std::atomic<mapping*>, 16> slots_{};
    std::atomic<std::size_t> next_dropped_{0};
    std::atomic<std::size_t> bytes_{0};
};

// Retired segments that this process made. They stay exclusively locked, so no other process holds them.

void drop_unused(mapping* mapped) noexcept {
    empty(*mapped);
    dispose(mapped);
}

constinit shelf<drop_unused> unused;

// Takes one that fits, and wastes no more than a quarter of itself.
mapping* take_unused(std::size_t bytes) noexcept {
    return unused.take([bytes](mapping const& candidate) noexcept {
        return candidate.capacity >= bytes && candidate.capacity - bytes <= candidate.capacity / 4;
    });
}

// Mappings of other processes' segments, which this process does not hold.

constinit shelf<dispose> idle;

// Drops segments whose last holder was killed, or whose file is gone: they will not be used again.
void drop_abandoned() noexcept {
    while (mapping* const mapped =
               idle.take([](mapping const& candidate) noexcept { return retire(candidate) || !has_file(candidate); })) {
        empty(*mapped);
        dispose(mapped);
    }
}

// Returns how many bytes they were.
std::size_t drop_all_kept() noexcept {
    std::size_t const bytes = idle.drop_all();
    return bytes + unused.drop_all();
}

// Whether releasing what is kept may help.
bool is_shortage(int error) noexcept {
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

// ---- what is hidden from children

constinit std::array<std::atomic<mapping*>, 64> hidden{};  // children inherit any more than these

void forget_hidden(mapping& mapped) noexcept {
    mapped.is_hidden = false;
    for (std::atomic<mapping*>& slot : hidden) {
        mapping* expected = &mapped;
        if (slot.compare_exchange_strong(expected, nullptr)) return;
    }
}

// A child that goes on with a call of its parent finds zeros, and `show` returns false.
void lose(mapping& mapped) noexcept {
    void* const zeros = mmap(mapped.head, mapped.bytes(), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) return;
    if (has_file(mapped)) close(mapped.descriptor);
    mapped.is_lost = true;
}

// ---- fork

constinit std::atomic<std::uint64_t> forks{0};

// Called before and after: a segment that another thread makes meanwhile may or may not be shared with the child.
void at_fork() noexcept {
    ++forks;
}

void in_child() noexcept {
    ++forks;
    unused.start_as_child();
    idle.start_as_child();
    for (std::atomic<mapping*>& slot : hidden) {
        if (mapping* const mapped = slot.exchange(nullptr); mapped != nullptr) lose(*mapped);
    }
}

[[maybe_unused]] int const watches_forks = pthread_atfork(at_fork, at_fork, in_child);

// ---- making and opening

// From this size on, available memory is checked before it is taken: the check costs as much as making a small segment.
constexpr std::size_t min_checked_bytes = std::size_t{1} << 20;

// Beyond the limit the system grants memory and then kills. It needs some of what it calls available for itself.
bool is_room_for(std::size_t bytes) noexcept {
    if (bytes < min_checked_bytes) return true;
    std::uint64_t const room = twofold::detail::memory_room();
    return room == 0 || bytes <= room - room / 32;
}

// No array is as large, and adding the size of a page does not overflow.
constexpr std::size_t max_bytes = SIZE_MAX / 4;

// In slices that take a fraction of a millisecond: a signal undoes the slice that it interrupts, and profilers send
// many.
int allocate(int descriptor, std::size_t bytes) noexcept {
    constexpr std::size_t slice = std::size_t{1} << 20;
    for (std::size_t done = 0; done < bytes;) {
        std::size_t const next = (std::min)(slice, bytes - done);
        int const error = posix_fallocate(descriptor, static_cast<off_t>(done), static_cast<off_t>(next));
        if (error == 0) done += next;
        if (error != 0 && error != EINTR) return error == ENOSPC ? ENOMEM : error;
    }
    return 0;
}

#if !defined(MFD_NOEXEC_SEAL)
constexpr unsigned MFD_NOEXEC_SEAL = 8;  // since Linux 6.3
#endif

int make_file(std::size_t bytes, int& made) noexcept {
    // Checked first, since SIGXFSZ ends a process that writes beyond the limit.
    rlimit limit{};
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) return EFBIG;
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // Without MFD_NOEXEC_SEAL a system may refuse (vm.memfd_noexec = 2); with it, an older one does.
    int descriptor = memfd_create("twofold", flags | MFD_NOEXEC_SEAL);
    if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create("twofold", flags);
    if (descriptor < 0) return errno;
    int error = allocate(descriptor, bytes);
    if (error == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) error = errno;
    if (error == 0) {
        made = descriptor;
    } else {
        close(descriptor);
    }
    return error;
}

int make(std::size_t bytes, mapping*& made) noexcept {
    std::size_t const page = page_bytes();
    std::size_t const capacity = (bytes + page - 1) / page * page;
    std::array<unsigned char, 16> random{};
    if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) return EIO;
    if (!is_room_for(capacity)) return ENOMEM;
    int descriptor = -1;
    if (int const error = make_file(page + capacity, descriptor); error != 0) return error;
    made = map(descriptor, capacity);
    if (made == nullptr) {
        close(descriptor);
        return ENOMEM;
    }
    header& head = *new (made->head) header{};
    head.layout = layout;
    head.random = random;
    head.capacity = capacity;
    head.owner = getpid();
    head.is_counted = capacity >= min_kept_bytes && lock(*made, F_RDLCK) == 0;
    return 0;
}

// Returns 0 if the path is a segment's file, which is then safe to open, ESTALE if it is not, or the error of reading
// the link.
int look_at_link(char const* path) noexcept {
    constexpr char expected[] = "/memfd:twofold (deleted)";
    constexpr std::size_t expected_length = sizeof(expected) - 1;
    char link[sizeof(expected)];
    ssize_t const length = readlink(path, link, sizeof(link));
    if (length < 0) return errno;
    return length == expected_length && std::memcmp(link, expected, expected_length) == 0 ? 0 : ESTALE;
}

// Opens a segment's file and maps it.
int open_segment(pid_t pid, int descriptor, mapping*& opened) noexcept {
    char path[64];
    std::snprintf(path, sizeof(path), "/proc/%ld/fd/%d", static_cast<long>(pid), descriptor);
    if (int const error = look_at_link(path); error != 0) return error;
    int const file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return errno;
    struct stat status{};
    int const seals = fcntl(file, F_GET_SEALS);
    int error = fstat(file, &status) != 0 ? errno : 0;
    auto const size = static_cast<std::size_t>(status.st_size);
    if (error == 0 && (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || size < page_bytes())) error = EPROTO;
    if (error == 0) {
        opened = map(file, size - page_bytes());
        if (opened == nullptr) error = ENOMEM;
    }
    if (error == 0 && (opened->head->layout != layout || opened->head->capacity != opened->capacity)) {
        error = EPROTO;
        dispose(opened);
    } else if (error != 0) {
        close(file);
    }
    return error;
}

}  // namespace

// ---- the public functions

int create(std::size_t bytes, segment& made) noexcept {
    std::uint64_t const forks_before = forks;
    if (bytes > max_bytes) return ENOMEM;
    drop_abandoned();
    mapping* mapped = bytes >= min_kept_bytes ? take_unused(bytes) : nullptr;
    while (mapped != nullptr && lock(*mapped, F_RDLCK) != 0) {
        drop_unused(mapped);
        mapped = take_unused(bytes);
    }
    bool const is_new = mapped == nullptr;
    if (is_new) {
        int error = make(bytes, mapped);
        if (is_shortage(error) && drop_all_kept() > 0) error = make(bytes, mapped);
        if (error != 0) return error;
    }
    identity const id{mapped->head->random, mapped->head->use};
    made = {mapped, mapped->payload(), bytes, id, mapped->descriptor, is_new, true, forks_before};
    return 0;
}

int attach(pid_t pid, int descriptor, identity const& id, std::size_t bytes, segment& found) noexcept {
    std::uint64_t const forks_before = forks;
    drop_abandoned();
    mapping* mapped =
        idle.take([&id](mapping const& candidate) noexcept { return candidate.head->random == id.random; });
    if (mapped == nullptr) {
        int error = open_segment(pid, descriptor, mapped);
        if (is_shortage(error) && drop_all_kept() > 0) error = open_segment(pid, descriptor, mapped);
        if (error != 0) return error;
    }
    header const& head = *mapped->head;
    int error = head.random != id.random || bytes > head.capacity ? ESTALE : 0;
    if (error == 0 && head.is_counted) error = lock(*mapped, F_RDLCK);
    if (error != 0) {
        dispose(mapped);
        return error == EAGAIN ? ESTALE : error;  // EAGAIN: a process has retired it
    }
    // After locking: while a process holds the segment, the number does not change.
    if (head.use != id.use) {
        if (head.is_counted && retire(*mapped)) empty(*mapped);
        dispose(mapped);
        return ESTALE;
    }
    found = {mapped, mapped->payload(), bytes, id, mapped->descriptor, false, false, forks_before};
    return 0;
}

void release(segment& held) noexcept {
    mapping* const mapped = held.mapped;
    if (mapped == nullptr) return;
    std::uint32_t const use = held.id.use;
    bool const was_owner = held.is_owner;
    bool const has_forked = held.forks != forks;
    held = segment{};
    if (mapped->is_hidden) forget_hidden(*mapped);
    header& head = *mapped->head;
    // A child shares the lock, so unlocking would unlock it for the child, too.
    bool const is_alone = has_file(*mapped) && head.is_counted && (!has_forked || open_anew(*mapped));
    bool const is_ours = was_owner && head.owner == getpid();
    bool const may_be_kept = mapped->capacity <= max_kept;
    if (is_alone && retire(*mapped)) {
        if (is_ours && may_be_kept && head.use == use + 1) return unused.put(mapped);
        empty(*mapped);
    } else if (is_alone && !was_owner && may_be_kept) {
        return idle.put(mapped);
    }
    dispose(mapped);
}

void hide(segment const& held) noexcept {
    // If other processes may not open this one's memory, workers can only inherit it by a fork.
    if (prctl(PR_GET_DUMPABLE) != 1) return;
    for (std::atomic<mapping*>& slot : hidden) {
        mapping* none = nullptr;
        if (slot.load() == nullptr && slot.compare_exchange_strong(none, held.mapped)) {
            held.mapped->is_hidden = true;
            return;
        }
    }
}

bool show(segment const& held) noexcept {
    if (held.mapped->is_hidden) forget_hidden(*held.mapped);
    return !held.mapped->is_lost;
}

bool is_lost(segment const& held) noexcept {
    return held.mapped->is_lost;
}

void fill(segment const& made, void const* values) noexcept {
    auto const* const from = static_cast<char const*>(values);
    std::size_t done = 0;
    // Through the file, new pages are neither cleared nor mapped first. Measured by `benchmarks/shared_arrays.py`.
    while (made.is_zero && done < made.bytes && has_file(*made.mapped)) {
        ssize_t const written =
            pwrite(made.descriptor, from + done, made.bytes - done, static_cast<off_t>(page_bytes() + done));
        if (written <= 0 && errno != EINTR) break;
        if (written > 0) done += static_cast<std::size_t>(written);
    }
    if (done < made.bytes) std::memcpy(made.payload + done, from + done, made.bytes - done);
}

void map_ahead(segment const& held, std::size_t first, std::size_t bytes) noexcept {
    // As many bytes as Linux maps at a time, unless it was told otherwise.
    constexpr std::size_t step = std::size_t{64} << 10;
    char const volatile* const payload = held.payload;
    for (std::size_t at = first; at < first + bytes; at += step) static_cast<void>(payload[at]);
}

unsigned draw_ticket(segment const& held) noexcept {
    unsigned first = 0;
    for (std::atomic<std::uint64_t>& tickets : held.mapped->head->tickets) {
        for (std::uint64_t drawn = tickets; ~drawn != 0;) {
            auto const free = static_cast<unsigned>(std::countr_one(drawn));
            if (tickets.compare_exchange_weak(drawn, drawn | std::uint64_t{1} << free)) return first + free;
        }
        first += 64;
    }
    return no_ticket;
}

void hand_in_ticket(segment const& held, unsigned ticket) noexcept {
    auto& tickets = held.mapped->head->tickets;
    if (ticket / 64 < tickets.size()) tickets[ticket / 64] &= ~(std::uint64_t{1} << ticket % 64);
}

bool is_open(segment const& held, unsigned ticket) noexcept {
    auto const& tickets = held.mapped->head->tickets;
    return ticket / 64 < tickets.size() && (tickets[ticket / 64] >> ticket % 64 & 1) != 0;
}

std::size_t kept_bytes() noexcept {
    return unused.bytes();
}

void keep_at_most(std::size_t bytes) noexcept {
    max_kept = bytes;
}

std::size_t release_kept() noexcept {
    idle.drop_all();
    return unused.drop_all();
}

}  // namespace twofold_segments
