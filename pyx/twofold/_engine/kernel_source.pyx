# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""What a kernel is made of: the address of a compiled function, and its signature, read off what it is given as.

A signature is text in SciPy's spelling, to which all others are brought: that of ctypes, of cffi, of numba.
"""
import sys

cimport cython
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.messages cimport attribute_if_loaded, is_instance_of_loaded, short, type_name

cdef extern from "_engine/kernel_loops.h":
    enum:
        TWOFOLD_NOTHING, TWOFOLD_USER_DATA, TWOFOLD_SKIP_DISPATCH, TWOFOLD_MAX_INPUTS, TWOFOLD_TYPE_COUNT
    ctypedef struct KernelType "twofold_kernel_type":
        const char* name
        int number
        char kind
        int size
        loop_function[4][3] loops
    const KernelType* kernel_types "twofold_kernel_types"

cdef extern from "Python.h":
    int PyObject_GetBuffer(object, Py_buffer*, int flags) except -1
    void PyBuffer_Release(Py_buffer*) noexcept
    enum:
        PyBUF_SIMPLE


# ---- signatures

cdef str ACCEPTED = (
    "accepted are 'T (T, ...)', on elements, with at most 4 arguments, and 'int (const T *, ..., T *, Py_ssize_t)' or"
    " 'void (...)', on chunks, with at most 8 pointers; each may have 'void *' at its end. T is an integer of 8 to 64"
    " bits, float, double or a complex of these"
)

# What a type of C is, by its name: its kind, as in NumPy, and its size.
cdef dict kinds = {
    "void": ("void", 0),
    "float": ("f", sizeof(float)),
    "double": ("f", sizeof(double)),
    "float complex": ("c", 2 * sizeof(float)),
    "double complex": ("c", 2 * sizeof(double)),
    "signed char": ("i", 1),
    "unsigned char": ("u", 1),
    **{name: ("i", sizeof(void*)) for name in ("Py_ssize_t", "ssize_t", "ptrdiff_t", "intptr_t", "npy_intp")},
    **{name: ("u", sizeof(void*)) for name in ("size_t", "uintptr_t", "npy_uintp")},
    **{
        f"{sign}{name}": (kind, size)
        for name, size in (
            ("short", sizeof(short)), ("int", sizeof(int)), ("long", sizeof(long)), ("long long", sizeof(long long)),
        )
        for sign, kind in (("", "i"), ("unsigned ", "u"))
    },
    **{
        f"{prefix}{name}{8 * size}{suffix}": (kind, size)
        for name, kind, sizes in (
            ("int", "i", (1, 2, 4, 8)), ("uint", "u", (1, 2, 4, 8)), ("float", "f", (4, 8)), ("complex", "c", (8, 16)),
        )
        for size in sizes
        for prefix, suffix in (("", ""), ("", "_t"), ("npy_", ""))
    },
}
cdef tuple INT = ("i", sizeof(int))
cdef tuple VOID = ("void", 0)
# Cython's and cffi's own names.
cdef dict complexes = {
    f"{prefix}_{kind}_complex{suffix}": f"{kind} complex"
    for prefix, suffix in (("__pyx_t", ""), ("_cffi", "_t"))
    for kind in ("float", "double")
}
cdef str SKIP_DISPATCH = "__pyx_skip_dispatch"

# A type in a signature.
@cython.final
@cython.internal
cdef class CType:
    cdef tuple kind
    cdef bint is_pointer, is_const, is_skip_dispatch

# A signature, read, or None.
@cython.final
@cython.internal
cdef class Signature:
    cdef CType returns
    cdef list arguments

cdef Signature read_signature(str text):
    head, opening, rest = text.partition("(")
    inner, closing, end = rest.partition(")")
    if not opening or not closing or end.strip() or "(" in inner:
        return None
    cdef Signature read = Signature.__new__(Signature)
    read.returns = read_type(head)
    read.arguments = []
    if read.returns is None or read.returns.is_skip_dispatch:
        return None
    if inner.strip() in ("", "void"):
        return read
    for argument in inner.split(","):
        found = read_type(argument)
        if found is None:
            return None
        read.arguments.append(found)
    return read

# The words that names of types are made of: the last one of a name is not that of a parameter.
cdef frozenset type_words = frozenset((
    "char", "complex", "_Complex", "double", "float", "int", "long", "short", "signed", "unsigned",
))

cdef str why_unread(str text):
    """Why `read_signature` returned None, by the first part that has no meaning."""
    head, _, rest = text.partition("(")
    inner, closing, end = rest.partition(")")
    if not closing or end.strip() or "(" in inner:
        return "it cannot be read"
    for part in (head, *inner.split(",")):
        if read_type(part) is None:
            words = part.replace("*", " * ").split()
            if words and words[-1] not in type_words and read_type(" ".join(words[:-1])) is not None:
                return f"{part.strip()!r} cannot be read; leave {words[-1]!r} out"
            return f"{part.strip()!r} cannot be read"
    return "it cannot be read"

# What a pointer may be beside the type that it points to, without a meaning here.
cdef frozenset pointer_words = frozenset(("const", "restrict", "__restrict", "__restrict__"))

cdef CType read_type(str text):
    cdef CType found = CType.__new__(CType)
    cdef list words = text.replace("*", " * ").split()
    cdef int star
    if SKIP_DISPATCH in words:
        words.remove(SKIP_DISPATCH)
        found.is_skip_dispatch = True
    if "*" in words:
        star = words.index("*")
        if not set(words[star + 1:]) <= pointer_words:
            return None
        del words[star:]
        found.is_pointer = True
    while "const" in words:
        words.remove("const")
        found.is_const = True
    found.kind = kinds.get(name_of_type(words))
    if found.kind is None or found.is_skip_dispatch and (found.kind != INT or found.is_pointer):
        return None
    return found

cdef str name_of_type(list words):
    """The name in `kinds`: of `long unsigned int` it is `unsigned long`."""
    cdef str name = " ".join(words), base
    cdef list rest = []
    cdef int signs = 0, ints = 0, complex_words = 0
    if name in complexes:
        return complexes[name]
    for word in words:
        if word in ("signed", "unsigned"):
            signs += 1
        elif word == "int":
            ints += 1
        elif word in ("complex", "_Complex"):
            complex_words += 1
        else:
            rest.append(word)
    if complex_words > 0:
        return f"{' '.join(rest)} complex" if complex_words == 1 and signs + ints == 0 else ""
    base = " ".join(rest) or "int"
    if signs > 1 or ints > 1 or base not in ("char", "short", "int", "long", "long long"):
        return name
    if base == "char" and (signs == 0 or ints > 0):
        return name  # a character, not a number
    if base == "char" and "signed" in words:
        return "signed char"
    return f"unsigned {base}" if "unsigned" in words else base if words else ""

cdef bint agree(Signature one, Signature other) except -1:
    """Whether two signatures may be of one function: not all sources know const, or what a pointer points to."""
    cdef CType a, b
    if len(one.arguments) != len(other.arguments):
        return False
    cdef int i
    for i in range(-1, <int>len(one.arguments)):
        a, b = (one.arguments[i], other.arguments[i]) if i >= 0 else (one.returns, other.returns)
        if a.is_pointer != b.is_pointer:
            return False
        if a.kind != b.kind and not (a.is_pointer and (a.kind == VOID or b.kind == VOID)):
            return False
    return True


# ---- what a kernel can be

cdef const KernelType* type_of(CType given) except? NULL:
    cdef int i
    for i in range(TWOFOLD_TYPE_COUNT):
        if given.kind == (chr(kernel_types[i].kind), kernel_types[i].size):
            return &kernel_types[i]
    return NULL

cdef str fill(CompiledFunction made, Signature signature):
    """Why the signature is none of a kernel; None if it is."""
    cdef list arguments = list(signature.arguments)
    cdef CType argument
    cdef bint is_on_chunks = False
    made.fields.tail = TWOFOLD_NOTHING
    if arguments:
        argument = arguments[-1]
        if argument.is_skip_dispatch:
            made.fields.tail = TWOFOLD_SKIP_DISPATCH
        elif argument.is_pointer and argument.kind == VOID:
            made.fields.tail = TWOFOLD_USER_DATA
        if made.fields.tail != TWOFOLD_NOTHING:
            arguments.pop()
    for argument in arguments:
        if argument.is_skip_dispatch:
            return "it is out of order"
        if argument.is_pointer and argument.kind == VOID:
            return "'void *' does not say which elements it points to"
        is_on_chunks = is_on_chunks or argument.is_pointer
    if signature.returns.is_pointer:
        return "it returns a pointer"
    if is_on_chunks:
        return fill_for_chunks(made, signature.returns, arguments)
    return fill_for_elements(made, signature.returns, arguments)

cdef str fill_for_elements(CompiledFunction made, CType returns, list arguments):
    cdef const KernelType* element = type_of(returns)
    cdef CType argument
    if element is NULL:
        return "it returns no number"
    if not 1 <= len(arguments) <= TWOFOLD_MAX_INPUTS:
        return f"it has {len(arguments)} arguments that are elements"
    for argument in arguments:
        if argument.kind != returns.kind:
            return "its types differ; a function on chunks may have several"
    made.fields.nin, made.fields.nop = len(arguments), len(arguments) + 1
    made.loop = element.loops[made.fields.nin - 1][made.fields.tail]
    made.types = bytes([element.number] * made.fields.nop)
    return None

cdef str fill_for_chunks(CompiledFunction made, CType returns, list arguments):
    cdef CType count = arguments.pop(), argument
    cdef const KernelType* element
    cdef list numbers = [], outputs = []
    if returns.kind not in (INT, VOID):
        return "a function on chunks returns int or void"
    if count.is_pointer or count.kind not in (kinds["Py_ssize_t"], kinds["size_t"]):
        return "behind its pointers comes how many elements they point to, a Py_ssize_t or a size_t"
    if made.fields.tail == TWOFOLD_SKIP_DISPATCH:
        return "cpdef functions are none on chunks"
    if not 2 <= len(arguments) <= MAX_POINTERS:
        return "it has 1 pointer to elements, not an input and an output" if len(arguments) == 1 else (
            f"it has {len(arguments)} pointers to elements"
        )
    for argument in arguments:
        element = type_of(argument) if argument.is_pointer else NULL
        if element is NULL:
            return "before the number of elements come pointers to numbers, nothing else"
        made.fields.sizes[len(numbers)] = element.size
        numbers.append(element.number)
        outputs.append(not argument.is_const)
    # Those to const are inputs. Where none is said to be, as by ctypes, all but the last one are.
    if all(outputs):
        outputs[:-1] = [False] * (len(outputs) - 1)
    if outputs != sorted(outputs) or not outputs[-1]:
        return "pointers to const, which are inputs, come before those to the outputs"
    made.fields.nin, made.fields.nop = outputs.count(False), len(outputs)
    made.fields.returns_code = returns.kind == INT
    made.loop = NULL
    made.types = bytes(numbers)
    return None


# ---- sources

# What is found out of a source.
@cython.final
@cython.internal
cdef class Found:
    cdef uintptr_t address, context
    cdef str signature  # None where it is not said
    cdef str name

cdef CompiledFunction read_function(given, signature, user_data):
    cdef CompiledFunction made = CompiledFunction.__new__(CompiledFunction)
    cdef Found found
    cdef Signature own, read
    if signature is not None and not isinstance(signature, str):
        raise TypeError(f"signature must be a str, not {short(signature)} ({type_name(signature)})")
    source = named_function(given) if type(given) is tuple else given
    found = find(source)
    if found.address == 0:
        raise ValueError(f"function {short(given)} is a null pointer")
    own = read_signature(found.signature) if found.signature is not None else None
    text = found.signature if signature is None else signature
    if text is None:
        advice = ", or set its argtypes and restype" if is_instance_of_loaded(source, "_ctypes", "CFuncPtr") else ""
        raise ValueError(
            f"function {called(given, found)} does not say its signature; pass signature='double (double)', say{advice}"
        )
    read = read_signature(text)
    why = why_unread(text) if read is None else fill(made, read)
    if why is not None:
        if signature is None:
            why += default_of_ctypes(source)
        raise ValueError(f"{text!r} is no signature of a kernel: {why}; {ACCEPTED}")
    if own is not None and not agree(own, read):
        raise ValueError(
            f"signature {text!r} is not that of {called(given, found)}, which is {found.signature!r}"
            + default_of_ctypes(source)
        )
    made.fields.address = <void*>found.address
    made.name = given[1].rpartition(".")[2] if type(given) is tuple else found.name or "kernel"
    made.signature = " ".join(text.split())
    made.given = given
    made.kept = (source, user_data, set_user_data(made, user_data, found.context))
    return made

cdef str called(given, Found found):
    return short(given) if type(given) is tuple or found.name is None else repr(found.name)

cdef str default_of_ctypes(source):
    """What to say of a function whose restype may not have been set."""
    if not is_instance_of_loaded(source, "_ctypes", "CFuncPtr"):
        return ""
    is_default = source.restype is attribute_if_loaded("ctypes", "c_int")
    return "; ctypes says that it returns an int, unless you set its restype" if is_default else ""

cdef object named_function(tuple given):
    if len(given) != 2 or not isinstance(given[1], str) or not isinstance(given[0], (str, type(sys))):
        raise TypeError(f"function must be (module, name) where it is a tuple, not {short(given)}")
    module, name = given
    if isinstance(module, str):
        __import__(module)
        module = sys.modules[module]
    exported = getattr(module, "__pyx_capi__", None)
    if isinstance(exported, dict) and name in exported:
        return exported[name]
    try:
        return attribute_of(module, name)
    except AttributeError as error:
        raise_again_if_callers(error)
        raise AttributeError(
            f"module {module.__name__!r} has no function {name!r}, neither in its __pyx_capi__ nor as an attribute"
        ) from None

cdef object attribute_of(module, str name):
    for part in name.split("."):
        module = getattr(module, part)
    return module

cdef tuple place_of(given):
    function = getattr(given, "__wrapped__", None)  # of numba's
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module not in sys.modules:
        return None
    try:
        return (module, name) if attribute_of(sys.modules[module], name) is given else None
    except AttributeError as error:
        raise_again_if_callers(error)
        return None

cdef Found find(given):
    if PyCapsule_CheckExact(given):
        return find_in_capsule(given)
    if is_instance_of_loaded(given, "scipy", "LowLevelCallable"):
        return find_in_low_level_callable(given)
    if is_instance_of_loaded(given, "numba.core.ccallback", "CFunc"):
        return find_in_numba(given)
    if is_instance_of_loaded(given, "_ctypes", "CFuncPtr"):
        return find_in_ctypes(given)
    if is_of_cffi(given):
        return find_in_cffi(given)
    raise TypeError(
        "function must be a compiled one: a scipy.LowLevelCallable, a numba.cfunc, a function pointer of ctypes or"
        f" cffi, a capsule of Cython's __pyx_capi__, or (module, name), not {short(given)} ({type_name(given)})"
        + instead_of(given)
    )

cdef str instead_of(given):
    for value in (given, getattr(given, "ufunc", None)):  # numba's has one
        if is_instance_of_loaded(value, "numpy", "ufunc"):
            return "; pass a ufunc to twofold.parallel"
    if type_name(getattr(given, "__self__", None)) == "_cffi_backend.Lib":
        return f"; pass ffi.addressof(lib, {given.__name__!r})"
    if isinstance(given, int):
        return "; a number becomes a function pointer by ctypes.CFUNCTYPE(restype, *argtypes)(number)"
    if is_instance_of_loaded(given, "ctypes", "c_void_p"):
        return "; cast it: ctypes.cast(pointer, ctypes.CFUNCTYPE(restype, *argtypes))"
    if is_instance_of_loaded(given, "ctypes", "CDLL"):
        return "; pass one of its functions: library.name"
    if isinstance(given, str):
        return "; pass the module, too: (module, name)"
    if "cython_function" in type(given).__name__:
        return instead_of_cython(given)
    if callable(given):
        return "; a function of Python's needs the GIL: compile it, with numba.cfunc, say"
    return ""

cdef str instead_of_cython(given):
    """For a function of Cython's that Python calls: what its module has of it for C."""
    module, name = getattr(given, "__module__", None), getattr(given, "__name__", None)
    exported = getattr(sys.modules.get(module), "__pyx_capi__", None)
    cdef list found = []
    if isinstance(exported, dict) and isinstance(name, str):
        for other in exported:  # of a function with fused types, each version has a name
            if other == name or other.startswith("__pyx_fuse_") and other[11:].lstrip("0123456789_") == name:
                found.append(repr(other))
    if len(found) == 1:
        return f"; pass ({module!r}, {found[0]})"
    if found:
        more = ", ..." if len(found) > 4 else ""
        return f"; pass ({module!r}, name), where name is one of {', '.join(sorted(found)[:4])}{more}"
    return "; a function of Python's needs the GIL: declare it as cdef api, or in a .pxd, and pass (module, name)"

