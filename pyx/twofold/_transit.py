"""Segments whose references go from process to process.

A reference is good for as long as some process has the segment, and a sender may drop the array before the receiver has
opened it: a temporary handed to a pool, or the last result of a worker. So each reference has a ticket, which is handed
in when it is opened, and the sender keeps the segment until then.
"""

import functools
import itertools
import os
import sys
import time

from twofold._segments import Segment, release_memory

# How long a worker of a process pool that ends waits for its last results to be opened.
EXIT_SECONDS = 5

_sent = {}  # until somebody has looked and seen that the ticket was handed in: its segment, it, and a number of its own
_numbers = itertools.count()


def create(nbytes):
    """A new segment."""
    sweep()
    return Segment.create(nbytes)


def send(segment):
    """A ticket for a reference to the segment, which stays until that is handed in."""
    _sweep_if_cheap()
    ticket = segment.draw_ticket()
    if ticket is not None:
        # Other threads may draw the same ticket again while one looks whether it was handed in.
        _sent[segment, ticket, next(_numbers)] = None
        _wait_at_exit()
    return ticket


def receive(where, ticket):
    """The segment that a reference came for."""
    _sweep_if_cheap()
    segment = Segment.attach(*where)
    segment.hand_in_ticket(ticket)
    return segment


def _sweep_if_cheap():
    """Where there are few; where there are many, each time that they have doubled."""
    if len(_sent) < 64 or len(_sent).bit_count() == 1:
        sweep()


def sweep():
    """Release what has arrived. Returns how much has not."""
    for sent in list(_sent):
        segment, ticket, _ = sent
        if not segment.is_open(ticket):
            _sent.pop(sent, None)
    return len(_sent)


@functools.cache  # once is enough
def _wait_at_exit():
    """A worker of a process pool that ends has the results that it sent until they are opened."""
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is not None and util is not None and process.parent_process() is not None:
        # Last: the queues have ends of their own, in which they send what they still hold. (Workers do nothing of what
        # is registered with atexit.)
        util.Finalize(None, _wait_for_receivers, exitpriority=-100)


def _wait_for_receivers():
    end = time.monotonic() + EXIT_SECONDS
    pause = 0.0001
    while sweep() and time.monotonic() < end:
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    release_memory()  # which others may have mapped, who would keep it


def _start_as_child():
    _sent.clear()  # what the parent sent is kept by the parent
    _wait_at_exit.cache_clear()


os.register_at_fork(after_in_child=_start_as_child)
