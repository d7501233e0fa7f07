// The crew: helper threads that share the chunks of a call with the thread that made it. This is the only file that
// creates a thread. It knows nothing of elements or of instruction sets.
//
// How a call is shared
//   A call puts its job on its own stack, announces it in a slot of a static table, and claims chunks, first to last,
//   until none is left. Helpers that see the slot open count themselves in, claim chunks from the same counter, last to
//   first, so that in calls on the same array each finds in its cache what it left there, and count themselves out.
//   Whoever claims past the last chunk closes the slot. The caller leaves when the slot is closed and the count is
//   zero, so it waits for helpers in the middle of a chunk, never for one that has not come.
//
// Fork
//   *prepare* takes the lock, and stops and joins the helpers, each at the end of its chunk; callers are not waited
//   for. *parent* lets go of the lock; helpers are started again by the next call that wants them. *child* clears the
//   table: only the forking thread lives there. A caller only ever tries the lock, and goes on alone when it is taken.
//   Nothing here has a destructor that runs at exit, and nothing allocates.
//
// Everywhere but on Linux a call runs on its caller alone: nobody has measured another system yet.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#endif

#include "cancellation.hpp"
#include "clock.hpp"
#include "version.hpp"

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// How the helpers are that there are at present.
enum class helpers { none, asleep, awake };

// A call's work, on the stack of its caller.
struct alignas(64) job {
    void (*run)(void const* context, std::size_t chunk) noexcept;
    void const* context;
    std::size_t chunk_count;
    int caller_cpu;  // on which the caller was when it announced the job
    // How many chunks have been claimed from the front, and, 32 bits higher, from the back.
    alignas(64) std::atomic<std::uint64_t> claimed{0};
};

#if defined(__linux__)

// One announced job. The word holds all of its state, so that every change is one atomic step.
struct alignas(64) slot {
    static constexpr std::uint32_t taken = 1;       // by a caller
    static constexpr std::uint32_t open = 2;        // helpers may come in
    static constexpr std::uint32_t waited_for = 4;  // the caller sleeps on the word
    static constexpr std::uint32_t one_helper = 1u << 3;
    static constexpr std::uint32_t one_allowed = 1u << 17;
    static constexpr std::uint32_t most_helpers = (1u << 14) - 1;

    std::atomic<std::uint32_t> word{0};
    std::atomic<job*> announced{nullptr};
};

// All the state of the crew. Static and trivially destroyed: helpers may look at it while the process exits.
struct crew_state {
    static constexpr unsigned slot_count = 16;     // calls beyond these, at one time, run on their callers alone
    static constexpr unsigned most_helpers = 255;  // memory is saturated by far fewer

    alignas(64) std::atomic<std::uint32_t> announcements{0};  // a futex: helpers spin, then sleep on it
    std::atomic<bool> stop{false};
    alignas(64) std::atomic<std::uint32_t> asleep{0};
    std::atomic<std::uint32_t> looking_out{0};  // awake, and with nothing to do
    alignas(64) std::atomic<std::uint32_t> helper_count{0};
    // The process in which calls may be announced: its fork handlers are there, and the table is its own.
    std::atomic<pid_t> process{0};
    slot slots[slot_count];

    // The lock and what it guards. It names its owner, since the child of a fork has to tell a lock whose owner it does
    // not have from one that is taken.
    alignas(64) std::atomic<pid_t> lock_owner{0};  // the process that has it, or 0
    bool handlers_registered = false;
    sigset_t signals_before_fork = {};
    std::int64_t no_start_before_ns = 0;
    pthread_t helpers[most_helpers] = {};
};

// Hidden, so that each shared object has a crew of its own: g++ marks inline variables STB_GNU_UNIQUE, and those are
// shared by a whole process even under RTLD_LOCAL.
__attribute__((visibility("hidden"))) inline constinit crew_state the_crew;

// Arch is in the names of these functions alone: see "Instruction sets" in twofold.hpp.
template <class Arch>
class __attribute__((visibility("hidden"))) crew {
public:
    // How long a helper looks out for the next call before it sleeps. As long as waking it would take, several times
    // over: with less, calls that come back to back would pay for the waking.
    static constexpr std::int64_t spin_ns = 50'000;

