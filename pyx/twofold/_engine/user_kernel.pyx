# distutils: define_macros=NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION NPY_TARGET_VERSION=NPY_2_0_API_VERSION
"""Compiled functions of the user's, called like ufuncs of their types, on the crew of threads.

Each is made a ufunc of NumPy, whose only loop calls the function; so all that a ufunc can do with arrays is NumPy's,
and what is shared, and how, is that of `parallel`.
"""
cimport cython
from cpython.object cimport PyObject, PyTypeObject

from twofold._memory.numpy_handler import find_numpy
from twofold._memory.numpy_api cimport PyArray_Check, find_functions, npy_intp
from twofold._engine.kernel_source cimport (
    CompiledFunction, loop_function, place_of, read_function, run_on_chunks,
)
from twofold._engine.messages cimport short, unlocked_in_child
from twofold._engine.messages import did_you_mean
from twofold._engine.parallel_ufunc cimport parallel_kernel, use_vectorcall, vectorcallfunc
from twofold._engine.shared_loop cimport code_loop, new_code_error

cdef extern from *:
    """
    #include <numpy/arrayobject.h>
    #include <numpy/arrayscalars.h>
    #include <numpy/ufuncobject.h>

    // The ufunc holds `owner`, to whose memory its tables point.
    static PyObject* twofold_new_ufunc(PyUFuncGenericFunction* loop, void** data, const char* types, int nin, int nout,
                                       const char* name, PyObject* owner) {
        PyObject* made = PyUFunc_FromFuncAndData(loop, data, types, 1, nin, nout, PyUFunc_None, name,
                                                 "A function given to twofold.Kernel.", 0);
        if (made == NULL) return NULL;
        Py_INCREF(owner);
        ((PyUFuncObject*)made)->obj = owner;
        if (!PyObject_GC_IsTracked(made)) PyObject_GC_Track(made);
        return made;
    }
    static int twofold_name_type(PyTypeObject* type) {
        if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
            PyObject* module = PyUnicode_FromString("twofold");
            int failed = module == NULL || PyObject_SetAttrString((PyObject*)type, "__module__", module);
            Py_XDECREF(module);
            return failed ? -1 : 0;
        }
        type->tp_name = "twofold.Kernel";
        return 0;
    }
    #define TWOFOLD_IS_NUMPY_SCALAR(value) PyArray_IsScalar(value, Generic)

    // In C, where an exception of `make`'s own stays set, too: NumPy asks for one when a loop has run.
    static void twofold_set_error(PyObject* (*make)(int), int code) {
    #if PY_VERSION_HEX >= 0x030D0000
        if (Py_IsFinalizing()) return;  // see twofold_engine
    #else
        if (_Py_IsFinalizing()) return;
    #endif
        PyGILState_STATE state = PyGILState_Ensure();
        if (!PyErr_Occurred()) {  // that of the first elements that failed stays
            PyObject* error = make(code);
            if (error != NULL) PyErr_SetObject(PyExc_RuntimeError, error);
            Py_XDECREF(error);
        }
        PyGILState_Release(state);
    }
    """
    int find_ufunc_functions "_import_umath"() except -1
    object new_ufunc "twofold_new_ufunc"(loop_function* loop, void** data, const char* types, int nin, int nout,
                                         const char* name, object owner)
    bint is_numpy_scalar "TWOFOLD_IS_NUMPY_SCALAR"(object) noexcept
    void set_error "twofold_set_error"(object (*make)(int), int code) noexcept nogil
    int name_type "twofold_name_type"(PyTypeObject* type) except -1

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject* const* arguments, size_t count, PyObject* keywords)
    Py_ssize_t PyVectorcall_NARGS(size_t count) noexcept
    object PyVectorcall_Call(object callable, object arguments, object keywords)
    bint PyObject_CheckBuffer(object) noexcept


cdef object np = None

# In a critical section of it, what was found is set, by the first thread that has it.
cdef object setting = unlocked_in_child(object())

# Stands for a function that is not given.
cdef object missing = object()

cdef int begin() except -1:
    global np
    if np is not None:
        return 0
    numpy = find_numpy()
    find_functions()
    find_ufunc_functions()
    with cython.critical_section(setting):
        if np is None:
            np = numpy
    return 0

