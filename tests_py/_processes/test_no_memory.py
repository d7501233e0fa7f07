"""Each allocation of a call fails, one after another: the call ends in MemoryError, or is right."""

import pytest
from test_processes import run_scenario


def test_every_allocation_may_fail(tmp_path):
    pytest.importorskip("_testcapi")  # which some distributions leave out
    assert len(run_scenario(tmp_path, "no_memory", stderr=None).splitlines()) > 30
    # NumPy prints a traceback where it finds no memory for the MemoryError.
    assert "ignored" not in tmp_path.joinpath("stderr").read_text()
