"""Arrays that processes share: by reference through every pool, whatever ends first, with nothing left behind."""

import contextlib
import copy
import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import twofold
from conftest import SCRIPT_SECONDS, run_script
from hypothesis import given
from hypothesis import strategies as st

np = pytest.importorskip("numpy")

from twofold import shared  # noqa: E402
from twofold._processes import segments, transit  # noqa: E402 - which import NumPy
from twofold.shared import LostArray, SharedArray, SharedArrayError, share  # noqa: E402

alone = pytest.mark.thread_unsafe(reason="looks at what the whole process has")

START_METHODS = ["fork", "spawn", "forkserver"]


def pickled(array, protocol=pickle.DEFAULT_PROTOCOL):
    """The array after it was sent to this same process."""
    return pickle.loads(pickle.dumps(array, protocol))


def is_same(a, b) -> bool:
    """Whether two arrays are the same elements of the same memory."""
    same = (a.__array_interface__, a.flags.writeable) == (b.__array_interface__, b.flags.writeable)
    return same and a.strides == b.strides


# ---- what an array is


@pytest.mark.parametrize("shape", [(), 0, 5, (2, 0, 3), (3, 4, 5)])
@pytest.mark.parametrize("dtype", ["u4", ">f8", "c16", "?", "S3", "M8[s]", "i2,f4"])
def test_it_is_made_as_numpy_makes_one_and_holds_zeros(shape, dtype):
    for order in "CF":
        like = np.zeros(shape, dtype, order)
        for _ in range(2):  # of new memory, and of memory used before
            a = SharedArray(shape, dtype, order)
            assert type(a) is SharedArray
            assert (a.shape, a.dtype, a.strides) == (like.shape, like.dtype, like.strides)
            assert a.tobytes() == like.tobytes()
            assert a.flags.writeable
            assert a.flags.aligned
            a.view("u1" if a.ndim and a.dtype.itemsize and a.strides[-1] == a.itemsize else a.dtype)[...] = 1
            empty = SharedArray.empty(shape, dtype, order)
            assert (empty.shape, empty.dtype, empty.strides) == (like.shape, like.dtype, like.strides)


@alone
def test_memory_used_before_is_zero_again():
    for _ in range(3):
        a = SharedArray(1 << 20, "u1")
        assert not a.any()
        a[...] = 1
    used = SharedArray.empty(1 << 20, "u1")
    used[...] = 1
    del used, a
    assert SharedArray.empty(1 << 20, "u1").all()  # else nothing is shown here


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24).reshape(2, 3, 4),
        np.asfortranarray(np.arange(24).reshape(4, 6)),
        np.arange(24, dtype=">u2")[::-2],
        np.float32(1.5),
        np.array(3 + 4j),
        np.arange(0),
        np.memmap(__file__, np.uint8, "r"),
        np.arange(4).reshape(2, 2).view(np.matrix),
        np.array(["ab", "c"]),
        np.array([(1, 2.5)], "i4,f8"),
        np.array(b"bytes"),
        bytearray(b"bytes"),
        [1, 2, 3],
        [[1.5, 2], [3, 4]],
        range(5),
        7,
    ],
    ids=lambda values: type(values).__name__,
)
def test_share_copies_values(values):
    expected = np.asarray(values)
    a = share(values)
    assert type(a) is SharedArray
    assert (a.dtype, a.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(a, expected)
    assert a.flags.writeable
    assert a.flags.fnc == expected.flags.fnc
    assert not np.shares_memory(a, expected)


def test_share_converts_to_a_dtype_and_leaves_what_is_shared():
    assert share([1, 2, 3], "uint8").tolist() == [1, 2, 3]
    assert share([1, 2, 3], dtype="float32").dtype == np.float32
    a = share([1, 2, 3])
    assert share(a) is a
    assert share(a[1:]).base is a
    assert share(a, "float32").dtype == np.float32
    assert not np.shares_memory(share(np.asarray(a)), a)  # as far as is told, that is a plain array


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, 1], "Python objects"),
        (np.array(["a", "bc"], np.dtypes.StringDType()), "Python objects"),
        (np.zeros(2, "i4,O"), "Python objects"),
        (np.ma.array([1, 2], mask=[0, 1]), "mask"),
    ],
)
def test_what_cannot_be_shared_is_a_type_error(values, message):
    with pytest.raises(TypeError, match=message):
        share(values)


class Quantity(np.ndarray):
    """As that of astropy: an array of NumPy, and a unit."""

    def __new__(cls, values, unit):
        quantity = np.asarray(values).view(cls)
        quantity.unit = unit
        return quantity

    def __array_finalize__(self, model):
        self.unit = getattr(model, "unit", None)


class PintQuantity:
    """As that of pint: no array of NumPy, but one is to be had."""

    units = property(lambda self: "km")
    magnitude = property(lambda self: np.arange(3))

    def __array__(self, dtype=None, copy=None):
        return self.magnitude


class Log(np.memmap):
    """A class of somebody else, of whose elements nothing is known."""


