// The crew: helper threads that share the chunks of a call with the thread that made it. This is the only file that
// creates a thread. It knows nothing of elements or of instruction sets.
//
// How a call is shared
//   A call announces its job in a slot of a static table and takes chunks, first to last, until none is left. Helpers
//   that see chunks in a slot count themselves in, take chunks, last to first, and count themselves out. (From both
//   ends, so that in repeated calls on one array each thread finds its data in its own cache.) One word holds which
//   chunks are left and how many helpers are in, so entering a job and taking a chunk are one step: no helper enters a
//   job without chunks. The caller leaves when no chunk is left and no helper is in, so it waits for helpers in the
//   middle of a chunk, never for one that has not come.
//
// Floating-point environment
//   A helper adopts its caller's modes when it enters a job, and leaves the flags that it raises in the slot, where the
//   caller finds and raises them. So results and flags are those of a call on one thread. A caller whose operations may
//   trap works alone: the signal must come on its own thread, at the operation that caused it.
//
// Fork
//   *prepare* takes the lock, and stops and joins the helpers, each at the end of its chunk; it does not wait for
//   callers. *parent* releases the lock; the next call that wants helpers starts them again. *child* removes from the
//   table the threads that it does not have. So does the first call of a child in which no handler ran: a copy by
//   _Fork, or by a fork that began before a first call on another thread registered the handlers. A caller only ever
//   tries the lock, and works alone if it is taken. Nothing here has a destructor that runs at exit, and nothing
//   allocates.
//
//   A chunk may run a user's kernel, which may wait for something that the forking thread holds: a mutex, Python's GIL.
//   So *prepare* waits at most two seconds, and then leaves such helpers behind. Helpers belong to a generation, which
//   each *prepare* ends: a helper that was left behind ends with its chunk, and its caller waits for it as usual.
//   Python announces a fork earlier, while the forking thread can still release the GIL: see python.hpp.
//
//   A call inside a chunk runs on that thread alone. (So does one inside a loop that runs alone: see `alone`.) A fork
//   inside a chunk is like any other if it is on the caller's thread. On a helper it is an error: the child's only
//   thread would be a helper without a crew.
//
// On other systems than Linux, a call runs on its caller alone: nobody has measured them yet.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#endif

#include <twofold/flags.hpp>
#include <twofold/machine/cancellation.hpp>
#include <twofold/machine/clock.hpp>
#include <twofold/machine/float_environment.hpp>
#include <twofold/machine/process_id.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail {

/// The state of the existing helpers.
enum class helpers { none, asleep, awake };

/// What helpers did for a call: nothing; some of its chunks; some of its chunks, and so late that the caller fell
/// asleep waiting.
enum class help { none, given, given_late };

#if defined(__linux__)

// One announced job.
struct slot {
    // The state of the job, in one word, so that every change is atomic. Lower half: a bit for a caller that sleeps on
    // the word, the number of helpers that are in, and the number that may be. Upper half: the chunks that are not
    // taken yet, [front, back).
    static constexpr std::uint64_t waited_for = 1;
    static constexpr std::uint64_t one_helper = std::uint64_t{1} << 1;
    static constexpr std::uint64_t one_allowed = std::uint64_t{1} << 16;
    static constexpr std::uint64_t one_front = std::uint64_t{1} << 32;
    static constexpr std::uint64_t one_back = std::uint64_t{1} << 48;
    static constexpr std::size_t max_chunks = (std::size_t{1} << 16) - 1;

    // Spinning helpers poll the word, so the job is on the same cache line and arrives with it.
    alignas(64) std::atomic<std::uint64_t> word{0};
    // The job, for helpers that have counted themselves in.
    void (*run)(void const* context, std::size_t chunk) noexcept = nullptr;
    void const* context = nullptr;
    float_modes modes;
    int caller_cpu = -1;                   // the caller's CPU when it announced the job
    std::atomic<std::uint32_t> raised{0};  // floating-point flags that helpers have raised; lost_helper
    // Not a floating-point flag: in the child of a fork in the middle of this job, a helper that was in a chunk is
    // missing.
    static constexpr std::uint32_t lost_helper = std::uint32_t{1} << 31;

