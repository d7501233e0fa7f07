"""Without a pool: processes of its own, which are gone when the call ends; nothing else is left either."""

import multiprocessing
import os
import sys

import twofold
from checks import MODES, Call, descriptors


def main(method, threads):
    multiprocessing.set_start_method(method)
    calls = [Call(mode, 8) for mode in MODES]
    if threads == "used":
        twofold.double(calls[0].values, threads=3)
    calls[0](None, processes=2)
    before = descriptors()
    for call in calls:
        call(None, processes=2)
        assert multiprocessing.active_children() == []
    assert descriptors() == before
    assert os.listdir(os.environ["TMPDIR"]) == [] or method == "forkserver"  # whose socket is there until the end


if __name__ == "__main__":
    main(*sys.argv[1:])