KM = Quantity([1.0, 2.0], "km")
MASKED = np.ma.array([1, 2], mask=[0, 1])
MEMORY = r"a subclass of numpy.ndarray whose meaning .* might miss; share values(\[.*\])?.view\(numpy.ndarray\)"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *((KM, MEMORY), (KM[0:1], MEMORY), (KM[:0], MEMORY), (KM.reshape(2, 1), MEMORY), ([KM, KM], MEMORY)),
        *(
            ([[1.0, 2.0], KM], rf"values\[1\] is .*{MEMORY}"),
            ([[[1.0, 2.0]], [KM]], rf"values\[1\]\[0\] is .*{MEMORY}"),
        ),
        *((Log(__file__, np.uint8, "r"), MEMORY), (share(np.arange(2.0)).view(Quantity), MEMORY)),
        (PintQuantity(), r"whose unit would be lost; share values.magnitude"),
        *(([KM[0, ...], 2.0], rf"values\[0\] is .*{MEMORY}"), ([PintQuantity()], r"share values\[0\].magnitude")),
        ([np.ma.masked, 2.0], "mask would be lost"),
        *((MASKED, "mask would be lost"), ([MASKED, MASKED], "mask would be lost"), ((MASKED,), r"values\[0\].data")),
    ],
)
@pytest.mark.parametrize("dtype", [None, "float32"])
@pytest.mark.filterwarnings("ignore:.*converting a masked element")
def test_what_means_more_than_its_elements_is_refused(values, message, dtype):
    """Rather than that a unit, say, is lost without a word."""
    with pytest.raises(TypeError, match=message):
        share(values, dtype)
    if isinstance(values, np.ndarray):
        for arguments in ({"values": values}, {"values": np.zeros(values.shape, values.dtype), "out": values}):
            with pytest.raises(TypeError, match=r"(values|out).view\(numpy.ndarray\) is its memory alone"):
                twofold.double_in_processes(arguments.pop("values"), processes=1, **arguments)


def test_what_the_refusal_says_to_pass_is_taken():
    assert share(KM.view(np.ndarray)).tolist() == share([KM.view(np.ndarray)])[0].tolist() == [1, 2]
    assert share(PintQuantity().magnitude).tolist() == [0, 1, 2]
    assert share(MASKED.data).tolist() == [1, 2]
    assert share([MASKED.filled(7)]).tolist() == [[1, 7]]


@pytest.mark.parametrize(
    "values",
    [
        np.rec.array([(1, 2.5)], "i4,f8"),
        np.arange(2).view(np.recarray),
        np.arange(4).reshape(2, 2).view(np.matrix),
        np.array([5], "m8[s]"),
    ],
    ids=["record", "recarray", "matrix", "m8"],
)
def test_classes_of_numpy_are_their_elements(values):
    a = share(values)
    assert type(a) is SharedArray
    assert (a.dtype, a.tolist()) == (values.dtype, values.tolist())


def test_labels_are_not_shared():
    pd = pytest.importorskip("pandas")
    assert share(pd.Series([1, 2], [7, 8])).tolist() == [1, 2]
    durations = pd.to_timedelta([1, 2], unit="s")  # which has a unit, as its elements have
    assert share(durations).dtype == durations.dtype


def test_what_numpy_makes_anew_is_plain():
    a = share(np.arange(24.0).reshape(4, 6))
    made = [
        *(a + 1, 1 + a, -a, a * a, a[[0, 1]], a[a > 3], a.sum(axis=0), a.copy(), a.astype("f4"), a.T.reshape(-1)),
        *(a.flatten(), a.T.ravel(), a.repeat(2), a.take([1, 2]), a.argsort(), np.sort(a), np.concatenate([a, a])),
        *(np.zeros_like(a), np.copy(a), copy.copy(a), copy.deepcopy(a), np.where(a > 3, a, 0), a.round(), a.clip(1, 2)),
        *(*np.unique(a, return_index=True), np.add.accumulate(a), np.linalg.norm(a, axis=0), a.dot(a.T), a @ a.T),
        *(twofold.double(a), twofold.double(a[0]), twofold.ufuncs.doubled(a)),
    ]
    for result in made:
        assert type(result) is np.ndarray
    for scalar in (a.sum(), a[0, 0], a.mean(), np.max(a), a[0].dot(a[1]), twofold.double(a[0, 0])):
        assert type(scalar) is np.float64


def test_no_method_of_ndarray_gives_a_shared_array_with_memory_of_its_own():
    methods = {name for name in dir(np.ndarray) if not name.startswith("_") and callable(getattr(np.ndarray, name))}
    arguments = {
        **{name: [0] for name in ("item", "partition", "argpartition", "searchsorted")},
        **{name: [0, 1] for name in ("clip", "put", "swapaxes")},
        **{name: [[0, 1]] for name in ("choose", "compress", "take")},
        **{name: [os.devnull] for name in ("dump", "tofile")},
        **{name: [2] for name in ("dot", "fill", "repeat")},
        "astype": ["f4"],
        "getfield": ["u1"],
        "reshape": [-1],
        "setfield": [1, "u1"],
        "to_device": ["cpu"],
    }
    worked = set()
    for name, model in itertools.product(methods, [np.zeros((2, 3), "u4"), np.zeros(6, "u4")[::2]]):
        a = share(model).T
        with contextlib.suppress(ValueError, TypeError):  # of methods for other dimensions
            result = getattr(a, name)(*arguments.get(name, []))
            worked.add(name)
            assert type(result) is not SharedArray or shared.find_segment(result) is not None, name
    assert worked == methods


def test_views_stay_shared_and_outputs_stay_themselves():
    a = share(np.arange(24.0).reshape(4, 6))
    views = [a[1:], a[0], a.T, a[..., None], a.reshape(-1), a.ravel(), a.view("u8"), a.real, a.squeeze(), a.diagonal()]
    for view in [
        *views,
        np.transpose(a),
        np.atleast_3d(a),
        *np.split(a, 2),
        np.asanyarray(a),
        a.astype("f8", copy=False),
    ]:
        assert type(view) is SharedArray
        assert np.shares_memory(view, a)
    out = SharedArray(6)
    assert np.add(a[0], a[1], out=out) is out
    assert a.sum(axis=0, out=out) is out
    assert twofold.double(a[0], out=out) is out
    assert twofold.double([1, 2, 3, 4, 5, 6], out=out) is out
    assert out.tolist() == [2, 4, 6, 8, 10, 12]
    before = a
    a += 1
    assert a is before
    assert twofold.double(a, out=a) is a
    assert a[0, 0] == 2


