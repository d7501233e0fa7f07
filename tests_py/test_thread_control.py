"""What users say about threads, and what they are told: limits, threads_info, show_config."""

import asyncio
import contextlib
import contextvars
import copy
import gc
import pickle
import threading

import pytest
import twofold
from conftest import run_script, without_thread_variables

NOT_COUNTS = [
    (0, ValueError, "threads must be at least 1, not 0"),
    (-1, ValueError, "threads must be at least 1, not -1"),
    (1.5, TypeError, "threads must be an integer or None, not 1.5"),
    ("2", TypeError, "threads must be an integer or None, not '2'"),
]


def in_new_thread(function):
    """What `function` returns in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture(autouse=True)
def no_limit():
    """No test leaves a limit behind."""
    yield
    left = twofold.threads_info()["limit"]
    twofold.set_num_threads(None)
    assert left is None


def test_a_limit_holds_until_it_is_taken_away():
    before = twofold.get_num_threads()
    twofold.set_num_threads(7)
    assert twofold.get_num_threads() == 7
    twofold.set_num_threads(None)
    assert twofold.get_num_threads() == before


def test_a_limit_is_of_one_thread():
    with twofold.num_threads(7):
        assert in_new_thread(lambda: twofold.threads_info()["limit"]) is None
        in_new_thread(lambda: twofold.set_num_threads(3))
        assert twofold.get_num_threads() == 7


@pytest.mark.parametrize("function", [twofold.set_num_threads, twofold.num_threads])
@pytest.mark.parametrize(("count", "error", "message"), NOT_COUNTS)
def test_what_is_no_count(function, count, error, message):
    with pytest.raises(error, match=message):
        function(count)


def test_blocks_nest_and_restore():
    with twofold.num_threads(3):
        with twofold.num_threads(5):  # the innermost one holds, also where it allows more
            assert twofold.get_num_threads() == 5
            with twofold.num_threads(None):
                assert twofold.threads_info()["limit"] is None
            assert twofold.get_num_threads() == 5
        assert twofold.get_num_threads() == 3


def test_a_block_restores_after_an_exception():
    with contextlib.suppress(KeyError), twofold.num_threads(3):
        raise KeyError
    assert twofold.threads_info()["limit"] is None


def test_one_object_may_be_entered_twice():
    limit = twofold.num_threads(3)
    with limit, twofold.num_threads(5), limit:
        assert twofold.get_num_threads() == 3
    with limit:
        assert twofold.get_num_threads() == 3


def test_as_a_decorator():
    @twofold.num_threads(3)
    def count(first, *, second=0):
        """Counts."""
        if first:
            raise KeyError
        return twofold.get_num_threads(), second

    assert (count.__name__, count.__doc__) == ("count", "Counts.")
    assert count(0, second=4) == (3, 4)
    with pytest.raises(KeyError):
        count(1)
    assert twofold.threads_info()["limit"] is None


def test_a_decorated_function_runs_in_many_threads_at_once():
    meeting = threading.Barrier(8, timeout=60)

    @twofold.num_threads(3)
    def meet():
        meeting.wait()
        return twofold.get_num_threads()

    def limits():
        return meet(), twofold.threads_info()["limit"]

    results = []
    threads = [threading.Thread(target=lambda: results.append(limits())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(3, None)] * 8


@pytest.mark.parametrize(
    ("limit", "variables", "rule", "count"),
    [
        (3, {"TWOFOLD_NUM_THREADS": "4", "OMP_NUM_THREADS": "5"}, "thread limit", 3),
        (None, {"TWOFOLD_NUM_THREADS": "4", "OMP_NUM_THREADS": "5"}, "TWOFOLD_NUM_THREADS", 4),
        (None, {"OMP_NUM_THREADS": "5"}, "OMP_NUM_THREADS", 5),
        (None, {"OMP_NUM_THREADS": "5", "OMP_THREAD_LIMIT": "2"}, "OMP_NUM_THREADS", 2),
        (None, {}, ("affinity", "cgroup"), None),
    ],
)
def test_info_says_which_rule_decided(limit, variables, rule, count):
    script = f"""
        import twofold
        with twofold.num_threads({limit}):
            print(twofold.threads_info())
    """
    info = eval(run_script(script, env={**without_thread_variables(), **variables}))
    assert list(info) == ["num_threads", "rule", "limit", "pool_worker"]
    assert info["rule"] in rule
    assert count is None or info["num_threads"] == count
    assert info["limit"] == limit
    assert info["pool_worker"] is False


CALLS = [
    "twofold.double(x, out=x)",
    "twofold.double(memoryview(x), out=x)",
    "np.add(twofold.double(np.frombuffer(x, 'u4')), 0)",
    "twofold.ufuncs.doubled(np.frombuffer(x, 'u4'))",
    "twofold.ufuncs.doubled(np.frombuffer(x, 'f4'))",
    "twofold.ufuncs.doubled(np.frombuffer(x, 'm8[s]'))",
    "twofold.double(np.frombuffer(x, 'u4').reshape(1024, -1).T)",
    "twofold.double(np.ma.masked_array(np.frombuffer(x, 'u4')))",
    "twofold.double([0] * (1 << 22), dtype='uint64')",
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_keep_to_the_limit(call):
    run_script(f"""
        import os, twofold, twofold.ufuncs
        import numpy as np
        from array import array
        x = array("I", bytes(64 << 20))
        before = len(os.listdir("/proc/self/task"))  # NumPy's linear algebra has threads
        def helpers():
            {call}
            return len(os.listdir("/proc/self/task")) - before
        with twofold.num_threads(1):
            assert helpers() == 0
        with twofold.num_threads(3):
            assert helpers() == 2
    """)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("here", "elsewhere"), [(1, 3), (3, 1), (1, None), (3, None)])
def test_calls_keep_to_the_limit_of_their_own_context(call, here, elsewhere):
    """As tasks of asyncio and greenlets have one each, in one thread."""
    run_script(f"""
        import contextvars, os, twofold, twofold.ufuncs
        import numpy as np
        from array import array
        x = array("I", bytes(64 << 20))
        before = len(os.listdir("/proc/self/task"))
        with twofold.num_threads({here}):
            contextvars.copy_context().run(twofold.set_num_threads, {elsewhere})
            {call}
            assert len(os.listdir("/proc/self/task")) - before == {here} - 1
    """)


def test_tasks_of_asyncio_have_limits_of_their_own():
    seen = []

    async def count(limit, turns):
        for _ in range(turns):
            with twofold.num_threads(limit):
                await asyncio.sleep(0)
                seen.append(twofold.get_num_threads() == limit)
            await asyncio.sleep(0)
            seen.append(twofold.threads_info()["limit"] is None)

    async def both():
        await asyncio.gather(count(2, 5), count(3, 7))

    asyncio.run(both())
    assert seen == [True] * 24
    assert twofold.threads_info()["limit"] is None


def test_greenlets_have_limits_of_their_own():
    greenlet = pytest.importorskip("greenlet")
    limits = []

    def enter():
        with twofold.num_threads(3):
            greenlet.getcurrent().parent.switch()
            limits.append(twofold.get_num_threads())

    other = greenlet.greenlet(enter)
    other.switch()
    limits.append(twofold.threads_info()["limit"])
    other.switch()
    limits.append(twofold.threads_info()["limit"])
    assert limits == [None, 3, None]


def test_a_generator_that_another_context_closes_changes_nothing_there():
    def enter():
        with twofold.num_threads(3):
            yield

    generator = enter()
    contextvars.copy_context().run(next, generator)
    with twofold.num_threads(2):
        generator.close()
        assert twofold.get_num_threads() == 2
        contextvars.copy_context().run(next, enter())  # dropped at once, where it was suspended
        assert twofold.get_num_threads() == 2


def test_limits_that_are_set_again_and_again_leave_nothing_behind():
    gc.collect()
    before = len(gc.get_objects())
    with twofold.num_threads(5):
        for _ in range(1000):
            twofold.set_num_threads(3)
            with twofold.num_threads(4):
                twofold.set_num_threads(2)
        assert twofold.get_num_threads() == 3
    assert twofold.threads_info()["limit"] is None
    gc.collect()
    assert len(gc.get_objects()) < before + 100


def test_one_object_in_many_threads():
    limit, meeting, limits = twofold.num_threads(3), threading.Barrier(8, timeout=60), []

    def enter():
        for _ in range(20):
            with limit:
                meeting.wait()
                inside = twofold.get_num_threads()
                meeting.wait()
            limits.append((inside, twofold.threads_info()["limit"]))

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limits == [(3, None)] * 160


def test_an_argument_goes_before_the_limit():
    run_script("""
        import os, twofold
        from array import array
        x = array("I", bytes(64 << 20))
        with twofold.num_threads(1):
            twofold.double(x, out=x, threads=3)
            assert len(os.listdir("/proc/self/task")) == 3
            assert twofold.get_num_threads() == 1
    """)


def test_a_fork_keeps_the_limit():
    run_script("""
        import os, twofold
        twofold.set_num_threads(7)
        pid = os.fork()
        if pid == 0:
            os._exit(twofold.get_num_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    """)


def test_show_config_prints_what_it_returns():
    script = "import twofold; print(twofold.show_config('dicts')); twofold.show_config()"
    variables = {"TWOFOLD_SIMD": twofold.simd_target(), "TWOFOLD_CACHE_BYTES": "8M", "OMP_NUM_THREADS": "2"}
    returned, *printed = run_script(script, env={**without_thread_variables(), **variables}).splitlines()
    config = eval(returned)
    assert config["version"] == twofold.__version__
    assert config["simd"]["target"] in config["simd"]["supported"]
    assert config["cache_bytes"] == 8 << 20
    assert config["threads"]["rule"] == "OMP_NUM_THREADS"
    assert config["environment"] == variables
    assert [line.partition(":")[0] for line in printed] == list(config)
    assert f"cache_bytes: {8 << 20}" in printed


def test_show_config_knows_two_modes():
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', not 'yaml'"):
        twofold.show_config("yaml")


# ---- threadpoolctl

ORDERS = {
    "threadpoolctl first": "import threadpoolctl, twofold",
    "by hand": "import twofold.threadpoolctl, threadpoolctl",
}


@pytest.fixture(scope="module")
def threadpoolctl():
    return pytest.importorskip("threadpoolctl")


@pytest.mark.parametrize("imports", ORDERS.values(), ids=ORDERS)
@pytest.mark.usefixtures("threadpoolctl")
def test_threadpoolctl_sees_and_limits_it(imports):
    run_script(
        f"""
        {imports}
        import os
        from array import array
        [info] = [info for info in threadpoolctl.threadpool_info() if info["user_api"] == "twofold"]
        assert info["internal_api"] == "twofold"
        assert info["version"] == twofold.__version__
        assert info["num_threads"] == twofold.get_num_threads()
        assert os.path.samefile(info["filepath"], twofold._engine.twofold_engine.__file__)
        x = array("I", bytes(64 << 20))
        for keywords in ({{"user_api": "twofold"}}, {{}}):
            with threadpoolctl.threadpool_limits(limits=1, **keywords):
                assert twofold.get_num_threads() == 1
                twofold.double(x, out=x)
                assert len(os.listdir("/proc/self/task")) == 1
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            assert twofold.threads_info()["limit"] is None
        """,
        env={**without_thread_variables(), "TWOFOLD_NUM_THREADS": "3"},
    )


@pytest.mark.usefixtures("threadpoolctl")
def test_threadpoolctl_leaves_no_limit_behind():
    """A change of the environment is still followed after a block, and a limit that was there before is there again."""
    run_script("""
        import os, twofold.threadpoolctl
        from threadpoolctl import threadpool_limits
        with threadpool_limits(1):
            pass
        assert twofold.threads_info()["limit"] is None
        os.environ["OMP_NUM_THREADS"] = "5"
        assert twofold.get_num_threads() == 5
        with twofold.num_threads(3):
            with threadpool_limits(1):
                assert twofold.get_num_threads() == 1
            assert twofold.threads_info()["limit"] == 3
    """)


def test_without_threadpoolctl():
    """Nothing imports it, and importing it is an error that says that there is none."""
    run_script("""
        import sys, twofold
        assert "threadpoolctl" not in sys.modules
        sys.path[:] = []
        try:
            import threadpoolctl
        except ModuleNotFoundError as error:
            assert error.name == "threadpoolctl"
        else:
            raise AssertionError(threadpoolctl)
    """)


def test_an_old_threadpoolctl_is_left_alone(tmp_path):
    """Before 3.2 it knows no controllers of others."""
    (tmp_path / "threadpoolctl.py").write_text("__version__ = '3.1'\n")
    run_script(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import threadpoolctl, twofold
        assert threadpoolctl.__version__ == "3.1"
        """,
        str(tmp_path),
    )


def test_a_decorated_function_has_any_parameters():
    @twofold.num_threads(2)
    def called(limit, function, *, self):
        return limit, function, self, twofold.get_num_threads()

    assert called(limit=1, function=3, self=4) == (1, 3, 4, 2)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda limit: pickle.loads(pickle.dumps(limit))])
def test_a_copy_of_a_limit_has_entered_nothing(copied):
    with twofold.num_threads(1) as limit:
        another = copied(limit)
        with another:
            pass
        del another
        assert twofold.get_num_threads() == 1


def test_a_limit_that_goes_is_that_of_its_own_thread():
    """Not of a later one, to which the system gives the same identifier."""
    entered, identifiers, limits = [], [], []

    def enter():
        identifiers.append(threading.get_ident())
        entered.append(twofold.num_threads(1).__enter__())

    def drop():
        identifiers.append(threading.get_ident())
        twofold.set_num_threads(2)
        entered.clear()
        limits.append(twofold.threads_info()["limit"])

    for function in [enter, drop] * 20:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    assert limits == [2] * 20
    assert len(set(identifiers)) < len(identifiers), "this system uses none again"
