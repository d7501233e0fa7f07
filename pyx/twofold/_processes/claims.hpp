// The table, in memory that processes share, of which process does which chunk of an array. With it each chunk is done
// exactly once, even if processes die in the middle of one: whatever a pool does, this table is authoritative.
//
// Knows nothing of Python, pools or elements, nor when a process is dead: its user tells it.
//
// The states of a chunk, by mode
//   out of place   free -> claimed -> done            the result is another array: a dead worker's chunk is done again
//   in place       free -> claimed -> ready -> done   computed into the worker's own memory, its scratch; once that is
//                                                     complete the chunk is ready, and the scratch is copied over it
//   check          free -> claimed -> done            computed into the scratch, and not copied: to find a failure
//
//   In place, a worker that dies before `ready` has not written to its chunk, so that chunk starts over. A worker that
//   dies later has left the complete result in its scratch, and the worker that takes over copies it (again).
//
// Workers
//   A worker is a number, which belongs to one thread of one process. Worker 0 made the table. Only it takes over
//   chunks, and only from processes that are known to be dead, never because they are late: a stopped process may
//   continue at any time and go on writing. There are no locks.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace twofold_claims {

enum class mode : std::uint64_t { out_of_place, in_place, check };

enum class state : std::uint64_t { free, claimed, ready, done };

/// How far a worker is with its chunk: for tests, in which it dies there.
enum class step { claimed, computed, ready, copied, done };

/// Identifies a process, also against a later one with the same pid.
struct identity {
    std::uint64_t process;
    std::uint64_t started;  // its start time, in any unit
    friend constexpr bool operator==(identity const&, identity const&) = default;
};

/// The work to do.
struct plan {
    std::size_t bytes;        // of the array; not 0
    std::size_t chunk_bytes;  // of a chunk, a multiple of every element's size; not 0
    std::size_t workers;      // the number that may join, including the creator of the table
    mode how;
};

/// No worker, no chunk, no failure.
inline constexpr std::size_t none = ~std::size_t{0};

/// What `compute` returns if it cannot go on.
inline constexpr std::size_t gave_up = none - 1;

/// The maximum size of a worker's scratch, and of a chunk that is done in place: it stays in the cache while it is
/// computed and copied. Measured by `benchmarks/processes.py --part scratch`.
inline constexpr std::size_t max_scratch_bytes = std::size_t{128} << 10;

/// After this many bytes of a large chunk a worker counts them, and checks whether the work is cancelled: at most some
/// milliseconds' work.
inline constexpr std::size_t slice_bytes = std::size_t{8} << 20;

/// Losses of a chunk are counted up to this number.
inline constexpr unsigned max_losses = 255;

/// A chunk: its state, the worker that has it or has done it, and how many workers have died while they had it.
struct chunk_word {
    state is = state::free;
    unsigned losses = 0;
    unsigned owner = 0;

    [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
        return static_cast<std::uint64_t>(is) | std::uint64_t{losses} << 8 | std::uint64_t{owner} << 32;
    }
    [[nodiscard]] static constexpr chunk_word unpacked(std::uint64_t word) noexcept {
        return {static_cast<state>(word & 3), static_cast<unsigned>(word >> 8 & 255),
                static_cast<unsigned>(word >> 32)};
    }
};

/// The table, in memory that it does not own. A copy of this object refers to the same table.
class table {
public:
    /// The size of a table in bytes. It must be aligned to a page, or at least to a cache line.
    [[nodiscard]] static std::size_t bytes_for(plan const& wanted) noexcept {
        return scratch_offset(wanted) + wanted.workers * scratch_bytes(wanted);
    }

    /// Creates a table in memory that no other process uses yet.
    static table create(void* memory, plan const& wanted) noexcept {
        std::memset(memory, 0, scratch_offset(wanted));
        new (memory) header{wanted.bytes, chunk_bytes(wanted), wanted.workers, wanted.how};
        return table(memory);
    }

    table() noexcept = default;

