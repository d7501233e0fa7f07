"""twofold.threadpoolctl, imported once threadpoolctl has been, whoever does it and when. twofold does not import it.

Until then a finder waits in `sys.meta_path`. It finds nothing itself: it passes the question on to those behind it, and
on the answer for threadpoolctl sets a loader that hands over to the real one and then imports our module.
"""

import sys

AWAITED = "threadpoolctl"


class Finder:
    """Waits for the import of threadpoolctl."""

    def find_spec(self, name, path=None, target=None):
        if name != AWAITED:
            return None
        for finder in sys.meta_path[:]:
            if isinstance(finder, Finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = Loader(spec.loader)
                return spec
        return None


class Loader:
    """Loads as the real loader does, and then imports our side."""

    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def create_module(self, spec):
        return self.real.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.real  # nobody need see this one
        self.real.exec_module(module)
        join(module)


def join(module):
    """Imports our side of threadpoolctl, if it knows controllers of others, as it does from version 3.2 on."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    if hasattr(module, "register"):
        import twofold.threadpoolctl  # noqa: F401, PLC0415


def await_threadpoolctl():
    """Joins threadpoolctl now, or when it comes."""
    if AWAITED in sys.modules:
        join(__import__(AWAITED))  # which waits, if another thread is still at the import
    else:
        sys.meta_path.insert(0, Finder())
