"""double_in_processes against `pool.map(f, [data])[0]`, which pickles a list or an array to one worker and back.

    python benchmarks/processes.py                  # the table: ratios to pool.map of the list, and of the array
    python benchmarks/processes.py --part chunks    # and what the constants of pools.py and claims.hpp were chosen by
    python benchmarks/processes.py --part grace
    python benchmarks/processes.py --part scratch

A warm executor of two workers, ten million uint32, and the same native doubling in both. The ways take turns, so that
what else happens on the machine happens to all of them; medians and quartiles of the rounds.
"""

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import twofold
from twofold._processes import jobs

N = 10_000_000
WORKERS = 2


def process_data(data):
    """What a native module with `Vec<u32> -> Vec<u32>` does."""
    return twofold.double(data, dtype="uint32")


def seconds_of(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def take_turns(ways, rounds, check, prepare=lambda: None):
    """The seconds of each way in each round. What a way returns is looked at, then dropped, off the clock."""
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            prepare()
            taken, result = seconds_of(way)
            check(name, result)
            del result
            seconds[name].append(taken)
    return seconds


def quartiles(numbers):
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return median, low, high


def table(rounds):
    values = np.random.default_rng(7).integers(0, 2**31, N, np.uint32)
    doubled = values * 2
    data = values.tolist()
    data_doubled = doubled.tolist()
    shared = twofold.share(values)
    out = twofold.SharedArray(N, "uint32")

    def check(name, result):
        if isinstance(result, list):
            assert result == data_doubled, name
        else:
            assert (result == doubled).all(), name

    with ProcessPoolExecutor(WORKERS) as pool:
        ways = {
            "pool.map(f, [list])[0]": lambda: next(iter(pool.map(process_data, [data]))),
            "pool.map(f, [array])[0]": lambda: next(iter(pool.map(process_data, [values]))),
            "list": lambda: twofold.double_in_processes(data, pool),
            "array": lambda: twofold.double_in_processes(values, pool),
            "SharedArray": lambda: twofold.double_in_processes(shared, pool),
            "SharedArray, out=": lambda: twofold.double_in_processes(shared, pool, out=out),
            "double(SharedArray, out=)": lambda: twofold.double(shared, out=out),  # by threads, without the pool
        }
        take_turns(ways, 1, check)  # the workers are up then, and there is memory that is used again
        seconds = take_turns(ways, rounds, check)
        new = {name: ways[name] for name in ("array", "SharedArray")}
        new_seconds = take_turns(new, rounds, check, prepare=twofold.release_memory)
        seconds |= {name + ", new segments": taken for name, taken in new_seconds.items()}

    references = {of: seconds[f"pool.map(f, [{of}])[0]"] for of in ("list", "array")}
    print(f"{N:,} uint32, {WORKERS} workers, {rounds} rounds; median (quartiles)")
    print(f"{'':26} {'':31} times as fast as pool.map of the list, and of the array")
    rows = {}
    for name, taken in seconds.items():
        ms = [1e3 * s for s in taken]
        ratios = {
            of: quartiles([r / s for r, s in zip(reference, taken, strict=True)])
            for of, reference in references.items()
        }
        rows[name] = {"ms": quartiles(ms), "times_as_fast": ratios}
        shown = ["{:8.1f} ({:.1f} to {:.1f})".format(*numbers) for numbers in (quartiles(ms), *ratios.values())]
        print(f"{name:26} {shown[0]} ms {shown[1]} {shown[2]}")
    return rows


def compare(label, settings, apply, rounds, in_place=False):
    """How long a call takes by some setting."""
    shared = twofold.share(np.arange(N, dtype=np.uint32))
    out = shared if in_place else twofold.SharedArray(N, "uint32")
    with ProcessPoolExecutor(WORKERS) as pool:

        def way(setting):
            def call():
                return twofold.double_in_processes(shared, pool, out=out, **(apply(setting) or {}))

            return call

        ways = {setting: way(setting) for setting in settings}
        take_turns(ways, 2, lambda name, result: None)
        seconds = take_turns(ways, rounds, lambda name, result: None)
    rows = {}
    for setting, taken in seconds.items():
        rows[setting] = quartiles([1e3 * s for s in taken])
        print("{:24} {:8.2f} ms ({:.2f} to {:.2f})".format(f"{label} {setting}", *rows[setting]))
    return rows


def set_grace(seconds):
    jobs.GRACE_SECONDS = seconds


PARTS = {
    "table": table,
    "chunks": lambda rounds: compare(
        "chunk KiB", [64, 256, 512, 1024, 2048, 4096, 8192], lambda k: {"chunk_bytes": k << 10}, rounds
    ),
    "scratch": lambda rounds: compare(
        "in place, chunk KiB", [16, 32, 64, 128], lambda k: {"chunk_bytes": k << 10}, rounds, in_place=True
    ),
    "grace": lambda rounds: compare("grace s", [0, 0.001, 0.003, 0.01, 0.03], set_grace, rounds),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=PARTS, default="table")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    rows = PARTS[options.part](options.rounds)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cpus": len(os.sched_getaffinity(0)), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
