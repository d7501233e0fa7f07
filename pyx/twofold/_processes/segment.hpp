// Segments of anonymous memory that processes share: a file of memfd_create, which has no name that could be left over
// and is gone with its last user, however that one ends. A process opens the segment of another one as
// /proc/<pid>/fd/<descriptor>, on the same machine.
//
// Knows nothing of Python or arrays. Any thread may call any of these functions; one segment is for one thread at a
// time.
//
// What a segment is made of
//   A page with the header, which only this library writes to, and the payload. Its size is sealed: nobody can take
//   away pages that others have mapped.
//
// Who is let in
//   A reference is process, descriptor and identity. The identity is 16 random bytes, written once into the header, and
//   the number of the use: a segment is used again for other contents (below), and then a reference to earlier ones
//   must not be good any more. `attach` looks at the link (/memfd:twofold), and then at the identity.
//
// Holders
//   The kernel counts them: whoever holds a segment has a shared lock on its file, on an open file description of its
//   own. Who releases it unlocks, and then tries the exclusive lock: with that, nobody holds the segment, the number
//   of its use is raised, and its memory is used again or given back. Forks and kills do not falsify that count. The
//   child of a fork has the open file descriptions of its parent, and so their locks; so who has forked does not unlock
//   but closes, once it has opened the file anew. A mapping holds a lock as well as its descriptor does: so a daemon
//   may close all descriptors, and what has their numbers later is left alone. (Segments that are too small to be kept
//   have no locks, and where the system knows none of these nothing is used again: a segment goes with its last
//   mapping.)
//
// Used again
//   Pages that the system has to find, to clear and to map are what a segment costs. So who made one keeps it where
//   nobody else holds it, under the exclusive lock. A process that has attached keeps the mapping, too, without a lock,
//   for the next use of the same segment. That does not hold the memory: whoever is the last to release it gives it
//   back, under all mappings. Only if the last one is killed instead, it stays with these, within their limit, until
//   their process looks.
//
// In transit
//   A reference is good for as long as somebody has the segment. A sender who wants to release it draws a ticket,
//   which the receiver hands in once he is attached; until then the sender stays. There are 32,000 tickets;
//   without one the sender cannot know.
//
// Fork
//   The child has the segments of its parent, the same memory under the same descriptors, and holds them until it
//   releases them or ends. What either keeps for a next use the child gives up, and so it does with what is hidden:
//   what belongs to a call of the parent's. (Children of a bare clone or _Fork are outside this promise.)
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace twofold_segments {

/// Tells a segment, in one of its uses, from any other.
struct identity {
    std::array<unsigned char, 16> random;
    std::uint32_t use;
};
static_assert(sizeof(identity) == 20, "all of its bytes tell something");

struct mapping;  // the memory of a segment in this process

/// A segment that this process has. Plain data: who copies it copies a reference, and one of them is to be released.
struct segment {
    mapping* mapped = nullptr;  // null: none
    char* payload = nullptr;    // at the beginning of a page
    std::size_t bytes = 0;      // of the payload, as asked for
    identity id{};
    int descriptor = -1;
    bool is_zero = false;  // all of the payload, as created
    bool is_owner = false;
    std::uint64_t forks = 0;  // that this process had seen before it had the segment
};

/// Makes a segment, new or used before. Returns 0, or what the system says: ENOMEM where there is no memory, also if it
/// might be granted now and the process be killed for it later; EMFILE where there is no descriptor, EFBIG beyond the
/// limit of file sizes; ENOSYS, EPERM or EACCES where it makes no such files.
[[nodiscard]] int create(std::size_t bytes, segment& made) noexcept;

/// Takes the segment that process `pid` has under `descriptor`. Returns 0, or: ENOENT where there is no such process or
/// descriptor, EACCES where this process may not see it, ESTALE where it is something else or used for something else,
/// EPROTO where another version of this library made it, ENOMEM, EMFILE.
[[nodiscard]] int attach(pid_t pid, int descriptor, identity const& id, std::size_t bytes, segment& found) noexcept;

/// Releases a segment. It is kept for another use, or goes with the last process that holds it.
void release(segment& held) noexcept;

/// Until `show`, children of a fork do not have it, unless this process is closed to others (not dumpable): then they
/// could not open it. (There is room for some dozens of them in a process.)
void hide(segment const& held) noexcept;

/// False: this process is a child from meanwhile, and the memory is not the segment's.
[[nodiscard]] bool show(segment const& held) noexcept;

[[nodiscard]] bool is_lost(segment const& held) noexcept;

/// Copies `bytes` bytes into the payload of a segment that this process has just made.
void fill(segment const& made, void const* values) noexcept;

/// Maps what has been filled of these bytes of the payload, by whoever. Pages that are first written to are mapped one
/// by one, those that are first read by the dozen, and can then be written to: ten times as fast. Measured by
/// `benchmarks/shared_arrays.py`.
void map_ahead(segment const& held, std::size_t first, std::size_t bytes) noexcept;

inline constexpr unsigned no_ticket = ~0u;

/// A ticket for a reference that leaves this process; no_ticket if there are none left.
[[nodiscard]] unsigned draw_ticket(segment const& held) noexcept;

/// Tells the sender that his reference has come. Once for each ticket; no_ticket is none.
void hand_in_ticket(segment const& held, unsigned ticket) noexcept;

[[nodiscard]] bool is_open(segment const& held, unsigned ticket) noexcept;

/// The bytes kept for later uses.
[[nodiscard]] std::size_t kept_bytes() noexcept;

/// At most that many, in segments that this process made, and as many in mappings of others. A process starts with
/// none.
void keep_at_most(std::size_t bytes) noexcept;

/// Gives all that is kept back to the system. Returns how many bytes they were.
std::size_t release_kept() noexcept;

}  // namespace twofold_segments
