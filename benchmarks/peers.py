"""twofold against its peers: GB/s from 64 elements to 128 Mi, in and out of place, back to back and with pauses.

Doubling is measured, or, with --stream, STREAM's kernels: copy, scale, add, triad and the dot product of doubles, by
`transform` and `transform_reduce`.

    meson setup build && meson compile -C build peers
    python benchmarks/peers.py --build build                          # all of it: minutes
    python benchmarks/peers.py --build build --stream --markdown      # STREAM, and the tables of docs/speed.md
    python benchmarks/peers.py --build build --quick                  # does it run? The figures mean nothing
    python benchmarks/peers.py --build build --busy                   # while a foreign process keeps a core busy
    python benchmarks/peers.py --build build --json results.json --plot results.png
    python benchmarks/peers.py --replay results.json --plot results.png

The peers: a plain loop, OpenMP, std::execution::par_unseq, Highway's Transform; memcpy as a yardstick; and the oracle,
which is, for each size, the best of a handful of loops in intrinsics, one thread and a pair of spinning ones, chosen in
a pass of its own. STREAM's kernels have other peers: OpenMP with streaming stores, too, and TBB; no Highway, no oracle.
`again` is twofold once more: how far it is from 1 is how far any figure here can be trusted.

In each round every way has one turn, in an order that rotates; all of them in one process, on the same pages, huge ones
where the system gives them. A turn begins when all other threads of the process sleep. Printed is the median of the
rounds' ratios, with quartiles: the other's time over twofold's, so above 1 twofold is faster. Timing never decides the
exit code; wrong results do.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from math import ceil
from pathlib import Path
from typing import NamedTuple

import peers_report as report
from peers_report import Figures, Machine, Point, Results

# What is compared where a way can do it, by the names that the program gives; `again` and `oracle` stand for others.
WAYS_WHEN_BUSY = ("twofold", "one_thread")
WAYS_WITH_GAP = (*WAYS_WHEN_BUSY, *dict.fromkeys([*report.PEERS, *report.STREAM_PEERS]), "oracle")
WAYS = (*WAYS_WITH_GAP, "memcpy", "again")
ORACLE = "oracle/"

NS = 1e-9
MIB = 1 << 20
SAMPLE_NS = 200_000  # a shorter call is repeated until it takes so long
# A way with threads has found its pace after so long: scheduled on one CPU at first, two threads part within a time
# slice. Below so many bytes nothing here uses threads with profit, and all would take longer.
WARM_NS = 5_000_000
WARM_FROM_BYTES = 64 << 10  # read and written
HAVE_THREADS = ("twofold", "openmp", "par_unseq", "tbb", "pair")
# With a gap each call is a sample, and two ways are compared by their mean and 99th percentile, too.
SAMPLES_WITH_GAP = {"twofold": 5, "one_thread": 5}
# A foreign process takes and leaves the core in slices of milliseconds: turns must see both, samples be shorter.
BUSY_TURN_NS = 8_000_000
BUSY_SAMPLE_NS = 20_000
LONG_TURN_NS = 10_000_000  # calls that take longer have one sample a turn
CHECKED_BYTES = 64 * MIB  # the largest array whose results are checked: it is streamed, and shared among threads
# The oracle's loops have few rounds each, and most of them fewer: those that are this much slower than the best.
ORACLE_ROUNDS_OF_ALL = 2
ORACLE_ROUNDS_OF_BEST = 5
ORACLE_HOPELESS = 1.25


class Case(NamedTuple):
    """What the ways are measured at."""

    type: str
    task: str
    elements: int
    gap_ns: int

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.elements * report.bytes_of(self.type) * report.ARRAYS_TOUCHED[self.task]


class Program:
    """The process that measures; see benchmarks/peers/main.cpp for what it answers to."""

    def __init__(self, path: Path, bytes_each: int) -> None:
        self.process = subprocess.Popen(
            [path, str(bytes_each)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, *request: object) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, request)) + "\n")
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            sys.exit(f"peers: {answer or 'the measuring program has ended'}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Bench:
    def __init__(self, program: Program, rounds: int, busy: bool) -> None:
        self.program = program
        self.rounds = rounds
        self.busy = busy
        self.tasks = {name: tasks.split(",") for name, tasks in self._list()}

    def _list(self) -> Iterator[tuple[str, str]]:
        for entry in self.program.ask("list").split():
            name, _, tasks = entry.partition(":")
            yield name, tasks

    @property
    def missing(self) -> list[str]:
        """What should be compared and is not here."""
        oracle = any(name.startswith(ORACLE) for name in self.tasks)
        return [name for name in WAYS if name not in self.tasks and name not in ("again", "oracle")] + (
            [] if oracle else ["oracle"]
        )

    def check(self, types: Sequence[str], tasks: Sequence[str], sizes: Sequence[int]) -> int:
        """Sees that the results of all ways are right, and says how many checks that took."""
        done = 0
        for element in types:
            largest = CHECKED_BYTES // report.bytes_of(element)
            counts = {
                sizes[0],
                *[n for n in sizes if n <= largest][-1:],
                *[n for n in sizes if n <= largest // 64][-1:],
            }
            for name, able in self.tasks.items():
                for task in set(tasks) & set(able):
                    for count in counts:
                        answer = self.program.ask("check", name, element, task, count)
                        if answer != "ok":
                            sys.exit(f"peers: {name}, {element}, {task}, {count} elements: {answer}")
                        done += 1
        return done

    def turn(self, name: str, case: Case) -> list[float]:
        """Seconds of one call, of each sample of one turn."""
        threads = any(word in name for word in HAVE_THREADS)
        warm_ns = WARM_NS if threads and case.bytes >= WARM_FROM_BYTES else 0
        samples, sample_ns, turn_ns = 1, SAMPLE_NS, LONG_TURN_NS
        if case.gap_ns:
            samples = SAMPLES_WITH_GAP.get(name, 1)
        elif self.busy:
            sample_ns, turn_ns = BUSY_SAMPLE_NS, BUSY_TURN_NS
            samples = BUSY_TURN_NS // BUSY_SAMPLE_NS
        where = (case.type, case.task, case.elements)
        answer = self.program.ask("measure", name, *where, case.gap_ns, warm_ns, sample_ns, samples, turn_ns)
        return [float(ns) * NS for ns in answer.split()]

    def play(self, names: Sequence[str], rounds: int, case: Case) -> dict[str, list[list[float]]]:
        """For each name, the samples of each round."""
        samples: dict[str, list[list[float]]] = {name: [] for name in names}
        for i in range(rounds):
            k = i // 2 % len(names)
            order = [*names[k:], *names[:k]]
            for name in order if i % 2 == 0 else reversed(order):
                samples[name].append(self.turn("twofold" if name == "again" else name, case))
        return samples

    def best_of_oracle(self, case: Case) -> str | None:
        loops = [name for name, able in self.tasks.items() if name.startswith(ORACLE) and case.task in able]
        if not loops:
            return None
        first = self.play(loops, ORACLE_ROUNDS_OF_ALL, case)
        fastest = {name: min(chain(*first[name])) for name in loops}
        hopeful = [name for name in loops if fastest[name] <= ORACLE_HOPELESS * min(fastest.values())]
        if len(hopeful) == 1:
            return hopeful[0]
        samples = self.play(hopeful, ORACLE_ROUNDS_OF_BEST, case)
        return min(hopeful, key=lambda name: statistics.median(chain(*samples[name])))

    def measure(self, case: Case) -> Point:
        wanted = WAYS_WHEN_BUSY if self.busy else WAYS_WITH_GAP if case.gap_ns else WAYS
        loop = self.best_of_oracle(case) if "oracle" in wanted else None
        names = [name for name in wanted if name == "again" or case.task in self.tasks.get(name, ())]
        rounds = self.play([*names, loop] if loop else names, self.rounds, case)
        if loop:
            rounds["oracle"] = rounds.pop(loop)
        turns = {name: [statistics.median(turn) for turn in turns] for name, turns in rounds.items()}
        return Point(
            type=case.type,
            task=case.task,
            gap_ms=case.gap_ns / 1e6,
            elements=case.elements,
            bytes_read_and_written=case.bytes,
            oracle_loop=loop.removeprefix(ORACLE) if loop else None,
            ways={name: figures(turns[name], turns["twofold"], [*chain(*rounds[name])], case.bytes) for name in rounds},
        )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return low, median, high


def figures(turns: Sequence[float], of_twofold: Sequence[float], samples: Sequence[float], touched: int) -> Figures:
    pairs = list(zip(turns, of_twofold, strict=True))
    median = statistics.median(turns)
    return Figures(
        seconds=quartiles(turns),
        mean_seconds=statistics.fmean(samples),
        p99_seconds=sorted(samples)[ceil(0.99 * len(samples)) - 1],
        samples=len(samples),
        gb_per_second=touched / median / 1e9,
        over_twofold=quartiles([its / ours for its, ours in pairs]),
        seconds_more_than_twofold=quartiles([its - ours for its, ours in pairs]),
    )


@contextmanager
def foreign_process() -> Iterator[None]:
    """Another process that never rests, where the scheduler puts it."""
    work = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
    process = subprocess.Popen([sys.executable, "-c", work])
    try:
        yield
        if process.poll() is not None:
            sys.exit("peers: the foreign process has ended before its time")
    finally:
        process.kill()
        process.wait()


class OtherProcesses:
    """How many CPUs all but us have used since this was made: above a few hundredths, figures are theirs, too."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.began = time.monotonic()
        self.used = self._seconds()

    def _seconds(self) -> float:
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _idle, _io, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split()[1:11]
        all_cpus = sum(map(int, (user, nice, system, irq, softirq, steal))) / tick
        ours = Path(f"/proc/{self.program.process.pid}/stat").read_text().rpartition(")")[2].split()
        return all_cpus - (int(ours[11]) + int(ours[12])) / tick - sum(os.times()[:2])

    def cpus(self) -> float:
        return max(0.0, (self._seconds() - self.used) / (time.monotonic() - self.began))


