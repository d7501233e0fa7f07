"""Results through queues, from workers that end at once: all arrive, and then the workers do end.

queues.py PACKAGE METHOD RESULTS: that many through each kind of queue of multiprocessing, or of a package made of it,
from workers that are started by METHOD.
"""

import importlib
import sys
import threading
import time
import warnings

import numpy as np
import twofold
import twofold._processes.transit

SENT_BY_EACH = 10
GRACE_SECONDS = 0.2  # in which workers end, if they do not wait


class Late:
    """What a queue's feeder has in work when the worker's main thread looks what is to be done at its end."""

    def __init__(self, package):
        self.package = package

    def __reduce__(self):
        wait_for_end(self.package)
        return int, ()


class Made:
    """An array that is made when it is pickled."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return twofold.share(np.full(9, self.number)).__reduce__()


def wait_for_end(package):
    """Of the worker's main thread, which from Python 3.13 on waits for other threads first."""
    util = importlib.import_module(f"{package}.util")
    while not (util.is_exiting() or getattr(threading, "_SHUTTING_DOWN", False)):
        time.sleep(0.001)
    time.sleep(0.02)  # It has said so, and will look.


def send(queue, package, numbers):
    put = getattr(queue, "put", None) or queue.send
    if hasattr(queue, "cancel_join_thread"):  # which has a feeder
        put(Late(package))
    for number in numbers:
        put(twofold.share(np.full(9, number)))


def send_what_the_feeder_makes(queue, package, numbers):
    queue.put(Late(package))
    for number in numbers:
        queue.put(Made(number))


def send_from_a_thread(queue, package, numbers):
    def run():
        wait_for_end(package)
        for number in numbers:
            queue.send(twofold.share(np.full(9, number)))

    threading.Thread(target=run).start()


def send_back(queue, package, numbers, arrays):
    queue.put(Late(package))
    for array in arrays:
        queue.put(array)


def result(number):
    """That of a call in a pool."""
    return twofold.share(np.full(9, number))


def call_without_end(function, *arguments):
    """In a worker, which has all the time to wait: so it hangs if it waits for nothing."""
    twofold._processes.transit.EXIT_SECONDS = 1000
    function(*arguments)


class Through:
    """A queue, and a worker that sends its results through it."""

    def __init__(self, context, package, queue, function=send):
        self.context = context
        self.package = package
        self.function = function
        self.end, self.other_end = queue if isinstance(queue, tuple) else (queue, queue)

    def start(self, numbers):
        self.numbers = numbers
        arguments = [self.other_end, self.package, numbers]
        if self.function is send_back:
            arguments.append([result(number) for number in numbers])
        self.worker = self.context.Process(target=call_without_end, args=(self.function, *arguments))
        self.worker.start()
        self.worker._args = ()  # as multiprocessing itself drops them

    def check(self):
        get = getattr(self.end, "get", None) or self.end.recv
        arrived = [get() for _ in range(len(self.numbers) + hasattr(self.end, "cancel_join_thread"))]
        self.worker.join(60)
        assert self.worker.exitcode == 0, self.worker.exitcode
        return arrived[-len(self.numbers) :]


class OfPool:
    """The results of a pool, whose worker ends after a few of them."""

    def __init__(self, context):
        self.context = context

    def start(self, numbers):
        self.pool = self.context.Pool(1, maxtasksperchild=SENT_BY_EACH)
        self.asked = [self.pool.apply_async(result, (number,)) for number in numbers]
        self.pool.close()

    def check(self):
        arrived = [asked.get(60) for asked in self.asked]
        self.pool.join()
        return arrived


class OfExecutor:
    def __init__(self, context):
        self.context = context

    def start(self, numbers):
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

        self.pool = ProcessPoolExecutor(1, mp_context=self.context)
        self.asked = [self.pool.submit(result, number) for number in numbers]

    def check(self):
        self.pool.shutdown()
        return [asked.result() for asked in self.asked]


def kinds_of(package, context, manager):
    """Each kind of queue, and each kind of sender."""
    kinds = {
        "Queue": Through(context, package, context.Queue()),
        "JoinableQueue": Through(context, package, context.JoinableQueue()),
        "SimpleQueue": Through(context, package, context.SimpleQueue()),
        "Pipe": Through(context, package, context.Pipe(duplex=False)),
        "a manager's queue": Through(context, package, manager.Queue()),
        "what was received": Through(context, package, context.Queue(), send_back),
        "Pool": OfPool(context),
    }
    if package != "billiard":  # whose workers wait for no thread
        kinds["what the feeder makes"] = Through(context, package, context.Queue(), send_what_the_feeder_makes)
        kinds["a thread"] = Through(context, package, context.Pipe(duplex=False), send_from_a_thread)
    if package == "multiprocessing":
        kinds["ProcessPoolExecutor"] = OfExecutor(context)
    return kinds


def main(package, method, results):
    context = importlib.import_module(package).get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["numpy", "twofold.shared"])
    # Pools have threads of their own, beside which others fork here. Since Python 3.15 that can be an error.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    manager = context.Manager()
    kinds = kinds_of(package, context, manager)
    idle = context.Process(target=call_without_end, args=(result, 1))
    idle.start()
    lost = dict.fromkeys(kinds, 0)
    for first in range(0, int(results), SENT_BY_EACH):
        numbers = range(first, first + SENT_BY_EACH)
        for kind in kinds.values():
            kind.start(numbers)
        time.sleep(GRACE_SECONDS)
        for name, kind in kinds.items():
            arrived = kind.check()
            lost[name] += sum(type(array) is not twofold.SharedArray for array in arrived)
            if not lost[name]:
                assert [array.tolist() for array in arrived] == [[number] * 9 for number in numbers]
    idle.join(60)
    assert idle.exitcode == 0, idle.exitcode
    manager.shutdown()
    assert not any(lost.values()), f"lost of {results}: {lost}"
    print(", ".join(kinds))


if __name__ == "__main__":
    main(*sys.argv[1:])
