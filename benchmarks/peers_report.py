"""What peers.py has measured: tables, what was promised and whether it holds, a picture."""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

PEERS = ("plain", "openmp", "par_unseq", "highway")  # what somebody might use instead

# Tasks, and how many arrays of the given size each reads and writes: doubling out of place and in place; STREAM's.
STREAM = {"copy": 2, "scale": 2, "add": 3, "triad": 3, "dot": 2}
ARRAYS_TOUCHED = {"out": 2, "in": 2, **STREAM}
STREAM_PEERS = {
    "plain": "plain loop",
    "openmp": "OpenMP",
    "openmp_stream": "OpenMP, streaming",
    "par_unseq": "`par_unseq`",
    "tbb": "TBB",
}

# What is promised of twofold (issue 3).
OF_ORACLE = 0.95  # back to back, from MIN_PROMISED elements up
NS_OVER_PLAIN = 5.0  # below that
OF_BEST_PEER = 0.97
OF_BEST_PEER_PAST_CACHE = {2: 1.2, 4: 1.4}  # out of place, from so many last-level caches of input and output up
OF_ONE_THREAD = 0.95  # with a gap, or beside a foreign process: median and mean, at every size
MIN_PROMISED = 1 << 10

# And of STREAM's kernels (issue 17), back to back. The first three are promised at STREAM_LARGE elements.
STREAM_LARGE = 1 << 25
OF_PLAIN_STORES = {"copy": 1.25, "scale": 1.25, "add": 1.12, "triad": 1.12}
OF_STREAMING_STORES = 0.97
DOT_OF_BEST_PEER = 0.97
STREAM_OF_BEST_PEER = 0.95  # from STREAM_MIN_PROMISED elements up
STREAM_MIN_PROMISED = 1 << 19

Quartiles = tuple[float, float, float]  # low, median, high


class Figures(TypedDict):
    """Of one way at one point."""

    seconds: Quartiles  # of the rounds' medians
    mean_seconds: float  # of all samples, as is the next
    p99_seconds: float
    samples: int
    gb_per_second: float
    over_twofold: Quartiles  # its time over twofold's in the same round: above 1 twofold is faster
    seconds_more_than_twofold: Quartiles


class Point(TypedDict):
    type: str
    task: str
    gap_ms: float
    elements: int
    bytes_read_and_written: int
    oracle_loop: str | None
    ways: dict[str, Figures]


class Machine(TypedDict):
    cpu: str
    cpus: int
    caches: list[dict[str, Any]]
    kernel: str
    huge_pages: float  # the part of the arrays that lies on them
    built_with: dict[str, str]
    commit: str | None
    environment: dict[str, str]
    date: str


class Results(TypedDict):
    machine: Machine
    rounds: int
    busy: bool
    missing: list[str]
    cpus_of_others: float  # that other processes used while we measured, a foreign one of ours included
    points: list[Point]


def bytes_of(element: str) -> int:
    """The bytes of one element of the type, "u8" to "f64"."""
    return int(element[1:]) // 8


def cache_bytes(results: Results) -> int:
    """The last-level cache; 0 if the system does not say."""
    return max((cache["bytes"] for cache in results["machine"]["caches"]), default=0)


# ---- tables


def short(q: Quartiles) -> str:
    digits = 2 if q[2] < 100 else 0
    return f"{q[1]:.{digits}f} ({q[0]:.{digits}f}..{q[2]:.{digits}f})"


def time_of(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e9:.1f} ns"