cdef Found find_in_capsule(given):
    cdef Found found = Found.__new__(Found)
    cdef const char* name = PyCapsule_GetName(given)
    found.address = <uintptr_t>PyCapsule_GetPointer(given, name)
    found.context = <uintptr_t>PyCapsule_GetContext(given)
    if name is not NULL:
        found.signature = (<bytes>name).decode("utf-8", "replace")
    return found

cdef Found find_in_low_level_callable(given):
    cdef Found inner = find(given.function)  # which refuses those of Python's
    cdef Found found = find_in_capsule(tuple.__getitem__(given, 0))
    found.name = inner.name
    if inner.signature is not None and read_signature(found.signature) is None:
        found.signature = inner.signature  # SciPy has other names for what is no type of C, as ndpointer
    return found

cdef Found find_in_numba(given):
    cdef Found found = Found.__new__(Found)
    found.address, found.name = given.address, given.__name__
    try:
        pointer = given.ctypes
    except (NotImplementedError, TypeError) as error:  # of complex numbers, say
        raise_again_if_callers(error)
        types = given._sig
        if any(str(kind) == "complex64" for kind in (types.return_type, *types.args)):
            raise TypeError(
                f"function {short(given)} passes complex64 by value, which numba does otherwise than C; take complex128,"
                " or a function on chunks"
            ) from None
        return found
    found.signature = signature_of_ctypes(pointer)
    return found

