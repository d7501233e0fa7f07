"""Segments whose references go from process to process.

A reference is good for as long as some process has the segment, and a sender may drop the array before the receiver has
opened it: a temporary handed to a pool, or the last result of a worker. So each reference has a ticket, which is handed
in when it is opened, and the sender keeps the segment until then.
"""

import itertools
import os
import sys
import time

from twofold._engine.messages import raise_again_if_callers
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

# How long a worker of a process pool that ends waits for its last results to be opened.
EXIT_SECONDS = 5

# Where processes find each other's descriptors.
PROC = "/proc"

_has_proc = False  # is not known

# Until somebody has looked and seen that the ticket was handed in: its segment, it, and a number of its own.
_sent: "dict[tuple[Segment, int, int], None]" = {}
_numbers = itertools.count()


def create(nbytes: int) -> Segment:
    """A new segment."""
    sweep()
    _watch()
    return Segment.create(nbytes)


def send(segment: Segment) -> int | None:
    """A ticket for a reference to the segment, which stays until that is handed in.

    SharedArrayError where no other process could open it: of who receives it, nothing is known here.
    """
    reason = why_closed(segment)
    if reason is not None:
        raise SharedArrayError(f"a reference to shared memory cannot be sent: {reason}; a copy can (numpy.array(a))")
    _sweep_if_cheap()
    ticket = segment.draw_ticket()
    if ticket is not None:
        # Other threads may draw the same ticket again while one looks whether it was handed in.
        _sent[segment, ticket, next(_numbers)] = None
        _watch()
        _wait_if_late()
    return ticket


def why_closed(segment: Segment) -> str | None:
    """Why no other process can open what this one has, but for those forked since; None where they can."""
    global _has_proc  # noqa: PLW0603
    if not _has_proc:
        _has_proc = os.access(f"{PROC}/{segment.pid}/fd/{segment.fd}", os.F_OK)
    if not _has_proc:
        return NO_PROC
    return None if is_dumpable() else f"this process is closed to others: {NOT_DUMPABLE}"


def receive(where: tuple[int, int, bytes, int], ticket: int | None) -> Segment:
    """The segment that a reference came for."""
    _sweep_if_cheap()
    _watch()
    segment = Segment.attach(*where)
    segment.hand_in_ticket(ticket)
    return segment


def find_segment(array: "NDArray[Any]") -> tuple[Segment, int] | None:
    """The segment that holds the array, and how many bytes from its beginning; None where none does."""
    segment = segment_beneath(array)
    if segment is None:
        return None
    data, first, end = extent_of(array)
    begin = segment.address
    if first < begin or end > begin + segment.nbytes:  # of an object between them that has memory of its own
        return None
    return segment, data - begin


def _sweep_if_cheap() -> None:
    """Where there are few; where there are many, each time that they have doubled."""
    if len(_sent) < 64 or len(_sent).bit_count() == 1:
        sweep()


def sweep() -> int:
    """Release what has arrived. Returns how much has not."""
    for sent in list(_sent):
        segment, ticket, _ = sent
        if not segment.is_open(ticket):
            _sent.pop(sent, None)
    return len(_sent)


# ---- the end of a worker

PACKAGES = ("multiprocessing", "multiprocess")  # billiard uses modules of the first one

# Where the wait is registered: `util` of multiprocessing, or of a package made of it; none if not a worker.
_utils: "list[Any]" = []
_hooked: "set[str]" = set()  # the packages whose workers register it when they begin
_is_waiting = False  # a thread does, in the place of what is registered, for which it was too late
_end = 0.0


def _watch() -> None:
    """A worker of a process pool that ends has the results that it sent until they are opened.

    Registered when it begins, if twofold is there by then, or when it makes or receives a segment, before it sends it:
    the feeder of a queue does so when finalizers may already run. (Workers forget what was registered earlier.)
    """
    if _utils:
        return
    for package in PACKAGES:
        process: Any
        util: Any
        process, util = map(sys.modules.get, (f"{package}.process", f"{package}.util"))
        # By look-ups alone: either module may be at its import, in another thread.
        current = getattr(process, "_current_process", None)
        # The latter while a spawned one is told what to do. It forgets no finalizers, and runs no hooks.
        if getattr(current, "_parent_pid", None) is not None or hasattr(current, "_inheriting"):
            # Last: the queues have ends of their own, in which they send what they still hold.
            util.Finalize(None, _wait_for_receivers, exitpriority=-100)
            _utils.append(util)
    _hook()


def _hook() -> None:
    for package in PACKAGES:
        util: Any = sys.modules.get(f"{package}.util")
        if package not in _hooked and hasattr(util, "register_after_fork"):
            util.register_after_fork(_begin, _begin)
            _hooked.add(package)


def _begin(_: object) -> None:
    """In a worker that has just forgotten the finalizers of its parent."""
    _utils.clear()
    _watch()


def _wait_for_receivers() -> None:
    global _end  # noqa: PLW0603
    _end = time.monotonic() + EXIT_SECONDS
    _wait()
    release_memory()  # which others may have mapped, who would keep it


def _wait() -> None:
    pause = 0.0001
    while sweep() and time.monotonic() < _end:
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _wait_if_late() -> None:
    """Where a worker sends something when its finalizers may have run: its end waits for threads, too."""
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
    except RuntimeError as error:  # there are no more threads to be had
        _is_waiting = False
        raise_again_if_callers(error)


def _wait_in_thread() -> None:
    global _is_waiting  # noqa: PLW0603
    _wait()
    _is_waiting = False
    _wait()  # for what was sent by those who have seen that this thread waits


def _start_as_child() -> None:
    global _has_proc, _is_waiting  # noqa: PLW0603
    _has_proc = False  # It may have a PID namespace of its own.
    _sent.clear()  # what the parent sent is kept by the parent
    _utils.clear()
    _is_waiting = False
    _hook()


os.register_at_fork(after_in_child=_start_as_child)
_watch()