    /// Calls work(i) once for each i in [0, chunk_count), on this thread and on at most `helpers` more, which are
    /// woken, or started, if need be. Returns when all calls have returned; what they wrote is visible to the caller.
    template <std::invocable<std::size_t> Work>
    static void share(std::size_t chunk_count, unsigned helpers, Work const& work) noexcept {
        job mine{[](void const* context, std::size_t i) noexcept { (*static_cast<Work const*>(context))(i); }, &work,
                 chunk_count, -1};
        // More helpers than there are further chunks would come for nothing.
        if (chunk_count <= helpers) helpers = chunk_count == 0 ? 0 : static_cast<unsigned>(chunk_count - 1);
        slot* const place = helpers > 0 ? announce(mine, helpers) : nullptr;
        while (claim_and_run<side::front>(mine)) {
        }
        if (place != nullptr) withdraw(*place, mine);
    }

    /// Whether any helper is awake, and so at hand.
    [[nodiscard]] static helpers state_of_helpers() noexcept {
        std::uint32_t const living = the_crew.helper_count.load(std::memory_order_relaxed);
        if (living == 0) return helpers::none;
        return living > the_crew.asleep.load(std::memory_order_relaxed) ? helpers::awake : helpers::asleep;
    }

    /// Threads that help at present, for tests and diagnostics.
    [[nodiscard]] static unsigned helper_count() noexcept {
        return the_crew.helper_count.load(std::memory_order_relaxed);
    }

private:
    [[nodiscard]] static constexpr std::uint32_t helpers_in(std::uint32_t word) noexcept {
        return word / slot::one_helper & slot::most_helpers;
    }
    [[nodiscard]] static constexpr std::uint32_t allowed_in(std::uint32_t word) noexcept {
        return word / slot::one_allowed;
    }

    enum class side { front, back };

    template <side From>
    static bool claim_and_run(job& work) noexcept {
        constexpr std::uint64_t one = From == side::front ? 1 : std::uint64_t{1} << 32;
        std::uint64_t const claimed = work.claimed.fetch_add(one, std::memory_order_relaxed);
        std::size_t const front = claimed & 0xFFFF'FFFF;
        std::size_t const back = claimed >> 32;
        if (front + back >= work.chunk_count) return false;
        work.run(work.context, From == side::front ? front : work.chunk_count - 1 - back);
        return true;
    }

    // ---- the caller's side

    static slot* announce(job& mine, unsigned helpers) noexcept {
        if (helpers > crew_state::most_helpers) helpers = crew_state::most_helpers;
        if (the_crew.process.load(std::memory_order_acquire) != getpid() && !set_up()) return nullptr;
        slot* const place = take_slot();
        if (place == nullptr) return nullptr;
        mine.caller_cpu = sched_getcpu();
        place->announced.store(&mine, std::memory_order_relaxed);
        place->word.store(slot::taken | slot::open | helpers * slot::one_allowed, std::memory_order_release);
        // A helper that goes to sleep says so first and then looks at the announcements; we announce first and then
        // look for sleepers. Both sequentially consistent: one of the two sees the other.
        the_crew.announcements.fetch_add(1, std::memory_order_seq_cst);
        std::uint32_t const come_by_themselves = the_crew.looking_out.load(std::memory_order_seq_cst);
        if (come_by_themselves < helpers && the_crew.asleep.load(std::memory_order_seq_cst) > 0) {
            futex_wake(the_crew.announcements, helpers - come_by_themselves);
        }
        if (the_crew.helper_count.load(std::memory_order_relaxed) < helpers) start_helpers(helpers);
        return place;
    }

