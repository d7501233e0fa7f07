"""How much longer a Python process takes that imports twofold: at most 10 ms are promised.

    python benchmarks/import_time.py
    python benchmarks/import_time.py --pairs 31

A bare interpreter and one that imports are started in turn, in pairs whose order alternates. Printed are the median
times of the processes, from start to end, and the median of the pairs' differences with its quartiles.
"""

import argparse
import statistics
import subprocess
import sys
import time

BARE = "pass"
IMPORTS = ["import twofold", "import twofold; twofold.double([1])"]


def seconds_of(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def compare(statement: str, pairs: int) -> tuple[float, float, list[float]]:
    """Median seconds without and with the statement, and the quartiles of the differences."""
    seconds_of(statement)  # which also writes the .pyc files
    times: list[tuple[float, float]] = []
    for i in range(pairs):
        if i % 2:
            times.append((seconds_of(BARE), seconds_of(statement)))
        else:
            times.append((seconds_of(statement), seconds_of(BARE))[::-1])
    differences = statistics.quantiles([with_it - bare for bare, with_it in times], n=4)
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times), differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=61)
    pairs = parser.parse_args().pairs
    print(f"Python {sys.version.split()[0]}, {pairs} pairs")
    print(f"{'':36}  bare, ms  with, ms  difference, ms (quartiles)")
    for statement in IMPORTS:
        bare, with_it, (low, median, high) = compare(statement, pairs)
        print(
            f"{statement:36}{bare * 1e3:10.1f}{with_it * 1e3:10.1f}"
            f"{median * 1e3:10.2f}  ({low * 1e3:.2f} to {high * 1e3:.2f})"
        )


if __name__ == "__main__":
    main()