def test_other_subclasses_of_ndarray_have_their_way():
    a = share(np.arange(3))
    masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    assert type(a + masked) is np.ma.MaskedArray
    assert type(masked + a) is np.ma.MaskedArray


def test_double_of_a_shared_array_is_that_of_a_plain_one():
    a = share(np.array([1, 2**31], "u4"))
    assert twofold.double(a).tolist() == [2, 0]
    assert twofold.double(a, overflow="saturate").tolist() == [2, 2**32 - 1]
    with pytest.raises(OverflowError, match=r"values\[1\]"):
        twofold.double(a, overflow="raise")
    assert twofold.double(a, dtype="float64").tolist() == [2, 2**32]


# ---- what is pickled


def views_of(a):
    """All sorts of views of an array of uint32 with three dimensions."""
    read_only = a[1:]
    read_only.flags.writeable = False
    return [
        *(a, a.T, a[:, ::-1], a[::2, 1:, ::-3], a[1, 2], a[1, 2, 3:4].reshape(()), a[:0], a[..., None], a.reshape(-1)),
        *(a.view("u1"), a.view(">u4"), a.view("u2,u2"), a.view("f2"), a.view("M8[s]"), read_only, read_only[0].T),
        np.broadcast_to(a, (5, *a.shape), subok=True),
        np.lib.stride_tricks.sliding_window_view(a, 2, axis=0, subok=True),
        np.lib.stride_tricks.as_strided(a, (2, 2), (4, 8), subok=True),
        np.frombuffer(a, "u1").view(SharedArray),
        np.asarray(memoryview(a.reshape(-1))).view(SharedArray),
        a[None, None, None, None, :, None].transpose(),
        np.asarray(a)[1:].view(SharedArray),
    ]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_views_are_pickled_by_reference_in_less_than_1_kb(protocol):
    a = share(np.arange(2 * 3 * 4000, dtype="u4").reshape(2, 3, 4000))
    for view in views_of(a):
        data = pickle.dumps(view, protocol)
        assert len(data) < 1000
        again = pickle.loads(data)
        assert type(again) is SharedArray
        assert again.dtype == view.dtype
        assert is_same(again, view)


def test_64_dimensions_are_less_than_1_kb_too():
    a = share(np.zeros((1,) * 60 + (2, 3, 4, 1000)))
    data = pickle.dumps(a.transpose())
    assert len(data) < 1000
    assert is_same(pickle.loads(data), a.transpose())


def test_out_of_band_buffers_have_nothing_to_carry():
    buffers: list = []
    data = pickle.dumps(share(np.zeros(100_000)), 5, buffer_callback=buffers.append)
    assert (len(data) < 1000, buffers) == (True, [])


def test_what_numpy_made_anew_is_pickled_by_value():
    a = share(np.arange(100))
    plain = np.asarray(a)
    disguised = np.arange(100).view(SharedArray)
    for array in (a[[1, 2, 3]], a + 1, a.copy(), plain, disguised, disguised[3:]):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickled(array, protocol)
            assert type(again) is np.ndarray
            np.testing.assert_array_equal(again, array)
            assert not np.shares_memory(again, a)


def test_an_array_beside_what_it_says_its_base_is_goes_by_value():
    """Memory decides, not names: an object may have a base and memory of its own."""

    class Odd(SharedArray):
        base = share(np.zeros(3))

    odd = np.arange(3.0).view(Odd)
    assert type(pickled(odd)) is np.ndarray
    assert pickled(odd).tolist() == [0, 1, 2]


class Kind(SharedArray):
    """A class of somebody else."""


def test_classes_made_of_it_stay():
    a = Kind(3, "u1")
    assert type(pickled(a)) is Kind
    assert is_same(pickled(a), a)
    assert type(a + 1) is np.ndarray
    assert share(a) is a
    with pytest.raises(TypeError, match=r"a subclass of numpy\.ndarray"):
        share(a, "float32")


def test_attributes_of_an_array_arrive():
    a = Kind(3, "u1")
    a.unit = "km"
    assert pickled(a).unit == "km"
    assert is_same(pickled(a), a)
    assert not hasattr(pickled(a[1:]), "unit")  # which that class does not hand on


def test_other_picklers_send_references_too():
    a = share(np.arange(100_000))
    cloudpickle = pytest.importorskip("cloudpickle")
    data = cloudpickle.dumps((a[::2], lambda: a))
    assert len(data) < 3000
    view, function = pickle.loads(data)
    assert is_same(view, a[::2])
    assert is_same(function(), a)


def test_dask_tells_arrays_by_what_they_hold():
    base = pytest.importorskip("dask.base")
    a, b = share(np.arange(1000)), share(np.arange(1000))
    assert base.tokenize(a) == base.tokenize(b)
    b[500] = 0
    assert base.tokenize(a) != base.tokenize(b)


@alone
def test_a_reference_is_for_one_load_and_more_do_no_harm():
    data = pickle.dumps(share(np.arange(3)))
    first = pickle.loads(data)
    second = pickle.loads(data)  # since somebody still has it
    assert is_same(first, second)
    del first, second
    segments.release_memory()
    transit.sweep()
    assert type(pickle.loads(data)) is LostArray


