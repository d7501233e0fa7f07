"""Each allocation of a call fails, one after another: the call ends in MemoryError, or is right."""

import pytest
from test_processes import run_scenario


def test_every_allocation_may_fail(tmp_path):
    pytest.importorskip("_testcapi")  # which some distributions leave out
    assert len(run_scenario(tmp_path, "no_memory").splitlines()) > 30
