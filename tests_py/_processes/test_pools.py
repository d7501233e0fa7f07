"""In a worker of a process pool a call has one thread, unless somebody says otherwise: P workers have P CPUs' work."""

import itertools

import pytest
from conftest import run_script, without_thread_variables

START_METHODS = ["fork", "spawn", "forkserver"]

# Each makes `call`, which calls a function in a worker. The functions are those of modules: spawned workers know no
# others of a script that is no file.
POOLS = {
    "Pool": """
        import multiprocessing
        pool = multiprocessing.get_context({method!r}).Pool(1)
        call = lambda *arguments: pool.apply(arguments[0], arguments[1:])
    """,
    "ProcessPoolExecutor": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r}))
        call = lambda *arguments: pool.submit(*arguments).result()
    """,
    "loky": """
        from loky import ProcessPoolExecutor
        pool = ProcessPoolExecutor(1)
        call = lambda *arguments: pool.submit(*arguments).result()
    """,
}

KINDS = [*itertools.product(["Pool", "ProcessPoolExecutor"], START_METHODS), ("loky", "its own")]

ASK = """
        import os, twofold
        from array import array
        from functools import partial
        x = array("I", bytes(16 << 20))
        twofold.double(x, threads=3)  # a fork comes after threads were used here
        others = len(call(os.listdir, "/proc/self/task")) - 1  # loky's workers have one
        def ask(double=twofold.double):
            for _ in range(2):
                call(double, x)
            info = call(twofold.threads_info)
            return info["num_threads"], info["rule"], len(call(os.listdir, "/proc/self/task")) - others
        {asked}
        if hasattr(pool, "terminate"):
            pool.terminate()
        else:
            pool.shutdown()
"""


def ask_worker(pool: str, method: str, asked: str, **variables: str) -> None:
    """ask() in a worker says how many threads it would have, why, and how many there are after calls."""
    if pool == "loky":
        pytest.importorskip("loky")
    asked = asked.replace("\n", "\n        ")
    script = POOLS[pool].format(method=method) + ASK.format(asked=asked)
    run_script(script, env={**without_thread_variables(), **variables})


@pytest.mark.parametrize(("pool", "method"), KINDS)
def test_a_worker_has_one_thread(pool, method):
    """Unless a limit or an argument says otherwise. (Threads stay, so those who want more of them come later.)"""
    asked = """assert ask() == (1, "pool worker", 1), ask()
call(twofold.set_num_threads, 2)
assert ask() == (2, "thread limit", 2), ask()
call(twofold.set_num_threads, None)
assert ask(partial(twofold.double, threads=3)) == (1, "pool worker", 3), ask()"""
    ask_worker(pool, method, asked)


@pytest.mark.parametrize(("pool", "method"), KINDS)
def test_the_environment_goes_before(pool, method):
    ask_worker(pool, method, "assert ask() == (3, 'OMP_NUM_THREADS', 3), ask()", OMP_NUM_THREADS="3")


@pytest.mark.parametrize(("keywords", "expected"), [({}, 1), ({"inner_max_num_threads": 3}, 3)])
def test_joblib_says_how_many(keywords, expected):
    """By the environment of its workers: CPUs over jobs, or as it was told."""
    pytest.importorskip("joblib")
    script = f"""
        import os, joblib, twofold
        with joblib.parallel_config("loky", n_jobs=os.cpu_count(), **{keywords}):
            print(joblib.Parallel()([joblib.delayed(twofold.threads_info)()])[0])
    """
    info = eval(run_script(script, env=without_thread_variables()))
    assert (info["num_threads"], info["rule"]) == (expected, "OMP_NUM_THREADS")


@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_of_multiprocessing_counts_as_a_worker(method):
    """Other pools are made of them."""
    run_script(
        f"""
        import multiprocessing, sys, twofold, twofold._engine.config
        context = multiprocessing.get_context({method!r})
        process = context.Process(target=twofold.show_config)
        process.start()
        process.join()
        assert process.exitcode == 0
        print(twofold.threads_info()["pool_worker"])
    """,
        env=without_thread_variables(),
    )


def test_a_bare_fork_is_no_worker():
    run_script("""
        import multiprocessing, multiprocessing.pool, os, twofold
        pid = os.fork()
        if pid == 0:
            os._exit(twofold.threads_info()["pool_worker"])
        assert os.waitpid(pid, 0)[1] == 0
    """)


def test_a_subprocess_is_no_worker():
    """Also one that a worker starts: it has the machine to itself as far as it knows."""
    run_script("""
        import multiprocessing, subprocess, sys
        ask = "import twofold; raise SystemExit(twofold.threads_info()['pool_worker'])"
        assert subprocess.call([sys.executable, "-c", ask]) == 0
        with multiprocessing.Pool(1) as pool:
            assert pool.apply(subprocess.call, ([sys.executable, "-c", ask],)) == 0
    """)


def test_a_fork_of_a_worker_is_one():
    run_script("""
        import multiprocessing, os, twofold
        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(twofold.threads_info()["pool_worker"])
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(fork) == 1
    """)