def bytes_text(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count // size} {unit}"
    return f"{count} B"


def task_text(task: str) -> str:
    return {"in": "in place", "out": "out of place"}.get(task, task)


def gap_text(gap_ms: float) -> str:
    return f"{gap_ms:g} ms between calls" if gap_ms else "back to back"


def print_head(results: Results) -> None:
    machine = results["machine"]
    caches = ", ".join(f"L{c['level']} {c['type'].lower()} {bytes_text(c['bytes'])}" for c in machine["caches"])
    print(f"{machine['cpu']}, {machine['cpus']} CPUs, {caches}; Linux {machine['kernel']}")
    print(", ".join(f"{name} {value}" for name, value in machine["built_with"].items()))
    commit = f", commit {machine['commit']}" if machine["commit"] else ""
    print(f"{machine['date']}{commit}, {results['rounds']} rounds, {machine['huge_pages']:.0%} on huge pages")
    for name, value in machine["environment"].items():
        print(f"{name}={value}")
    if results["missing"]:
        print("missing, since not built: " + ", ".join(results["missing"]))
    if results["busy"]:
        print("beside a foreign process that never rests")


def columns(task: str, gap_ms: float, results: Results) -> list[str]:
    names = ["one_thread"]
    if not results["busy"]:
        names += STREAM_PEERS if task in STREAM else [*PEERS, "oracle"]
        if task == "dot":
            names.remove("openmp_stream")
        if not gap_ms:
            names += ["memcpy", "again"] if task == "out" else ["again"]
    return [name for name in names if name not in results["missing"]]


COLUMN = 21


def print_heading(element: str, task: str, gap_ms: float, results: Results) -> None:
    print(f"\n{element}, {task_text(task)}, {gap_text(gap_ms)}: time over twofold's (quartiles)")
    head = f"{'elements':>8} {'in + out':>8} {'twofold':>10} {'GB/s':>6}"
    head += "".join(f"{name:>{COLUMN}}" for name in columns(task, gap_ms, results))
    if gap_ms or results["busy"]:
        head += "   mean, twofold and one thread   99th percentile, the same"
    elif "oracle" in columns(task, gap_ms, results):
        head += "   the oracle's loop"
    print(head, flush=True)


def print_row(point: Point, results: Results) -> None:
    ours = point["ways"]["twofold"]
    size = f"2^{point['elements'].bit_length() - 1}"
    row = f"{size:>8} {bytes_text(point['bytes_read_and_written']):>8} {time_of(ours['seconds'][1]):>10}"
    row += f" {ours['gb_per_second']:6.1f}"
    for name in columns(point["task"], point["gap_ms"], results):
        row += f"{short(point['ways'][name]['over_twofold']):>{COLUMN}}"
    if point["gap_ms"] or results["busy"]:
        one = point["ways"]["one_thread"]
        row += f"   {time_of(ours['mean_seconds']):>10} {time_of(one['mean_seconds']):>10}"
        row += f" {one['mean_seconds'] / ours['mean_seconds']:6.2f}"
        row += f"   {time_of(ours['p99_seconds']):>10} {time_of(one['p99_seconds']):>10}"
    elif point["oracle_loop"]:
        row += f"   {point['oracle_loop']}"
    print(row, flush=True)


def print_all(results: Results) -> None:
    print_head(results)
    heading = None
    for point in results["points"]:
        if heading != (heading := (point["type"], point["task"], point["gap_ms"])):
            print_heading(*heading, results)
        print_row(point, results)


# ---- promises


class Verdict(NamedTuple):
    holds: bool
    found: str


# A promise looks at a point, and says nothing of one that it is not about.
Promise = Callable[[Point, Results], Verdict | None]


def is_back_to_back(point: Point, results: Results) -> bool:
    return not point["gap_ms"] and not results["busy"]


def near_oracle(point: Point, results: Results) -> Verdict | None:
    if not is_back_to_back(point, results) or point["elements"] < MIN_PROMISED or "oracle" not in point["ways"]:
        return None
    ratio = point["ways"]["oracle"]["over_twofold"]
    return Verdict(ratio[1] >= OF_ORACLE, f"{short(ratio)} of {point['oracle_loop']}")


def near_plain(point: Point, results: Results) -> Verdict | None:
    if not is_back_to_back(point, results) or point["elements"] >= MIN_PROMISED:
        return None
    less, median, more = (-1e9 * seconds for seconds in point["ways"]["plain"]["seconds_more_than_twofold"])
    return Verdict(median <= NS_OVER_PLAIN, f"{median:+.1f} ns ({more:+.1f}..{less:+.1f})")


def best_peer(point: Point, peers: Iterable[str] = (*PEERS, *STREAM_PEERS)) -> tuple[str, Quartiles]:
    ratios = {name: point["ways"][name]["over_twofold"] for name in peers if name in point["ways"]}
    name = min(ratios, key=lambda name: ratios[name][1])
    return name, ratios[name]


def against(best: tuple[str, Quartiles], wanted: float) -> Verdict:
    name, ratio = best
    return Verdict(ratio[1] >= wanted, f"{short(ratio)} of {name}")


def near_best_peer(point: Point, results: Results) -> Verdict | None:
    if not is_back_to_back(point, results) or point["elements"] < MIN_PROMISED:
        return None
    return against(best_peer(point), OF_BEST_PEER)


def ahead_past_cache(caches: int) -> Promise:
    wanted = OF_BEST_PEER_PAST_CACHE[caches]
    until = min((c for c in OF_BEST_PEER_PAST_CACHE if c > caches), default=None)

    def promise(point: Point, results: Results) -> Verdict | None:
        size, cache = point["bytes_read_and_written"], cache_bytes(results)
        if not is_back_to_back(point, results) or point["task"] == "in" or not cache:
            return None
        if size < caches * cache or (until is not None and size >= until * cache):
            return None
        return against(best_peer(point), wanted)

    return promise


def near_one_thread(of_mean: bool) -> Promise:
    def promise(point: Point, results: Results) -> Verdict | None:
        if is_back_to_back(point, results):
            return None
        ours, one = point["ways"]["twofold"], point["ways"]["one_thread"]
        if of_mean:
            ratio = one["mean_seconds"] / ours["mean_seconds"]
            p99 = f"99th percentile {time_of(ours['p99_seconds'])} against {time_of(one['p99_seconds'])}"
            return Verdict(ratio >= OF_ONE_THREAD, f"{ratio:.2f}; {p99}")
        return Verdict(one["over_twofold"][1] >= OF_ONE_THREAD, short(one["over_twofold"]))

    return promise


def promises() -> Iterator[tuple[str, Promise]]:
    small = f"2^{MIN_PROMISED.bit_length() - 1}"
    yield f"at least {OF_ORACLE} of the oracle from {small} up, back to back", near_oracle
    yield f"at most {NS_OVER_PLAIN:g} ns more than the plain loop below {small}, back to back", near_plain
    yield f"at least {OF_BEST_PEER} of the best peer from {small} up, back to back", near_best_peer
    for caches, wanted in OF_BEST_PEER_PAST_CACHE.items():
        text = (
            f"at least {wanted} times the best peer out of place, input and output {caches} last-level caches or more"
        )
        yield text, ahead_past_cache(caches)
    where = "with a gap or beside a foreign process"
    yield f"at least {OF_ONE_THREAD} of twofold with threads=1, {where}: median", near_one_thread(of_mean=False)
    yield f"at least {OF_ONE_THREAD} of twofold with threads=1, {where}: mean", near_one_thread(of_mean=True)


def against_stores(wanted: float, tasks: Iterable[str], peers: Iterable[str]) -> Promise:
    def promise(point: Point, results: Results) -> Verdict | None:
        if not is_back_to_back(point, results) or point["elements"] != STREAM_LARGE or point["task"] not in tasks:
            return None
        return against(best_peer(point, peers), wanted) if set(peers) & set(point["ways"]) else None

    return promise


def near_best_of_stream(point: Point, results: Results) -> Verdict | None:
    if not is_back_to_back(point, results) or point["elements"] < STREAM_MIN_PROMISED:
        return None
    return against(best_peer(point), STREAM_OF_BEST_PEER)


def promises_of_stream() -> Iterator[tuple[str, Promise]]:
    large, small = (f"2^{n.bit_length() - 1}" for n in (STREAM_LARGE, STREAM_MIN_PROMISED))
    for wanted in sorted({*OF_PLAIN_STORES.values()}, reverse=True):
        tasks = [task for task, times in OF_PLAIN_STORES.items() if times == wanted]
        text = f"{' and '.join(tasks)} at least {wanted} times OpenMP and TBB without streaming stores, at {large}"
        yield text, against_stores(wanted, tasks, ("openmp", "par_unseq", "tbb"))
    text = f"at least {OF_STREAMING_STORES} of OpenMP with streaming stores, at {large}"
    yield text, against_stores(OF_STREAMING_STORES, STREAM, ("openmp_stream",))
    text = f"dot at least {DOT_OF_BEST_PEER} of the best peer, at {large}"
    yield text, against_stores(DOT_OF_BEST_PEER, ("dot",), STREAM_PEERS)
    yield f"at least {STREAM_OF_BEST_PEER} of the best peer, from {small} up", near_best_of_stream


def print_promises(results: Results) -> None:
    print(f"\nOther processes used {results['cpus_of_others']:.2f} CPUs meanwhile.")
    again = [point["ways"]["again"]["over_twofold"] for point in results["points"] if "again" in point["ways"]]
    if again:
        far = sorted(abs(ratio[1] - 1) for ratio in again)
        print(f"twofold over itself is 1 within {far[len(far) // 2]:.1%} at half of the points, {far[-1]:.1%} at all.")
    print("\nWhat is promised")
    doubling = [point for point in results["points"] if point["task"] not in STREAM]
    stream = [point for point in results["points"] if point["task"] in STREAM]
    promised = [(doubling, *each) for each in promises() if doubling]
    promised += [(stream, *each) for each in promises_of_stream() if stream]
    for points, text, promise in promised:
        verdicts = [(point, verdict) for point in points if (verdict := promise(point, results))]
        if not verdicts:
            print(f"- {text}: not measured")
            continue
        short_of = [(point, verdict) for point, verdict in verdicts if not verdict.holds]
        print(f"- {text}: holds at {len(verdicts) - len(short_of)} of {len(verdicts)} points")
        for point, verdict in short_of:
            size = f"2^{point['elements'].bit_length() - 1}"
            gap = f", {gap_text(point['gap_ms'])}" if point["gap_ms"] or results["busy"] else ""
            print(f"    falls short: {point['type']} {task_text(point['task'])} {size}{gap}: {verdict.found}")


# ---- for docs/speed.md


def print_stream_markdown(results: Results) -> None:
    """Against the best peer at each size, and against each peer at the largest."""
    points = {
        (point["elements"], point["task"]): point
        for point in results["points"]
        if point["task"] in STREAM and is_back_to_back(point, results)
    }
    if not points:
        return
    tasks = list(dict.fromkeys(task for _, task in points))
    sizes = sorted({elements for elements, _ in points})
    built_with = ", ".join(f"{name} {results['machine']['built_with'].get(name)}" for name in ("compiler", "tbb"))
    print(f"\n{built_with}; {results['rounds']} rounds; others used {results['cpus_of_others']:.2f} CPUs meanwhile.")
    print(f"\n| elements | {' | '.join(tasks)} |\n|---:{'|---:' * len(tasks)}|")
    for elements in sizes:
        best = [best_peer(points[elements, task]) for task in tasks]
        cells = [f"{ratio[1]:.2f} {STREAM_PEERS[name]}" for name, ratio in best]
        print(f"| 2^{elements.bit_length() - 1} | {' | '.join(cells)} |")
    print(f"\n| | ours, GB/s | {' | '.join(STREAM_PEERS.values())} |\n|---|---:{'|---:' * len(STREAM_PEERS)}|")
    for task in tasks:
        ways = points[sizes[-1], task]["ways"]
        cells = [f"{ways[name]['over_twofold'][1]:.2f}" if name in ways else "" for name in STREAM_PEERS]
        print(f"| {task} | {ways['twofold']['gb_per_second']:.0f} | {' | '.join(cells)} |")


# ---- a picture


def require_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit("peers: --plot needs matplotlib: pip install matplotlib, or keep --json and --replay it elsewhere")


def plot(results: Results, path: Path) -> None:
    """GB/s over size: a row for each type, a column for each task and gap."""
    import matplotlib as mpl  # noqa: PLC0415  needed only for --plot

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    points = results["points"]
    rows = list(dict.fromkeys(point["type"] for point in points))
    cases = list(dict.fromkeys((point["task"], point["gap_ms"]) for point in points))
    names = list(dict.fromkeys(name for point in points for name in point["ways"] if name != "again"))
    figure, axes = plt.subplots(
        len(rows),
        len(cases),
        figsize=(5.5 * len(cases), 3.6 * len(rows)),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for element, line_of_axes in zip(rows, axes, strict=True):
        for (task, gap_ms), ax in zip(cases, line_of_axes, strict=True):
            for i, name in enumerate(names):
                shown = [
                    (point["elements"], point["ways"][name]["gb_per_second"])
                    for point in points
                    if (point["type"], point["task"], point["gap_ms"]) == (element, task, gap_ms)
                    and name in point["ways"]
                ]
                style = {"twofold": "-", "oracle": "k:", "memcpy": "k--"}.get(name, "-")
                width = 2.5 if name == "twofold" else 1.2
                color = {} if "k" in style else {"color": f"C{i}"}
                if shown:
                    ax.plot(*zip(*shown, strict=True), style, linewidth=width, label=name, **color)
            cache = cache_bytes(results) / (ARRAYS_TOUCHED[task] * bytes_of(element))
            if cache:
                ax.axvline(cache, color="0.8", zorder=0)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_title(f"{element}, {task_text(task)}, {gap_text(gap_ms)}", fontsize=10)
            ax.grid(alpha=0.3)
    figure.supxlabel("elements (grey line: input and output fill the last-level cache)")
    figure.supylabel("GB/s, read and written")
    axes[0][0].legend(fontsize=8)
    figure.suptitle(f"{results['machine']['cpu']}, {results['machine']['cpus']} CPUs", fontsize=11)
    figure.savefig(path, dpi=120)
