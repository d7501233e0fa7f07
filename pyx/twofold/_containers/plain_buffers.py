"""What double_in_processes needs of buffers where there is no NumPy: native elements, in C order where written to."""

from twofold._engine.twofold_engine import element_rows

# By format, as memoryviews have it, which know no complex numbers.
NAMES = {chr(x): r["name"].decode() for r in element_rows() if r["kind"] != ord("c") for x in r["struct_letters"]}


def element_of(operation, view, name):
    letter = view.format.removeprefix("@")
    if letter not in NAMES:
        raise TypeError(
            f"{name} has items of format {view.format!r}, which cannot be {operation.participle} in processes"
            " without NumPy"
        )
    return NAMES[letter]


def as_output(out):
    view = memoryview(out)
    if view.readonly:
        raise ValueError("out is read-only")
    if not view.c_contiguous:
        raise ValueError("out is not contiguous, which it has to be without NumPy")
    return view


def fill(target, view):
    """The bytes `target` with those of a buffer's elements."""
    memoryview(target)[:] = view.cast("B") if view.c_contiguous else view.tobytes()


def like(source, view):
    """The bytes `source` as a buffer of the format and shape of another."""
    return memoryview(source).cast(view.format.removeprefix("@"), view.shape)