# The loop of NumPy's ufunc, of functions on chunks, which has no other way to say that it failed.
cdef void run_or_raise(char** data, const npy_intp* count, const npy_intp* strides, void* function) noexcept nogil:
    cdef int code = run_on_chunks(data, count, strides, function)
    if code != 0:
        set_error(error_of, code)

cdef object error_of(int code):
    return new_code_error(code)

# The tables of a ufunc, which has pointers to them: so no cycle is broken here.
@cython.final
@cython.internal
@cython.no_gc_clear
cdef class Tables:
    cdef loop_function loop
    cdef void* data
    cdef CompiledFunction function
    cdef bytes name

cdef object ufunc_of(CompiledFunction function):
    cdef Tables tables = Tables.__new__(Tables)
    tables.loop = function.loop if function.loop is not NULL else <loop_function>run_or_raise
    tables.data = &function.fields
    tables.function = function
    tables.name = function.name.encode()
    return new_ufunc(&tables.loop, &tables.data, <const char*>function.types, function.fields.nin,
                     function.fields.nop - function.fields.nin, <const char*>tables.name, tables)


@cython.final
cdef class Kernel:
    """Kernel(function, signature=None, user_data=None)\n--\n
    A compiled function on several threads: called like a ufunc of its types, it maps arrays element by element.

    Parameters
    ----------
    function : object
        A `scipy.LowLevelCallable`, what `numba.cfunc` makes, a function pointer of ctypes or of cffi, a capsule as in
        the ``__pyx_capi__`` of a Cython module, or ``(module, name)``, which is looked up there, or else among the
        module's attributes.
    signature : str, optional
        In SciPy's spelling, if `function` does not say it. For elements ``"double (double, double)"``, with at most
        four arguments of one type. For chunks ``"int (const double *, double *, Py_ssize_t)"``: pointers to inputs,
        pointers to outputs, and how many elements each has; 0 is success, any other number an error. Each may have
        ``"void *"`` at its end.
    user_data : object, optional
        What is passed as ``void *``: a capsule, a pointer of ctypes or cffi, or an object with a buffer, whose memory
        it then is. It is kept alive, as `function` is. Without it NULL is passed, or what `function` brings along.

    Raises
    ------
    TypeError
        `function` is none that is compiled, or it calls Python.
    ValueError
        The signature is missing, is not that of a kernel, or contradicts what `function` says itself.

    Notes
    -----
    A call takes what a ufunc takes, and ``threads=``; lists and buffers count as arrays. It raises `RuntimeError` with
    the number as ``code`` where a function on chunks fails; then `out` is written in part.

    The function runs on any thread, without the GIL, on any part of the arrays. It neither raises nor forks, and waits
    for no lock that a thread may hold while it forks. The memory of an output of a chunk overlaps with none of the
    others.

    A kernel that is made of ``(module, name)`` can be pickled, since another process finds the function by it.

    Examples
    --------
    >>> import ctypes, numpy as np, twofold
    >>> cbrt = ctypes.CDLL(None).cbrt
    >>> cbrt.argtypes, cbrt.restype = [ctypes.c_double], ctypes.c_double
    >>> kernel = twofold.Kernel(cbrt)
    >>> kernel(np.array([1.0, 8.0, 27.0]))
    array([1., 2., 3.])
    >>> kernel.signature
    'double (double)'
    """

    cdef vectorcallfunc vectorcall
    cdef CompiledFunction read
    cdef object said, user
    cdef object ufunc
    cdef object __weakref__

    def __cinit__(self, function=missing, signature=None, user_data=None, *more, **others):
        if function is setting:  # only the type is wanted
            return
        if function is missing:
            raise TypeError("Kernel() is given no function; pass Kernel(function, signature, user_data)")
        if more:
            raise TypeError(f"Kernel() takes a function, a signature and user_data, not {len(more) + 3} arguments")
        for name in others:
            advice = did_you_mean(name, ("function", "signature", "user_data"))
            raise TypeError(f"Kernel() got an unexpected keyword argument {name!r}{advice}")
        begin()
        self.read = read_function(function, signature, user_data)
        self.said, self.user = signature, user_data
        self.ufunc = parallel_kernel(ufunc_of(self.read), <code_loop>run_on_chunks if self.read.loop is NULL else NULL)
        self.vectorcall = <vectorcallfunc>call_kernel

    def __call__(self, *arguments, **keywords):
        return PyVectorcall_Call(self, arguments, keywords)

    @property
    def function(self):
        """What was given."""
        return self.read.given

    @property
    def user_data(self):
        """What was given."""
        return self.user

    @property
    def signature(self):
        return self.read.signature

    @property
    def nin(self):
        """The number of inputs."""
        return self.read.fields.nin

    @property
    def nout(self):
        """The number of outputs."""
        return self.read.fields.nop - self.read.fields.nin

    @property
    def types(self):
        """As of a ufunc: a list with the letters of NumPy's types."""
        return self.ufunc.types

    @property
    def __name__(self):
        return self.read.name

    def __repr__(self):
        return f"<twofold.Kernel {self.read.name}: {self.read.signature}>"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        given = self.read.given
        if type(given) is tuple:
            module, name = given
            place = (module if isinstance(module, str) else module.__name__, name)
        else:
            place = place_of(given)
        if place is None:
            raise TypeError(
                f"cannot pickle {self!r}: another process has nothing at its address; make it of names, which is"
                " twofold.Kernel((module, name)), where that module has the function in its __pyx_capi__ or as an"
                " attribute"
            )
        return Kernel, (place, self.said, self.user)