cdef object new_callback_error(given):
    return TypeError(
        f"function {short(given)} calls Python, which needs the GIL: compile it, with numba.cfunc, say"
    )

cdef enum:
    FUNCFLAG_PYTHONAPI = 4  # of _ctypes

cdef Found find_in_ctypes(given):
    cdef Found found = Found.__new__(Found)
    if given._flags_ & FUNCFLAG_PYTHONAPI:
        raise TypeError(
            f"function {short(given)} needs the GIL, as all of ctypes.PyDLL and PYFUNCTYPE do; load it with CDLL"
        )
    for owner in (given._objects or {}).values():
        if type(owner).__name__ == "CThunkObject":
            raise new_callback_error(given)
    found.address = pointer_of_ctypes(given)
    found.signature = signature_of_ctypes(given)
    name = getattr(given, "__name__", None)
    found.name = name if isinstance(name, str) else None
    return found

# A pointer is an instance that consists of it.
cdef uintptr_t pointer_of_ctypes(given) except? 1:
    return (<uintptr_t*>memory_of(given))[0]

cdef void* memory_of(given) except? NULL:
    cdef Py_buffer buffer
    PyObject_GetBuffer(given, &buffer, PyBUF_SIMPLE)
    cdef void* memory = buffer.buf
    PyBuffer_Release(&buffer)
    return memory