    // The thread that called; 0: the slot is free. On a cache line that no helper reads.
    alignas(64) std::atomic<std::uintptr_t> caller{0};
};

// All the state of the crew. Static and trivially destroyed: helpers may look at it while the process exits.
struct crew_state {
    static constexpr unsigned slot_count = 16;    // more calls at one time run on their callers alone
    static constexpr unsigned max_helpers = 255;  // memory is saturated by far fewer

    alignas(64) std::atomic<std::uint32_t> announcements{0};  // a futex: helpers spin, then sleep on it
    std::atomic<std::uint32_t> generation{0};                 // helpers of an earlier one exit
    // Read by every call, and rarely written.
    // The process that owns the helpers and the table, once the fork handlers are registered. No other may announce a
    // call.
    alignas(64) std::atomic<pid_t> process{0};
    std::atomic<std::uint32_t> helper_count{0};
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<std::uint32_t> forks_ahead{0};              // announced and not over yet: no helper is started
    std::atomic<pthread_key_t> helper_key{0};               // has a value in helpers, and in no other thread
    alignas(64) std::atomic<std::uint32_t> looking_out{0};  // helpers that are awake and idle
    slot slots[slot_count];

    // The lock and what it guards. It names its owner, so that the child of a fork can recognize a lock whose owner was
    // not copied.
    alignas(64) std::atomic<pid_t> lock_owner{0};  // the process that has it, or 0
    std::atomic<std::uintptr_t> forking{0};        // the thread whose fork has it, if one has
    sigset_t signals_before_fork = {};
    std::int64_t no_start_before_ns = 0;
    pthread_t helpers[max_helpers] = {};

    // Another lock: who has it registers the fork handlers.
    std::atomic<pid_t> registrar{0};
    std::atomic<bool> handlers_registered{false};
};

// Hidden, so that each shared object has a crew of its own: g++ marks inline variables STB_GNU_UNIQUE, and those are
// shared by a whole process even under RTLD_LOCAL.
__attribute__((visibility("hidden"))) inline constinit crew_state the_crew;

