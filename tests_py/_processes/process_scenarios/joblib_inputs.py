"""Arrays just below and above 1 MiB, which joblib hands to its workers as copies, and as read-only maps of a file."""

import joblib
import numpy as np
import twofold


def double_and_tell(values):
    doubled = twofold.double(values)
    by_processes = twofold.double_in_processes(values, processes=2, chunk_bytes=1 << 16)
    assert (doubled == by_processes).all()
    return type(values).__name__, bool(values.flags.writeable), np.asarray(doubled)


def main():
    below, above = (np.arange(n // 4, dtype=np.uint32) for n in ((1 << 20) - 400, (1 << 20) + 400))
    tasks = [joblib.delayed(double_and_tell)(values) for values in (below, above)]
    (of_below, writable_below, doubled_below), (of_above, writable_above, doubled_above) = joblib.Parallel(2)(tasks)
    assert (of_below, of_above, writable_above) == ("ndarray", "memmap", False), (of_below, of_above, writable_above)
    assert writable_below
    assert (doubled_below == below * 2).all()
    assert (doubled_above == above * 2).all()


if __name__ == "__main__":
    main()