cdef str signature_of_ctypes(given):
    if given.argtypes is None:
        return None
    cdef list arguments = []
    returns = "void" if given.restype is None else name_in_ctypes(given.restype)
    for kind in given.argtypes:
        arguments.append(name_in_ctypes(kind))
    return None if returns is None or None in arguments else f"{returns} ({', '.join(arguments)})"

cdef str name_in_ctypes(kind):
    """The type as C spells it; None where it is no number, and no pointer to numbers."""
    dtype = getattr(kind, "_dtype_", None)  # of numpy.ctypeslib.ndpointer
    if dtype is not None:
        return name_of_kind(dtype.kind, dtype.itemsize, " *") if dtype.isnative else None
    letter = getattr(kind, "_type_", None)
    if isinstance(letter, type):
        inner = name_in_ctypes(letter) if not hasattr(kind, "_length_") else None
        return f"{inner} *" if inner is not None and not inner.endswith("*") else None
    if not isinstance(letter, str):
        return None
    if letter == "P":
        return "void *"
    for kind_letter, letters in (("i", "bhilq"), ("u", "BHILQ"), ("f", "fd")):
        if letter in letters:
            return name_of_kind(kind_letter, attribute_if_loaded("ctypes", "sizeof")(kind), "")
    return None

cdef str name_of_kind(str kind, int size, str suffix):
    cdef int i
    if (kind, size) == INT and not suffix:
        return "int"
    for i in range(TWOFOLD_TYPE_COUNT):
        if kind == chr(kernel_types[i].kind) and size == kernel_types[i].size:
            return kernel_types[i].name.decode() + suffix
    return None