inline namespace TWOFOLD_FLAGS_NAMESPACE {

class __attribute__((visibility("hidden"))) crew {
public:
    // How long a helper spins for the next call before it sleeps: about as long as waking it takes. If it were less,
    // back-to-back calls would pay for waking. Measured by `benchmarks/thresholds.cpp` (waking).
    static constexpr std::int64_t spin_ns = 50'000;

    /// The maximum number of chunks of a call.
    static constexpr std::size_t max_chunks = slot::max_chunks;

    /// Calls work(i) once for each i in [0, chunk_count), on this thread and on at most `helpers` more, which are woken
    /// or started as needed. Returns when all these calls have returned; what they wrote is visible to the caller.
    /// Returns what helpers did. chunk_count <= max_chunks.
    template <std::invocable<std::size_t> Work>
    static help share(std::size_t chunk_count, unsigned helpers, Work const& work) noexcept {
        // There is one chunk for the caller and at most one helper for each other chunk.
        if (chunk_count <= helpers) helpers = chunk_count == 0 ? 0 : static_cast<unsigned>(chunk_count - 1);
        auto const run = [](void const* context, std::size_t i) noexcept { (*static_cast<Work const*>(context))(i); };
        slot* const job = helpers > 0 ? announce(chunk_count, helpers, run, &work) : nullptr;
        if (job == nullptr) {
            alone const guard;
            for (std::size_t i = 0; i < chunk_count; ++i) work(i);
            return help::none;
        }
        std::size_t i = 0;  // the caller's own chunk, which is not in the slot
        do {
            work(i);
        } while (take_front(*job, i));
        std::uint64_t const end = withdraw(*job);
        if (back_of(end) == chunk_count) return help::none;
        return (end & slot::waited_for) == 0 ? help::given : help::given_late;
    }

    /// While it lives, calls on this thread run alone, as they do inside a chunk that is shared: the thread holds a
    /// slot without a job. (Unless all slots are taken.)
    class alone {
    public:
        alone() noexcept : held_(is_ours() || set_up() ? take_slot() : nullptr) {}
        ~alone() {
            if (held_ != nullptr) held_->caller.store(0, std::memory_order_release);
        }
        alone(alone const&) = delete;
        alone& operator=(alone const&) = delete;

    private:
        slot* held_;
    };

    /// Whether any helper exists, and whether one is awake.
    [[nodiscard]] static helpers state_of_helpers() noexcept {
        std::uint32_t const living = the_crew.helper_count.load(std::memory_order_relaxed);
        if (living == 0) return helpers::none;
        return living > the_crew.asleep.load(std::memory_order_relaxed) ? helpers::awake : helpers::asleep;
    }

    /// The number of helper threads at present, for tests and diagnostics.
    [[nodiscard]] static unsigned helper_count() noexcept {
        return the_crew.helper_count.load(std::memory_order_relaxed);
    }

    // ---- for a binding that knows of a fork before *prepare* does: expect_fork; stop_for_fork, if expect_fork says
    // so; the fork, whether it succeeds or not; fork_is_over, or in the child fork_is_over_in_child. Any number of
    // threads may do so at a time.

    /// Called once, before any of these, so that the child of any fork forgets the forks that its parent expected.
    static void watch_forks() noexcept {
        if (!is_ours()) static_cast<void>(set_up());
    }

    /// From here on calls run alone, and no helper is started. Returns whether there may be helpers to stop.
    [[nodiscard]] static bool expect_fork() noexcept {
        the_crew.forks_ahead.fetch_add(1, std::memory_order_seq_cst);
        // A thread that starts helpers takes the lock first and then reads forks_ahead; all accesses are sequentially
        // consistent.
        return the_crew.lock_owner.load(std::memory_order_seq_cst) != 0 ||
               the_crew.helper_count.load(std::memory_order_seq_cst) != 0;
    }

    /// Does what *prepare* does. Must not be called with a lock that a kernel may want.
    static void stop_for_fork() noexcept {
        if (!is_ours() || is_helper()) return;
        sigset_t const before = block_signals();
        stop_helpers_under_lock();
        unlock();
        restore_signals(before);
    }

    static void fork_is_over() noexcept {
        std::uint32_t ahead = the_crew.forks_ahead.load(std::memory_order_relaxed);
        // It may be 0 already: in a child that was forked while its parent was expecting another fork.
        while (ahead > 0 && !the_crew.forks_ahead.compare_exchange_weak(ahead, ahead - 1, std::memory_order_relaxed)) {
        }
    }

    /// The forks that other threads were expecting are the parent's, not this process's.
    static void fork_is_over_in_child() noexcept { the_crew.forks_ahead.store(0, std::memory_order_relaxed); }

private:
    [[nodiscard]] static constexpr std::uint64_t helpers_in(std::uint64_t word) noexcept {
        return word / slot::one_helper & 0x7FFF;
    }
    [[nodiscard]] static constexpr std::uint64_t allowed_in(std::uint64_t word) noexcept {
        return word / slot::one_allowed & 0xFFFF;
    }
    [[nodiscard]] static constexpr std::uint64_t front_of(std::uint64_t word) noexcept {
        return word / slot::one_front & 0xFFFF;
    }
    [[nodiscard]] static constexpr std::uint64_t back_of(std::uint64_t word) noexcept { return word / slot::one_back; }
    [[nodiscard]] static constexpr bool has_chunks(std::uint64_t word) noexcept {
        return front_of(word) < back_of(word);
    }
    [[nodiscard]] static constexpr bool wants_helpers(std::uint64_t word) noexcept {
        return has_chunks(word) && helpers_in(word) < allowed_in(word);
    }

    // ---- the caller's side

    static slot* announce(std::size_t chunk_count, unsigned helpers,
                          void (*run)(void const* context, std::size_t chunk) noexcept, void const* context) noexcept {
        if (helpers > crew_state::max_helpers) helpers = crew_state::max_helpers;
        float_modes const modes = float_modes::current();
        if (modes.may_trap()) return nullptr;
        if (the_crew.forks_ahead.load(std::memory_order_relaxed) != 0) return nullptr;
        if (!is_ours() && !set_up()) return nullptr;
        slot* const job = take_slot();
        if (job == nullptr) return nullptr;
        job->run = run;
        job->context = context;
        job->modes = modes;
        job->raised.store(0, std::memory_order_relaxed);
        job->caller_cpu = sched_getcpu();
        // The caller keeps the first chunk. A helper that goes to sleep first says so and then checks the slots; we
        // first announce and then check for sleepers. Both are sequentially consistent, so at least one sees the other.
        job->word.store(helpers * slot::one_allowed + slot::one_front + chunk_count * slot::one_back,
                        std::memory_order_seq_cst);
        unsigned wanted = the_crew.asleep.load(std::memory_order_seq_cst) > 0 ? helpers : 0;
        if (wanted > 0) wanted -= (std::min)(wanted, the_crew.looking_out.load(std::memory_order_seq_cst));
        // Spinning helpers watch the first slot, and the announcements for all others.
        if (wanted > 0 || job != the_crew.slots) the_crew.announcements.fetch_add(1, std::memory_order_seq_cst);
        if (wanted > 0) futex_wake(&the_crew.announcements, wanted);
        if (the_crew.helper_count.load(std::memory_order_relaxed) < helpers) start_helpers(helpers);
        return job;
    }

    // Null if no slot is free, or if this thread is in a chunk already.
    static slot* take_slot() noexcept {
        if (is_helper()) return nullptr;
        for (slot& job : the_crew.slots) {
            if (job.caller.load(std::memory_order_relaxed) == this_thread()) return nullptr;
        }
        for (slot& job : the_crew.slots) {
            std::uintptr_t nobody = 0;
            if (job.caller.load(std::memory_order_relaxed) == 0 &&
                job.caller.compare_exchange_strong(nobody, this_thread(), std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
                return &job;
            }
        }
        return nullptr;
    }

    static bool take_front(slot& job, std::size_t& chunk) noexcept {
        std::uint64_t word = job.word.load(std::memory_order_relaxed);
        while (has_chunks(word)) {
            if (job.word.compare_exchange_weak(word, word + slot::one_front, std::memory_order_relaxed)) {
                chunk = front_of(word);
                return true;
            }
        }
        return false;
    }

    // Waits for the helpers that are in, and raises the flags that they raised. Returns the last state of the word.
    static std::uint64_t withdraw(slot& job) noexcept {
        std::uint64_t word = job.word.load(std::memory_order_acquire);
        for (unsigned spins = 0; helpers_in(word) > 0; word = job.word.load(std::memory_order_acquire)) {
            if (++spins < max_spins) {
                relax();
            } else if ((word & slot::waited_for) != 0 ||
                       job.word.compare_exchange_strong(word, word | slot::waited_for, std::memory_order_acquire)) {
                futex_wait(lower_half(job.word), static_cast<std::uint32_t>(word | slot::waited_for));
            }
        }
        std::uint32_t const raised = job.raised.load(std::memory_order_relaxed);
        job.caller.store(0, std::memory_order_release);
        if ((raised & slot::lost_helper) != 0) {
            die("twofold: this child of a fork is in a call that it cannot end: a helper thread, for which the fork "
                "did "
                "not wait, had a part of it\n");
        }
        if (raised != 0) float_modes::raise(raised);
        return word;
    }

    // ---- the helper's side

    static void* helper_main(void* argument) noexcept {
        pthread_key_t const key = the_crew.helper_key.load(std::memory_order_relaxed);
        if (pthread_setspecific(key, &the_crew) != 0) return nullptr;  // out of memory
        auto const generation = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(argument));
        std::int64_t look_out_until = now_ns() + spin_ns;
        for (;;) {
            std::uint32_t const seen = the_crew.announcements.load(std::memory_order_seq_cst);
            if (is_over(generation)) return nullptr;
            if (visit_slots(generation)) {
                look_out_until = now_ns() + spin_ns;
                continue;
            }
            // A call that does not want another helper does not keep this one awake.
            if (look_out(seen, look_out_until)) continue;
            the_crew.asleep.fetch_add(1, std::memory_order_seq_cst);
            if (!visit_slots(generation)) futex_wait(&the_crew.announcements, seen);
            the_crew.asleep.fetch_sub(1, std::memory_order_relaxed);
            look_out_until = now_ns() + spin_ns;
        }
    }

    [[nodiscard]] static bool is_over(std::uint32_t generation) noexcept {
        return the_crew.generation.load(std::memory_order_relaxed) != generation;
    }

    [[nodiscard]] static bool is_helper() noexcept {
        return pthread_getspecific(the_crew.helper_key.load(std::memory_order_relaxed)) != nullptr;
    }

    static bool visit_slots(std::uint32_t generation) noexcept {
        bool helped = false;
        for (slot& job : the_crew.slots) {
            std::uint64_t word = job.word.load(std::memory_order_seq_cst);
            while (wants_helpers(word) && !is_over(generation)) {
                if (job.word.compare_exchange_weak(word, word + slot::one_helper - slot::one_back,
                                                   std::memory_order_acquire, std::memory_order_relaxed)) {
                    work_in(job, back_of(word) - 1, generation);
                    helped = true;
                    break;
                }
            }
        }
        return helped;
    }

    // Runs `chunk`, then others while there are any. This thread keeps the adopted modes until the next job, which is
    // harmless: a helper's own arithmetic uses integers.
    static void work_in(slot& job, std::size_t chunk, std::uint32_t generation) noexcept {
        auto* const run = job.run;
        void const* const context = job.context;
        job.modes.adopt();
        if (int const here = sched_getcpu(); here >= 0 && here == job.caller_cpu) leave_cpu(here);
        for (;;) {
            run(context, chunk);
            std::uint64_t word = job.word.load(std::memory_order_relaxed);
            bool more = false;
            do {  // takes the next chunk, or leaves, in one step
                more = has_chunks(word) && !is_over(generation);
                if (!more) hand_over_flags(job);
            } while (!job.word.compare_exchange_weak(word, word - (more ? slot::one_back : slot::one_helper),
                                                     std::memory_order_release, std::memory_order_relaxed));
            if (more) {
                chunk = back_of(word) - 1;
                continue;
            }
            // From here on the job may be gone; the slot is static.
            if ((word & slot::waited_for) != 0 && helpers_in(word) == 1) futex_wake(lower_half(job.word), 1);
            return;
        }
    }

    // Mostly there are no flags, or another helper has handed them over already.
    static void hand_over_flags(slot& job) noexcept {
        std::uint32_t const raised = float_modes::raised();
        if ((raised & ~job.raised.load(std::memory_order_relaxed)) != 0) {
            job.raised.fetch_or(raised, std::memory_order_relaxed);
        }
    }

    // Linux tends to wake a helper on the CPU of the caller that wakes it, and to leave both there for milliseconds
    // while other CPUs idle. Removing that CPU from this thread's affinity for a moment moves it. Measured by
    // `benchmarks/arrays.py --part sizes`.
    static void leave_cpu(int cpu) noexcept {
        cpu_set_t allowed[8];  // 8192 CPUs, the maximum that Linux can be built for
        if (sched_getaffinity(0, sizeof(allowed), allowed) != 0 || CPU_COUNT_S(sizeof(allowed), allowed) < 2) return;
        cpu_set_t others[8];
        for (std::size_t i = 0; i < 8; ++i) others[i] = allowed[i];
        CPU_CLR_S(static_cast<std::size_t>(cpu), sizeof(others), others);
        if (sched_setaffinity(0, sizeof(others), others) == 0) sched_setaffinity(0, sizeof(allowed), allowed);
    }

    // Spins until a job wants helpers or there is a new announcement. Returns false if neither comes before `end`.
    static bool look_out(std::uint32_t seen, std::int64_t end) noexcept {
        the_crew.looking_out.fetch_add(1, std::memory_order_seq_cst);
        bool came = false;
        while (!came && now_ns() < end) {
            for (unsigned spins = 0; spins < 32 && !came; ++spins) {
                came = wants_helpers(the_crew.slots[0].word.load(std::memory_order_relaxed)) ||
                       the_crew.announcements.load(std::memory_order_relaxed) != seen;
                relax();
            }
        }
        the_crew.looking_out.fetch_sub(1, std::memory_order_seq_cst);
        return came;
    }

    // ---- starting and stopping helpers

    static bool is_ours() noexcept { return the_crew.process.load(std::memory_order_acquire) == process_id(); }

    // Once in each process, before its first announcement.
    static bool set_up() noexcept {
        pin_shared_object();
        sigset_t const before = block_signals();
        bool const ready = register_handlers() && try_lock();
        if (ready) {
            // Another thread may have done this while we were taking the lock, and may have announced calls since.
            if (!is_ours()) become_own_process();
            unlock();
        }
        restore_signals(before);
        return ready;
    }

    // Other threads may fork meanwhile, and musl lets nobody register handlers until such a fork is over. Therefore
    // this is not done under the lock, for which a fork waits. And it is only noted when it is done, so a child that is
    // copied in between does it again: there may be two sets of handlers, and of each two the second does nothing.
    static bool register_handlers() noexcept {
        if (the_crew.handlers_registered.load(std::memory_order_acquire)) return true;
        if (!try_lock(the_crew.registrar)) return false;
        bool done = the_crew.handlers_registered.load(std::memory_order_acquire);
        pthread_key_t key;
        if (!done && pthread_key_create(&key, nullptr) == 0) {
            the_crew.helper_key.store(key, std::memory_order_relaxed);
            done = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
            if (!done) pthread_key_delete(key);
            the_crew.handlers_registered.store(done, std::memory_order_release);
        }
        unlock(the_crew.registrar);
        return done;
    }

    // Helpers run this object's code, so dlclose must not unmap it. Not under the lock: the dynamic linker has its own
    // lock, which another thread may hold while it forks.
    //
    // The program itself is never unmapped, so it is not passed to dlopen: the thread sanitizer's dlopen takes a lock
    // that its fork does not handle, and a child that another thread forks meanwhile would wait for it forever.
    static void pin_shared_object() noexcept {
        without_cancellation const guard;
        Dl_info here;
        if (dladdr(static_cast<void const*>(&the_crew), &here) == 0 || here.dli_fname == nullptr) return;
        Dl_info program;
        void const* const headers_of_program = reinterpret_cast<void const*>(getauxval(AT_PHDR));
        if (dladdr(headers_of_program, &program) != 0 && program.dli_fbase == here.dli_fbase) return;
        dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }

    static void start_helpers(unsigned wanted) noexcept {
        // Helpers inherit the signal mask, so signals go to the program's own threads.
        sigset_t const before = block_signals();
        if (try_lock()) {
            if (now_ns() >= the_crew.no_start_before_ns && the_crew.forks_ahead.load(std::memory_order_seq_cst) == 0) {
                std::uint32_t living = the_crew.helper_count.load(std::memory_order_relaxed);
                std::uintptr_t const generation = the_crew.generation.load(std::memory_order_relaxed);
                while (living < wanted) {
                    if (pthread_create(&the_crew.helpers[living], nullptr, helper_main,
                                       reinterpret_cast<void*>(generation)) != 0) {
                        // Out of threads: continue with those we have, and do not retry at every call.
                        the_crew.no_start_before_ns = now_ns() + retry_ns;
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
        the_crew.generation.fetch_add(1, std::memory_order_release);
        the_crew.announcements.fetch_add(1, std::memory_order_seq_cst);
        futex_wake(&the_crew.announcements, INT_MAX);
        std::int64_t const end = now_ns() + max_wait_ns;
        bool all_joined = true;
        for (std::uint32_t i = 0; i < living; ++i) {
            if (join(the_crew.helpers[i], end)) continue;
            pthread_detach(the_crew.helpers[i]);
            all_joined = false;
        }
        the_crew.helper_count.store(0, std::memory_order_relaxed);
        if (!all_joined) {
            say("twofold: a fork has waited 2 seconds for a kernel that is at work on a helper thread, and goes on "
                "without it\n");
        }
    }

    // Whether that helper has ended by `end`. Polls, since pthread_clockjoin_np is not available everywhere and the
    // thread sanitizer does not know it, and since the clock of pthread_timedjoin_np may be changed by users.
    static bool join(pthread_t helper, std::int64_t end) noexcept {
        while (pthread_tryjoin_np(helper, nullptr) != 0) {
            std::int64_t const left = end - now_ns();
            if (left <= 0) return false;
            if (left > max_wait_ns - short_wait_ns) {
                sched_yield();
            } else {
                timespec const nap{0, short_wait_ns / 8};
                nanosleep(&nap, nullptr);
            }
        }
        return true;
    }

    // Clears the state that a fork has copied and that does not hold for this process: helpers and callers that it does
    // not have. If this thread forked in the middle of a call, that call goes on; its helpers are gone, and the chunks
    // that they had taken are done, except those of helpers that were left behind.
    static void become_own_process() noexcept {
        the_crew.helper_count.store(0, std::memory_order_relaxed);
        the_crew.asleep.store(0, std::memory_order_relaxed);
        the_crew.looking_out.store(0, std::memory_order_relaxed);
        the_crew.no_start_before_ns = 0;
        for (slot& job : the_crew.slots) {
            if (job.caller.load(std::memory_order_relaxed) == this_thread()) {
                std::uint64_t const lost = helpers_in(job.word.load(std::memory_order_relaxed));
                job.word.fetch_sub(lost * slot::one_helper, std::memory_order_relaxed);
                if (lost > 0) job.raised.fetch_or(slot::lost_helper, std::memory_order_relaxed);
                continue;
            }
            job.word.store(0, std::memory_order_relaxed);
            job.caller.store(0, std::memory_order_relaxed);
        }
        the_crew.process.store(process_id(), std::memory_order_release);
    }

    // ---- fork

    // Signals stay blocked from here until the handlers after the fork: a signal handler that forks would wait for the
    // lock that its own thread holds.
    static void before_fork() noexcept {
        if (is_helper()) {
            die("twofold: a kernel forks on a helper thread, and the child would have that thread alone, in a call of "
                "nobody's\n");
        }
        if (is_forking() && the_crew.lock_owner.load(std::memory_order_relaxed) == process_id()) return;
        sigset_t const before = block_signals();
        stop_helpers_under_lock();
        the_crew.signals_before_fork = before;
        the_crew.forking.store(this_thread(), std::memory_order_relaxed);
    }

    // Whether a handler has begun this thread's fork, and none has ended it.
    static bool is_forking() noexcept { return the_crew.forking.load(std::memory_order_relaxed) == this_thread(); }

    // Returns with the lock taken.
    static void stop_helpers_under_lock() noexcept {
        while (!try_lock()) sched_yield();  // the owner starts helpers or forks: usually tens of microseconds
        // In the child of a `_Fork`, which calls no handlers, the helpers still belong to another process.
        if (is_ours()) stop_helpers();
    }

    static void after_fork_in_parent() noexcept {
        if (!is_forking()) return;
        sigset_t const before = the_crew.signals_before_fork;
        the_crew.forking.store(0, std::memory_order_relaxed);
        unlock();
        restore_signals(before);
    }

    static void after_fork_in_child() noexcept {
        if (!is_forking()) return;
        become_own_process();
        fork_is_over_in_child();
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

    // ---- the lock. Signals are blocked while it is taken, so that no signal handler forks on the thread that has it.

    static bool try_lock(std::atomic<pid_t>& lock = the_crew.lock_owner) noexcept {
        pid_t const process = process_id();
        pid_t owner = lock.load(std::memory_order_relaxed);
        // If another process owns the lock, a fork has copied it without its owner.
        return owner != process && lock.compare_exchange_strong(owner, process, std::memory_order_seq_cst);
    }

    static void unlock(std::atomic<pid_t>& lock = the_crew.lock_owner) noexcept {
        lock.store(0, std::memory_order_release);
    }

    // ---- the system

    static constexpr unsigned max_spins = 2000;  // about as long as a helper needs for a chunk; then the caller sleeps
    static constexpr std::int64_t retry_ns = 1'000'000'000;
    static constexpr std::int64_t max_wait_ns =
        2'000'000'000;                                        // how long a fork waits for kernels; its message says so
    static constexpr std::int64_t short_wait_ns = 1'000'000;  // helpers without such kernels end within this time

    static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    }

    // pthread_self() stays the same in the child of a fork; the thread's number does not.
    static std::uintptr_t this_thread() noexcept { return std::bit_cast<std::uintptr_t>(pthread_self()); }

    // A raw futex: std::atomic::wait keeps a process-wide table in the standard library, and a fork may leave it
    // locked.
    static void futex_wait(void* word, std::uint32_t expected) noexcept {
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
    }
    static void futex_wake(void* word, unsigned threads) noexcept {
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
    }
    // A futex has 32 bits: the lower half.
    static void* lower_half(std::atomic<std::uint64_t>& word) noexcept {
        return reinterpret_cast<std::uint32_t*>(&word) + (std::endian::native == std::endian::little ? 0 : 1);
    }
    // Writes to the descriptor, since a stream may be locked. Preserves errno, which fork handlers must not change.
    template <std::size_t Size>
    static void say(char const (&line)[Size]) noexcept {
        int const error = errno;
        [[maybe_unused]] auto const written = write(STDERR_FILENO, line, Size - 1);
        errno = error;
    }
    template <std::size_t Size>
    [[noreturn]] static void die(char const (&line)[Size]) noexcept {
        say(line);
        std::abort();
    }
    static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
    static_assert(sizeof(std::atomic<std::uint64_t>) == sizeof(std::uint64_t));
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE

#else  // not Linux

inline namespace TWOFOLD_FLAGS_NAMESPACE {

class crew {
public:
    static constexpr std::int64_t spin_ns = 0;
    static constexpr std::size_t max_chunks = (std::size_t{1} << 16) - 1;

    template <std::invocable<std::size_t> Work>
    static help share(std::size_t chunk_count, unsigned, Work const& work) noexcept {
        for (std::size_t i = 0; i < chunk_count; ++i) work(i);
        return help::none;
    }
    struct alone {};
    [[nodiscard]] static helpers state_of_helpers() noexcept { return helpers::none; }
    [[nodiscard]] static unsigned helper_count() noexcept { return 0; }
    static void watch_forks() noexcept {}
    [[nodiscard]] static bool expect_fork() noexcept { return false; }
    static void stop_for_fork() noexcept {}
    static void fork_is_over() noexcept {}
    static void fork_is_over_in_child() noexcept {}
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE

#endif

}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE::detail
