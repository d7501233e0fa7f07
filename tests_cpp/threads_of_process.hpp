// Counts the threads of this process, as the kernel sees them.
#pragma once

#include <dirent.h>
#include <sched.h>
#include <time.h>

/// Threads that live at present.
inline unsigned threads_of_process() noexcept {
    DIR* const tasks = opendir("/proc/self/task");
    if (tasks == nullptr) return 0;
    unsigned count = 0;
    while (dirent const* const entry = readdir(tasks)) {
        if (entry->d_name[0] != '.') ++count;
    }
    closedir(tasks);
    return count;
}

/// Whether the number of threads comes to be `count`, now or within two seconds: a thread that has been joined may
/// still be listed for a moment.
inline bool threads_become(unsigned count) noexcept {
    timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    timespec now = start;
    while (threads_of_process() != count) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > 2) return false;
        sched_yield();
    }
    return true;
}
