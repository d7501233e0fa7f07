"""A worker dies at each step of its work on a chunk, in each way: the result is exact, and the others' work is kept."""

from checks import WAYS, Call, PoolOfDoomed

IN_PLACE = ("claimed", "computed", "ready", "copied", "done")
ELSEWHERE = ("claimed", "computed", "done")

for way in WAYS:
    call = Call(way, 3)
    for step in ELSEWHERE if way == "elsewhere" else IN_PLACE:
        pool = PoolOfDoomed(step)
        call(pool, processes=3, retries=10)
        assert len(pool.processes) >= 2
        # Who came in the place of those that died has died, too, or has found nothing left to do.
        assert all(process.exitcode in (-9, 0) for process in pool.processes)
        pool.end()
