"""First calls beside forks: six threads make theirs while two fork, whose children call, too.

    python first_calls.py ROUTE ORDER WAY RUNS

ORDER says whether NumPy is imported `before` twofold or `after` it. By the WAY `fork` threads just fork; by `import`
each of those forks is in the body of a module that is being imported. Each run is in a child of this process, which has
imported all that the route needs of other libraries, but has not called twofold.
"""

import ctypes
import importlib
import struct
import sys
import tempfile
import threading
from pathlib import Path

route, order, way, runs = sys.argv[1:]
if order == "before":
    import numpy  # noqa: F401
import twofold  # noqa: E402 - its place matters
from checks import in_child  # noqa: E402

CALLERS, FORKERS, FORKS = 6, 2, 4


class RefusesWork:
    """A pool of which the caller gets no worker."""

    def submit(self, *arguments):
        raise RuntimeError


sys.path.append(str(Path(__file__).parents[2] / "_containers"))
NUMBERS = ctypes.create_string_buffer(struct.pack("3q", 0, 1, 2))


def of_dlpack(foreign):
    start = ctypes.addressof(NUMBERS)
    return foreign.DLPackArray(data=start, ndim=1, code=0, bits=64, shape=[3], strides=[1])


def of_arrow(foreign):
    array = {"length": 3, "n_buffers": 2, "buffers": [None, ctypes.addressof(NUMBERS)]}
    return foreign.ArrowArray({"format": b"l"}, array)


# By route: a module that it needs, values made with it, and the call.
ROUTES = {
    "arrays": ("numpy", lambda np: np.arange(3), twofold.double),
    "masked": ("numpy.ma", lambda ma: ma.masked_equal([0, 1, 2], 1), lambda values: twofold.double(values).filled(2)),
    "dtype": ("numpy", lambda np: np.uint32, lambda dtype: twofold.double([0, 1, 2], dtype=dtype)),
    "numbers": ("fractions", lambda fractions: [*map(fractions.Fraction, range(3))], twofold.double),
    "sequences": ("collections", lambda collections: collections.deque(range(3)), twofold.double),
    "array": ("array", lambda array: array.array("i", range(3)), twofold.double),
    "buffers": ("builtins", lambda builtins: builtins.bytearray(range(3)), twofold.double),
    "dlpack": ("foreign", of_dlpack, lambda values: struct.unpack("3q", twofold.double(values)[1])),
    "arrow": (
        "foreign",
        of_arrow,
        lambda values: [
            struct.unpack("q", item)[0] for item in sys.modules["foreign"].read_arrow(twofold.double(values))
        ],
    ),
    "torch": ("torch", lambda torch: torch.arange(3), twofold.double),
    "pandas": ("pandas", lambda pandas: pandas.Series(range(3)), twofold.double),
    "ufuncs": ("numpy", lambda np: np.arange(3), lambda values: twofold.ufuncs.doubled(values)),  # noqa: PLW0108 - looked up there, too
    "parallel": (
        "numpy",
        lambda np: np.arange(3),
        lambda values: twofold.parallel(sys.modules["numpy"].add)(values, values),
    ),
    "share": ("numpy", lambda np: np.arange(3), lambda values: twofold.double(twofold.share(values))),
    "SharedArray": ("numpy", lambda np: np.arange(0, 6, 2), lambda rest: twofold.double(twofold.SharedArray(3)) + rest),
    "double_in_processes": (
        "numpy",
        lambda np: np.arange(3),
        lambda values: twofold.double_in_processes(values, RefusesWork()),
    ),
}
needed, make, call = ROUTES[route]
values = make(importlib.import_module(needed))


def check():
    result = call(values)
    assert list(getattr(result, "tolist", lambda: result)()) == [0, 2, 4], result


def went_well(function):
    """Whether it did, in a child under a time limit."""
    try:
        in_child(function)
    except AssertionError:
        return False
    return True


def one_run():
    start = threading.Barrier(CALLERS + FORKERS)
    good = []

    def call_first():
        start.wait()
        check()
        good.append(True)

    def fork(number):
        start.wait()
        for i in range(FORKS):
            if way == "fork":
                good.append(went_well(check))
            else:
                good.append(__import__(f"forking_{number}_{i}").result)

    threads = [threading.Thread(target=call_first) for _ in range(CALLERS)]
    threads += [threading.Thread(target=fork, args=(number,)) for number in range(FORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [True] * (CALLERS + FORKERS * FORKS), good


with tempfile.TemporaryDirectory() as folder:
    if way == "import":
        sys.path.insert(0, folder)
        for number in range(FORKERS):
            for i in range(FORKS):
                text = "from __main__ import check, went_well\nresult = went_well(check)\n"
                Path(folder, f"forking_{number}_{i}.py").write_text(text)
    sys.setswitchinterval(1e-5)
    bad = sum(not went_well(one_run) for _ in range(int(runs)))
if bad:
    sys.exit(f"{bad} of {runs} runs had a child that hung or failed")
