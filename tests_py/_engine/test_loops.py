"""Loops of somebody else's, from Cython without headers: what the door's functions promise beside forks and threads.

test_consumer.py has the results; test_fork.py the forks.
"""

import pytest
from conftest import run_script


def test_the_first_code_comes_back_for_any_number_of_threads(loops):
    """And each item before it is visited once."""
    run_script(
        """
        from array import array
        import loops
        n = 30_000
        for failing in 0, 1, 15_000, n - 1, n:
            for threads in 0, 1, 2, 7:
                for bytes_per_item in 1, 8, 100_000:
                    for _ in range(3):
                        seen = array("q", bytes(8 * n))
                        code = loops.first_code(seen, failing, bytes_per_item, threads)
                        assert code == (failing + 1 if failing < n else 0), (code, failing, threads)
                        assert set(seen[:failing]) <= {1} and set(seen[failing:]) <= {0}
        """,
        env=loops,
    )


def test_a_body_may_take_the_gil(loops):
    """It should not, but nothing hangs: a loop that is called with the GIL releases it."""
    run_script(
        """
        import threading
        import loops
        def call():
            for _ in range(20):
                counts = [0] * 200
                assert loops.count(counts, threads=3) == 0
                assert counts == [1] * 200
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        """,
        env=loops,
    )


def test_arrays_that_overlap_in_part_are_refused(loops):
    run_script(
        """
        from array import array
        import loops
        for n in 10, 100_000:
            values = array("I", range(n))
            assert loops.increment(values) == 0
            assert values == array("I", range(1, n + 1))
            for shift in 1, n // 2 - 1:
                try:
                    loops.increment(values, shift)
                except ValueError as error:
                    assert "overlap" in str(error)
                else:
                    raise AssertionError(shift)
            assert values == array("I", range(1, n + 1))
        """,
        env=loops,
    )


def test_ctrl_c_ends_a_long_loop(loops):
    run_script(
        """
        import signal
        from array import array
        import loops
        values, out = array("I", [1]) * (40 << 20), array("I", [0]) * (40 << 20)
        def half_done():
            return out[0] != out[-1]
        def on_timer(signum, frame):
            if half_done():
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, on_timer)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        zeros = bytes(4 << 20)
        try:
            for _ in range(100):
                memoryview(out)[: 1 << 20] = memoryview(out)[-1 << 20 :] = array("I", zeros)
                loops.double(values, out=out, threads=2)
        except KeyboardInterrupt:
            assert half_done()
        else:
            raise AssertionError("no handler ever ran in the middle of a loop")
        assert loops.double(values) == array("I", [2]) * (40 << 20)
        """,
        env=loops,
    )


@pytest.mark.parametrize("limit", ["environment", "context", "argument"])
def test_the_limit_of_threads_holds(loops, limit):
    env = {**loops, "TWOFOLD_NUM_THREADS": "1"} if limit == "environment" else loops
    script = """
        import os, sys
        from array import array
        import loops, twofold
        values = array("I", [1]) * (8 << 20)
        how = sys.argv[1]
        if how == "context":
            twofold.set_num_threads(1)
        for _ in range(5):
            loops.double(values, threads=1 if how == "argument" else 0)
        assert len(os.listdir("/proc/self/task")) == 1
        if how == "argument":
            loops.double(values, threads=2)
            assert len(os.listdir("/proc/self/task")) == 2
        """
    run_script(script, limit, env=env)


def test_a_loop_that_is_called_with_the_gil_has_the_limit_of_its_context(loops):
    """And not that of the thread's last call, which was made in another one."""
    run_script(
        """
        import contextvars, os
        import loops, twofold
        counts = [0] * 100
        twofold.set_num_threads(1)
        for _ in range(3):
            loops.count(counts)
        assert len(os.listdir("/proc/self/task")) == 1
        for _ in range(3):
            contextvars.Context().run(loops.count, counts)
        assert len(os.listdir("/proc/self/task")) == 2
        assert counts == [6] * 100
        """,
        env={**loops, "TWOFOLD_NUM_THREADS": "2"},
    )


def test_a_number_of_threads_that_is_none_is_refused(loops):
    run_script(
        """
        from array import array
        import loops
        try:
            loops.double(array("I", [1]) * (8 << 20))
        except ValueError as error:
            assert "TWOFOLD_NUM_THREADS is 'many'" in str(error), error
        else:
            raise AssertionError
        """,
        env={**loops, "TWOFOLD_NUM_THREADS": "many"},
    )


def test_the_process_ends_while_threads_are_in_loops(loops):
    run_script(
        """
        import threading
        from array import array
        import loops
        values = array("I", [1]) * (1 << 20)
        def call():
            while True:
                loops.double(values, threads=2)
        for _ in range(3):
            threading.Thread(target=call, daemon=True).start()
        for _ in range(20):
            loops.double(values, threads=2)
        """,
        env=loops,
    )