cdef int set_up_type() except -1:
    cdef Kernel instance = Kernel.__new__(Kernel, setting)
    use_vectorcall(<PyTypeObject*>Kernel, <char*>&instance.vectorcall - <char*><PyObject*>instance)
    return name_type(<PyTypeObject*>Kernel)

set_up_type()


cdef object call_kernel(PyObject* callable, PyObject* const* arguments, size_t count, PyObject* keywords):
    cdef Kernel self = <Kernel>callable
    cdef Py_ssize_t i, positional = PyVectorcall_NARGS(count)
    for i in range(min(positional, <Py_ssize_t>self.read.fields.nin)):
        if is_to_be_converted(<object>arguments[i]):
            return call_converted(self, arguments, positional, keywords)
    try:
        return PyObject_Vectorcall(self.ufunc, arguments, count, keywords)
    except TypeError as error:
        add_advice(self, error)
        raise

cdef int add_advice(Kernel self, error) except -1:
    """Says what to do, where the error is one of NumPy's that names neither the types nor a way."""
    cdef str text = str(error)
    if text.startswith((f"ufunc {self.read.name!r} not supported", f"Cannot cast ufunc {self.read.name!r} input")):
        names = [np.dtype(letter).name for letter in self.ufunc.types[0].partition("->")[0]]
        error.add_note(
            f"its inputs are {', '.join(names)}; convert what cannot be cast safely: numpy.asarray(values, {names[0]!r})"
        )
    elif text == "return arrays must be of ArrayType":
        error.add_note("out must be a numpy.ndarray; numpy.asarray(buffer) is one in the memory of the buffer")
    return 0

cdef bint is_to_be_converted(value) except -1:
    """Whether NumPy would make an array of it, which is done here, so that the call can be shared."""
    if PyArray_Check(value) or type(value) in (int, float, complex) or is_numpy_scalar(value):
        return False
    if type(value) in (list, tuple, range):
        return True
    return PyObject_CheckBuffer(value) and not hasattr(type(value), "__array_ufunc__")

cdef object call_converted(Kernel self, PyObject* const* arguments, Py_ssize_t positional, PyObject* keywords):
    cdef Py_ssize_t i
    cdef list given = []
    cdef dict named = {}
    for i in range(positional):
        value = <object>arguments[i]
        if i < self.read.fields.nin and is_to_be_converted(value):
            value = np.asarray(value if type(value) in (list, tuple, range) else memoryview(value))
        given.append(value)
    if keywords is not NULL:
        for i, name in enumerate(<tuple>keywords):
            named[name] = <object>arguments[positional + i]
    try:
        return self.ufunc(*given, **named)
    except TypeError as error:
        add_advice(self, error)
        raise
