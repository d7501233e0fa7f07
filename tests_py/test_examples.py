"""The examples run, and what they promise is so."""

import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def process_data_module():
    spec = importlib.util.spec_from_file_location("process_data", EXAMPLES / "process_data.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["process_data"] = module  # so that workers find its functions
    sys.path.insert(0, str(EXAMPLES))  # ... those of spawn and forkserver, too
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(EXAMPLES))
    del sys.modules["process_data"]


def test_process_data_prints_what_it_should():
    command = [sys.executable, str(EXAMPLES / "process_data.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "[2, 4, 6, 8, 10]"
    assert re.fullmatch(r"10,000,000 numbers doubled, in processes by \d+ workers, every one checked:", lines[1])
    ways = [
        *("plain Python: [2 * v % 2**32 for v in data]", "one native call: process_data(data)"),
        "the naive pool: pool.map(process_data, [data])[0]",
        "the pool over shared memory: process_data_parallel(data, pool)",
        "the same of an array that is there: double_in_processes(shared, pool)",
    ]
    assert len(lines) == 2 + len(ways)
    for line, way in zip(lines[2:], ways, strict=True):
        assert re.fullmatch(rf" +\d+\.\d{{3}} s, +\d+\.\d times as fast as the naive pool; {re.escape(way)}", line)
    assert done.stderr == ""


@pytest.mark.parametrize("start_method", multiprocessing.get_all_start_methods())
def test_process_data_parallel(process_data_module, start_method):
    """Under every start method, also after this process has used threads; sizes around pages and chunks."""
    process_data, process_data_parallel = process_data_module.process_data, process_data_module.process_data_parallel
    with multiprocessing.get_context(start_method).Pool(2) as pool:
        for n in (0, 1, 5, 1023, 1024, 1025, 100_000, 1_000_003):
            data = [i * 2654435761 % 2**32 for i in range(n)]
            assert process_data_parallel(data, pool) == process_data(data) == [2 * v % 2**32 for v in data]
        for bad, error in (([1, 2, "x"], TypeError), ([1, 2, 2**32], OverflowError), ([1, 2, -1], OverflowError)):
            for arguments in ((bad,), (bad, pool)):
                with pytest.raises(error, match=r"values\[2\]"):
                    process_data_parallel(*arguments)
        assert process_data_parallel([1, 2**31]) == [2, 0]


def test_the_example_is_written_with_what_it_shows(process_data_module):
    """No memory by hand, no chunks by hand."""
    source = Path(process_data_module.__file__).read_text()
    assert {"twofold.share(", "twofold.double_in_processes("} <= set(re.findall(r"twofold\.\w+\(", source))
    assert not re.search(r"\b(mmap|memfd_create|posix_fallocate|starmap|shared_memory)\b", source)


def test_a_dask_array_on_a_cluster_that_loses_a_worker():
    pytest.importorskip("distributed")
    command = [sys.executable, str(EXAMPLES / "dask_cluster.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.startswith("32,000,000 numbers doubled, every one checked, with a worker killed half-way")
    assert "Restarting worker" in done.stderr, "no worker was killed"


def test_tasks_of_ray_that_lose_a_worker():
    pytest.importorskip("ray")
    command = [sys.executable, str(EXAMPLES / "ray_tasks.py")]
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # short, for the sake of Ray's sockets
        env = {**os.environ, "RAY_TMPDIR": directory}
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True, env=env)
    # Ray's own lines may stand there, too.
    assert "\n32,000,000 numbers doubled by " in "\n" + done.stdout
