"""A chunk over which one worker after another dies: after `retries` of them there is an error that says so."""

import re

from checks import Call, PoolOfDoomed, descriptors

for mode in ("out of place", "in place"):
    call = Call(mode, 3)
    before = descriptors()
    for retries in (0, 1, 3):
        pool = PoolOfDoomed("computed")
        try:
            # One worker at a time: each gets the first chunk, which is the one that is free.
            call(pool, processes=1, retries=retries)
        except RuntimeError as error:
            died = (
                f"{retries + 1} processes have died while they doubled the same"
                if retries
                else "1 process has died .* a"
            )
            expected = rf"{died} chunk of values.* retries={retries}"
            is_told = re.match(expected, str(error))
        else:
            raise AssertionError("no error")
        assert is_told
        assert len(pool.processes) == retries + 1
        pool.end()
        assert descriptors() == before
    pool = PoolOfDoomed("done")
    call(pool, processes=1, retries=0)  # to die between chunks costs nothing
    pool.end()
