"""How a call is done: the table of which worker does which chunk, the caller's loop, a worker's loop, and pools.

pools.py says what is to be done; claims.hpp defines the table and a worker.
"""

# Without the enums of `signal`, which take longer to import than all of this.
import _signal as signal  # type: ignore[import-not-found]
import mmap
import os
from time import monotonic, sleep

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.signals import call_and_end, call_undisturbed
from twofold._engine.twofold_engine import decided_by, operation_named
from twofold._processes.claims import Claims, itemsize_of
from twofold._processes.places import open_place, segment_place
from twofold._processes.segments import NO_PROC, AccessError, NoSharedMemoryError, Segment, SharedArrayError
from twofold._processes.transit import PROC, why_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, TypeAlias

    from twofold._engine.twofold_engine import Operation
    from twofold._processes.places import Place

    _Process: TypeAlias = tuple[int, int]
    _Order: TypeAlias = tuple[_Process, Place | None, Place | None, Place | None, str, str, str]
    _Progress: TypeAlias = bool | Callable[[int, int], object]

# The workers of a warm pool double tens of megabytes in this time. After it the caller takes chunks, too. Measured by
# `benchmarks/processes.py --part grace`.
GRACE_SECONDS = 0.01

# How long the caller works before it checks for dead workers and reports progress, and a worker before it checks
# whether its caller is alive.
WORK_SECONDS = 0.05

# The same for a caller that only waits for workers.
WAIT_SECONDS = 0.01

# How long an interrupted call waits for workers to finish their chunks, which are some milliseconds' work.
SETTLE_SECONDS = 1.0

# How long a call waits for the processes that it started to end. A spawned one may only just be starting.
EXIT_SECONDS = 0.1

# At most this many additional workers can replace dead ones, each of which has lost a chunk.
MAX_REPLACED_FOR_RETRIES = 8


class Bytes:
    """The bytes of an array in this process, and their place for other processes; None if they cannot find them."""

    def __init__(self, view: "Any", place: "Place | None") -> None:
        self.view = view
        self.place = place


def new_bytes(nbytes: int) -> Bytes:
    """Memory of a call: its workers open it; other children of a fork do not inherit it."""
    try:
        segment = Segment.create(nbytes)
    except NoSharedMemoryError as error:
        raise_again_if_callers(error)
        return Bytes(mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), None)
    segment.hide()
    return Bytes(segment, segment_place(segment, 0, nbytes))


def check_is_callers(own: Bytes) -> None:
    """RuntimeError in a child that was forked during the call; children that are forked later have these bytes, too."""
    if own.place is not None:
        own.view.show()


class Task:
    """`mode` is one of the modes of claims.hpp; `source` and `target` are `Bytes`, the same object if in place."""

    def __init__(self, mode: "Any", source: Bytes, target: Bytes, element: str, overflow: str) -> None:
        self.mode = mode
        self.source = source
        self.target = target
        self.element = element
        self.overflow = overflow


