// Segments of anonymous memory that processes share: files of memfd_create, which have no name that could be left
// behind and vanish with their last user, however that ends. A process opens the segment of another process on the same
// machine as /proc/<pid>/fd/<descriptor>.
//
// Knows nothing of Python or arrays. Any thread may call any of these functions; a segment must be used by one thread
// at a time.
//
// Layout
//   A page with the header, which only this library writes to, then the payload. The size is sealed, so no process can
//   remove pages that others have mapped.
//
// Access
//   A reference is process, descriptor and identity. The identity is 16 random bytes, written once into the header, and
//   the number of the use: a segment is reused for other contents (below), and then a reference to earlier contents
//   must be invalid. `attach` checks the link (/memfd:twofold), and then the identity.
//
// Holders
//   The kernel counts them: each process that holds a segment has a shared lock on its file, on an open file
//   description of its own. To release a segment, a process unlocks it, and then tries the exclusive lock: if it gets
//   that, no other process holds the segment, the number of its use is raised, and its memory is reused or given back.
//   Forks and kills do not falsify that count. The child of a fork shares the open file descriptions of its parent, and
//   so their locks; a process that has forked therefore opens the file again and closes the shared description instead
//   of unlocking it. A mapping keeps a lock just as its descriptor does: so a daemon may close all descriptors, and
//   other files that get their numbers later are left alone. (Segments that are too small to be kept have no locks, and
//   where the system does not support these, nothing is reused: a segment vanishes with its last mapping.)
//
// Reuse
//   The cost of a segment is that the system has to find, clear and map its pages. So the process that made it keeps it
//   if no other process holds it, under the exclusive lock. A process that has attached keeps the mapping, too, without
//   a lock, for the next use of the same segment. That does not keep the memory: the last process to release it gives
//   it back, under all mappings. Only if the last one is killed instead, the memory stays with these mappings, within
//   their limit, until their process checks.
//
// In transit
//   A reference is valid as long as some process has the segment. So the sender draws a ticket, which the receiver
//   hands in once it is attached; until then the sender keeps the segment. There are 32,000 tickets; without one the
//   sender cannot know.
//
// Fork
//   The child has the segments of its parent, the same memory under the same descriptors, and holds them until it
//   releases them or ends. It gives up what the parent keeps for reuse, and what is hidden because it belongs to a call
//   of the parent. (This does not hold for children of a bare clone or _Fork.)
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace twofold_segments {

/// Identifies a segment, in one of its uses.
struct identity {
    std::array<unsigned char, 16> random;
    std::uint32_t use;
};
static_assert(sizeof(identity) == 20, "no padding: all bytes are compared");

struct mapping;  // the memory of a segment in this process

/// A segment that this process has. Plain data: a copy refers to the same segment, and only one of them must be
/// released.
struct segment {
    mapping* mapped = nullptr;  // null: none
    char* payload = nullptr;    // at the beginning of a page
    std::size_t bytes = 0;      // of the payload, as asked for
    identity id{};
    int descriptor = -1;
    bool is_zero = false;  // all of the payload, as created
    bool is_owner = false;
    std::uint64_t forks = 0;  // the number of forks that this process had seen before it got the segment
};

/// Makes a segment, new or reused. Returns 0, or the system's error: ENOMEM if there is not enough memory, even if the
/// system would grant it now and kill the process later; EMFILE if there is no descriptor, EFBIG beyond the limit of
/// file sizes; ENOSYS, EPERM or EACCES if the system makes no such files.
[[nodiscard]] int create(std::size_t bytes, segment& made) noexcept;

/// Attaches to the segment that process `pid` has under `descriptor`. Returns 0, or: ENOENT if there is no such process
/// or descriptor, EACCES if this process may not open it, ESTALE if it is something else or has been reused, EPROTO if
/// another version of this library made it, ENOMEM, EMFILE.
[[nodiscard]] int attach(pid_t pid, int descriptor, identity const& id, std::size_t bytes, segment& found) noexcept;

/// Releases a segment. It is kept for reuse, or vanishes with the last process that holds it.
void release(segment& held) noexcept;

/// Hides a segment from children of a fork until `show`; not if this process is closed to others (not dumpable), since
/// then its workers could not open it. (A process can hide some dozens of segments.)
void hide(segment const& held) noexcept;

/// Returns false if this process was forked while the segment was hidden, so that it does not have its memory.
[[nodiscard]] bool show(segment const& held) noexcept;

[[nodiscard]] bool is_lost(segment const& held) noexcept;

/// Copies `bytes` bytes into the payload of a segment that this process has just made.
void fill(segment const& made, void const* values) noexcept;

/// Maps the pages of these bytes of the payload that any process has filled. Pages that are written to first are mapped
/// one by one; pages that are read first are mapped by the dozen, and can then be written to: ten times as fast.
/// Measured by `benchmarks/shared_arrays.py`.
void map_ahead(segment const& held, std::size_t first, std::size_t bytes) noexcept;

inline constexpr unsigned no_ticket = ~0u;

/// A ticket for a reference that leaves this process; no_ticket if there are none left.
[[nodiscard]] unsigned draw_ticket(segment const& held) noexcept;

/// Tells the sender that its reference has arrived. To be called once for each ticket; no_ticket is ignored.
void hand_in_ticket(segment const& held, unsigned ticket) noexcept;

[[nodiscard]] bool is_open(segment const& held, unsigned ticket) noexcept;

/// The bytes that are kept for reuse.
[[nodiscard]] std::size_t kept_bytes() noexcept;

/// Sets the maximum, for segments that this process made, and as much again for mappings of other processes' segments.
/// A process starts with 0.
void keep_at_most(std::size_t bytes) noexcept;

/// Gives everything that is kept back to the system. Returns the number of bytes that this process's own segments had.
std::size_t release_kept() noexcept;

}  // namespace twofold_segments
