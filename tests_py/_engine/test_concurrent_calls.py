"""Many threads of one interpreter call at once, while others fork: each gets its own right answer."""

from conftest import run_script

SETUP = """
    import os, threading, warnings
    from array import array
    import numpy as np
    import twofold
    from twofold import ufuncs

    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which are meant here

    shared = np.arange(1 << 20, dtype=np.uint32)
    shared_doubled = shared + shared
    items = list(range(1000))

    def check(k):
        own = np.arange(k, k + (1 << 20), dtype=np.uint32)
        assert (twofold.double(own, threads=3) == own + own).all()
        assert (twofold.double(shared) == shared_doubled).all()
        assert (twofold.double(own.reshape(1024, -1).T) == (own + own).reshape(1024, -1).T).all()
        assert (ufuncs.doubled(shared.astype(">u4")) == shared_doubled).all()
        buffer = array("d", [k] * (1 << 16))
        twofold.double(buffer, out=buffer)
        assert buffer[0] == buffer[-1] == 2 * k
        assert twofold.double(items) == [2 * v for v in items]
        with twofold.num_threads(k + 1):
            assert (twofold.double(shared) == shared_doubled).all()
            assert twofold.get_num_threads() == k + 1
        try:
            twofold.double(shared << 12, overflow="raise")
        except OverflowError as error:
            assert "values[524288]" in str(error), error
        else:
            raise AssertionError("no overflow")

    wrong = []

    def run(work):
        def until_done():
            try:
                work()
            except BaseException as error:
                wrong.append(repr(error))
        return threading.Thread(target=until_done)

    def all_of(*works):
        threads = [run(work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
"""


def test_eight_threads_while_others_fork():
    """Of different arrays and of the same one; the children double, too."""
    run_script(
        SETUP
        + """
    callers = 8
    going = [True] * callers

    def calls(k):
        try:
            for _ in range(10):
                check(k)
        finally:
            going[k] = False

    def forks():
        while any(going):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    check(99)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0

    all_of(forks, forks, *(lambda k=k: calls(k) for k in range(callers)))
    """
    )


def test_threads_that_call_first_at_once():
    """What is made by the first call, and the import of NumPy's side, is made once."""
    run_script("""
        import threading
        import numpy as np
        import twofold
        x = np.arange(1 << 20, dtype=np.uint32)
        meeting = threading.Barrier(16, timeout=60)
        right = []
        def first():
            meeting.wait()
            right.append((twofold.double(x) == x + x).all())
        threads = [threading.Thread(target=first) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert right == [True] * 16
    """)


def test_threads_that_write_the_same_result():
    """Into one `out`: a race that the callers are to blame for, but each writes the same, so it is right."""
    run_script(
        SETUP
        + """
    out = np.zeros_like(shared)

    def calls():
        for _ in range(50):
            twofold.double(shared, out=out, threads=3)

    all_of(*[calls] * 8)
    assert (out == shared_doubled).all()
    """
    )


def test_threads_that_change_a_list_meanwhile():
    """An error says so, or the answer is that of some moment; the interpreter lives."""
    run_script(
        SETUP
        + """
    changing = list(range(10_000))
    going = True

    def changes():
        while going:
            changing.append(1)
            changing.pop()
            changing[5000:] = range(5000)

    def calls():
        global going
        try:
            for _ in range(300):
                for dtype in (None, "int64"):
                    try:
                        assert twofold.double(changing, dtype=dtype)[:5] == [0, 2, 4, 6, 8]
                    except RuntimeError as error:
                        assert "changed its length" in str(error)
        finally:
            going = False

    all_of(changes, calls)
    """
    )