class Job:
    """How a call is done: by which pool, in which chunks, with which report. It may have several tasks."""

    def __init__(
        self,
        operation: "Operation",
        pool: "PoolAdapter | OwnProcesses",
        chunk_bytes: int,
        progress: "_Progress",
        retries: int,
    ) -> None:
        self.operation = operation
        self.pool = pool
        self.chunk_bytes = chunk_bytes
        self.progress = progress
        self.retries = retries
        self.float_flags = 0  # of all tasks

    def run(self, task: Task) -> int | None:
        """Do a task. Returns the index of the first element that does not fit, or None."""
        nbytes = memoryview(task.source.view).nbytes
        itemsize = itemsize_of(task.element)
        chunks = -(-nbytes // self.chunk_bytes)
        asked = min(self.pool.count, chunks - 1)  # one chunk is the caller's
        max_workers = 1 + 2 * asked + min(self.retries, MAX_REPLACED_FOR_RETRIES)
        table = new_bytes(Claims.bytes_for(nbytes, self.chunk_bytes, max_workers, task.mode))
        if None in (table.place, task.source.place, task.target.place):  # the system lets this process share no memory
            asked = 0
        claims = Claims.create(table.view, nbytes, self.chunk_bytes, max_workers, task.mode, this_process())
        order = (
            this_process(),
            table.place,
            task.source.place,
            task.target.place,
            self.operation.name,
            task.element,
            task.overflow,
        )
        wanted = asked
        closed = why_closed(table.view) if asked else None
        if closed == NO_PROC:  # which also shows which processes are dead
            asked = 0
        # The check is only half of the work; the other half reports progress.
        report = Report(self.progress if task.mode != "check" else False, claims, itemsize, nbytes // itemsize)
        owner = os.getpid()

        given = 0

        def do() -> None:
            nonlocal given
            given = sum(self.pool.ask(order) for _ in range(asked))
            report.begin()
            self._finish(claims, task, order, report, alone=given == 0)

        def end() -> None:
            if os.getpid() == owner:  # else `progress` or a signal handler has forked: the call is the parent's
                claims.cancel()
                try:
                    self.pool.release(have_come=claims.workers_joined > 1)
                    report.end()
                finally:
                    _settle(claims, task.target.view)

        call_and_end(do, end)
        check_is_callers(table)
        is_alone = claims.workers_joined == 1
        if closed is not None and (given or (wanted and closed == NO_PROC)) and is_alone and not self.pool.inherits:
            self.pool.failure = self.pool.failure or SharedArrayError(closed)
        self.float_flags |= claims.float_flags
        return None if claims.first_failure is None else claims.first_failure // itemsize

    def _finish(self, claims: Claims, task: Task, order: "_Order", report: "Report", alone: bool) -> None:
        """Take chunks, and wait for workers, until all chunks are done."""
        owner = os.getpid()
        end_of_grace = monotonic() + (0 if alone else GRACE_SECONDS)
        threads = decided_by()[0] if alone else 1
        work = self.operation, task.source.view, task.target.view, task.element, task.overflow, threads, WORK_SECONDS
        while True:
            if os.getpid() != owner:  # the parent claims chunks by the same number
                raise RuntimeError("a call of double_in_processes does not go on in the child of a fork")
            seen = claims.workers_left()
            if claims.all_done():
                report()
                return
            grace = end_of_grace - monotonic()
            has_worked = grace <= 0 and claims.work(*work)
            if not self._take_over(claims, task, order) and not has_worked and not claims.all_done():
                claims.wait(seen, grace if grace > 0 else WAIT_SECONDS)
            report()

    def _take_over(self, claims: Claims, task: Task, order: "_Order") -> int:
        """Take over from dead workers. Returns how many there were."""
        dead = [(worker, process) for worker, process in claims.holders() if is_dead(process)]
        for worker, process in dead:
            deaths = claims.bury(worker, task.target.view)
            if deaths > self.retries:
                done = self.operation.participle
                raise RuntimeError(
                    f"1 process has died while it {done} a chunk of values: process {process[0]}; retries=0 allows none"
                    if deaths == 1
                    else f"{deaths} processes have died while they {done} the same chunk of values, the last one was"
                    f" process {process[0]}; retries={self.retries} allows {self.retries}"
                )
            self.pool.ask(order)
        return len(dead)


def _settle(claims: Claims, out: "Any") -> None:
    """After `cancel`: wait until no living worker has a chunk, but not for long, since a worker may be stopped."""
    end = monotonic() + SETTLE_SECONDS
    while holders := claims.holders():
        seen = claims.workers_left()
        for worker, process in holders:
            if is_dead(process):
                claims.bury(worker, out)
        if monotonic() > end:
            return  # a worker is still attached to the memory, so it is not used for anything else
        claims.wait(seen, 0.001)


class Report:
    """Reports progress to tqdm, or to a callable."""

    def __init__(self, progress: "_Progress", claims: Claims, itemsize: int, total: int) -> None:
        self._progress: Any = progress
        self._claims = claims
        self._itemsize = itemsize
        self._total = total
        self._told = 0
        self._bar: Any = None

    def begin(self) -> None:
        """Called after processes were started, since tqdm's bar starts a thread."""
        if self._progress is not True:
            return
        try:
            # No import statement: one would have PyInstaller put whatever tqdm knows of into each program, as PyTorch.
            tqdm = __import__("tqdm.auto", fromlist=["tqdm"]).tqdm
        except ImportError as error:
            raise_again_if_callers(error)
            raise ImportError("progress=True needs tqdm, which is not installed; or pass a callable") from None
        self._bar = bar = tqdm(total=self._total, unit="", unit_scale=True)
        self._progress = lambda done, total: bar.update(done - bar.n)  # no self: a cycle would keep the table

    def __call__(self) -> None:
        if not self._progress:
            return
        done = self._claims.bytes_done // self._itemsize
        if done > self._told:  # it may be less: the chunk of a dead worker starts over
            self._told = done
            self._progress(done, self._total)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()


# ---- in a worker


def work(order: "_Order") -> int:
    """Take chunks until none is left: what every worker is asked to do. Returns the bytes that it has done.

    Errors of opening memory are not sent to the caller: a worker that comes late finds nothing to open, and has nothing
    to do. But a worker that may never open anything reports that.
    """
    try:
        return _work(*order)
    except AccessError:
        raise
    except (RuntimeError, ValueError, OSError) as error:
        raise_again_if_callers(error)
        return 0


def _work(  # noqa: PLR0913, PLR0917
    caller: "_Process",
    table_place: "Any",
    place: "Any",
    out_place: "Any",
    operation_name: str,
    element: str,
    overflow: str,
) -> int:
    claims = Claims.join(open_place(table_place), this_process())
    if claims is None:
        return 0
    try:
        operation = operation_named(operation_name)
        values = open_place(place)
        out = values if out_place.is_same(place) else open_place(out_place)
        # Check the caller first: a forked child has the memory even if its parent has ended before it runs.
        work = operation, values, out, element, overflow, threads_of_worker(), WORK_SECONDS
        while not is_dead(caller) and claims.work(*work):
            pass
    finally:
        claims.leave()
    return claims.own_bytes_done


class WorkUndisturbed:
    """The same in a process of the call's own: Ctrl-C is left to the caller, which then cancels the work."""

    def __init__(self, order: "_Order") -> None:
        self._order = order
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def __call__(self) -> None:
        self._begin()
        try:
            work(self._order)
        except AccessError:
            return  # the caller knows of it

    def __setstate__(self, state: "dict[str, Any]") -> None:
        # A forkserver's process does not start with the signals blocked that its caller has blocked: see OwnProcesses.
        # On Ctrl-C it ends silently while it unpickles, but afterwards multiprocessing would print a traceback.
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        """Ignore Ctrl-C, then unblock signals, which were blocked at the start so that Ctrl-C could not come first."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)


def threads_of_worker() -> int:
    """One, unless the environment or a limit says otherwise."""
    count, rule, *_ = decided_by()
    return 1 if rule in ("affinity", "cgroup") else count


# ---- processes


def this_process() -> "_Process":
    """What distinguishes this process from any other, and from a later one with its pid."""
    try:
        pid, _, _, started = _stat("self")
    except FileNotFoundError as error:  # there is no /proc, and so there are no others
        raise_again_if_callers(error)
        return os.getpid(), 0
    return pid, started


def identity_of(pid: int) -> "_Process | None":
    """The same for another process; None if it has ended."""
    try:
        return pid, _stat(pid)[3]
    except OSError as error:
        raise_again_if_callers(error)
        return None


def is_dead(process: "_Process") -> bool:
    """Whether it is known to have ended, so that none of its threads will ever write again."""
    try:
        pid, state, threads, started = _stat(process[0])
    except OSError as error:
        raise_again_if_callers(error)
        # Other errors tell nothing.
        return isinstance(error, (FileNotFoundError, ProcessLookupError)) and not _has_process(process[0])
    return (pid, started) != process or (state in "ZX" and threads <= 1)


def _has_process(pid: int) -> bool:
    """Whether there is a process with that pid, which /proc may hide."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        raise_again_if_callers(error)
        return not isinstance(error, ProcessLookupError)
    return True


def _stat(pid: int | str) -> tuple[int, str, int, int]:
    with open(f"{PROC}/{pid}/stat", "rb") as file:
        number, _, rest = file.read().partition(b" (")
    fields = rest.rpartition(b") ")[2].split()  # from the third field on; the second, a name, may hold anything
    return int(number), fields[0].decode(), int(fields[17]), int(fields[19])


# ---- pools


def adapt_pool(pool: object, processes: int | None) -> "PoolAdapter | OwnProcesses":
    """Adapt `pool` to be asked for `processes` workers; None: for as many as it has."""
    if pool is None:
        return OwnProcesses(processes or decided_by()[0])
    if isinstance(pool, type):
        raise TypeError(f"pool is the class {pool.__qualname__} itself; call it: {pool.__qualname__}()")
    if isinstance(pool, int):
        raise TypeError(f"pool is {pool}; how many processes to start is said by processes={int(pool)}")
    # Otherwise a cluster takes several calls with the same arguments for one.
    keywords: dict[str, Any] = {"pure": False} if "distributed" in _packages_of(pool) else {}
    asking: dict[str, Any] = {method: getattr(pool, method, None) for method in ("submit", "apply_async", "schedule")}
    asking = {method: ask for method, ask in asking.items() if callable(ask)}
    for method, ask in asking.items():
        submit = _submitter(method, ask, keywords)
        if submit is not None:
            return PoolAdapter(pool, submit, processes or _workers_of(pool))
    made_by = getattr(pool, "__name__", None)
    may_be_called = callable(pool)
    if not asking and may_be_called and made_by is not None:  # multiprocessing.Pool, which is a method
        name = f"{pool.__module__.partition('.')[0]}.{made_by}"
        raise TypeError(f"pool is {name} itself; call it: {name}()")
    refused = f", but its {' and '.join(asking)} takes other arguments" if asking else ""
    raise TypeError(
        f"pool is a {type(pool).__qualname__}{refused}; accepted is what has `submit` or `apply_async`, called as"
        " submit(function, *args) or apply_async(function, args), or None"
    )


VARIABLE_POSITIONAL, COROUTINE = 0x04, 0x80  # flags of code objects, as inspect has them


def _submitter(name: str, ask: "Any", keywords: "dict[str, Any]") -> "Callable[[_Order], object] | None":
    """A function that submits an order by calling `ask` as its parameters require; None if they fit no known form.

    If it takes any arguments, as a manager's proxy does, its name decides.
    """
    function = getattr(ask, "__func__", ask)
    is_bound = function is not ask
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code: CodeType | None = getattr(function, "__code__", None)
    parameters: tuple[str, ...]
    if code is None:  # of a partial, say
        parameters, required, takes_any = (), 0, True
    elif code.co_flags & COROUTINE:
        return None
    else:
        parameters = code.co_varnames[is_bound : code.co_argcount]
        required = len(parameters) - len(function.__defaults__ or ())
        takes_any = bool(code.co_flags & VARIABLE_POSITIONAL)
    if len(parameters) > 1 and parameters[1] == "args" and required <= 2:
        return lambda order: ask(work, (order,))
    if takes_any and not parameters and name != "submit":
        return lambda order: ask(work, (order,))
    if (len(parameters) <= 1) if takes_any else (len(parameters) == required == 2):
        return lambda order: ask(work, order, **keywords)
    return None


def _workers_of(pool: object) -> int:
    """How many workers a pool has, if it tells; else the number of CPUs of this process."""
    for name in ("_max_workers", "_processes"):  # of executors, of multiprocessing.Pool
        count = getattr(pool, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return len(os.sched_getaffinity(0))


# Raised by a pool that is broken, was shut down or gets no more processes, and by starting a process where that is not
# allowed, as in a daemonic worker. Some pools raise types of their own packages instead.
REFUSALS = RuntimeError, ValueError, OSError, EOFError, AssertionError

# What else killed workers and cancelled orders give as an answer, in various packages. (`work` itself raises neither
# these nor refusals, except AccessError.)
ENDS = {"CancelledError", "KilledWorker", "RayActorError", "WorkerCrashedError", "WorkerLostError", "EngineError"}


def _package_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _packages_of(pool: object) -> set[str]:
    return {_package_of(kind) for kind in type(pool).__mro__} - {"builtins"}


class PoolAdapter:
    """A pool of the user."""

    inherits = False

    def __init__(self, pool: object, submit: "Callable[[_Order], object]", count: int) -> None:
        self.count = count
        self.failure: BaseException | None = None  # the first failure among the answers, other than the end of the pool
        self._packages = _packages_of(pool)
        self._name = type(pool).__qualname__
        self._submit = submit
        self._may_be_cut_short = callable(getattr(pool, "terminate", None))
        self._asked: list[Any] = []

    def ask(self, order: "_Order") -> bool:
        """Ask for a worker. Returns False if the pool takes no more work: it is broken, say, or was shut down."""
        try:
            self._asked.append(self._submit(order))
        except Exception as error:
            raise_again_if_callers(error)
            if isinstance(error, REFUSALS) or _package_of(type(error)) in self._packages:
                return False
            error.add_note(f"(raised by the pool, a {self._name}, when it was asked for a worker)")
            raise
        return True

    def release(self, have_come: bool) -> None:
        """End the use of the pool. `have_come`: whether any worker has joined, so that answers are on their way."""
        if have_come and self._may_be_cut_short:
            # A multiprocessing.Pool hangs for good if it is terminated while a worker sends its answer.
            end = monotonic() + GRACE_SECONDS
            while not all(map(_has_come, self._asked)) and monotonic() < end:
                sleep(0.0001)
        for answer in self._asked:
            self.failure = self.failure or _failure_of(answer)
        # Orders are not cancelled: a ProcessPoolExecutor that breaks while it has a cancelled future does not shut down
        # completely. Workers that get to an order later find nothing to do.
        self._asked.clear()


def _has_come(answer: "Any") -> bool:
    ask = getattr(answer, "ready", None) or getattr(answer, "done", None)
    try:
        return not callable(ask) or ask()
    except Exception as error:
        raise_again_if_callers(error)
        return True


def _failure_of(answer: "Any") -> BaseException | None:
    """The error of a pool's answer, if it has failed by now and not because the pool has ended; else None."""
    done, ready = getattr(answer, "done", None), getattr(answer, "ready", None)
    try:
        if callable(done):
            error = answer.exception(1) if done() else None
        else:
            error = None
            if callable(ready) and ready():
                answer.get(1)
    except Exception as raised:
        raise_again_if_callers(raised)
        error = raised
    has_ended = isinstance(error, REFUSALS) or any(kind.__name__ in ENDS for kind in type(error).__mro__)
    if isinstance(error, AccessError):
        has_ended = False
    return error if isinstance(error, BaseException) and not has_ended else None


def _start_servers(method: str) -> None:
    """Start multiprocessing's servers before signals are blocked: a forkserver's processes inherit its own mask."""
    if method == "spawn":
        from multiprocessing import resource_tracker  # noqa: PLC0415

        resource_tracker.ensure_running()  # starting it unblocks Ctrl-C
    elif method == "forkserver":
        from multiprocessing import forkserver  # noqa: PLC0415

        forkserver.ensure_running()


class OwnProcesses:
    """Processes that are started for one call, and share nothing that could be left locked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.failure: BaseException | None = None
        self.inherits = False  # whether they are forked, and so have the call's memory
        self._started: dict[Any, Any] = {}  # process to its identity

    def ask(self, order: "_Order") -> bool:
        try:
            import multiprocessing  # noqa: PLC0415

            process = multiprocessing.Process(target=WorkUndisturbed(order), daemon=True)
            method = multiprocessing.get_start_method()
            self.inherits = method == "fork"
            _start_servers(method)
            call_undisturbed(self._start, process)
        except (*REFUSALS, AttributeError, ImportError) as error:
            # AttributeError: from loky, in its workers. ImportError: in a process that may no longer read Python's
            # files, since it has given up privileges.
            raise_again_if_callers(error)
            return False
        return True

    def _start(self, process: "Any") -> None:
        self._started[process] = None  # noted before start() can be interrupted
        process.start()
        self._started[process] = identity_of(process.pid)

    def release(self, have_come: bool) -> None:
        """Wait for the processes to end, then kill them. Can be called again if it was interrupted."""
        end = monotonic() + EXIT_SECONDS
        while self._started:
            process, identity = next(iter(self._started.items()))
            if process.pid is not None:  # else it could not be started
                _end_process(process, identity or identity_of(process.pid), end)
            del self._started[process]
            process.close()


def _end_process(process: "Any", identity: "_Process | None", end: float) -> None:
    process.join(max(end - monotonic(), 0))
    if process.exitcode is None and identity is not None and not is_dead(identity):
        process.kill()
        process.join()
    if process.exitcode is None:
        # Something else has reaped it: another thread that starts processes, a handler of SIGCHLD, or the kernel if
        # SIGCHLD is ignored. multiprocessing would consider it alive for ever.
        process._popen.returncode = 0
