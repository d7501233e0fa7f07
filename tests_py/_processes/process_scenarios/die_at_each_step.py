"""A worker dies at each step of its work on a chunk, in each mode: the result is exact, and other work is kept."""

from checks import MODES, Call, PoolOfDoomed

IN_PLACE = ("claimed", "computed", "ready", "copied", "done")
OUT_OF_PLACE = ("claimed", "computed", "done")

for mode in MODES:
    call = Call(mode, 3)
    for step in OUT_OF_PLACE if mode == "out of place" else IN_PLACE:
        pool = PoolOfDoomed(step)
        call(pool, processes=3, retries=10)
        assert len(pool.processes) >= 2
        # Who came in the place of those that died has died, too, or has found nothing left to do.
        assert all(process.exitcode in (-9, 0) for process in pool.processes)
        pool.end()
