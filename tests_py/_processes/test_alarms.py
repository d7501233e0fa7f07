"""What a signal handler raises reaches the caller, whenever it comes: alarms at all moments of short calls.

Each stretch is run in a process of its own: process_scenarios/alarms.py.
"""

import os
import sys

import pytest
import twofold
from conftest import run_script
from test_processes import run_scenario
from twofold._engine.messages import raise_again_if_callers

# More on demand: see CONTRIBUTING.md.
ALARMS = int(os.environ.get("TWOFOLD_TEST_ALARMS", "700"))

# A handler's exception may be of a type that is expected where it comes, too.
KINDS = ["BaseException", "Exception", "TimeoutError"]

STRETCHES = [
    *("array", "small array", "strides", "list", "list of a dtype", "refused", "buffer", "ufunc", "matrix", "limit"),
    *("pickle", "pickle and drop", "share", "SharedArray", "own", "ProcessPoolExecutor", "Pool", "file"),
]


@pytest.mark.parametrize("name", STRETCHES)
def test_every_alarm_arrives(tmp_path, name):
    kinds = [kind for kind in KINDS if kind != "TimeoutError" or name not in EXPECTED_BY_PYTHON]
    count = ALARMS // len(STRETCHES) // len(kinds) + 1
    seconds = 100 + ALARMS // 50
    print(run_scenario(tmp_path, "alarms", name, count, *kinds, stderr=None, leaves_processes=True, seconds=seconds))


# The stretches in which Python's own modules take it for something else.
EXPECTED_BY_PYTHON = ["own", "ProcessPoolExecutor", "Pool"]


# More on demand: see CONTRIBUTING.md.
INTERRUPTIONS = int(os.environ.get("TWOFOLD_TEST_INTERRUPTIONS", "50"))

INTERRUPTED = [
    *("num_threads", "decorated", "threads=", "masked", "masked, in place", "narrows", "undisturbed", "fork"),
    *("list, fork", "spawn", "forkserver", "file", "two files", "file, opened by a worker", "SharedArray", "share"),
]


@pytest.mark.parametrize("name", INTERRUPTED)
def test_what_an_interrupted_call_has_changed_is_as_before(tmp_path, name):
    """The signals that are blocked, the limit of threads, np.errstate, the environment, processes, descriptors."""
    seconds = 60 + INTERRUPTIONS // 5
    print(run_scenario(tmp_path, "interrupted", name, INTERRUPTIONS, seconds=seconds))


# ---- whose an exception is


HANDLERS = {
    "function": "def handler(signum, frame): raise DeadlineError",
    "lambda": "handler = lambda *_: fail()",
    "method": "class A:\n    def handle(self, signum, frame): fail()\nhandler = A().handle",
    "object": "class A:\n    def __call__(self, *arguments): fail()\nhandler = A()",
    "partial": "import functools\ndef handle(extra, signum, frame): fail()\nhandler = functools.partial(handle, 1)",
    "nested": "def inner(signum): fail()\ndef handler(signum, frame):\n    try: inner(signum)\n    finally: pass",
}


@pytest.mark.parametrize("name", HANDLERS)
def test_the_exception_of_a_handler_is_told_from_others(name):
    script = """
        import signal
        from twofold._engine.messages import raise_again_if_callers

        class DeadlineError(ValueError):
            pass

        def fail():
            raise DeadlineError

        scope = {"DeadlineError": DeadlineError, "fail": fail}
        exec(HANDLER, scope)
        signal.signal(signal.SIGALRM, scope["handler"])

        def call(function):
            try:
                function()
            except ValueError as error:
                raise_again_if_callers(error)
                return error

        try:
            call(lambda: [signal.raise_signal(signal.SIGALRM), None])
        except DeadlineError:
            pass
        else:
            raise AssertionError("eaten")
        assert type(call(fail)) is DeadlineError  # the same one, but not from a handler
        assert type(call(lambda: int("a"))) is ValueError
        """
    run_script(script.replace("HANDLER", repr(HANDLERS[name])))


