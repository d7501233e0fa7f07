"""The modules that start processes cannot be imported, as after giving up privileges: the caller does all."""

import multiprocessing
import sys

from checks import Call


class Unreadable:
    """A finder of modules that finds none of the package's, as if its folder could not be read."""

    asked = 0

    def find_spec(self, name, path, target=None):
        if name.startswith("multiprocessing"):
            Unreadable.asked += 1
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


STARTERS = ("popen_fork", "popen_spawn_posix", "popen_forkserver", "resource_tracker", "forkserver")

multiprocessing.set_start_method(sys.argv[1])
for module in STARTERS:
    sys.modules.pop(f"multiprocessing.{module}", None)
    vars(multiprocessing).pop(module, None)
sys.meta_path.insert(0, Unreadable())
Call("out of place", 8)(None)
assert Unreadable.asked > 0
