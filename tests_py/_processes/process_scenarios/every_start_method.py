"""Pools of each kind and start method, whose parent has used threads or has not: right results, and workers at work."""

import itertools
import sys

import twofold
from checks import KINDS, MODES, Call, descriptors, end_pool, make_pool


class Counting:
    """A pool that tells how many bytes its workers have done."""

    def __init__(self, pool):
        self.submit = pool.submit if hasattr(pool, "submit") else lambda work, order: pool.apply_async(work, (order,))
        self.asked = []
        self._max_workers = 2
        self.apply_async = None
        submit = self.submit
        self.submit = lambda *arguments: self.asked.append(submit(*arguments)) or self.asked[-1]

    def bytes_done(self):
        return sum(asked.result() if hasattr(asked, "result") else asked.get() for asked in self.asked)


def main(method, threads, starts):
    calls = [Call(mode, 8) for mode in MODES]
    if threads == "used":
        twofold.double(calls[0].values, threads=3)
    for kind in itertools.islice(itertools.cycle(KINDS), max(int(starts) // 2, 2)):
        before = descriptors()
        pool = make_pool(kind, method)
        counting = Counting(pool)
        for call in calls:
            call(counting)
        while counting.bytes_done() == 0:  # workers may come too late for a call, but not for ever
            calls[0](counting)
        end_pool(pool)
        del pool, counting
        if method == "fork":  # others leave the descriptors of their servers
            assert descriptors() == before


if __name__ == "__main__":
    main(*sys.argv[1:])