@alone
def test_a_reference_is_not_good_for_what_the_memory_is_used_for_next():
    a = share(np.zeros(1 << 17))
    data = pickle.dumps(a)
    address = pickle.loads(data).ctypes.data
    del a
    again = share(np.ones(1 << 17))
    assert again.ctypes.data == address  # else nothing is shown here
    assert type(pickle.loads(data)) is LostArray
    assert again.all()


# ---- what cannot be opened


def lost() -> LostArray:
    a = share(np.arange(3))
    function, (kind, (pid, fd, _, nbytes), *rest) = a.__reduce_ex__(2)
    return function(kind, (pid, fd, bytes(20), nbytes), *rest)


def test_a_wrong_reference_becomes_a_lost_array(tmp_path):
    a = share(np.arange(3))
    function, (kind, (pid, fd, token, nbytes), ticket, layout, is_writable) = a.__reduce_ex__(2)
    with open(tmp_path / "file", "w") as file:
        for where in [
            (pid, fd, bytes(20), nbytes),  # as of a process whose number and descriptor were given to others
            (pid, file.fileno(), bytes(20), nbytes),
            (pid, 12345, bytes(20), nbytes),
            (2**22 + 1, fd, bytes(20), nbytes),
            (1, 0, bytes(20), nbytes),
            (pid, fd, b"", nbytes),
            (pid, fd, bytes(20), 2**63),
            (pid, 2**40, bytes(20), nbytes),
            (None, None, None, None),
            (),
        ]:
            assert type(function(kind, where, ticket, layout, is_writable)) is LostArray
    too_large = ((2**20,), *layout[1:])
    assert type(function(kind, (pid, fd, token, nbytes), ticket, too_large, is_writable)) is LostArray
    assert is_same(function(kind, (pid, fd, token, nbytes), ticket, layout, is_writable), a)


def test_any_use_of_a_lost_array_raises_and_says_why():
    uses = [
        *(len, iter, list, sum, bool, int, float, hash, np.asarray, np.sum, np.copy, copy.copy, twofold.double, share),
        *(lambda a: a + 1, lambda a: 1 + a, lambda a: a == 1, lambda a: a < 1, lambda a: -a, lambda a: a @ a, abs),
        *(lambda a: a[0], lambda a: a[1:], lambda a: 3 in a, lambda a: a.shape, lambda a: a.dtype, lambda a: a.sum()),
        *(lambda a: a.tolist(), lambda a: np.add(1, a), lambda a: np.concatenate([a, a]), lambda a: divmod(a, 2)),
        *(lambda a: np.asarray([1, 2]) + a, lambda a: np.add(1, 1, out=a)),
    ]
    uses.remove(hash)  # by which it is told from others, as any object
    for use in uses:
        with pytest.raises(SharedArrayError, match="could not be opened"):
            use(lost())

    def set_item(a):
        a[0] = 1

    def set_attribute(a):
        a.shape = (3, 1)

    def add_in_place(a):
        a += 1

    for use in (set_item, set_attribute, add_in_place):
        with pytest.raises(SharedArrayError):
            use(lost())


def test_a_lost_array_can_be_shown_and_sent_on():
    a = lost()
    assert repr(a).startswith("<LostArray: ")
    assert str(a) == f"{a}" == repr(a) == repr(pickled(a))
    assert len({a, a}) == 1
    with pytest.raises(SharedArrayError) as raised:
        len(a)
    assert str(pickled(raised.value)) == str(raised.value)
    assert type(pickled(raised.value)) is SharedArrayError


# ---- what is left over


def descriptors() -> int:
    gc.collect()  # those of other tests' garbage are not to go meanwhile
    return len(os.listdir("/proc/self/fd"))


@alone
def test_an_array_has_one_descriptor_and_gives_it_back():
    segments.release_memory()
    before = descriptors()
    arrays = [SharedArray(10) for _ in range(10)]
    views = [array[1:] for array in arrays]
    again = [pickled(array) for array in arrays]
    assert descriptors() == before + 10
    assert Path("/proc/self/maps").read_text().count("/memfd:twofold") >= 10  # and nothing with a name
    del arrays, again
    transit.sweep()
    assert descriptors() == before + 10  # as the views have them
    del views
    assert descriptors() == before


@alone
def test_what_is_kept_for_later_is_told_and_given_back():
    twofold.release_memory()
    before = descriptors()
    del_me = [SharedArray(1 << 20, "u1") for _ in range(3)]
    del del_me[:]
    assert segments.kept() == 3 << 20
    assert twofold.release_memory() >= 3 << 20
    assert (segments.kept(), descriptors()) == (0, before)


@alone
def test_what_has_arrived_is_given_back_too():
    """The sender has not looked yet whether it has."""
    twofold.release_memory()
    a = share(np.zeros(1 << 20, "u1"))
    reference = pickle.dumps(a)
    b = pickle.loads(reference)
    del a, b
    assert twofold.release_memory() >= 1 << 20


def test_recycling_turned_off_keeps_nothing():
    run_script(
        """
        import twofold
        from twofold._processes import segments
        a = twofold.SharedArray(1 << 20)
        del a
        assert segments.kept() == 0
        """,
        env={**os.environ, "TWOFOLD_RECYCLE_MEMORY": "0"},
    )


