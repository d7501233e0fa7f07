"""NumPy's own tests of ufuncs with `twofold.parallel(...)` in the place of each ufunc, every call shared that can be.

    python scripts/numpy_tests.py [--unit 7] [--parameters] [ARGUMENTS FOR PYTEST]

They are run twice: with `twofold.parallel`, in ranges of so many elements, and with a wrapper that hands all on.
Tests that look at what a ufunc is fail with either. The exit status is 1 if one fails with `twofold.parallel` alone,
or if less than half of the calls on arrays were shared. It takes some minutes.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = ("test_umath", "test_ufunc", "test_mem_overlap")


class PassesOn:
    """A ufunc in a wrapper."""

    def __init__(self, ufunc):
        self.__wrapped__ = ufunc
        self.__doc__ = ufunc.__doc__

    def __call__(self, *arguments, **keywords):
        return self.__wrapped__(*arguments, **keywords)

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __repr__(self):
        return f"PassesOn({self.__wrapped__!r})"


class Replaced:
    """A plugin of pytest that replaces ufuncs, once the tests are collected, and notes which fail."""

    def __init__(self, wrap, parameters):
        self.wrap = wrap
        self.parameters = parameters
        self.names = set()

    def pytest_collection_finish(self, session):
        import numpy as np  # noqa: PLC0415

        wrapped = {name: self.wrap(value) for name, value in vars(np).items() if isinstance(value, np.ufunc)}
        vars(np).update(wrapped)
        if not self.parameters:
            return
        by_ufunc = {id(value.__wrapped__): value for value in wrapped.values()}
        for item in session.items:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            parameters.update({name: by_ufunc.get(id(value), value) for name, value in parameters.items()})

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.names.add(report.nodeid.rpartition("/")[2])


def run_here(known: argparse.Namespace, arguments: list[str]) -> None:
    """Runs the tests in this process, and writes the names of those that fail, and the counts, to a file."""
    import numpy as np  # noqa: PLC0415
    import pytest  # noqa: PLC0415
    import twofold  # noqa: PLC0415
    from twofold._engine import parallel_ufunc  # noqa: PLC0415

    parallel_ufunc.share_all(known.unit)
    replaced = Replaced(twofold.parallel if known.kind == "parallel" else PassesOn, known.parameters)
    folder = Path(np.__file__).parent / "_core/tests"
    files = [str(folder / f"{module}.py") for module in MODULES]
    options = ["-q", "--tb=line", "-p", "no:cacheprovider", f"--rootdir={folder}", "-o", "addopts="]
    options += ["-W", "ignore::pytest.PytestWarning"]
    pytest.main([*options, *arguments, *files], plugins=[replaced])
    counts = f"{parallel_ufunc.shared_calls()} {parallel_ufunc.asked_calls()}"
    Path(known.result).write_text("\n".join([counts, *sorted(replaced.names)]))


def run(kind: str, arguments: list[str]) -> tuple[int, int, set[str]]:
    """The same in a process of its own: how many calls were shared, of how many, and which tests fail."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        subprocess.run([sys.executable, __file__, "--kind", kind, "--result", result, *arguments], check=True)
        counts, *names = result.read_text().splitlines()
    shared, asked = map(int, counts.split())
    return shared, asked, set(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", type=int, default=7, help="elements in a range")
    parser.add_argument(
        "--parameters",
        action="store_true",
        help="replace ufuncs in parameters of tests, too; those that look up what a ufunc should give then fail",
    )
    parser.add_argument("--kind", choices=["parallel", "wrapper"], help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    known, arguments = parser.parse_known_args()
    if known.kind:
        run_here(known, arguments)
        return
    _, _, with_wrapper = run("wrapper", sys.argv[1:])
    shared, asked, with_parallel = run("parallel", sys.argv[1:])
    alone = sorted(with_parallel - with_wrapper)
    print(f"\nshared: {shared} of {asked} calls on arrays")
    print("fail with a wrapper, too:", *sorted(with_parallel & with_wrapper), sep="\n  ")
    print("fail with twofold.parallel alone:", *(alone or ["none"]), sep="\n  ")
    sys.exit(bool(alone) or not asked or 2 * shared < asked)


if __name__ == "__main__":
    main()