def describe_machine(program: Program, huge_pages: float) -> Machine:
    """What figures depend on, without names of machines, people or directories."""

    def first_line(path: Path) -> str:
        return path.read_text().splitlines()[0].strip() if path.is_file() else ""

    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    caches = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        size = first_line(index / "size")
        if size.endswith("K"):
            level, kind = first_line(index / "level"), first_line(index / "type")
            caches.append({"level": int(level), "type": kind, "bytes": int(size[:-1]) << 10})

    def git(*arguments: str) -> str:
        asked = ["git", *arguments]
        try:
            answer = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return ""
        return answer.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    return Machine(
        cpu=models[0] if models else platform.machine(),
        cpus=len(os.sched_getaffinity(0)),
        caches=caches,
        kernel=platform.release(),
        huge_pages=huge_pages,
        built_with=dict(entry.split("=", 1) for entry in program.ask("about").split("\t")),
        commit=commit + (" with changes" if commit and git("status", "--porcelain") else "") or None,
        environment={
            name: value for name, value in os.environ.items() if name.startswith(("OMP_", "GOMP_", "KMP_", "TWOFOLD_"))
        },
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )

    def words(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--build", type=Path, default=Path("build"), help="directory in which Meson built `peers`")
    parser.add_argument("--types", default=["u8", "u32", "f64"], help="of u8,u16,u32,u64,f32,f64", type=words)
    parser.add_argument("--tasks", default=["out", "in"], help="of out,in (of place) and STREAM's", type=words)
    parser.add_argument("--gap", default=["0", "1"], help="milliseconds between calls", type=words)
    parser.add_argument("--min", type=int, default=6, help="smallest size, as a power of two; 6 at least")
    parser.add_argument("--max", type=int, default=27, help="largest size, as a power of two")
    parser.add_argument("--step", type=int, default=1, help="from one power of two to the next")
    parser.add_argument("--max-mib", type=int, default=2048, help="leaves out arrays that take more, in and out")
    parser.add_argument("--rounds", type=int, default=61)
    parser.add_argument("--stream", action="store_true", help="STREAM's kernels: sets other defaults for all above")
    parser.add_argument("--busy", action="store_true", help="twofold against threads=1 while another process works")
    parser.add_argument("--quick", action="store_true", help="few sizes, few rounds: only to see that it runs")
    parser.add_argument("--markdown", action="store_true", help="prints tables of STREAM's kernels at the end")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--plot", type=Path, help="file for a picture; needs matplotlib")
    parser.add_argument("--replay", type=Path, help="measures nothing: reports what --json has written")
    if parser.parse_args().stream:
        parser.set_defaults(types=["f64"], tasks=[*report.STREAM], gap=["0"], min=13, max=25)
    arguments = parser.parse_args()
    if set(arguments.tasks) & set(report.STREAM) and arguments.types != ["f64"]:
        parser.error("STREAM's kernels take doubles alone: --types f64")
    if arguments.quick:
        arguments.step, arguments.max, arguments.rounds = 4, min(arguments.max, 22), 3
    if not 6 <= arguments.min <= arguments.max:
        parser.error("sizes go from 2^6 up")
    return arguments


def run(arguments: argparse.Namespace) -> Results:
    path = arguments.build / "peers"
    if not path.is_file():
        sys.exit(f"peers: {path} is not there: meson compile -C {arguments.build} peers")
    exponents = range(arguments.min, arguments.max + 1, arguments.step)
    most = arguments.max_mib * MIB // 2
    sizes = {t: [1 << e for e in exponents if report.bytes_of(t) << e <= most] for t in arguments.types}
    if not all(sizes.values()):
        sys.exit("peers: no size is small enough for --max-mib")
    bytes_each = max(counts[-1] * report.bytes_of(t) for t, counts in sizes.items())
    arrays = 3 if set(arguments.tasks) & set(report.STREAM) else 2
    program = Program(path, bytes_each)
    try:
        bench = Bench(program, arguments.rounds, arguments.busy)
        huge_pages = int(program.ask("prepare", bytes_each, arrays)) / (arrays * bytes_each)
        machine = describe_machine(program, min(huge_pages, 1.0))
        results = Results(
            machine=machine,
            rounds=arguments.rounds,
            busy=arguments.busy,
            missing=bench.missing,
            cpus_of_others=0.0,
            points=[],
        )
        report.print_head(results)
        checks = sum(bench.check([t], arguments.tasks, sizes[t]) for t in arguments.types)
        print(f"{len(bench.tasks)} ways give the right results, in {checks} checks", flush=True)
        others = OtherProcesses(program)
        for element in arguments.types:
            for task in arguments.tasks:
                # Nothing of the checks, nor of another type: a subnormal number would be slow.
                program.ask("prepare", sizes[element][-1] * report.bytes_of(element), arrays)
                for gap in map(float, arguments.gap):
                    report.print_heading(element, task, gap, results)
                    for count in sizes[element]:
                        point = bench.measure(Case(element, task, count, round(gap * 1e6)))
                        results["points"].append(point)
                        report.print_row(point, results)
        results["cpus_of_others"] = others.cpus()
    finally:
        program.close()
    return results


def main() -> None:
    arguments = read_arguments()
    if arguments.plot:
        report.require_matplotlib()  # now, not after the measuring
    started = time.monotonic()
    if arguments.replay:
        results: Results = json.loads(arguments.replay.read_text())
        report.print_all(results)
    elif arguments.busy:
        with foreign_process():
            results = run(arguments)
    else:
        results = run(arguments)
    report.print_promises(results)
    if arguments.markdown:
        report.print_stream_markdown(results)
    if arguments.quick:
        print("\nA quick run: too few rounds for any of these figures to mean something.")
    print(f"\n{time.monotonic() - started:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.plot:
        report.plot(results, arguments.plot)


if __name__ == "__main__":
    main()
