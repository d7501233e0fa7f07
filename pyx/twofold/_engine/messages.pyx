"""What is caught, and what messages say of a value."""
cdef extern from "_engine/loaded_modules.h":
    object loaded_module_here "twofold_loaded_module"(object name)
    void unlock_modules_in_child "twofold_unlock_modules_in_child"() noexcept
    int unlock_in_children "twofold_unlock_in_children"(list values) except -1

import os

# Objects of which calls take the locks. The first is where os.environ keeps what it has, which os_environ.hpp reads:
# look-ups there take the lock, since their keys are made anew.
cdef list unlocked = [getattr(os.environ, "_data", None)]
unlock_in_children(unlocked)

cdef object unlocked_in_child(value):
    """The value, which is never freed: in a free-threaded Python the child of a fork finds its lock free."""
    unlocked.append(value)
    return value

def start_as_child():
    """Have what other modules have found in the child of a fork, too."""
    unlock_modules_in_child()

os.register_at_fork(after_in_child=start_as_child)


# ---- what is caught

def raise_again_if_callers(error):
    """Raises what always reaches the caller, though its type was expected: MemoryError, and a signal handler's.

    A handler is given the very frame that it interrupts, which no other function is of its caller's.
    """
    if isinstance(error, MemoryError):
        raise error
    # But for the frame that catches it: f_locals stays with a frame that runs, and has `error` there, a cycle.
    trace = error.__traceback__ and error.__traceback__.tb_next
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            if is_or_holds(value, trace.tb_frame.f_back):
                raise error
        trace = trace.tb_next

cdef bint is_or_holds(argument, frame) except -1:
    if frame is None or type(argument) is not tuple:
        return frame is not None and argument is frame
    for item in argument:  # of a handler that takes *arguments
        if item is frame:
            return True
    return False


# ---- what messages say

cdef object attribute_if_loaded(str module, str name):
    """module.name; None where nobody has imported the module, or where another thread is still at it."""
    return getattr(loaded_module_here(module), name, None)

def loaded_module(str name not None):
    """The module of that name, or None if nobody has imported it: as sys.modules.get, without its lock."""
    return loaded_module_here(name)

cdef bint is_instance_of_loaded(value, str module, str name) except -1:
    """isinstance(value, module.name), for a class without which there would be no such value."""
    kind = attribute_if_loaded(module, name)
    return isinstance(kind, type) and isinstance(value, kind)

cdef list homes_of(type kind):
    """The modules, already imported, of the libraries that a class and its bases are from: theirs first."""
    names = [getattr(base, "__module__", "").partition(".")[0] for base in kind.__mro__]
    modules = [loaded_module_here(name) for name in dict.fromkeys(names) if name != "builtins"]
    return [module for module in modules if module is not None]

cdef str short(value):
    """repr(value) for a message, cut where it gets long."""
    try:
        text = repr(value)
    except Exception as error:  # of the value's own, or since an int has too many digits
        raise_again_if_callers(error)
        return f"<{type_name(value)}>"
    return text if len(text) <= 60 else text[:57] + "..."

cdef str type_name(value):
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

# ---- what messages say to do

# By what a class has. The first that fits is said: a sparse matrix, say, has several.
cdef tuple conversions = (
    ("__cuda_array_interface__", "; it is in the memory of a GPU: copy it to the CPU first"),
    ("getbuffer", "; pass values.getbuffer()"),  # io.BytesIO
    ("readinto", "; pass values.read()"),  # other binary files
    ("toarray", "; double what it stores, values.data, or pass values.toarray()"),  # SciPy's sparse arrays
    ("with_columns", "; double its columns: values.with_columns(twofold.double(polars.col(name)))"),  # a lazy frame
    ("as_py", "; pass values.as_py()"),  # scalars of pyarrow
    ("total_seconds", "; pass numpy.timedelta64(values)"),
    ("to_numpy", "; pass values.to_numpy()"),
    ("__array__", "; numpy.asarray(values) may be one"),
    ("values", "; pass list(values.values())"),  # a dict
    ("upper", "; convert it first: int(values) or float(values)"),  # strings
    ("__iter__", "; pass list(values)"),  # sets, generators, map and zip
)

def what_to_pass(values):
    """What to pass instead of `values`, as the end of a message; empty where nothing is known."""
    if isinstance(values, type):
        return f"; pass an instance, not the class {values.__qualname__} itself"
    if values is None:
        return "; functions that work in place, as list.sort() does, return None"
    kind = type(values)
    for name, advice in conversions:
        if hasattr(kind, name):
            return advice
    return "; pass what it returns: values()" if callable(values) else ""

cdef str instead_of_item(item):
    """The same for an item of a list, or of an array of objects."""
    if isinstance(item, (list, tuple)) or is_instance_of_loaded(item, "numpy", "ndarray"):
        return f"; pass numpy.array(values), or double each {'list' if isinstance(item, (list, tuple)) else 'array'} by itself"
    if isinstance(item, (str, bytes, bytearray)):
        return "; convert strings first, by int() or float()"
    return "; leave missing values out, or take math.nan for them" if item is None else ""

def refused_output(out, str function not None):
    """The error for an `out` that is no buffer. What can be assigned to has a way that does without."""
    advice = f"; assign to it instead: out[:] = twofold.{function}(values)"
    can_be_assigned_to = isinstance(out, list) or hasattr(type(out), "__pandas_priority__")
    return TypeError(f"out must be a writable array or buffer, not {type_name(out)}{advice if can_be_assigned_to else ''}")

def what_to_convert(str element not None):
    """What to do with values whose element type, called so by its library, has no doubles."""
    if element.lower().startswith("bool"):
        return "; convert it to an integer type first"
    if element.lower().startswith(("datetime", "timestamp", "date", "time32", "time64")):
        return ": a date has no double, but a difference of dates has one"
    if element.startswith(("[(", "{", "struct")):
        return "; double its fields one by one"
    return "; convert it to numbers first"

# What other libraries call it, where ours is `threads` or `processes`, or `out`.
cdef frozenset words_for_counts = frozenset((
    "n_jobs", "n_threads", "n_workers", "nthreads", "num_processes", "num_threads", "num_workers", "max_threads", "max_workers",
    "process", "processes", "thread", "threads", "workers",
))

def unexpected_keyword(function, text, known):
    """The suggestion for a keyword that a function does not know."""
    if text in words_for_counts:
        return f"; did you mean {'threads' if 'threads' in known else 'processes'!r}?"
    if text in ("inplace", "in_place"):
        return f"; to work in place, say {function}(x, out=x)"
    return did_you_mean(text, known)

def did_you_mean(text, known):
    """A suggestion for a misspelled name; empty if none of the known ones is close."""
    if type(text) is not str or len(text) > 32:
        return ""
    close = min(known, key=lambda name: distance(text, name))
    return f"; did you mean {close!r}?" if distance(text, close) <= max(1, len(text) // 4) else ""

cdef Py_ssize_t distance(str one, str other) except -1:
    """How many letters have to be changed, added or dropped, or exchanged with the next one."""
    cdef list before = [], row = list(range(len(other) + 1)), after
    cdef Py_ssize_t i, j
    for i in range(len(one)):
        after = [i + 1]
        for j in range(len(other)):
            best = min(row[j] + (one[i] != other[j]), row[j + 1] + 1, after[j] + 1)
            if i > 0 and j > 0 and one[i] == other[j - 1] and one[i - 1] == other[j]:
                best = min(best, before[j - 1] + 1)
            after.append(best)
        before, row = row, after
    return row[len(other)]
