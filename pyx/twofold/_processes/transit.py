"""Sends and receives references to segments between processes.

A reference is valid as long as some process has the segment, but a sender may drop the array before the receiver has
opened it: a temporary handed to a pool, or the last result of a worker. So each reference has a ticket, which is handed
in when the reference is opened, and the sender keeps the segment until then.
"""

import itertools
import os
import sys
import time

from twofold._engine.messages import loaded_module, raise_again_if_callers
from twofold._memory.numpy_handler import extent_of
from twofold._processes.segments import (
    NO_PROC,
    NOT_DUMPABLE,
    Segment,
    SharedArrayError,
    is_dumpable,
    release_memory,
    segment_beneath,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

# How long a worker of a process pool waits at its end for its last results to be opened.
EXIT_SECONDS = 5

# Where processes find each other's descriptors.
PROC = "/proc"

_has_proc = False  # not known yet

# References whose tickets were not yet seen to be handed in: the segment, the ticket, and a unique number.
_sent: "dict[tuple[Segment, int, int], None]" = {}
_numbers = itertools.count()


def create(nbytes: int) -> Segment:
    """A new segment."""
    sweep()
    _watch()
    return Segment.create(nbytes)


def send(segment: Segment) -> int | None:
    """A ticket for a reference to the segment, which stays until that is handed in.

    SharedArrayError if no other process could open it: the sender does not know which process receives it.
    """
    reason = why_closed(segment)
    if reason is not None:
        raise SharedArrayError(f"a reference to shared memory cannot be sent: {reason}; a copy can (numpy.array(a))")
    _sweep_if_cheap()
    ticket = segment.draw_ticket()
    if ticket is not None:
        # With a unique number, since another thread may draw the same ticket again while one checks whether it was
        # handed in.
        _sent[segment, ticket, next(_numbers)] = None
        _watch()
        _wait_if_late()
    return ticket


def why_closed(segment: Segment) -> str | None:
    """Why other processes, except those forked since, cannot open this one's memory; None if they can."""
    global _has_proc  # noqa: PLW0603
    if not _has_proc:
        _has_proc = os.access(f"{PROC}/{segment.pid}/fd/{segment.fd}", os.F_OK)
    if not _has_proc:
        return NO_PROC
    return None if is_dumpable() else f"this process is closed to others: {NOT_DUMPABLE}"


def receive(where: tuple[int, int, bytes, int], ticket: int | None) -> Segment:
    """The segment that a reference refers to."""
    _sweep_if_cheap()
    _watch()
    segment = Segment.attach(*where)
    segment.hand_in_ticket(ticket)
    return segment


def find_segment(array: "NDArray[Any]") -> tuple[Segment, int] | None:
    """The segment that holds the array, and the array's offset in it; None if no segment does."""
    segment = segment_beneath(array)
    if segment is None:
        return None
    data, first, end = extent_of(array)
    begin = segment.address
    if first < begin or end > begin + segment.nbytes:  # an object in between has memory of its own
        return None
    return segment, data - begin


def _sweep_if_cheap() -> None:
    """Sweep if few references are open; if many are, only each time their number has doubled."""
    if len(_sent) < 64 or len(_sent).bit_count() == 1:
        sweep()


def sweep() -> int:
    """Release segments whose references have arrived. Returns how many references have not."""
    for sent in list(_sent):
        segment, ticket, _ = sent
        if not segment.is_open(ticket):
            _sent.pop(sent, None)
    return len(_sent)


# ---- the end of a worker

PACKAGES = ("multiprocessing", "multiprocess")  # billiard uses modules of the first one

# The `util` modules, of multiprocessing or a fork of it, with which the wait is registered; none if not a worker.
_utils: "list[Any]" = []
_hooked: "set[str]" = set()  # the packages whose workers register it at their start
_is_waiting = False  # in a thread, instead of the registered finalizer, for which it was too late
_end = 0.0


def _watch() -> None:
    """Have a worker of a process pool keep the results that it sent, at its end, until they are opened.

    Registered when the worker starts, if twofold is loaded by then, or when it makes or receives a segment. When it
    sends it that may be too late: a queue's feeder thread sends when finalizers may already run. (Workers forget what
    was registered earlier.)
    """
    if _utils:
        return
    for package in PACKAGES:
        process: Any
        util: Any
        process, util = map(loaded_module, (f"{package}.process", f"{package}.util"))
        # Only look-ups, since another thread may be importing either module.
        current = getattr(process, "_current_process", None)
        # A spawned process has `_inheriting` while it unpickles its task. It forgets no finalizers, and runs no hooks.
        if getattr(current, "_parent_pid", None) is not None or hasattr(current, "_inheriting"):
            # Last: queues have finalizers of their own, in which they send what they still hold.
            util.Finalize(None, _wait_for_receivers, exitpriority=-100)
            _utils.append(util)
    _hook()


def _hook() -> None:
    for package in PACKAGES:
        util: Any = loaded_module(f"{package}.util")
        if package not in _hooked and hasattr(util, "register_after_fork"):
            util.register_after_fork(_begin, _begin)
            _hooked.add(package)


def _begin(_: object) -> None:
    """Called in a worker that has just forgotten the finalizers of its parent."""
    _utils.clear()
    _watch()


def _wait_for_receivers() -> None:
    global _end  # noqa: PLW0603
    _end = time.monotonic() + EXIT_SECONDS
    _wait()
    release_memory()  # other processes may have it mapped, and would keep it


def _wait() -> None:
    pause = 0.0001
    while sweep() and time.monotonic() < _end:
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _wait_if_late() -> None:
    """If a worker sends something after its finalizers may have run, wait in a thread: its exit waits for threads."""
    global _end, _is_waiting  # noqa: PLW0603
    if not any(util.is_exiting() for util in _utils):
        return
    _end = time.monotonic() + EXIT_SECONDS
    if _is_waiting:
        return
    _is_waiting = True
    try:
        # multiprocessing has imported it.
        sys.modules["threading"].Thread(target=_wait_in_thread, daemon=False).start()
    except RuntimeError as error:  # no more threads
        _is_waiting = False
        raise_again_if_callers(error)


def _wait_in_thread() -> None:
    global _is_waiting  # noqa: PLW0603
    _wait()
    _is_waiting = False
    _wait()  # for references of senders that saw _is_waiting set


def _start_as_child() -> None:
    global _has_proc, _is_waiting  # noqa: PLW0603
    _has_proc = False  # the child may have a PID namespace of its own
    _sent.clear()  # the parent keeps what it has sent
    _utils.clear()
    _is_waiting = False
    _hook()


os.register_at_fork(after_in_child=_start_as_child)
_watch()