    static slot* take_slot() noexcept {
        for (slot& place : the_crew.slots) {
            std::uint32_t nobody = 0;
            if (place.word.load(std::memory_order_relaxed) == 0 &&
                place.word.compare_exchange_strong(nobody, slot::taken, std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
                return &place;
            }
        }
        return nullptr;
    }

    static void withdraw(slot& place, job& mine) noexcept {
        // In the child of a fork that a signal handler made during this call, the table has been cleared, the slot is
        // no longer ours, and every chunk that a helper had claimed is done.
        if (place.announced.load(std::memory_order_relaxed) != &mine) return;
        std::uint32_t word = place.word.fetch_and(~slot::open, std::memory_order_acquire) & ~slot::open;
        for (unsigned turn = 0; helpers_in(word) > 0; word = place.word.load(std::memory_order_acquire)) {
            if (++turn < spin_turns) {
                relax();
            } else if ((word & slot::waited_for) != 0 ||
                       place.word.compare_exchange_strong(word, word | slot::waited_for, std::memory_order_acquire)) {
                futex_wait(place.word, word | slot::waited_for);
            }
        }
        place.announced.store(nullptr, std::memory_order_relaxed);
        place.word.store(0, std::memory_order_release);
    }

    // ---- the helper's side

    static void* helper_main(void*) noexcept {
        std::int64_t look_out_until = now_ns<Arch>() + spin_ns;
        for (;;) {
            std::uint32_t const seen = the_crew.announcements.load(std::memory_order_acquire);
            if (the_crew.stop.load(std::memory_order_acquire)) return nullptr;
            if (visit_slots()) {
                look_out_until = now_ns<Arch>() + spin_ns;
                continue;
            }
            // A call that has no room for this helper does not keep it awake.
            if (spin_until_announced(seen, look_out_until)) continue;
            the_crew.asleep.fetch_add(1, std::memory_order_seq_cst);
            futex_wait(the_crew.announcements, seen);
            the_crew.asleep.fetch_sub(1, std::memory_order_relaxed);
            look_out_until = now_ns<Arch>() + spin_ns;
        }
    }

    static bool visit_slots() noexcept {
        bool helped = false;
        for (slot& place : the_crew.slots) {
            if (enter(place)) {
                help(place);
                helped = true;
            }
        }
        return helped;
    }

    static bool enter(slot& place) noexcept {
        std::uint32_t word = place.word.load(std::memory_order_relaxed);
        while ((word & slot::open) != 0 && helpers_in(word) < allowed_in(word)) {
            if (place.word.compare_exchange_weak(word, word + slot::one_helper, std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    static void help(slot& place) noexcept {
        job& work = *place.announced.load(std::memory_order_relaxed);
        if (int const here = sched_getcpu(); here >= 0 && here == work.caller_cpu) leave_cpu(here);
        while (!the_crew.stop.load(std::memory_order_relaxed)) {
            if (!claim_and_run<side::back>(work)) {
                place.word.fetch_and(~slot::open, std::memory_order_relaxed);
                break;
            }
        }
        // From here on the job may be gone. The slot is static.
        std::uint32_t const before = place.word.fetch_sub(slot::one_helper, std::memory_order_release);
        if ((before & slot::waited_for) != 0 && helpers_in(before) == 1) futex_wake(place.word, 1);
    }

    // Linux likes to wake a helper on the CPU of the caller that wakes it, and to leave both there for milliseconds
    // while other CPUs idle. Forbidding this thread that CPU for a moment moves it. Measured by
    // `benchmarks/numpy_add.py`.
    static void leave_cpu(int cpu) noexcept {
        cpu_set_t allowed[8];  // 8192 CPUs, the most that Linux can be built for
        if (sched_getaffinity(0, sizeof(allowed), allowed) != 0 || CPU_COUNT_S(sizeof(allowed), allowed) < 2) return;
        cpu_set_t others[8];
        for (std::size_t i = 0; i < 8; ++i) others[i] = allowed[i];
        CPU_CLR_S(static_cast<std::size_t>(cpu), sizeof(others), others);
        if (sched_setaffinity(0, sizeof(others), others) == 0) sched_setaffinity(0, sizeof(allowed), allowed);
    }

    static bool spin_until_announced(std::uint32_t seen, std::int64_t end) noexcept {
        the_crew.looking_out.fetch_add(1, std::memory_order_seq_cst);
        bool announced = false;
        while (!announced && now_ns<Arch>() < end) {
            for (unsigned turn = 0; turn < 32 && !announced; ++turn) {
                announced = the_crew.announcements.load(std::memory_order_relaxed) != seen;
                relax();
            }
        }
        the_crew.looking_out.fetch_sub(1, std::memory_order_seq_cst);
        return announced;
    }

    // ---- starting and stopping helpers

    // Once in each process, before its first announcement.
    static bool set_up() noexcept {
        pin_shared_object();
        sigset_t const before = block_signals();
        bool ready = false;
        if (try_lock()) {
            // Set first: were a fork to copy this process in between, its child would go without handlers, not with two
            // sets of them.
            if (!the_crew.handlers_registered) {
                the_crew.handlers_registered = true;
                if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
                    the_crew.handlers_registered = false;
                }
            }
            ready = the_crew.handlers_registered;
            // Another thread may have been here while this one came for the lock, and may have announced calls since.
            if (ready && the_crew.process.load(std::memory_order_relaxed) != getpid()) become_own_process();
            unlock();
        }
        restore_signals(before);
        return ready;
    }

    // Helpers run this object's code, so dlclose must not unmap it. Not under the lock: the dynamic linker has a lock
    // of its own, which another thread may hold while it forks.
    static void pin_shared_object() noexcept {
        without_cancellation const guard;
        Dl_info here;
        if (dladdr(static_cast<void const*>(&the_crew), &here) != 0 && here.dli_fname != nullptr) {
            dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        }
    }

    static void start_helpers(unsigned wanted) noexcept {
        // Helpers inherit the blocked signals, and so leave signals to the program's own threads.
        sigset_t const before = block_signals();
        if (try_lock()) {
            if (now_ns<Arch>() >= the_crew.no_start_before_ns) {
                std::uint32_t living = the_crew.helper_count.load(std::memory_order_relaxed);
                while (living < wanted) {
                    if (pthread_create(&the_crew.helpers[living], nullptr, helper_main, nullptr) != 0) {
                        // Out of threads: make do with those we have, and do not ask again at every call.
                        the_crew.no_start_before_ns = now_ns<Arch>() + retry_ns;
                        break;
                    }
                    the_crew.helper_count.store(++living, std::memory_order_relaxed);
                }
            }
            unlock();
        }
        restore_signals(before);
    }

    static void stop_helpers() noexcept {
        std::uint32_t const living = the_crew.helper_count.load(std::memory_order_relaxed);
        if (living == 0) return;
        without_cancellation const guard;
        the_crew.stop.store(true, std::memory_order_release);
        the_crew.announcements.fetch_add(1, std::memory_order_seq_cst);
        futex_wake(the_crew.announcements, INT_MAX);
        for (std::uint32_t i = 0; i < living; ++i) pthread_join(the_crew.helpers[i], nullptr);
        the_crew.helper_count.store(0, std::memory_order_relaxed);
        the_crew.stop.store(false, std::memory_order_relaxed);
    }

    // What this process must not believe of the one that it was copied from, if it was: helpers and callers that it
    // does not have.
    static void become_own_process() noexcept {
        the_crew.helper_count.store(0, std::memory_order_relaxed);
        the_crew.asleep.store(0, std::memory_order_relaxed);
        the_crew.looking_out.store(0, std::memory_order_relaxed);
        the_crew.stop.store(false, std::memory_order_relaxed);
        the_crew.no_start_before_ns = 0;
        for (slot& place : the_crew.slots) {
            place.announced.store(nullptr, std::memory_order_relaxed);
            place.word.store(0, std::memory_order_relaxed);
        }
        the_crew.process.store(getpid(), std::memory_order_release);
    }

    // ---- fork

    // Signals stay blocked from here until the handlers after the fork: a signal handler that forks would come for the
    // lock that its own thread holds.
    static void before_fork() noexcept {
        sigset_t const before = block_signals();
        while (!try_lock()) sched_yield();  // the owner starts helpers or forks: tens of microseconds
        the_crew.signals_before_fork = before;
        if (the_crew.process.load(std::memory_order_relaxed) == getpid()) stop_helpers();
    }

    static void after_fork_in_parent() noexcept {
        sigset_t const before = the_crew.signals_before_fork;
        unlock();
        restore_signals(before);
    }

    static void after_fork_in_child() noexcept {
        become_own_process();
        after_fork_in_parent();
    }

    static sigset_t block_signals() noexcept {
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        return before;
    }

    static void restore_signals(sigset_t const& before) noexcept { pthread_sigmask(SIG_SETMASK, &before, nullptr); }

    // ---- the lock. Who takes it has blocked the signals, so that no signal handler forks while its thread has it.

    static bool try_lock() noexcept {
        pid_t const process = getpid();
        pid_t owner = the_crew.lock_owner.load(std::memory_order_relaxed);
        // A lock that another process owns was copied by a fork together with everything but its owner.
        return owner != process &&
               the_crew.lock_owner.compare_exchange_strong(owner, process, std::memory_order_acquire);
    }

    static void unlock() noexcept { the_crew.lock_owner.store(0, std::memory_order_release); }

    // ---- the system

    static constexpr unsigned spin_turns = 2000;  // about as long as a helper needs for a chunk; then the caller sleeps
    static constexpr std::int64_t retry_ns = 1'000'000'000;

    static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    }

    // A raw futex: std::atomic::wait keeps a table for the whole process inside the standard library, and a fork may
    // leave that locked.
    static void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
        syscall(SYS_futex, static_cast<void*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
    }
    static void futex_wake(std::atomic<std::uint32_t>& word, unsigned threads) noexcept {
        syscall(SYS_futex, static_cast<void*>(&word), FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
    }
    static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
};

#else  // not Linux

template <class Arch>
class crew {
public:
    static constexpr std::int64_t spin_ns = 0;

    template <std::invocable<std::size_t> Work>
    static void share(std::size_t chunk_count, unsigned, Work const& work) noexcept {
        for (std::size_t i = 0; i < chunk_count; ++i) work(i);
    }
    [[nodiscard]] static helpers state_of_helpers() noexcept { return helpers::none; }
    [[nodiscard]] static unsigned helper_count() noexcept { return 0; }
};

#endif

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