# Where errors of a type are expected of what `act` is called in; the type; and what comes of one.
EXPECTED = {
    "a pool": ("twofold.double_in_processes(np.ones(2000), FakePool(), chunk_bytes=1)[8]", "RuntimeError", "2.0"),
    "a dtype": ("twofold.double([1], dtype=DType())", "TypeError", "TypeError"),
    "a bar": ("twofold.double_in_processes(np.ones(9), Refuses(), progress=True)", "ImportError", "ImportError"),
    "a message": ("twofold.double([Text()])", "ValueError", "TypeError"),
    "a reference": ("type(shared._receive(twofold.SharedArray, where, None, None, True))", "ValueError", "LostArray"),
    "a file": ("places._open_file_of(File())", "OSError", "None"),
    "a process": ("jobs.identity_of(Pid())", "OSError", "None"),
    "a buffer": ("pools._is_sequence(Buffer())", "ValueError", "False"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_handler_is_heard_where_its_type_is_expected(name):
    call, kind, result = EXPECTED[name]
    if name == "a buffer" and sys.version_info < (3, 12):
        return  # before, no Python code exports one
    run_script(f"""
        import mmap, signal, sys, types
        import numpy as np
        import twofold
        from twofold import pools, shared
        from twofold._processes import jobs, places

        class FakePool:
            def submit(self, work, order):
                act()

        class Refuses:
            def submit(self, work, order):
                raise RuntimeError

        sys.modules["tqdm.auto"] = types.ModuleType("tqdm.auto")
        sys.modules["tqdm.auto"].__getattr__ = lambda name: act()

        class DType:
            @property
            def dtype(self):
                act()

        class Text(str):
            def __repr__(self):
                act()

        class Pid:
            def __int__(self):
                act()
            __index__ = __int__
            def __format__(self, how):
                act()

        class Buffer:
            def __buffer__(self, flags):
                act()

        class File:  # an array of one, as far as is asked
            base = mmap.mmap(-1, 1)
            @property
            def __array_interface__(self):
                return {{"data": (np.frombuffer(self.base, np.uint8).ctypes.data, False)}}
            @property
            def flags(self):
                return self
            writeable = True

        def open_file(*_):
            act()

        places.OpenFile = open_file
        where = Pid(), 0, bytes(20), 1

        class DeadlineError({kind}):
            pass

        def handler(signum, frame):
            raise DeadlineError

        def alarm():
            signal.raise_signal(signal.SIGALRM)
            raise AssertionError("no handler ran")

        def fail():
            raise {kind}

        def outcome():
            try:
                return {call}
            except Exception as error:
                return type(error)

        signal.signal(signal.SIGALRM, handler)
        act = fail
        assert "{result}" in str(outcome()), outcome()
        act = alarm
        assert outcome() is DeadlineError, outcome()
        """)


def test_want_of_memory_is_the_callers():
    with pytest.raises(MemoryError):
        raise_again_if_callers(MemoryError())


class NoMemoryForIt:
    def __repr__(self):
        raise MemoryError


def test_want_of_memory_for_a_message_is_no_message():
    with pytest.raises(MemoryError):
        twofold.double([NoMemoryForIt()])


# ---- whether this process is a worker, without Python code


@pytest.mark.parametrize(
    ("module", "is_worker"),
    [
        ("None", False),
        ("types.ModuleType('multiprocessing.process')", False),  # another thread is still at its import
        ("types.SimpleNamespace(_parent_process=1)", False),  # no module
        ("loaded(_parent_process=None)", False),
        ("loaded(_parent_process=1)", True),
    ],
)
def test_a_worker_is_told_by_a_variable(module, is_worker):
    script = f"""
        import sys, types
        import twofold

        def loaded(**variables):
            module = types.ModuleType("multiprocessing.process")
            module.__dict__.update(variables)
            return module

        assert not twofold.threads_info()["pool_worker"]
        sys.modules["multiprocessing.process"] = {module}
        assert twofold.threads_info()["pool_worker"] is {is_worker}
        """
    run_script(script)
