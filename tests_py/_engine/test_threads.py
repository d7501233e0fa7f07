"""How many threads are used, and what is left of them."""

import os

import pytest
from conftest import run_script, without_thread_variables

COUNT_THREADS = """
    import os, twofold
    from array import array
    x = array("I", bytes(64 << 20))
    twofold.double(x, out=x{arguments})
    print(len(os.listdir("/proc/self/task")))
"""


AS_THE_CPUS = "as many as there are CPUs for this process"


def threads_used(arguments: str = "", **variables: str) -> int:
    return int(run_script(COUNT_THREADS.format(arguments=arguments), env={**without_thread_variables(), **variables}))


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ("", {}, AS_THE_CPUS),
        (", threads=5", {}, 5),
        (", threads=1", {}, 1),
        ("", {"TWOFOLD_NUM_THREADS": "3"}, 3),
        ("", {"OMP_NUM_THREADS": "3"}, 3),
        ("", {"OMP_NUM_THREADS": "4,2"}, 4),
        ("", {"TWOFOLD_NUM_THREADS": "3", "OMP_NUM_THREADS": "4"}, 3),
        (", threads=2", {"TWOFOLD_NUM_THREADS": "3", "OMP_NUM_THREADS": "4"}, 2),
        ("", {"TWOFOLD_NUM_THREADS": "", "OMP_NUM_THREADS": "4"}, 4),
        ("", {"TWOFOLD_NUM_THREADS": "", "OMP_NUM_THREADS": "-1"}, AS_THE_CPUS),
        ("", {"OMP_NUM_THREADS": "many"}, AS_THE_CPUS),
        ("", {"OMP_NUM_THREADS": "5", "OMP_THREAD_LIMIT": "3"}, 3),
        ("", {"TWOFOLD_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "3"}, 4),  # it is for OMP_NUM_THREADS alone
    ],
)
def test_who_decides(arguments, variables, expected):
    if expected is AS_THE_CPUS:
        expected = cpus_allowed()
    assert threads_used(arguments, **variables) == expected


def cpus_allowed() -> int:
    """The CPUs of this process: its affinity, or the quota of its container (whose rules the C++ tests go through)."""
    script = "import twofold; print(*twofold.threads_info().values(), sep=',')"
    count, rule, *_ = run_script(script, env=without_thread_variables()).split(",")
    cpus = len(os.sched_getaffinity(0))
    assert (int(count), rule) == (cpus, "affinity") or (int(count) < cpus and rule == "cgroup")
    return int(count)


def test_a_change_of_the_environment_is_followed():
    run_script("""
        import os, twofold
        from array import array
        x = array("I", bytes(64 << 20))
        def threads():
            twofold.double(x, out=x)
            return len(os.listdir("/proc/self/task"))
        os.environ["OMP_NUM_THREADS"] = "1"
        assert threads() == 1
        os.environ["OMP_NUM_THREADS"] = "3"
        assert threads() == 3
    """)


# Variable, value, what shows that it was read. In a free-threaded Python another thread may be changing the environment
# of the C library, which must not be read meanwhile; os.environ can be.
READ_FROM_OS_ENVIRON = [
    ("TWOFOLD_NUM_THREADS", "3", "twofold.get_num_threads() == 3"),
    ("OMP_NUM_THREADS", "3", "twofold.get_num_threads() == 3"),
    ("TWOFOLD_SIMD", "nothing", "'nothing' in error(twofold.simd_target)"),
    ("TWOFOLD_CACHE_BYTES", "3M", "twofold.show_config('dicts')['cache_bytes'] == 3 << 20"),
    ("TWOFOLD_RECYCLE_MEMORY", "0", "not numpy_handler.recycled_memory()['on']"),
]


@pytest.mark.parametrize(("name", "value", "shown"), READ_FROM_OS_ENVIRON, ids=lambda value: value)
def test_the_environment_is_read_from_os_environ(name: str, value: str, shown: str):
    run_script(
        f"""
        import os, twofold
        from twofold._memory import numpy_handler
        def error(function):
            try:
                return str(function())
            except ValueError as error:
                return str(error)
        os.environ[{name!r}] = {value!r}
        os.unsetenv({name!r})  # which os.environ does not see
        assert {shown}
        """,
        env={key: value for key, value in os.environ.items() if not key.startswith(("TWOFOLD_", "OMP_"))},
    )


def test_importing_and_small_calls_start_no_thread():
    run_script("""
        import os, twofold
        from array import array
        twofold.double([1, 2, 3])
        twofold.double(array("I", bytes(1 << 16)))
        assert len(os.listdir("/proc/self/task")) == 1
    """)


def test_the_affinity_mask_is_the_limit():
    run_script("""
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.environ.pop("OMP_NUM_THREADS", None)
        os.environ.pop("TWOFOLD_NUM_THREADS", None)
        import twofold
        from array import array
        x = array("I", bytes(64 << 20))
        twofold.double(x, out=x)
        assert len(os.listdir("/proc/self/task")) == 1
    """)


def test_a_change_of_the_affinity_mask_is_followed():
    """By the next second: the system is asked for it at most once in each."""
    run_script(
        """
        import os, sys, time, twofold
        from array import array
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2 or twofold.threads_info()["rule"] != "affinity":
            sys.exit()  # with one CPU there is nothing to change
        def comes(count):
            end = time.monotonic() + 60
            while twofold.get_num_threads() != count and time.monotonic() < end:
                time.sleep(0.05)
            return twofold.get_num_threads() == count
        x = array("I", bytes(64 << 20))
        twofold.double(x, out=x)
        assert twofold.get_num_threads() == len(cpus)
        os.sched_setaffinity(0, cpus[:1])
        assert comes(1), twofold.threads_info()
        assert twofold.threads_info()["rule"] == "affinity"
        os.sched_setaffinity(0, cpus)
        assert comes(len(cpus)), twofold.threads_info()
    """,
        env=without_thread_variables(),
    )


