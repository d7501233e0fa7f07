"""A process that has used pools ends in any way, at once: with sys.exit, os._exit, or an exception."""

import multiprocessing
import os
import sys

from checks import Call, make_pool


def main(kind, how):
    pool = None if kind == "own" else make_pool(kind)
    Call("out of place", 4)(pool, processes=2)
    Call("in place", 4)(pool, processes=2)
    if kind == "Pool":
        pool.terminate()  # the way to end one
    print("used", flush=True)
    if how == "sys.exit":
        sys.exit(7)
    if how == "os._exit":
        os._exit(7)
    raise ZeroDivisionError


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")  # a forkserver leaves its socket at os._exit
    main(*sys.argv[1:])