@alone
def test_what_arrived_is_released():
    """A sender has it until then, and no longer than until its next array."""
    transit._sent.clear()  # of other tests
    a = share(np.arange(3))
    data = [pickle.dumps(a) for _ in range(100)]
    del a
    assert len(transit._sent) == 100
    (segment,) = {segment for segment, *_ in transit._sent}
    for i, one in enumerate(data):
        assert pickle.loads(one).tolist() == [0, 1, 2]
        assert transit.sweep() == 99 - i
    assert sys.getrefcount(segment) <= 3  # segment, the loop's array gone
    for _ in range(1000):
        pickled(share(np.arange(3)))
    assert len(transit._sent) <= 1


@alone
def test_more_references_than_there_are_tickets():
    transit._sent.clear()  # of other tests
    a = share(np.arange(3))
    data = [pickle.dumps(a) for _ in range(40_000)]
    assert type(pickle.loads(data[-1])) is SharedArray
    assert len(transit._sent) < 40_000
    for one in data:
        pickle.loads(one)
    assert transit.sweep() == 0


# ---- other processes


# Each makes `call`, which calls a function in a worker. The functions are those of modules: spawned workers know no
# others of a script that is no file.
POOLS = {
    "Pool": """
        import multiprocessing
        pool = multiprocessing.get_context({method!r}).Pool(1)
        def call(*arguments):
            return pool.apply_async(arguments[0], arguments[1:]).get(60)
    """,
    "ProcessPoolExecutor": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r}))
        def call(*arguments):
            return pool.submit(*arguments).result(60)
    """,
    "loky": """
        from loky import ProcessPoolExecutor
        pool = ProcessPoolExecutor(1)
        def call(*arguments):
            return pool.submit(*arguments).result(60)
    """,
    "joblib": """
        import joblib
        pool = None
        def call(*arguments):
            return joblib.Parallel(2, max_nbytes=1000)([joblib.delayed(arguments[0])(*arguments[1:])])[0]
    """,
}
KINDS = [*itertools.product(["Pool", "ProcessPoolExecutor"], START_METHODS), ("loky", "its own"), ("joblib", "its own")]

ENDS = """
        if hasattr(pool, "close"):
            pool.close()
            pool.join()
        elif pool is not None:
            pool.shutdown()
"""


def in_pool(pool: str, method: str, script: str) -> None:
    if pool in ("loky", "joblib"):
        pytest.importorskip(pool)
    script = textwrap.indent(textwrap.dedent(script), " " * 8)
    script = "\n        import os, numpy as np, twofold\n" + POOLS[pool].format(method=method) + script + ENDS
    run_script(script, options=("-W", "error::DeprecationWarning") if method in START_METHODS else ())


@pytest.mark.parametrize(("pool", "method"), KINDS)
def test_a_worker_has_the_same_memory(pool, method):
    in_pool(
        pool,
        method,
        """
        from operator import getitem, setitem
        before = twofold.SharedArray(5)  # a fork has what there was before, the others do not
        call(os.getpid)
        def views(a):
            return [a, a[10:20], a[::-2], a.reshape(4, -1).T, a[:16].view(">u2"), a[3:4].reshape(())]
        a = twofold.share(np.arange(100_000, dtype="uint32"))
        expected = np.arange(100_000, dtype="uint32")
        for array, plain in zip([before, *views(a)], [np.zeros(5), *views(expected)]):
            call(np.add.at, array, (), 1)
            np.add.at(plain, (), 1)
            assert (array == plain).all()
            result = call(np.asanyarray, array)
            assert type(result) is twofold.SharedArray
            assert result.__array_interface__ == array.__array_interface__
        assert (a == expected).all()
        result = call(getitem, a, slice(5, 8))
        result[0] = 77
        assert a[5] == 77
        read_only = a[2:4]
        read_only.flags.writeable = False
        try:
            call(setitem, read_only, 0, 1)
        except ValueError as error:
            assert "read-only" in str(error)
        else:
            raise AssertionError("was written to")
        assert not call(np.asanyarray, read_only).flags.writeable
        plain = call(getitem, a, [1, 2])
        assert type(plain) is np.ndarray
        """,
    )


@pytest.mark.parametrize(("pool", "method"), KINDS)
def test_temporaries_and_results_arrive(pool, method):
    """What its sender drops at once, in either direction, and what comes back to a process that has dropped it."""
    in_pool(
        pool,
        method,
        """
        from operator import getitem
        call(os.getpid)
        for i in range(30):
            assert call(np.sum, twofold.share(np.full(1000, i))) == 1000 * i
            result = call(twofold.share, range(i, i + 5))
            assert type(result) is twofold.SharedArray
            assert result.tolist() == list(range(i, i + 5))
            back = call(getitem, twofold.share(np.full(100_000, i)), slice(3, 6))
            assert type(back) is twofold.SharedArray
            assert back.tolist() == [i] * 3
        """,
    )


@pytest.mark.parametrize(("pool", "method"), KINDS)
def test_segments_are_used_again_through_a_pool(pool, method):
    """And so no descriptor is left, on either side."""
    in_pool(
        pool,
        method,
        """
        from twofold._processes import segments
        call(os.getpid)
        tokens = set()
        there = []
        for i in range(40):
            a = twofold.share(np.full(100_000, i))
            call(np.add.at, a, slice(None), 1)
            assert a[-1] == i + 1
            tokens.add(a.base.token[:16])
            there.append(len(call(os.listdir, "/proc/self/fd")))
        assert len(tokens) < 10, len(tokens)
        assert max(there) <= there[0] + 10, there
        """,
    )


@pytest.mark.parametrize(("is_kept", "opened"), [(True, "SharedArray"), (False, "LostArray")])
def test_what_is_dropped_at_once_arrives_since_it_is_kept(is_kept, opened):
    """With the proof: it does not where nobody keeps it."""
    data = pickle.dumps(share(np.arange(3)))
    if not is_kept:
        transit._sent.clear()
    assert run_script(
        "import pickle, sys; print(type(pickle.loads(bytes.fromhex(sys.argv[1]))).__name__)", data.hex()
    ) == (opened + "\n")


def run_file(tmp_path: Path, script: str, *arguments: str) -> str:
    """Runs a script as a file, whose functions spawned workers know, within a time limit; returns its output."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_SECONDS, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout


ENDING_WORKER = """
    import multiprocessing, sys, numpy as np, twofold
    import twofold._processes.transit

    def send(line, waits):
        if not waits:
            twofold._processes.transit._wait = lambda: None
        line.send(twofold.share(np.arange(5)))

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        line, other_end = context.Pipe()
        worker = context.Process(target=send, args=(other_end, sys.argv[2] == "waits"))
        worker.start()
        assert line.poll(60)
        worker.join(1)  # ended, if it does not wait for us
        result = line.recv()
        worker.join()
        assert worker.exitcode == 0
        print(result)
"""


@pytest.mark.parametrize("method", START_METHODS)
def test_the_result_of_a_worker_that_ends_arrives(tmp_path, method):
    assert run_file(tmp_path, ENDING_WORKER, method, "waits") == "[0 1 2 3 4]\n"


def test_it_is_lost_where_the_worker_does_not_wait(tmp_path):
    """The proof that the test above can fail."""
    assert run_file(tmp_path, ENDING_WORKER, "fork", "does not").startswith("<LostArray")


def test_a_worker_does_not_wait_for_ever(tmp_path):
    run_file(
        tmp_path,
        """
        import multiprocessing, pickle, numpy as np, twofold, twofold._processes.transit

        def send():
            twofold._processes.transit.EXIT_SECONDS = 0.5
            pickle.dumps(twofold.share(np.arange(5)))  # which nobody will load

        if __name__ == "__main__":
            worker = multiprocessing.get_context("fork").Process(target=send)
            worker.start()
            worker.join(60)
            assert worker.exitcode == 0, worker.exitcode
        """,
    )


# Makes an array, and waits for a line.
OWNER = """
    import pickle, sys, numpy as np, twofold
    a = twofold.share(np.arange({n}))
    if {forks}:
        import os
        if os.fork() == 0:
            sys.stdin.readline()
            os._exit(0)
    print(pickle.dumps(a[1:]).hex(), flush=True)
    sys.stdin.readline()
"""


def owner(n: int = 5, forks: bool = False) -> tuple[subprocess.Popen[str], bytes]:
    """Another process, and a reference to an array of it."""
    script = textwrap.dedent(OWNER.format(n=n, forks=forks))
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True)
    return process, bytes.fromhex(process.stdout.readline())


@alone
@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_the_owner_may_end_first(end):
    before = descriptors()
    process, data = owner()
    a = pickle.loads(data)
    assert a.tolist() == [1, 2, 3, 4]
    if end is None:
        process.communicate("\n")
    else:
        process.send_signal(end)
        process.communicate()
    a[0] = 7
    assert a.tolist() == [7, 2, 3, 4]
    again = pickled(a)  # this process can send it on
    assert is_same(a, again)
    in_another = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])))"
    assert run_script(in_another, pickle.dumps(a).hex()) == "[7 2 3 4]\n"
    del a, again
    transit.sweep()
    assert descriptors() == before


@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_what_was_never_opened_is_lost_with_its_owner(end):
    process, data = owner()
    if end is None:
        process.communicate("\n")
    else:
        process.send_signal(end)
        process.communicate()
    a = pickle.loads(data)
    assert type(a) is LostArray
    with pytest.raises(SharedArrayError, match=f"process {process.pid}"):
        len(a)


@alone
def test_a_mapping_kept_for_later_goes_when_its_owner_is_gone():
    process, data = owner(1_000_000)
    before = descriptors()
    a = pickle.loads(data)
    del a
    assert descriptors() == before + 1  # kept
    process.kill()
    process.communicate()
    other, data = owner()
    a = pickle.loads(data)
    del a
    assert descriptors() == before
    other.communicate("\n")


def test_a_segment_is_used_again_only_when_the_worker_that_has_it_is_dead():
    run_script("""
        import os, pickle, signal, subprocess, sys, numpy as np, twofold
        a = twofold.share(np.arange(1 << 20))
        token = a.base.token[:16]
        worker = '''if True:
            import pickle, sys, time
            a = pickle.loads(bytes.fromhex(sys.argv[1]))
            print(flush=True)
            while True:
                time.sleep(1)
        '''
        process = subprocess.Popen([sys.executable, "-c", worker, pickle.dumps(a).hex()], stdout=-1)
        process.stdout.readline()
        del a
        b = twofold.share(np.zeros(1 << 20))
        assert b.base.token[:16] != token
        token = b.base.token[:16]
        other = subprocess.Popen([sys.executable, "-c", worker, pickle.dumps(b).hex()], stdout=-1)
        other.stdout.readline()
        for each in process, other:
            each.kill()
            each.wait()
        del b
        c = twofold.share(np.ones(1 << 20))
        assert c.base.token[:16] == token
    """)