def test_the_affinity_mask_of_a_child_is_its_own():
    run_script("""
        import os, sys, twofold
        from array import array
        os.environ.pop("OMP_NUM_THREADS", None)
        os.environ.pop("TWOFOLD_NUM_THREADS", None)
        x = array("I", bytes(64 << 20))
        twofold.double(x, out=x)
        pid = os.fork()
        if pid == 0:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            twofold.double(x, out=x)
            os._exit(len(os.listdir("/proc/self/task")) != 1)
        assert os.waitpid(pid, 0)[1] == 0
    """)


def test_calls_from_many_threads_at_once():
    """Each gets its own right answer."""
    run_script("""
        import threading, twofold
        from array import array
        def call(k):
            x = array("I", range(k, k + 200_000))
            expected = array("I", range(2 * k, 2 * k + 400_000, 2))
            for _ in range(50):
                right.append(twofold.double(x, threads=3) == expected)
        right = []
        callers = [threading.Thread(target=call, args=(k,)) for k in range(24)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert right == [True] * (24 * 50)
    """)


def test_other_threads_run_during_a_call():
    """The GIL is released: this thread sees most of the calls of the other from the inside."""
    run_script("""
        import sys, threading, twofold
        from array import array
        CALLS = 40
        sys.setswitchinterval(100)  # so that threads change only where one releases the GIL
        x = array("I", bytes(64 << 20))
        in_call = 0
        def call():
            global in_call
            for i in range(1, CALLS + 1):
                in_call = i
                twofold.double(x, out=x, threads=1)
                in_call = 0
        seen = set()
        caller = threading.Thread(target=call)
        caller.start()
        while caller.is_alive():
            seen.add(in_call)
            caller.join(0.0005)
        assert len(seen - {0}) > CALLS / 2, seen
    """)


def test_helpers_end_with_the_work_there_is():
    """A call of few chunks asks for few helpers, whatever `threads` allows."""
    run_script("""
        import os, twofold
        from array import array
        x = array("I", bytes(1 << 19))
        for _ in range(1000):  # back to back, so that helpers are wanted
            twofold.double(x, out=x, threads=200)
        assert 1 < len(os.listdir("/proc/self/task")) < 20
    """)


@pytest.mark.parametrize("leave", ["pass", "sys.exit(0)", "os._exit(0)"])
def test_the_process_ends_while_helpers_live(leave):
    run_script(f"""
        import os, sys, twofold
        from array import array
        x = array("I", bytes(64 << 20))
        twofold.double(x, out=x, threads=4)
        {leave}
    """)


def test_the_process_ends_while_a_daemon_thread_is_in_a_call():
    run_script("""
        import threading, twofold
        from array import array
        def call():
            x = array("I", bytes(64 << 20))
            while True:
                started.set()
                twofold.double(x, out=x, threads=4)
        started = threading.Event()
        threading.Thread(target=call, daemon=True).start()
        started.wait()
    """)


def test_helpers_may_run_wherever_the_process_may():
    """A helper that leaves its caller's CPU forbids itself that CPU for a moment only."""
    run_script("""
        import os, time, twofold
        from array import array
        def allowed(task):
            with open(f"/proc/self/task/{task}/status") as status:
                return next(line for line in status if line.startswith("Cpus_allowed:"))
        x = array("I", bytes(16 << 20))
        for _ in range(100):
            twofold.double(x, out=x, threads=3)
            time.sleep(0.001)  # so that helpers sleep, and are woken where the caller is
        tasks = os.listdir("/proc/self/task")
        assert len(tasks) == 3
        assert {allowed(task) for task in tasks} == {allowed(os.getpid())}
    """)


def test_signals_reach_the_main_thread_only():
    """Helpers block every signal, so a handler of the program never runs on one of them."""
    run_script("""
        import os, twofold
        from array import array
        x = array("I", bytes(64 << 20))
        twofold.double(x, out=x, threads=3)
        tasks = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
        assert len(tasks) == 2
        for task in tasks:
            with open(f"/proc/self/task/{task}/status") as status:
                blocked = next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk"))
            blockable = ~(1 << 8 | 1 << 18 | 3 << 31) & (1 << 64) - 1  # not SIGKILL, SIGSTOP, nor glibc's own two
            assert blocked & blockable == blockable, hex(blocked)
    """)


def test_the_process_ends_while_a_daemon_thread_forks():
    """For which the thread waits for the GIL, in a hook of ours, too: Python ends it there."""
    script = """
        import os, sys, threading, time
        from array import array
        import twofold

        class Slow:  # so that the end takes a moment
            def __del__(self, now=time.monotonic):
                end = now() + 0.05
                while now() < end:
                    pass

        sys.slow = Slow()
        values = array("I", bytes(16 << 20))

        def forks():
            while True:
                twofold.double(values, out=values, threads=2)
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)

        threading.Thread(target=forks, daemon=True).start()
        end = time.monotonic() + 0.1 + os.getpid() % 50 / 1000
        while time.monotonic() < end:
            pass
    """
    for _ in range(12):
        run_script(script, options=("-W", "ignore"))
