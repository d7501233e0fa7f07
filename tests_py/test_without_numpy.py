"""What works without NumPy, or beside one that is too old, and the one sentence that all else says."""

import pytest
from conftest import run_script

# What stands in the place of NumPy, and what is said of it.
ABSENT = {
    "hidden": ("sys.modules['numpy'] = None", "and none is installed"),
    "not found": (
        """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numpy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())""",
        "and none is installed",
    ),
    "1.26.4": (
        """
import types
numpy = sys.modules["numpy"] = types.ModuleType("numpy")
numpy.__version__ = "1.26.4"
numpy.__file__ = "/somewhere/numpy/__init__.py"
numpy.ndarray = type("ndarray", (), {"__module__": "numpy"})
numpy.generic = type("generic", (), {"__module__": "numpy"})
def dtype(name):
    raise TypeError(f"data type {name!r} not understood")
numpy.dtype = dtype""",
        r"and found is NumPy 1.26.4 (/somewhere/numpy/__init__.py)",
    ),
    "a folder that is left": (
        "import types; sys.modules['numpy'] = types.ModuleType('numpy')",
        "and found is NumPy (no",
    ),
}

NEEDED = "NumPy 2.0 or later is needed for arrays, twofold.share and twofold.ufuncs"


@pytest.fixture(params=ABSENT)
def without_numpy(request):
    """Runs a script in which `said` checks that a call gives the sentence."""
    instead, found = ABSENT[request.param]

    def run(script):
        run_script(
            "\n".join(
                [
                    "import sys",
                    instead,
                    "import array, warnings, twofold",
                    "def said(call):",
                    "    for _ in range(2):",
                    "        try:",
                    "            call()",
                    "        except ImportError as error:",
                    f"            assert str(error).startswith({f'{NEEDED}, {found}'!r}), error",
                    "            assert error.name == 'numpy'",
                    "        else:",
                    "            raise AssertionError('no error')",
                    "pool = None",
                    script,
                ]
            )
        )

    return run


def test_what_needs_numpy_says_which(without_numpy):
    without_numpy("""
x = array.array("I", [1, 2])
said(lambda: twofold.share([1, 2, 3]))
said(lambda: twofold.SharedArray(3))
said(lambda: twofold.ufuncs.doubled)
def of_ufuncs():
    from twofold.ufuncs import doubled_checked
said(of_ufuncs)
def of_shared():
    from twofold.shared import SharedArray
said(of_shared)
said(lambda: twofold.shared.LostArray("gone"))
said(lambda: twofold.double_in_processes(x, processes=1, dtype="int64"))
said(lambda: twofold.double_in_processes([1, 2], processes=1, dtype=int))
if hasattr(sys.modules.get("numpy"), "ndarray"):
    class Old(sys.modules["numpy"].ndarray, bytearray):
        pass
    said(lambda: twofold.double(Old(8)))
    said(lambda: twofold.double_in_processes(Old(8), processes=1))
    said(lambda: twofold.double_in_processes(bytes(8), processes=1, out=Old(8)))
""")


def test_lists_in_processes(without_numpy):
    without_numpy("""
call = lambda values, **keywords: twofold.double_in_processes(values, processes=2, chunk_bytes=4096, **keywords)
assert call([]) == []
assert call([1, 2, 3]) == [2, 4, 6]
values = list(range(-5000, 5000))
assert call(values) == call(tuple(values)) == call(range(-5000, 5000)) == [v + v for v in values]
assert call([2**70, 1.5]) == [2**71, 3.0]
assert call([1, 2**31], dtype="uint32") == [2, 0]
assert call([1, 2**31], dtype="uint32", overflow="saturate") == [2, 2**32 - 1]
try:
    call([1, 2**31], dtype="uint32", overflow="raise")
    raise AssertionError
except OverflowError as error:
    assert "values[1]" in str(error)
out = array.array("q", bytes(8 * len(values)))
assert call(values, out=out) is out
assert out.tolist() == [2 * v for v in values]
assert call([], out=array.array("f")) == array.array("f")
for bad, error in ((array.array("q", [1]), ValueError), (bytes(24), ValueError), (array.array("u", "abc"), TypeError),
                   (memoryview(bytearray(48)).cast("q")[::2], ValueError), ("abc", TypeError)):
    try:
        call([1, 2, 3], out=bad)
        raise AssertionError(bad)
    except error:
        pass
assert "numpy.linalg" not in sys.modules
""")


def test_buffers_in_processes(without_numpy):
    without_numpy("""
call = lambda values, **keywords: twofold.double_in_processes(values, processes=2, chunk_bytes=4096, **keywords)
for letter in "bBhHiIlLqQfd":
    x = array.array(letter, [i % 50 for i in range(3000)])
    result = call(x)
    assert (type(result), result.format, result.readonly) == (memoryview, letter, False)
    assert result.tolist() == [2 * v for v in x]
    result[0] = 7
    out = array.array(letter, bytes(x.itemsize * 3000))
    assert call(x, out=out) is out and out.tolist() == [2 * v for v in x]
    expected = [2 * v for v in x]
    assert call(x, out=x) is x and x.tolist() == expected
y = memoryview(bytearray(range(24))).cast("B", (2, 3, 4))
assert call(y).shape == (2, 3, 4)
assert call(y).tolist() == twofold.double(y).tolist()
strided = memoryview(bytearray(range(240))).cast("H")[::3]
assert call(strided).tolist() == [2 * v % 65536 for v in strided]
assert call(b"").tolist() == []
assert call(b"\\x01\\x81", overflow="saturate").tolist() == [2, 255]
x = array.array("i", [1, 2**30, 3])
for out in (None, x, array.array("i", bytes(12))):
    try:
        call(x, overflow="raise", out=out)
        raise AssertionError
    except OverflowError as error:
        assert "values[1] is 1073741824" in str(error), error
assert x.tolist() == [1, 2**30, 3]
for values, keywords, error in (
    ("abc", {}, TypeError), (3, {}, TypeError), (memoryview(b"abc").cast("c"), {}, TypeError),
    (x, {"out": array.array("I", bytes(12))}, TypeError), (x, {"out": array.array("i", bytes(8))}, ValueError),
    (x, {"out": bytes(12)}, ValueError), (x, {"out": [0, 0, 0]}, TypeError),
):
    try:
        call(values, **keywords)
        raise AssertionError((values, keywords))
    except error:
        pass
""")


def test_double_goes_on(without_numpy):
    without_numpy("""
assert twofold.double([1, 2, 3]) == [2, 4, 6]
assert twofold.double([1, 2**31], dtype="uint32") == [2, 0]
assert twofold.double(array.array("I", [1])).tolist() == [2]
""")