def test_what_a_forked_child_has_is_not_written_to():
    """The parent drops an array, whose memory its next one would have, and the child still has it; and vice versa."""
    run_script("""
        import os, numpy as np, twofold
        a = twofold.share(np.arange(1 << 18))
        here, there = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(here[0], 1)
            right = (a == np.arange(1 << 18)).all()
            del a
            b = twofold.share(np.ones(1 << 18))
            os.write(there[1], b"1")
            os.read(here[0], 1)
            os._exit(0 if right and (b == 1).all() else 1)
        del a
        b = twofold.share(np.zeros(1 << 18))
        os.write(here[1], b"1")
        os.read(there[0], 1)
        assert not b.any()
        b[...] = 2
        os.write(here[1], b"1")
        assert os.waitpid(pid, 0)[1] == 0
        assert (b == 2).all()
    """)


def test_what_a_forked_worker_has_stays_when_its_parent_and_another_one_leave():
    """It is not counted as a holder, and the parent, which is, may be the last one."""
    run_script("""
        from multiprocessing import get_context
        import numpy as np, twofold

        def total():
            return int(data.sum())

        def view():
            return data[:10]

        data = twofold.share(np.ones(100_000, np.int64))
        with get_context("fork").Pool(1) as pool:
            data = None
            assert pool.apply(total) == 100_000
            part = pool.apply(view)
            assert (part == 1).all()
            del part
            assert pool.apply(total) == 100_000
    """)


def test_forks_while_arrays_come_and_go():
    """As many as TWOFOLD_TEST_FORKS says. Each child finds its parent's array as it was, and makes one of its own."""
    run_script(
        """
        import os, threading, numpy as np, twofold
        enough = False
        def work():
            while not enough:
                a = twofold.share(np.full(40_000, 3))
                assert (a == 3).all()
        thread = threading.Thread(target=work)
        thread.start()
        for i in range(int(os.environ.get("TWOFOLD_TEST_FORKS", 100))):
            a = twofold.share(np.full(40_000, i))
            pid = os.fork()
            if pid == 0:
                b = twofold.share(np.full(40_000, -1))
                os._exit(0 if (a == i).all() and (b == -1).all() else 1)
            del a
            a = twofold.share(np.full(40_000, -2))
            assert os.waitpid(pid, 0)[1] == 0
            assert (a == -2).all()
        enough = True
        thread.join()
        """,
        options=("-W", "ignore"),  # of a fork beside threads: they are the script's own
    )


def test_what_workers_hold_stays_while_others_are_killed():
    """As many arrays as TWOFOLD_TEST_ARRAYS says, a worker killed for each fifty, while memory is used again."""
    run_script("""
        import multiprocessing, os, random, signal, numpy as np, twofold
        random.seed(1)
        N = 1 << 16

        def work(line):
            held = []
            while True:
                number, array = line.recv()
                held = [*held[-2:], (number, array)]
                right = all((array == number).all() for number, array in held)
                line.send((right, twofold.share(np.full(N, -number))))

        def start():
            line, other_end = multiprocessing.Pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    work(other_end)
                finally:
                    os._exit(1)
            other_end.close()
            return pid, line

        def end(pid, line):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            line.close()

        workers = [start() for _ in range(3)]
        try:
            tokens = set()
            arrays = []  # which the workers have released, or not yet, when they are dropped
            results = []
            count = int(os.environ.get("TWOFOLD_TEST_ARRAYS", 500))
            for i in range(count):
                which = random.randrange(3)
                pid, line = workers[which]
                array = twofold.share(np.full(N, i))
                tokens.add(array.base.token[:16])
                line.send((i, array))
                arrays = [*arrays[-9:], array]
                right, result = line.recv()
                assert right, f"a worker's array changed before array {i}"
                results = [*results[-2:], (-i, result)]
                assert all((result == number).all() for number, result in results), i
                if i % 50 == 49:
                    end(pid, line)
                    workers[which] = start()
            assert len(tokens) < count * 2 / 3, len(tokens)  # else nothing is shown here
            assert len(os.listdir("/proc/self/fd")) < 60, os.listdir("/proc/self/fd")
        finally:
            for worker in workers:
                end(*worker)
    """)


# ---- shortage


def test_more_memory_than_there_is_is_an_error_and_no_kill():
    available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    for nbytes in (available, 2 * available, 2**62):
        with pytest.raises(MemoryError, match=f"{nbytes} bytes"):
            segments.Segment.create(nbytes)
    with pytest.raises(MemoryError):
        SharedArray(2 * available, "u1")


SHORTAGES = [
    # What is short, and what becomes of a new array and of one that was sent
    ("RLIMIT_AS", "int(open('/proc/self/statm').read().split()[0]) * 4096 + (8 << 20)", "MemoryError", "LostArray"),
    ("RLIMIT_FSIZE", "8 << 20", "OSError [Errno 27] cannot make 33554432 bytes", "SharedArray"),
    ("RLIMIT_NOFILE", "len(os.listdir('/proc/self/fd')) - 1", "OSError", "LostArray"),
]


@pytest.mark.parametrize(("limit", "most", "making", "opening"), SHORTAGES, ids=lambda text: text.split()[0])
def test_a_shortage_is_a_clear_error(limit, most, making, opening):
    process, data = owner(4 << 20)
    output = run_script(
        f"""
        import os, pickle, resource, sys, numpy as np, twofold, twofold._processes.transit
        small = twofold.share(np.arange(10))
        resource.setrlimit(resource.{limit}, ({most},) * 2)
        try:
            twofold.SharedArray.empty(4 << 20)
        except Exception as error:
            print(type(error).__name__, error)
        a = pickle.loads(bytes.fromhex(sys.argv[1]))
        print(type(a).__name__)
        assert small.tolist() == list(range(10))
    """,
        data.hex(),
    )
    process.communicate("\n")
    made, opened = output.splitlines()
    assert made.startswith(making)
    assert opened == opening


