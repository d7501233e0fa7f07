"""Every public function is called with imports watched: no call looks for a module, or takes the lock of one.

    python watched_imports.py ORDER LIBRARY

ORDER says whether NumPy is imported `before` twofold or `after` it. LIBRARY has arrays to call with, too.
"""

import importlib
import pickle
import sys
import warnings
from array import array
from collections import deque
from decimal import Decimal
from fractions import Fraction

warnings.simplefilter("ignore")  # before the warning of matrices, which looks at where it comes from
order, name = sys.argv[1:]
if order == "before":
    import numpy as np
import twofold  # noqa: E402 - its place matters

if order == "after":
    import numpy as np

library = importlib.import_module(name)


class Refuses:
    def submit(self, *arguments):
        raise RuntimeError


class Own(np.ndarray):
    pass


def decorated():
    with twofold.num_threads(2):
        return twofold.num_threads(1)(twofold.get_num_threads)()


x, out = np.arange(10), np.empty(10, "i8")
place = importlib.import_module("twofold.cython_api"), "double_f64"
kernel = twofold.Kernel(place)
calls = {
    "double": [
        *(
            lambda v=v: twofold.double(v)
            for v in (
                x,
                x[::2],
                x.astype(">i2"),
                x.astype("f2"),
                x.astype(object),
                x.astype("m8[s]"),
                np.float32(1),
                x.view(Own),
                np.matrix(x),
                1,
                1.5,
                [1, 2.5],
                (1j,),
                range(3),
                deque([1]),
                [Fraction(1, 2), Decimal(1), np.int8(1)],
                array("i", [1]),
                b"ab",
                bytearray(b"ab"),
                memoryview(b"ab"),
            )
        ),
        lambda: twofold.double(x, out=out),
        lambda: twofold.double(x, out=x[::-1], overflow="raise"),
        lambda: twofold.double(x, dtype="i4", casting="unsafe", where=x > 3, out=out.astype("i4")),
        lambda: twofold.double(x, where=x > 3, out=out, overflow="saturate"),
        lambda: twofold.double([1, 2], out=out[:2]),
        *(lambda d=d: twofold.double([1, 2], dtype=d) for d in ("uint32", "u4", np.float32, np.dtype("u1"))),
    ],
    "share": [lambda: twofold.share(x), lambda: twofold.share([1, 2])],
    "SharedArray": [
        lambda: twofold.SharedArray((2, 3)).reshape(-1)[1:],
        lambda: twofold.double(pickle.loads(pickle.dumps(twofold.SharedArray(5)))),
        lambda: pickle.dumps(twofold.shared.LostArray("gone")),
    ],
    "ufuncs": [
        *(lambda n=n: getattr(twofold.ufuncs, n)(x) for n in twofold.ufuncs.__all__),
        lambda: pickle.loads(pickle.dumps(twofold.ufuncs.doubled)),
    ],
    "parallel": [lambda: twofold.parallel(np.add)(x, x), lambda: twofold.parallel(np.divmod)(x, 3)],
    "Kernel": [lambda: kernel(x), lambda: twofold.Kernel(place)([1, 2]), lambda: kernel(bytes(8))],
    "num_threads": [decorated],
    "double_in_processes": [
        lambda v=v: twofold.double_in_processes(v, Refuses()) for v in (x, [1, 2], array("i", [1]))
    ],
    "set_num_threads": [lambda: twofold.set_num_threads(None)],
    **{
        name: [getattr(twofold, name)]
        for name in (
            "get_include",
            "get_num_threads",
            "release_memory",
            "show_config",
            "simd_target",
            "threads_info",
        )
    },
}


def of_library():
    """Arrays of the library. It has imported itself what it needs at its own first calls."""
    if name == "torch":
        library.from_dlpack(library.arange(3))
        return [library.arange(3), library.arange(3.0)]
    if name == "pyarrow":
        return [library.array([1, None]), library.chunked_array([[1], [2]])]
    if name == "pandas":
        values = [library.Series([1, 2]), library.DataFrame({"a": [1]}), library.array([1, None], "Int64")]
        return [(np.positive(v), v)[1] for v in values]
    return []


calls["double"] += [lambda v=v: twofold.double(v) for v in of_library()]
assert set(twofold.__all__) - calls.keys() == {"__version__"}

seen = []


class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        seen.append(f"{name} is looked for")


sys.meta_path.insert(0, Watch)
lock = sys.modules["_frozen_importlib"]._ModuleLock
acquire = lock.acquire


def watched(self):
    seen.append(f"{self.name} is locked")
    return acquire(self)


lock.acquire = watched
found = {}
for function, ways in calls.items():
    for i, way in enumerate(ways):
        way()
        if seen:
            found[function, i] = seen[:]
            seen.clear()
assert not found, found
