"""Ctrl-C, and signals at large, in the middle of a long call: each in a process of its own.

A timer sends signals all the while. The handler acts when it sees that the call is half done, so that it is known to
have run in the middle of it, at whatever speed.
"""

import pytest
from conftest import run_script

# `call` doubles `x`, whose elements are all 1, into `out`, whose elements were all 0: 160 MiB each.
CALLS = {
    "array": "twofold.double(x, out=out)",
    "array, one thread": "twofold.double(x, out=out, threads=1)",
    "array, saturate": "twofold.double(x, out=out, overflow='saturate')",
    "array, raise": "twofold.double(x, out=out, overflow='raise')",
    "buffer": "twofold.double(memoryview(x), out=memoryview(out))",
    "ufunc": "ufuncs.doubled(x, out)",
    "byte order": "twofold.double(x.view('>u4'), out=out.view('>u4'))",
    "strides": "twofold.double(x.reshape(2, -1)[:, ::-1], out=out.reshape(2, -1)[:, ::-1])",
    "columns": "twofold.double(x.reshape(1 << 12, -1).T, out=out.reshape(1 << 12, -1).T)",
}

SETUP = """
    import os, signal, threading
    import numpy as np
    import twofold
    from twofold import ufuncs

    x = np.ones(40 << 20, np.uint32)
    if "{name}" == "byte order":
        x.byteswap(inplace=True)
    two = x[0] + x[0]
    out = np.zeros_like(x)

    def call():
        {call}

    def half_done():
        return out[0] == two and out[-1] == 0 or out[0] == 0 and out[-1] == two

    acted = False

    def on_timer(signum, frame):
        global acted
        if not acted and half_done():
            acted = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            act()

    def call_until_acted():
        signal.signal(signal.SIGALRM, on_timer)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for _ in range(300):
            out[:] = 0
            call()
            if acted:
                return
        raise AssertionError("no handler ever ran in the middle of a call")
"""


def script_for(name: str, rest: str) -> str:
    return SETUP.format(name=name, call=CALLS[name]) + rest


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_a_long_call(name):
    """What was doubled by then is whole slices: of the rest not a byte has been written."""
    rest = """
    def act():
        signal.raise_signal(signal.SIGINT)

    try:
        call_until_acted()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("the call went on")
    assert half_done()
    done = out == two
    assert (out[~done] == 0).all()
    assert done.sum() % (1 << 20) == 0, done.sum()
    call()  # and all goes on as before
    assert (out == two).all()
    """
    run_script(script_for(name, rest))


def test_ctrl_c_in_place():
    run_script("""
        import signal
        import numpy as np
        import twofold
        x = np.ones(64 << 20, np.uint32)
        def on_timer(signum, frame):
            if x[0] != x[-1]:
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, on_timer)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        try:
            for _ in range(30):
                twofold.double(x, out=x)
        except KeyboardInterrupt:
            done = x == x[0]
            assert x[0] == 2 * x[-1]
            assert (x[~done] == x[-1]).all()
            assert done.sum() % (1 << 20) == 0, done.sum()
        else:
            raise AssertionError("no handler ever ran in the middle of a call")
    """)


def test_what_a_handler_raises_comes_out():
    rest = """
    def act():
        raise KeyError("of the handler")

    try:
        call_until_acted()
    except KeyError as error:
        assert error.args == ("of the handler",)
    else:
        raise AssertionError("the call went on")
    """
    run_script(script_for("array", rest))


def test_a_call_goes_on_after_a_handler():
    """One that calls twofold itself, sets a limit, and takes the floating-point flags for itself."""
    rest = """
    def act():
        other = np.full(8 << 20, 3.0)
        other[1] = np.inf
        with np.errstate(all="raise"):
            assert twofold.double(other, threads=3)[-1] == 6.0
        twofold.set_num_threads(1)

    call_until_acted()
    assert (out == 2).all()
    """
    run_script(script_for("array", rest))


def test_a_handler_may_fork():
    """Then two processes go on in the middle of the call, and each comes to the right end."""
    rest = """
    pids = []
    def act():
        pids.append(os.fork())

    call_until_acted()
    assert (out == 2).all()
    if pids[0] == 0:
        os._exit(0)
    assert os.waitpid(pids[0], 0)[1] == 0
    """
    run_script(script_for("array", rest))


def test_calls_of_other_threads_know_no_signals():
    """Handlers run in the main thread meanwhile, and the call of another thread comes to its end."""
    run_script("""
        import signal, threading
        import numpy as np
        import twofold
        x = np.ones(64 << 20, np.uint32)
        in_call = False
        seen = []  # whether a handler ran during a call
        right = []
        def calls():
            global in_call
            out = np.zeros_like(x)
            while len(right) < 5 or True not in seen:
                out[:] = 0
                in_call = True
                twofold.double(x, out=out)
                in_call = False
                right.append((out == 2).all())
        def on_timer(signum, frame):
            assert threading.current_thread() is threading.main_thread()
            seen.append(in_call)
        thread = threading.Thread(target=calls)
        signal.signal(signal.SIGALRM, on_timer)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        thread.start()
        while len(right) < 5 or True not in seen:
            signal.pause()
        signal.setitimer(signal.ITIMER_REAL, 0)
        thread.join()
        assert all(right)
    """)
