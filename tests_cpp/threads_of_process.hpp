// The threads of this process, as the kernel sees them.
#pragma once

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

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

/// Whether all threads but this one sleep. One that was woken does not any more, also before it runs.
inline bool others_sleep() noexcept {
    DIR* const tasks = opendir("/proc/self/task");
    if (tasks == nullptr) return false;
    bool all = true;
    while (dirent const* const entry = readdir(tasks)) {
        if (entry->d_name[0] == '.' || std::atol(entry->d_name) == syscall(SYS_gettid)) continue;
        char path[64];
        std::snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", entry->d_name);
        std::FILE* const stat = std::fopen(path, "r");
        if (stat == nullptr) continue;  // it has ended
        char state = 0;
        // "number (name) state", and no name here has a parenthesis
        all &= std::fscanf(stat, "%*d (%*[^)]) %c", &state) == 1 && state == 'S';
        std::fclose(stat);
    }
    closedir(tasks);
    return all;
}