    /// The table that is in this memory.
    explicit table(void* memory) noexcept : header_(static_cast<header*>(memory)) {}

    [[nodiscard]] std::size_t bytes() const noexcept { return header_->bytes; }
    [[nodiscard]] std::size_t chunks() const noexcept { return (bytes() - 1) / header_->chunk_bytes + 1; }
    [[nodiscard]] std::size_t first_byte(std::size_t chunk) const noexcept { return chunk * header_->chunk_bytes; }
    [[nodiscard]] std::size_t bytes_of(std::size_t chunk) const noexcept {
        return (std::min)(header_->chunk_bytes, bytes() - first_byte(chunk));
    }
    [[nodiscard]] mode how() const noexcept { return header_->how; }

    // ---- workers

    /// A number for a new worker; `none` if there are enough. A worker that dies in this call has claimed nothing.
    [[nodiscard]] std::size_t join(identity process) const noexcept {
        std::size_t const worker = header_->joined.fetch_add(1);
        if (worker >= header_->workers) return none;
        workers()[worker].process = process.process;
        workers()[worker].started = process.started;
        return worker;  // claims come later and release: a process that sees one also sees this
    }

    /// The process of a worker that was seen to have a chunk.
    [[nodiscard]] identity process_of(std::size_t worker) const noexcept {
        return {workers()[worker].process, workers()[worker].started};
    }

    /// How many have joined.
    [[nodiscard]] std::size_t workers_joined() const noexcept {
        return (std::min)(header_->joined.load(), header_->workers);
    }

