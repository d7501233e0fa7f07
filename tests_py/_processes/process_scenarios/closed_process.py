"""A process that has given up privileges, and so is closed to others: references are refused, and no work is lost."""

import ctypes
import multiprocessing
import os
import pickle
import warnings
from multiprocessing import popen_spawn_posix, resource_tracker  # noqa: F401 - now, while Python may read its files

import numpy as np
import twofold
from checks import Call
from twofold.shared import SharedArrayError

PR_SET_DUMPABLE = 4
PRCTL = ctypes.CDLL(None).prctl
NOBODY = 65534
IS_ROOT = os.getuid() == 0


def close():
    """What setuid does, also to a process that is not root at first."""
    PRCTL(PR_SET_DUMPABLE, 0)


def give_up():
    """As servers do that are started by root."""
    if IS_ROOT:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    else:
        close()


def refusal_of(array):
    try:
        pickle.dumps(array)
    except SharedArrayError as error:
        return str(error)
    return "none"


def in_child(function, *arguments):
    """What it says in a child of a fork."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, function(*arguments).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with open(reader) as answer:
        return answer.read()


class Patient:
    """A pool that is asked for nothing more before it has answered."""

    _processes = 2

    def __init__(self, pool):
        self.pool = pool

    def apply_async(self, function, args=()):
        answer = self.pool.apply_async(function, args)
        answer.wait()
        return answer


def warning_of(call, pool):
    """Of a call, whose result is right."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(pool)
    return [str(warning.message) for warning in caught]


def check_pools(call):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        (warning,) = warning_of(call, Patient(pool))
    assert "a Patient, was asked" in warning, warning
    assert "PR_SET_DUMPABLE" in warning, warning
    multiprocessing.set_start_method("fork")  # whose processes inherit all that they need
    assert warning_of(call, None) == []
    multiprocessing.set_start_method("spawn", force=True)  # whose processes are sent it
    (warning,) = warning_of(call, None)
    assert "PR_SET_DUMPABLE" in warning, warning


def check_references():
    array = twofold.share(np.arange(9))
    for sent in array, array[::2]:
        assert "PR_SET_DUMPABLE" in refusal_of(sent)
        assert "PR_SET_DUMPABLE" in in_child(refusal_of, sent)  # which inherits it
    assert refusal_of(np.array(array)) == "none"
    PRCTL(PR_SET_DUMPABLE, 1)
    assert refusal_of(array) == "none"
    assert in_child(refusal_of, array) == "none"


def check_lost_array():
    """It is closed before the reference is opened."""
    reader, writer = os.pipe()

    def received():
        return repr(pickle.loads(os.read(reader, 9999)))

    for is_closed, expected in (False, "SharedArray([1"), (True, "PR_SET_DUMPABLE"):
        answers = multiprocessing.get_context("fork").SimpleQueue()
        child = os.fork()
        if child == 0:
            answers.put(received())
            os._exit(0)
        array = twofold.share(np.array([1, 2]))
        sent = pickle.dumps(array)
        if is_closed:
            close()
        os.write(writer, sent)
        answer = answers.get()
        os.waitpid(child, 0)
        assert expected in answer, answer
        assert not is_closed or answer.startswith("<LostArray: this process may not open what process "), answer


def main():
    resource_tracker.ensure_running()  # now, while Python may be started
    call = Call("copied", 8)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert warning_of(call, Patient(pool)) == []
    if IS_ROOT:
        with multiprocessing.get_context("fork").Pool(2, initializer=give_up) as pool:
            (warning,) = warning_of(call, Patient(pool))
        assert f"is of user 0, not of user {NOBODY}" in warning, warning
    array = twofold.share(np.arange(9))
    assert refusal_of(array) == "none"
    give_up()
    check_pools(call)
    check_references()
    # Each child opens what was made after its fork.
    check_lost_array()


if __name__ == "__main__":
    main()