cdef bint is_of_cffi(given) except -1:
    kind = attribute_if_loaded("_cffi_backend", "FFI")
    return kind is not None and isinstance(given, kind.CData)

cdef Found find_in_cffi(given):
    cdef Found found = Found.__new__(Found)
    cdef list names = []
    ffi = attribute_if_loaded("_cffi_backend", "FFI")()
    kind = ffi.typeof(given)
    if kind.kind != "function":
        raise TypeError(
            f"function {short(given)} is no pointer to a function; cast it, ffi.cast('double(*)(double)', pointer)"
        )
    if type(given).__name__ == "__CDataOwnGC":
        raise new_callback_error(given)
    found.address = int(ffi.cast("uintptr_t", given))
    if not kind.ellipsis:
        for argument in kind.args:
            names.append(argument.cname)
        found.signature = f"{kind.result.cname} ({', '.join(names)})"
    return found


# ---- user data

cdef bint is_pointer_of_ctypes(value) except -1:
    for module, name in (("ctypes", "c_void_p"), ("ctypes", "c_char_p"), ("ctypes", "c_wchar_p"),
                         ("_ctypes", "_Pointer"), ("_ctypes", "CFuncPtr")):
        if is_instance_of_loaded(value, module, name):
            return True
    return False

cdef object set_user_data(CompiledFunction made, value, uintptr_t context):
    """Returns what keeps the memory where it is."""
    made.fields.user_data = <void*>context
    if value is None and context == 0:
        return None
    if made.fields.tail != TWOFOLD_USER_DATA:
        raise ValueError(f"user_data is given, but {made.signature!r} takes none: 'void *' is not its last argument")
    if value is None:
        return None
    if PyCapsule_CheckExact(value):
        made.fields.user_data = PyCapsule_GetPointer(value, PyCapsule_GetName(value))
        return None
    if is_pointer_of_ctypes(value):
        made.fields.user_data = <void*>pointer_of_ctypes(value)
        return None
    if is_of_cffi(value):
        ffi = attribute_if_loaded("_cffi_backend", "FFI")()
        if ffi.typeof(value).kind not in ("pointer", "array", "function"):
            raise TypeError(f"user_data {short(value)} is no pointer")
        made.fields.user_data = <void*><uintptr_t>int(ffi.cast("uintptr_t", value))
        return None
    try:
        memory = memoryview(value)
    except TypeError as error:
        raise_again_if_callers(error)
        raise TypeError(
            "user_data must be a capsule, a pointer of ctypes or cffi, or an object with a buffer: an array, an"
            f" instance of a ctypes.Structure; not {short(value)} ({type_name(value)})"
            + ("; pass the object itself, not byref() of it" if type(value).__name__ == "CArgObject" else "")
        ) from None
    if not memory.c_contiguous:
        raise ValueError("user_data must be contiguous, as an array that is no slice is")
    made.fields.user_data = memory_of(memory)
    return memory