    /// Records that a worker has found nothing more to do, and wakes the process that waits.
    void leave() const noexcept {
        header_->left.fetch_add(1);
        syscall(SYS_futex, &header_->left, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    }

    /// Bytes that all workers have done.
    [[nodiscard]] std::size_t bytes_done() const noexcept {
        std::size_t sum = 0;
        for (std::size_t i = 0; i < workers_joined(); ++i) sum += workers()[i].bytes_done.load();
        return sum;
    }

    /// Bytes that one of them has done.
    [[nodiscard]] std::size_t bytes_done_by(std::size_t worker) const noexcept {
        return workers()[worker].bytes_done.load();
    }

    // ---- chunks

    [[nodiscard]] chunk_word at(std::size_t chunk) const noexcept {
        return chunk_word::unpacked(words()[chunk].load());
    }

    /// Does one chunk: the next free one from `next` on, which is advanced, or one before it. Returns false if none is
    /// free, if the work is cancelled, or if `compute` has given up.
    ///
    /// compute(first, n, target) computes the n bytes of the result from byte `first` on, and writes them to `target`.
    /// It returns the offset of the byte at which it has found a failure, `none` or `gave_up`. `out` is byte 0 of the
    /// result. at(step) is called at each step.
    template <class Compute, class At>
    bool do_chunk(std::size_t worker, std::size_t& next, std::byte* out, Compute const& compute, At const& at) const {
        std::size_t const chunk = claim(worker, next);
        if (chunk == none) return false;
        next = chunk + 1;
        at(step::claimed);
        std::size_t const first = first_byte(chunk);
        bool const matters = first < first_failure();  // results after a failure are not needed
        if (matters && !do_slices(worker, chunk, out, compute)) return false;
        at(step::computed);
        if (how() == mode::in_place && matters) {
            set(chunk, state::ready, worker);
            at(step::ready);
            std::memcpy(out + first, scratch(worker), bytes_of(chunk));
            at(step::copied);
        }
        set(chunk, state::done, worker);
        at(step::done);
        return true;
    }
    template <class Compute>
    bool do_chunk(std::size_t worker, std::size_t& next, std::byte* out, Compute const& compute) const {
        return do_chunk(worker, next, out, compute, [](step) {});
    }

    /// The first byte at which anything has failed, or `none`. Exact once all is done.
    [[nodiscard]] std::size_t first_failure() const noexcept { return header_->first_failure.load(); }

    /// Floating-point flags that workers have raised.
    void raise_flags(std::uint32_t flags) const noexcept { header_->flags.fetch_or(flags); }
    [[nodiscard]] std::uint32_t flags() const noexcept { return header_->flags.load(); }

    // ---- for the creator of the table

    /// No worker begins another chunk or slice from here on.
    void cancel() const noexcept { header_->cancelled.store(1); }
    [[nodiscard]] bool is_cancelled() const noexcept { return header_->cancelled.load() != 0; }

    [[nodiscard]] bool all_done() const noexcept {
        for (std::size_t i = 0; i < chunks(); ++i) {
            if (at(i).is != state::done) return false;
        }
        return true;
    }

    /// The first worker after `worker` that has a chunk, claimed or ready; `none` if there is no other. With `none` it
    /// begins at the first one. Takes time in proportion to the number of chunks.
    [[nodiscard]] std::size_t next_holder(std::size_t worker) const noexcept {
        std::size_t next = none;
        for (std::size_t i = 0; i < chunks(); ++i) {
            chunk_word const word = at(i);
            if (is_held(word) && word.owner >= worker + 1) next = (std::min)(next, std::size_t{word.owner});
        }
        return next;
    }

    /// Takes over from a worker that is dead, and so will never write again. Its chunk, if it is ready, is copied from
    /// its scratch, else it becomes free again. Returns how many workers have died over that chunk by now; 0 if it had
    /// none, or if the chunk was ready.
    unsigned bury(std::size_t worker, std::byte* out) const noexcept {
        unsigned worst = 0;
        std::size_t has_done = 0;
        for (std::size_t i = 0; i < chunks(); ++i) {
            chunk_word const word = at(i);
            if (word.owner != worker || word.is == state::free) continue;
            if (word.is == state::claimed) {
                unsigned const losses = (std::min)(word.losses + 1, max_losses);
                worst = (std::max)(worst, losses);
                words()[i].store(chunk_word{state::free, losses, 0}.packed());
                continue;
            }
            if (word.is == state::ready) {
                std::memcpy(out + first_byte(i), scratch(worker), bytes_of(i));
                set(i, state::done, worker);
            }
            has_done += bytes_of(i);
        }
        workers()[worker].bytes_done.store(has_done);  // without the bytes of a chunk that starts over
        return worst;
    }

    /// What `wait` compares with.
    [[nodiscard]] std::uint32_t workers_left() const noexcept { return header_->left.load(); }

    /// Waits until more workers have left than `seen`, which workers_left() returned, or a signal comes, or the time
    /// has passed.
    void wait(std::uint32_t seen, std::int64_t nanoseconds) const noexcept {
        timespec const longest{static_cast<time_t>(nanoseconds / 1'000'000'000),
                               static_cast<long>(nanoseconds % 1'000'000'000)};
        syscall(SYS_futex, &header_->left, FUTEX_WAIT, seen, &longest, nullptr, 0);
    }

private:
    // Lock-free in every process, since a process that dies would keep a lock.
    template <class T>
    using shared = std::atomic<T>;
    static_assert(shared<std::uint64_t>::is_always_lock_free && shared<std::uint32_t>::is_always_lock_free);

    struct alignas(64) header {
        std::size_t bytes;
        std::size_t chunk_bytes;
        std::size_t workers;
        mode how;
        alignas(64) shared<std::size_t> joined = 0;
        shared<std::size_t> first_failure = none;
        shared<std::uint32_t> cancelled = 0;
        shared<std::uint32_t> left = 0;
        shared<std::uint32_t> flags = 0;
    };

    // On a cache line of its own, which only this worker writes to.
    struct alignas(64) worker_line {
        std::uint64_t process;
        std::uint64_t started;
        shared<std::size_t> bytes_done;
    };

    [[nodiscard]] static std::size_t chunk_bytes(plan const& wanted) noexcept {
        return wanted.how == mode::in_place ? (std::min)(wanted.chunk_bytes, max_scratch_bytes) : wanted.chunk_bytes;
    }
    [[nodiscard]] static std::size_t scratch_bytes(plan const& wanted) noexcept {
        return wanted.how == mode::out_of_place ? 0 : (std::min)(wanted.chunk_bytes, max_scratch_bytes);
    }
    [[nodiscard]] static std::size_t scratch_offset(plan const& wanted) noexcept {
        std::size_t const words = ((wanted.bytes - 1) / chunk_bytes(wanted) + 1) * sizeof(std::uint64_t);
        return sizeof(header) + wanted.workers * sizeof(worker_line) + (words + 63) / 64 * 64;
    }
    [[nodiscard]] plan made_for() const noexcept {
        return {header_->bytes, header_->chunk_bytes, header_->workers, header_->how};
    }

    [[nodiscard]] worker_line* workers() const noexcept { return reinterpret_cast<worker_line*>(header_ + 1); }
    [[nodiscard]] shared<std::uint64_t>* words() const noexcept {
        return reinterpret_cast<shared<std::uint64_t>*>(workers() + header_->workers);
    }
    [[nodiscard]] std::byte* scratch(std::size_t worker) const noexcept {
        plan const made = made_for();
        return reinterpret_cast<std::byte*>(header_) + scratch_offset(made) + worker * scratch_bytes(made);
    }

    [[nodiscard]] static bool is_held(chunk_word word) noexcept {
        return word.is == state::claimed || word.is == state::ready;
    }

    void set(std::size_t chunk, state is, std::size_t worker) const noexcept {
        words()[chunk].store(chunk_word{is, at(chunk).losses, static_cast<unsigned>(worker)}.packed());
    }

    // Claims in order, so that all chunks before a claimed one are taken already; after the last chunk from the first
    // on, since chunks of dead workers are free again.
    [[nodiscard]] std::size_t claim(std::size_t worker, std::size_t next) const noexcept {
        std::size_t const count = chunks();
        for (std::size_t i = 0; i < count; ++i) {
            std::size_t const chunk = next + i < count ? next + i : next + i - count;
            if (!claim_this(worker, chunk)) continue;
            // Checked after the claim: a process that calls `cancel` and then finds no chunk held can rely on none
            // being written.
            if (!is_cancelled()) return chunk;
            set(chunk, state::free, 0);
            return none;
        }
        return none;
    }
    [[nodiscard]] bool claim_this(std::size_t worker, std::size_t chunk) const noexcept {
        std::uint64_t seen = words()[chunk].load();
        chunk_word const word = chunk_word::unpacked(seen);
        chunk_word const mine{state::claimed, word.losses, static_cast<unsigned>(worker)};
        return word.is == state::free && words()[chunk].compare_exchange_strong(seen, mine.packed());
    }

    // Returns false, and leaves the chunk free, if it was not completed.
    template <class Compute>
    bool do_slices(std::size_t worker, std::size_t chunk, std::byte* out, Compute const& compute) const {
        std::size_t const step_bytes = how() == mode::out_of_place ? slice_bytes : scratch_bytes(made_for());
        std::size_t const first = first_byte(chunk);
        std::size_t const end = first + bytes_of(chunk);
        for (std::size_t i = first; i < end; i += step_bytes) {
            std::size_t const n = (std::min)(step_bytes, end - i);
            bool const goes_on = i == first || !is_cancelled();
            std::size_t const failure =
                goes_on ? compute(i, n, how() == mode::out_of_place ? out + i : scratch(worker)) : gave_up;
            if (failure == gave_up) {
                count(worker, first - i);  // subtracts what was counted
                set(chunk, state::free, 0);
                return false;
            }
            if (failure != none) fail(failure);
            count(worker, n);
        }
        return true;
    }

    void count(std::size_t worker, std::size_t bytes) const noexcept {
        shared<std::size_t>& done = workers()[worker].bytes_done;
        done.store(done.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    }

    void fail(std::size_t byte) const noexcept {
        std::size_t first = first_failure();
        while (byte < first && !header_->first_failure.compare_exchange_weak(first, byte)) {
        }
    }

    header* header_ = nullptr;
};

}  // namespace twofold_claims
