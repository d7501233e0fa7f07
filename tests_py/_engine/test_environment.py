"""One rule for all variables of twofold: what cannot be used is an error that names it, whoever reads it first."""

import os

import pytest
from conftest import run_script

THREADS = "it must be a whole number from 1 to 4294967295"
CACHE = "it must be a size in bytes, or with a unit, such as 32M, 32MB or 32MiB"
RECYCLE = "it must be 0 or 1"

LARGE = "twofold.double(array('I', bytes(64 << 20)))"
SMALL = "twofold.double(array('I', bytes(64)))"
NEW_ARRAY = "twofold.double(numpy.ones(8 << 20))"

REFUSED = [
    *(("TWOFOLD_NUM_THREADS", text, THREADS) for text in ("abc", "0", "-1", "2.5", "4 threads", "4294967296", " ")),
    *(
        ("TWOFOLD_CACHE_BYTES", text, CACHE)
        for text in ("lots", "0", "-7M", "32X", "32MX", "32Mi", "MB", "1.5M", "32iB")
    ),
    *(("TWOFOLD_RECYCLE_MEMORY", text, RECYCLE) for text in ("off", "no", "2", "00", "false")),
]

# What reads each, and so raises; and what does not.
READERS = {
    "TWOFOLD_NUM_THREADS": (
        ("twofold.threads_info()", "twofold.get_num_threads()", LARGE),
        (SMALL, "twofold.double([1])"),
    ),
    "TWOFOLD_CACHE_BYTES": (("twofold.simd_target()", SMALL, LARGE), ("twofold.threads_info()", "twofold.double([1])")),
    "TWOFOLD_RECYCLE_MEMORY": ((NEW_ARRAY, "twofold.share([1])"), (SMALL, "twofold.double(numpy.ones(8))")),
}

USED = [
    *(("TWOFOLD_NUM_THREADS", text, "twofold.get_num_threads() == 4") for text in ("4", " 4 ", "4,2")),
    *(
        ("TWOFOLD_CACHE_BYTES", text, f"twofold.show_config('dicts')['cache_bytes'] == {n} << 20")
        for n, texts in (
            (32, "32M 32MB 32MiB 32m 32mb 33554432 32768K 32768KB 32768KiB 32768kb"),
            (1024, "1G 1GB 1GiB 5GB"),
        )
        for text in texts.split()
    ),
    *(
        ("TWOFOLD_RECYCLE_MEMORY", text, f"twofold.show_config('dicts')['recycled_memory']['on'] is {is_on}")
        for text, is_on in (("0", False), ("1", True), ("", True))
    ),
    ("TWOFOLD_NUM_THREADS", "", "twofold.threads_info()['rule'] in ('affinity', 'cgroup')"),
    ("TWOFOLD_CACHE_BYTES", "", "twofold.show_config('dicts')['cache_bytes'] >= 1 << 20"),
    ("TWOFOLD_SIMD", "", "twofold.simd_target()"),
    # Those of others are ignored where they cannot be used.
    *(("OMP_NUM_THREADS", text, "twofold.threads_info()['rule'] in ('affinity', 'cgroup')") for text in ("abc", "0")),
]

PRELUDE = """
import os, sys, twofold
from array import array
def said_by(call):
    try:
        eval(call)
    except ValueError as error:
        return str(error)
    return "nothing"
"""


def run(script: str) -> None:
    """In a process that has none of the variables."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("TWOFOLD_", "OMP_"))}
    run_script(PRELUDE + script, env=clean)


@pytest.mark.parametrize("name", READERS)
def test_what_cannot_be_used_is_an_error(name):
    """Of each call that reads it, until it is put right; nothing has been done then."""
    refused = [(text, f"{name} is '{text}', but {must}") for variable, text, must in REFUSED if variable == name]
    readers, others = READERS[name]
    run(f"""
if any("numpy" in call for call in {readers + others!r}):
    import numpy
os.environ[{name!r}] = "wrong"
for call in {others!r}:
    assert said_by(call) == "nothing", call
for text, said in {refused!r}:
    os.environ[{name!r}] = text
    for call in {(*readers, "twofold.show_config('dicts')")!r}:
        assert said_by(call) == said, (call, text, said_by(call))
del os.environ[{name!r}]
for call in {(*readers, "twofold.show_config('dicts')")!r}:
    assert said_by(call) == "nothing", call
""")


def test_what_can_be_used():
    for name, text, shown in USED:
        run(f"os.environ[{name!r}] = {text!r}\nassert {shown}, ({name!r}, {text!r}, twofold.show_config())")


def test_a_change_to_what_cannot_be_used_is_an_error_of_the_next_call():
    run("""
os.environ["TWOFOLD_NUM_THREADS"] = "2"
x = array("I", bytes(64 << 20))
twofold.double(x, out=x)
os.environ["TWOFOLD_NUM_THREADS"] = "two"
import time
time.sleep(0.05)  # longer than a decision is remembered
said = "TWOFOLD_NUM_THREADS is 'two', but it must be a whole number from 1 to 4294967295"
assert said_by("twofold.double(x, out=x)") == said
assert said_by("twofold.threads_info()") == said
assert said_by("twofold.double(x, out=x, threads=2)") == "nothing"
with twofold.num_threads(2):
    assert said_by("twofold.double(x, out=x)") == "nothing"
if sys.platform == "linux":
    assert said_by("twofold.double_in_processes(x)") == said
""")


def test_without_the_gil_it_is_an_error_too():
    """A ufunc's loop, and the functions for cimport, run without the GIL: an error comes out all the same."""
    pytest.importorskip("numpy")
    run("""
import numpy
x = numpy.ones(8 << 20)
os.environ["TWOFOLD_NUM_THREADS"] = "two"
assert "'two'" in said_by("twofold.ufuncs.doubled(x)")
assert (x == 1).all()
""")


def test_show_config_lists_all_variables():
    run("""
variables = {"TWOFOLD_SIMD": twofold.simd_target(), "TWOFOLD_CACHE_BYTES": "8MB", "TWOFOLD_NUM_THREADS": "2",
             "TWOFOLD_RECYCLE_MEMORY": "0", "OMP_NUM_THREADS": "3", "OMP_THREAD_LIMIT": "4"}
os.environ.update(variables)
assert twofold.show_config("dicts")["environment"] == variables
""")
