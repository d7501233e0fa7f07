// Runs a scenario in a forked child, within a time limit. Each scenario so has a process of its own.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "asan_at_fork.hpp"

/// What became of a child: its exit code, or the signal that ended it as a negative number. A child that lives longer
/// than `seconds` is killed.
inline int wait_for(pid_t child, unsigned seconds) noexcept {
#if defined(SYS_pidfd_open)
    // The child's own alarm comes first, but does nothing to a child that hangs with its signals blocked.
    pollfd end_of_child{static_cast<int>(syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
    if (end_of_child.fd >= 0) {
        int ready = 0;
        while ((ready = poll(&end_of_child, 1, static_cast<int>(seconds + 1) * 1000)) < 0) {
        }
        if (ready == 0) kill(child, SIGKILL);
        close(end_of_child.fd);
    }
#endif
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Ends this process, at once and without a word, with 0 if `promise` returns true within `seconds`, else with 1 or by
/// SIGALRM.
template <class Promise>
[[noreturn]] void leave_with(unsigned seconds, Promise const& promise) noexcept {
    alarm(seconds);
    _exit(promise() ? EXIT_SUCCESS : EXIT_FAILURE);
}

/// Whether `promise` returned true in a child, within `seconds`.
template <class Promise>
[[nodiscard]] bool holds_in_child(unsigned seconds, Promise const& promise) noexcept {
    pid_t const child = fork();
    if (child == 0) leave_with(seconds, promise);
    return child > 0 && wait_for(child, seconds) == EXIT_SUCCESS;
}
