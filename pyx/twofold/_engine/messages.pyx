"""What is caught, and what messages say of a value."""
import sys


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
    return getattr(sys.modules.get(module), name, None)

cdef bint is_instance_of_loaded(value, str module, str name) except -1:
    """isinstance(value, module.name), for a class without which there would be no such value."""
    kind = attribute_if_loaded(module, name)
    return isinstance(kind, type) and isinstance(value, kind)

cdef list homes_of(type kind):
    """The modules, already imported, of the libraries that a class and its bases are from: theirs first."""
    names = [getattr(base, "__module__", "").partition(".")[0] for base in kind.__mro__]
    return [sys.modules[name] for name in dict.fromkeys(names) if name != "builtins" and name in sys.modules]

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