@pytest.mark.parametrize("make", ["twofold.SharedArray(8 << 20, 'i8')", "twofold.share(values)"])
def test_an_array_takes_its_address_space_once(make):
    run_script(f"""
        import os, resource, numpy as np, twofold
        values = np.broadcast_to(np.int64(7), (1 << 10, 1 << 13)).T
        twofold.share(values[:2, :2])
        with open("/proc/self/statm") as statm:
            has = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (has + (64 + 24 << 20), resource.RLIM_INFINITY))
        array = {make}
        assert array.nbytes == 64 << 20
    """)


def outcome(make):
    try:
        made = make()
    except Exception as error:
        return type(error), str(error)
    return made.shape, made.dtype, made.strides


SHAPES = [
    -1,
    (-1,),
    (2, -3),
    (0, -1),
    2**62,
    (2**61,),
    (2**40, 2**40),
    (0, 2**62),
    64 * (1,) + (1,),
    "x",
    1.5,
    None,
    3,
    (2, 3),
]
ONE_FAULT = [  # of two, NumPy names the other one first
    *itertools.product(SHAPES, ["i8", "S", "U", "(2,)i4", "V0", "V3", None], ["C", "F", None]),
    *itertools.product([3], ["i8", "S", "V0"], ["A", "X", 5]),
]


def test_a_shape_is_taken_or_refused_as_numpy_does():
    for arguments in ONE_FAULT:
        of_numpy = outcome(lambda: np.empty(*arguments))  # noqa: B023
        ours = outcome(lambda: SharedArray.empty(*arguments))  # noqa: B023
        if isinstance(of_numpy[0], type) and issubclass(of_numpy[0], MemoryError):
            assert issubclass(ours[0], MemoryError), arguments
        else:
            assert ours == of_numpy, arguments


@given(data=st.data())
def test_a_copy_lies_in_memory_as_numpy_would_have_it(data):
    ndim = data.draw(st.integers(0, 5))
    shape = data.draw(st.lists(st.integers(0, 4), min_size=ndim, max_size=ndim))
    array = np.zeros(
        shape, data.draw(st.sampled_from(["i8", "f4", "S3", "S", "i2,f4"])), data.draw(st.sampled_from("CF"))
    )
    array = array.transpose(data.draw(st.permutations(range(ndim))))
    steps = [slice(None, None, data.draw(st.sampled_from([1, 1, 2, -1, -2]))) for _ in range(ndim)]
    array = array[tuple(steps)] if ndim else array
    if data.draw(st.booleans()):
        array = np.broadcast_to(array, (2, *array.shape))
    like = np.empty_like(array)
    copy = share(array)
    assert (copy.shape, copy.dtype, copy.strides) == (like.shape, like.dtype, like.strides)


def test_nothing_is_imported_that_was_not_there():
    run_script("""
        import sys, twofold
        assert "numpy" not in sys.modules
        import pickle
        a = twofold.share([1, 2, 3])
        pickle.loads(pickle.dumps(a))
        assert not any(name.startswith(("multiprocessing", "concurrent")) for name in sys.modules), sys.modules
    """)


def test_threads_that_open_the_same_reference_have_the_same_memory():
    """Else NumPy, which compares addresses, would not see that their arrays overlap."""
    run_script(
        """
        import multiprocessing, pickle, sys, threading
        import numpy as np
        import twofold

        def send(connection):
            while connection.recv():
                a = twofold.share(np.arange(1000))
                connection.send([pickle.dumps(a) for _ in range(4)])
                connection.recv()

        here, there = multiprocessing.get_context("fork").Pipe()
        sender = multiprocessing.get_context("fork").Process(target=send, args=(there,), daemon=True)
        sender.start()
        sys.setswitchinterval(1e-6)
        for _ in range(200):
            here.send(True)
            references = here.recv()
            arrays = []
            gate = threading.Barrier(len(references))
            def load(reference):
                gate.wait()
                arrays.append(pickle.loads(reference))
            threads = [threading.Thread(target=load, args=(reference,)) for reference in references]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            here.send(True)
            assert len({a.__array_interface__["data"][0] for a in arrays}) == 1
            assert (arrays[0] == np.arange(1000)).all()
            del arrays
        here.send(False)
        sender.join()
        """
    )


def test_the_class_names_its_methods():
    for name, method in vars(twofold.SharedArray).items():
        method = getattr(method, "__func__", method)  # noqa: PLW2901
        assert "<locals>" not in getattr(method, "__qualname__", ""), name
    assert pickle.loads(pickle.dumps(twofold.SharedArray.empty))((2,), "u1").shape == (2,)


def test_a_lost_array_raises_also_after_its_module_was_loaded_again():
    run_script("""
        import importlib
        import pytest
        import twofold
        twofold.share([1])
        importlib.reload(twofold.shared)
        twofold.share([1])
        with pytest.raises(twofold.shared.SharedArrayError):
            len(twofold.shared.LostArray("gone"))
    """)


def test_a_file_is_closed_once():
    """Also where the arguments were wrong, and no file was opened."""
    run_script("""
        import os
        from twofold._engine.signals import OpenFile
        for arguments in ((), ("x",), ("x", "r"), ("/dev/null\\0x", 0), (1.5, 0), ("/no/such/file", 0)):
            try:
                OpenFile(*arguments)
            except (TypeError, ValueError, OSError):
                continue
            raise AssertionError(arguments)
        file = OpenFile("/dev/null", os.O_RDONLY)
        file.close()
        again = os.open("/dev/null", os.O_RDONLY)
        file.close()
        del file
        os.fstat(again), os.fstat(0)
    """)
